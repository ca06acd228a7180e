"""Skip-Clip: which frames are sampled, what each loss is, and that the network learns to rank what comes."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import recipe
from suite.backbones.r3d import R3D
from suite.backbones.resnet3d import ResNet2D, ResNet3D
from suite.papers.skip_clip import order_ranking, ranking_network
from suite.papers.skip_clip.ranking_network import ContextsAndTargets, Layout
from suite.seeding import generator
from suite.settings import Optimisation
from suite.training import fit
from suite.video import decode, transforms
from tests.suite.sampling import Named, all_alike, whole_and_resumed

PAPER = Layout(16, 8, 4, 1)
LAYOUTS = st.builds(Layout, st.integers(1, 16), st.integers(1, 10), st.integers(1, 6), st.integers(1, 5))


class Numbered:
    """A source whose frame i is all i in red, the column in green, the row in blue; it counts on being read forwards."""

    def __init__(self, height: int = 12, width: int = 16):
        self.height, self.width = height, width

    def frames(self, name, indices):
        assert list(indices) == sorted(set(indices))
        frames = torch.zeros(len(indices), self.height, self.width, 3, dtype=torch.uint8)
        frames[..., 0] = torch.tensor(indices, dtype=torch.uint8)[:, None, None]
        frames[..., 1] = torch.arange(self.width, dtype=torch.uint8)
        frames[..., 2] = torch.arange(self.height, dtype=torch.uint8)[:, None]
        return frames


def numbered(frames=60, *, layout=PAPER, size=8, crop_scale=8 / 12, seed=0, training=True, videos=1):
    named = [Named(f"v{index}.avi") for index in range(videos)]
    lengths = {video.name: frames for video in named}
    kept = {"layout": layout, "size": size, "crop_scale": crop_scale, "seed": seed, "training": training}
    return ContextsAndTargets(Numbered(), named, lengths, **kept)


# ---------------------------------------------------------------- which frames


def test_the_papers_layout():
    assert PAPER.span() == 48
    context, targets = PAPER.indices(5)
    assert context == list(range(5, 21))
    # The first target is four frames after the context's last one.
    assert targets == [[24], [28], [32], [36], [40], [44], [48], [52]]


@given(layout=LAYOUTS, spare=st.integers(0, 40), seed=st.integers(0, 2**31), training=st.booleans())
def test_indices(layout, spare, seed, training):
    frames = layout.span() + spare
    context, targets = ranking_network.drawn_indices(generator(seed), frames, layout, training=training)
    assert len(context) == layout.context
    assert [len(target) for target in targets] == [layout.target_length] * layout.targets
    everything = context + [frame for target in targets for frame in target]
    assert min(everything) >= 0
    assert max(everything) < frames
    # Time runs one way, by one frame in clips and by the rate from target to target; the targets come after the context.
    way = 1 if targets[0][0] > context[-1] else -1
    assert training or way == 1
    for clip in (context, *targets):
        assert all(later - earlier == way for earlier, later in itertools.pairwise(clip))
    firsts = [context[-1]] + [target[0] for target in targets]
    assert all(later - earlier == way * layout.rate for earlier, later in itertools.pairwise(firsts))
    assert abs(everything[-1] - everything[0]) + 1 == layout.span()
    again = ranking_network.drawn_indices(generator(seed), frames, layout, training=training)
    assert again == (context, targets)


def test_no_time_and_no_direction_is_preferred():
    drawn = [ranking_network.drawn_indices(generator(7, n), 52, PAPER, training=True)[0] for n in range(3000)]
    starts = Counter(min(context) if context[0] < context[-1] else 51 - max(context) for context in drawn)
    backwards = Counter(context[0] > context[-1] for context in drawn)
    # Five starts fit.
    assert all_alike(starts, 5)
    assert all_alike(backwards, 2)


def test_videos_shorter_than_the_span_are_left_out():
    videos = [Named("short"), Named("exact"), Named("long")]
    frames = {"short": 47, "exact": 48, "long": 300}
    pretraining, video = {"targets": 8, "rate": 4, "target_length": 1}, {"clip_length": 16}
    assert [v.name for v in order_ranking.eligible(videos, frames, pretraining, video)] == ["exact", "long"]
    assert [v.name for v in order_ranking.eligible(videos, frames, pretraining | {"target_length": 2}, video)] == [
        "long"
    ]
    context, _ = numbered(48)[3, 0]
    assert set(context[:, 0, 0, 0].tolist()) == set(range(16)) or set(context[:, 0, 0, 0].tolist()) == set(
        range(32, 48)
    )


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 600), layout=LAYOUTS)
@settings(deadline=None)
def test_one_crop_one_mirroring_and_the_drawn_frames(seed, epoch, layout):
    context, targets = numbered(layout.span() + 9, layout=layout, seed=seed)[epoch, 0]
    assert context.shape == (layout.context, 8, 8, 3)
    assert targets.shape == (layout.targets, layout.target_length, 8, 8, 3)
    frames = torch.cat([context, targets.flatten(0, 1)])
    # One crop and one mirroring: every frame has the same columns and rows.
    assert (frames[..., 1:] == frames[:1, ..., 1:]).all()
    columns, rows = frames[0, 0, :, 1].tolist(), frames[0, :, 0, 2].tolist()
    assert columns in (list(range(min(columns), min(columns) + 8)), list(range(max(columns), max(columns) - 8, -1)))
    assert rows == list(range(rows[0], rows[0] + 8))
    numbers = frames[:, 0, 0, 0].tolist()
    way = 1 if layout.rate and numbers[layout.context] > numbers[layout.context - 1] else -1
    first = numbers[0] if way == 1 else layout.span() + 9 - 1 - numbers[0]
    expected, after = layout.indices(first)
    expected += [frame for target in after for frame in target]
    assert numbers == [frame if way == 1 else layout.span() + 8 - frame for frame in expected]


def test_half_of_the_samples_are_mirrored_and_crops_reach_the_corners():
    drawn = numbered()
    firsts = [drawn[epoch, 0][0][0, 0, :, 1].tolist() for epoch in range(600)]
    mirrored = sum(row[0] > row[-1] for row in firsts)
    assert abs(mirrored - 300) < 5 * math.sqrt(150)
    assert {min(row) for row in firsts} == set(range(9))


def test_outside_training_nothing_is_random_but_the_time():
    held = numbered(100, training=False, videos=40)
    for index in range(40):
        context, targets = held[0, index]
        # The middle 8 of 16 columns and of 12 rows, upright, forwards.
        assert context[0, 0, :, 1].tolist() == list(range(4, 12))
        assert context[0, :, 0, 2].tolist() == list(range(2, 10))
        assert context[-1, 0, 0, 0] < targets[0, 0, 0, 0, 0]
        assert torch.equal(held[0, index][0], context)
    assert len({int(held[0, index][0][0, 0, 0, 0]) for index in range(40)}) > 10


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    many = numbered(videos=3)
    keys = [(epoch, index) for epoch in range(3) for index in range(3)]
    first = {key: many[key] for key in keys}
    backwards = {key: many[key] for key in reversed(keys)}
    assert all(torch.equal(first[key][part], backwards[key][part]) for key in keys for part in (0, 1))
    assert len({context.numpy().tobytes() for context, _ in first.values()}) == 9


def test_crops_are_resized_to_the_networks_size():
    context, targets = numbered(size=6, crop_scale=1.0, training=False)[0, 0]
    assert (context.shape, targets.shape) == ((16, 6, 6, 3), (8, 1, 6, 6, 3))
    # Twelve rows in six: rows 0 and 1 become one in between (antialiasing reaches a little further).
    assert context[0, :, 0, 2].tolist() == pytest.approx([0.5, 2.5, 4.5, 6.5, 8.5, 10.5], abs=1)


# ---------------------------------------------------------------- scores and losses


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def score_of(context: np.ndarray, target: np.ndarray, score: str) -> float:
    """Eq. 3 by a loop over cells; maps are [C, h, w]."""
    if score == "vector":
        return cosine(context.mean((1, 2)), target.mean((1, 2)))
    height, width = context.shape[1:]
    cells = [cosine(context[:, m, n], target[:, m, n]) for m in range(height) for n in range(width)]
    return sum(cells) / len(cells)


@given(
    batch=st.integers(2, 4),
    count=st.integers(1, 5),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
    rank_margin=st.floats(0, 1),
    negative_margin=st.floats(0, 1),
    score=st.sampled_from(["grid", "vector"]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_losses_against_plain_loops(batch, count, shape, rank_margin, negative_margin, score, seed):
    draw = torch.Generator().manual_seed(seed)
    contexts = torch.randn(batch, *shape, generator=draw, dtype=torch.float64)
    targets = torch.randn(batch, count, *shape, generator=draw, dtype=torch.float64)
    rank = contrastive = 0.0
    in_order = []
    for video in range(batch):
        own = [score_of(contexts[video].numpy(), target.numpy(), score) for target in targets[video]]
        negatives = [
            score_of(contexts[video].numpy(), target.numpy(), score)
            for other in range(batch)
            if other != video
            for target in targets[other]
        ]
        in_order.append(0)
        for i in range(count):
            for j in range(i + 1, count):
                rank += max(0.0, -own[i] + own[j] + rank_margin) / batch
                in_order[-1] += own[i] > own[j]
        for i in range(count):
            contrastive += max(0.0, -own[i] + sum(negatives) / len(negatives) + negative_margin) / batch
    context_cells, target_cells = (
        ranking_network.unit_cells(contexts, score),
        ranking_network.unit_cells(targets, score),
    )
    scores = ranking_network.similarities(context_cells, target_cells).mean(2)
    mean_negatives = ranking_network.negative_scores(context_cells, target_cells)
    assert float(ranking_network.rank_loss(scores, rank_margin)) == pytest.approx(rank, abs=1e-12)
    found = ranking_network.contrastive_loss(scores, mean_negatives, negative_margin)
    assert float(found) == pytest.approx(contrastive, abs=1e-12)
    assert ranking_network.pairs_in_order(scores).tolist() == in_order


def test_losses_by_hand():
    scores = torch.tensor([[0.9, 0.5, 0.6], [0.3, 0.3, 0.1]])
    # Pairs of the first video: 0.5 - 0.9, 0.6 - 0.9, 0.6 - 0.5, each + 0.25; of the second: 0, -0.2, -0.2.
    assert float(ranking_network.rank_loss(scores, 0.25)) == pytest.approx((0 + 0 + 0.35 + 0.25 + 0.05 + 0.05) / 2)
    negatives = torch.tensor([0.2, 0.0])
    by_hand = ((0 + 0.2 + 0.1) + (0.2 + 0.2 + 0.4)) / 2
    assert float(ranking_network.contrastive_loss(scores, negatives, 0.5)) == pytest.approx(by_hand)
    # A tie is not in order.
    assert ranking_network.pairs_in_order(scores).tolist() == [2, 2]


def test_a_dark_cell_scores_nothing():
    maps = torch.rand(2, 4, 2, 2)
    maps[:, :, 0, 0] = 0
    cells = ranking_network.unit_cells(maps, "grid")
    same = ranking_network.similarities(cells, cells.unsqueeze(1))
    torch.testing.assert_close(same, torch.tensor([[[0.0, 1.0, 1.0, 1.0]]] * 2))


@given(seed=st.integers(0, 2**31), length=st.integers(1, 3))
def test_rotations_turn_whole_clips(seed, length):
    draw = torch.Generator().manual_seed(seed)
    clips = torch.randint(0, 256, (6, length, 5, 5, 3), dtype=torch.uint8, generator=draw)
    turns = torch.randint(4, (6,), generator=draw)
    found = ranking_network.rotated(clips, turns)
    for clip, turned, turn in zip(clips, found, turns.tolist(), strict=True):
        for frame, after in zip(clip, turned, strict=True):
            assert (np.rot90(frame.numpy(), turn) == after.numpy()).all()


# ---------------------------------------------------------------- the network


def a_network(target_length=1, width=2, **changes) -> ranking_network.SkipClipNetwork:
    pretraining = {"target_length": target_length, "score": "grid", "rank_margin": 0.05, "negatives": True}
    pretraining |= {"negative_margin": 0.5, "rotation": True} | changes
    return order_ranking.network(ResNet3D(width), pretraining, {"clip_length": 8, "pixels": "unit"})


def a_batch(videos=3, count=5, length=1, size=40, seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    context = torch.randint(0, 256, (videos, 8, size, size, 3), dtype=torch.uint8, generator=draw)
    targets = torch.randint(0, 256, (videos, count, length, size, size, 3), dtype=torch.uint8, generator=draw)
    return context, targets


def test_encoders_of_the_paper_meet_on_one_grid():
    with torch.device("meta"):
        network = a_network(width=64)
        context = torch.empty(1, 16, 224, 224, 3, dtype=torch.uint8)
        targets = torch.empty(8, 1, 224, 224, 3, dtype=torch.uint8)
    assert isinstance(network.target_encoder, ResNet2D)
    assert network.context_map(context).shape == (1, 512, 7, 7)
    assert network.target_maps(targets).shape == (8, 512, 7, 7)
    assert sum(parameter.numel() for parameter in network.parameters()) == 33_203_904 + 11_176_512 + 4 * 513


def test_longer_targets_have_a_clip_encoder():
    torch.manual_seed(0)
    network = a_network(target_length=4)
    context, targets = a_batch(length=4)
    assert isinstance(network.target_encoder, ResNet3D)
    assert network(context, targets).shape == (3, 5, 2, 2)
    network.outcome(context, targets).loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_a_network_that_leaves_two_frames_is_refused():
    network = ranking_network.SkipClipNetwork(
        R3D(2),
        target_length=1,
        score="grid",
        rank_margin=0.05,
        negatives=False,
        negative_margin=0.5,
        rotation=False,
        pixels="unit",
    )
    with pytest.raises(ValueError, match="the last map has 2 frames"):
        network(torch.zeros(1, 16, 32, 32, 3, dtype=torch.uint8), a_batch(1, size=32)[1])


@pytest.mark.parametrize("score", ["grid", "vector"])
def test_the_outcome_is_the_sum_of_its_losses(score):
    torch.manual_seed(1)
    network = a_network(score=score).eval()
    context, targets = a_batch()
    outcome = network.outcome(context, targets)
    with torch.no_grad():
        maps = network(context, targets)
        scores = maps.mean((2, 3))
        h = network.context_map(context).double().numpy()
        z = network.target_maps(targets.flatten(0, 1)).unflatten(0, (3, 5)).double().numpy()
        # Target i of every video, turned i times.
        turned = torch.stack([targets[:, i].rot90(i % 4, (2, 3)) for i in range(5)], dim=1).flatten(0, 1)
        logits = network.rotation_head(network.target_maps(turned).mean((2, 3))).double()
    assert maps.shape == ((3, 5, 2, 2) if score == "grid" else (3, 5, 1, 1))
    by_loop = [[score_of(h[b], z[b, i], score) for i in range(5)] for b in range(3)]
    assert scores.numpy() == pytest.approx(np.array(by_loop), abs=1e-5)
    negative = [
        np.mean([score_of(h[b], z[o, i], score) for o in range(3) if o != b for i in range(5)]) for b in range(3)
    ]
    labels = [0, 1, 2, 3, 0] * 3
    rotation = np.mean([float(row.logsumexp(0) - row[label]) for row, label in zip(logits, labels, strict=True)])
    wanted = {
        "rank_loss": np.mean(
            [sum(max(0, s[j] - s[i] + 0.05) for i, j in itertools.combinations(range(5), 2)) for s in by_loop]
        ),
        "contrastive_loss": np.mean(
            [sum(max(0, n - each + 0.5) for each in s) for s, n in zip(by_loop, negative, strict=True)]
        ),
        "rotation_loss": rotation,
        "ranking_accuracy": np.mean(
            [100 * sum(s[i] > s[j] for i, j in itertools.combinations(range(5), 2)) / 10 for s in by_loop]
        ),
        "rotation_accuracy": 100 * float((logits.argmax(1) == torch.tensor(labels)).double().mean()),
    }
    found = {name: float(part.detach()) for name, part in outcome.parts.items()}
    assert found == pytest.approx(wanted, abs=1e-4)
    assert float(outcome.loss.detach()) == pytest.approx(
        sum(wanted[name] for name in wanted if "loss" in name), abs=1e-4
    )
    assert outcome.correct is None


@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("rotation", [False, True])
def test_objectives_can_be_switched_off(negatives, rotation):
    network = a_network(negatives=negatives, rotation=rotation)
    outcome = network.outcome(*a_batch())
    on = {"rank_loss": True, "contrastive_loss": negatives, "rotation_loss": rotation}
    losses = {name: part for name, part in outcome.parts.items() if name.endswith("_loss")}
    assert set(losses) == {name for name, there in on.items() if there}
    assert float(outcome.loss.detach()) == pytest.approx(sum(float(part.detach()) for part in losses.values()))
    assert (network.rotation_head is not None) == rotation


def test_without_rotation_the_network_starts_from_the_same_encoders():
    torch.manual_seed(3)
    with_head = a_network().state_dict()
    torch.manual_seed(3)
    without = a_network(rotation=False, negatives=False).state_dict()
    assert set(with_head) - set(without) == {"rotation_head.weight", "rotation_head.bias"}
    assert all(torch.equal(tensor, with_head[name]) for name, tensor in without.items())


def test_every_parameter_learns_and_fine_tuning_finds_the_context_encoder():
    torch.manual_seed(0)
    network = a_network()
    network.outcome(*a_batch()).loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still
    state = network.state_dict()
    taken = {name.removeprefix("backbone."): t for name, t in state.items() if name.startswith("backbone.")}
    ResNet3D(2).load_state_dict(taken, strict=True)


def test_a_lone_video_has_no_negatives():
    torch.manual_seed(0)
    network = a_network()
    outcome = network.outcome(*a_batch(videos=1))
    assert float(outcome.parts["contrastive_loss"].detach()) == 0
    outcome.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_rotations_follow_torchs_generator_in_training_and_the_target_outside():
    torch.manual_seed(0)
    network = a_network(width=1)
    batch = a_batch()
    torch.manual_seed(4)
    first = float(network.outcome(*batch).parts["rotation_loss"].detach())
    torch.manual_seed(4)
    assert float(network.outcome(*batch).parts["rotation_loss"].detach()) == first
    assert float(network.outcome(*batch).parts["rotation_loss"].detach()) != first
    network.eval()
    before = torch.get_rng_state()
    outside = [float(network.outcome(*batch).loss.detach()) for _ in range(2)]
    assert outside[0] == outside[1]
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize("scale", recipe.SCALES)
def test_the_recipes_pretrainings_can_be_built(scale):
    settings = recipe.load("skip-clip", scale).settings.model_dump(mode="json")
    assert not settings["holdout"]
    objectives = {}
    for name, pretraining in settings["pretraining"].items():
        with torch.device("meta"):
            network = order_ranking.network(ResNet3D(settings["width"]), pretraining, settings["video"])
            shape = (settings["video"]["clip_length"], pretraining["size"], pretraining["size"], 3)
            context = torch.empty(2, *shape, dtype=torch.uint8)
            targets = torch.empty(
                2, pretraining["targets"], pretraining["target_length"], *shape[1:], dtype=torch.uint8
            )
            maps = network(context, targets)
        side = 1 if pretraining["score"] == "vector" else 2 if scale == "tiny" else 7
        assert maps.shape == (2, pretraining["targets"], side, side)
        objectives[name] = (pretraining["negatives"], pretraining["rotation"])
        # The synthetic videos, of 36 frames and more, are long enough.
        limit = 36 if scale == "tiny" else 51
        assert order_ranking.eligible([Named("video")], {"video": limit}, pretraining, settings["video"])
    assert objectives["rank"] == (False, False)
    assert objectives["rank-rotation"] == (False, True)
    assert objectives["rank-negatives"] == (True, False)
    assert objectives["skip-clip"] == (True, True)


def test_the_recipe_is_the_papers_at_its_scale():
    settings = recipe.load("skip-clip", "paper").settings
    pretraining = settings.pretraining["skip-clip"]
    assert (settings.video.clip_length, pretraining.targets, pretraining.rate, pretraining.size) == (16, 8, 4, 224)
    learnt = pretraining.optimisation
    assert (learnt.optimiser, learnt.batch, learnt.epochs, learnt.learning_rate) == ("adam", 128, 600, 3e-4)
    assert (learnt.lr_every, learnt.lr_factor, learnt.weight_decay) == (200, 0.1, 1e-7)
    tuned = settings.finetuning.optimisation
    assert (tuned.optimiser, tuned.epochs, tuned.learning_rate, tuned.weight_decay) == ("adam", 300, 5e-4, 1e-2)
    assert (tuned.lr_every, tuned.lr_factor, tuned.lr_until) == (15, 0.5, 60)


# ---------------------------------------------------------------- learning


class Drifting:
    """A bright square that crosses a frame of 40 x 40 at one speed from left to right (odd videos: from right to left).

    Its ground is lighter towards the top: a frame tells how it is turned.
    """

    def frames(self, name, indices):
        video = int(name)
        ground = torch.linspace(130, 50, 40).to(torch.uint8)[:, None, None]
        frames = ground.expand(len(indices), 40, 40, 3).clone()
        for row, index in enumerate(indices):
            left = 2 + round(index * 26 / 35)
            left = left if video % 2 == 0 else 30 - left
            top = 3 + video * 5 % 24
            frames[row, top : top + 10, max(left, 0) : left + 10] = 230
        return frames


def drifting(videos: range, training: bool) -> ContextsAndTargets:
    named = [Named(str(video)) for video in videos]
    lengths = {video.name: 36 for video in named}
    layout = Layout(8, 6, 4, 1)
    return ContextsAndTargets(
        Drifting(), named, lengths, layout=layout, crop_scale=1.0, size=40, seed=0, training=training
    )


ADAM = {"optimiser": "adam", "learning_rate": 2e-3, "weight_decay": 1e-7, "precision": "fp32", "keep": "last"}


def learnt(folder, epochs: int, **changes):
    """How 12 held-out videos are ranked before and after training on 24 others, and the network."""
    torch.manual_seed(0)
    network = a_network(width=4, **changes)
    held = drifting(range(100, 112), False)
    before = ranking_network.ranking_accuracy(network, held, 5, "cpu")
    optimisation = Optimisation(batch=8, epochs=epochs, **ADAM)
    fit(network, drifting(range(24), True), None, optimisation, folder, seed=0, device="cpu")
    return before, ranking_network.ranking_accuracy(network, held, 5, "cpu"), network


def test_all_objectives_are_learnt_together(tmp_path):
    before, after, network = learnt(tmp_path, 30)
    assert (before.pairs, len(before.hits), before.scores.shape) == (15, 12, (12, 6))
    assert sum(before.hits) < 0.75 * 12 * 15
    assert sum(after.hits) > 0.8 * 12 * 15
    # The other objectives leave neighbours close to each other: near targets may tie.
    assert after.scores[:, -1].mean() < after.scores[:, 0].mean() - 0.05
    # Of the four rotations one in four would be guessed.
    assert sum(after.rotations) > 0.9 * 12 * 6
    # No number depends on how the videos are batched.
    again = ranking_network.ranking_accuracy(network, drifting(range(100, 112), False), 12, "cpu")
    assert (again.hits, again.rotations) == (after.hits, after.rotations)


def test_scores_fall_with_every_target_of_every_clip_in_constant_motion(tmp_path):
    """The ranking objective alone (Table 2, first row), on videos that it was not trained on."""
    before, after, _ = learnt(tmp_path, 30, negatives=False, rotation=False)
    assert not all(before.monotone())
    assert after.rotations is None
    assert (np.diff(after.scores, axis=1) < 0).all()
    assert after.monotone() == [True] * 12


def test_a_killed_run_ends_as_one_never_killed(tmp_path):
    optimisation = Optimisation(batch=4, epochs=2, **ADAM)

    def build():
        torch.manual_seed(0)
        return a_network(width=1)

    data = drifting(range(10), True), drifting(range(10, 13), False)
    (whole, first), (resumed, second) = whole_and_resumed(tmp_path, build, *data, optimisation)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert first["curves"] == second["curves"]
    assert {"train_rank_loss", "train_rotation_loss", "validation_ranking_accuracy"} <= set(first["curves"])


# ---------------------------------------------------------------- Fig. 3


def test_similarity_maps_of_real_frames(shared_data):
    """Of two real videos: the picture shows the frames that the samples name, and the maps that the network gives."""
    root = shared_data / "ucf101-six-small"
    paths = sorted((root / "UCF-101").glob("*/v_*_g01_c01.avi"))[:2]
    reader = decode.Reader()

    class Files:
        def frames(self, name, indices):
            return transforms.resize(reader.frames(root / "UCF-101" / name, indices), (48, 64))

    videos = [Named(str(path.relative_to(root / "UCF-101"))) for path in paths]
    lengths = {video.name: 48 for video in videos}
    layout = Layout(8, 6, 4, 1)
    samples = ContextsAndTargets(
        Files(), videos, lengths, layout=layout, crop_scale=40 / 48, size=40, seed=0, training=False
    )
    context, targets = (torch.stack(frames) for frames in zip(*(samples[0, index] for index in (0, 1)), strict=True))
    for index, video in enumerate(videos):
        first, after = ranking_network.drawn_indices(generator(0, 0, index, 1), 48, layout, training=False)
        wanted = transforms.centre_crop(Files().frames(video.name, [first[-1]] + [t[0] for t in after]), 40)
        assert torch.equal(torch.cat([context[index, -1:], targets[index, :, 0]]), wanted)
    torch.manual_seed(0)
    network = a_network().eval()
    with torch.no_grad():
        maps = network(context, targets)
    assert maps.shape == (2, 6, 2, 2)
    assert maps.std() > 0
    picture = (
        ranking_network.similarity_picture(context, targets, maps)
        .reshape(2, 2, 40, 7, 40, 3)
        .transpose(0, 1, 3, 2, 4, 5)
    )
    assert (picture[:, 0, 1:] == targets[:, :, 0].numpy()).all()
    # The cell with the highest similarity of a video is the greenest and reddest of its corners, less the frame's half.
    heat = (2 * picture[:, 1, 1:].astype(int) - targets[:, :, 0].numpy())[..., [0, 1]].sum(-1)[:, :, ::39, ::39]
    assert (heat.reshape(2, -1).argmax(1) == maps.flatten(1).argmax(1).numpy()).all()


def test_similarity_picture():
    context, targets = a_batch(videos=2, count=3, length=2, size=8)
    maps = torch.zeros(2, 3, 2, 2)
    maps[0, 1] = 1.0
    maps[1, 2, 0, 0] = -1.0
    picture = ranking_network.similarity_picture(context, targets, maps)
    assert picture.shape == (2 * 2 * 8, 4 * 8, 3)
    assert picture.dtype == np.uint8
    cells = picture.reshape(2, 2, 8, 4, 8, 3).transpose(0, 1, 3, 2, 4, 5)
    # [video, row, column, H, W, 3]
    assert (cells[:, 0, 0] == context[:, -1].numpy()).all()
    assert (cells[:, 0, 1:] == targets[:, :, 1].numpy()).all()
    assert (cells[:, 1, 0] == 255).all()
    # Half the frame, half the colour: what is highest in a video is yellow, what is lowest is dark.
    heat = 2 * cells[:, 1, 1:].astype(int) - targets[:, :, 1].numpy()
    yellow, dark = [253, 231, 37], [68, 1, 84]
    assert abs(heat[0, 1] - yellow).max() <= 2
    assert abs(heat[0, [0, 2]] - dark).max() <= 2
    assert abs(heat[1, 2, 0, 0] - dark).max() <= 2
    assert abs(heat[1, 2, -1, -1] - yellow).max() <= 2
