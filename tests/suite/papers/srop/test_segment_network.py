"""srop: which frames are sampled, what each subtask's loss is, how the key encoder and the queue move, what is learnt."""

import copy
import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn
from torch.utils.data import default_collate

from suite import recipe, stages
from suite.backbones.r3d import R3D
from suite.errors import InputError
from suite.papers.srop import segment_clips, segment_network, segment_order
from suite.papers.srop.segment_clips import SegmentClips
from suite.papers.srop.segment_network import SegmentNetwork
from suite.papers.vcop.order_network import orders
from suite.seeding import generator
from suite.settings import Optimisation
from suite.training import fit
from suite.video import transforms
from tests.suite.sampling import Named, whole_and_resumed

PAPER = {"clip_length": 16, "segments": 3, "shortest": 3, "max_rate": 8}
TINY = {"clip_length": 8, "segments": 3, "shortest": 2, "max_rate": 4}


class Numbered:
    """A source whose frame i is all i in red, the column in green, the row in blue; it counts on being read forwards."""

    def frames(self, name, indices):
        assert list(indices) == sorted(set(indices))
        frames = torch.zeros(len(indices), 12, 16, 3, dtype=torch.uint8)
        frames[..., 0] = torch.tensor(indices, dtype=torch.uint8)[:, None, None]
        frames[..., 1] = torch.arange(16, dtype=torch.uint8)
        frames[..., 2] = torch.arange(12, dtype=torch.uint8)[:, None]
        return frames


def numbered(frames=60, *, layout=TINY, seed=0, training=True, videos=1, pairs=True, flip=True) -> SegmentClips:
    named = [Named(f"v{index}.avi") for index in range(videos)]
    lengths = {video.name: frames for video in named}
    kept = {"layout": layout, "pairs": pairs, "crop": 8, "flip": flip, "jitter": 0.4, "seed": seed}
    return SegmentClips(Numbered(), named, lengths, training=training, **kept)


# ---------------------------------------------------------------- which frames


def on_the_timeline(drawn: segment_clips.Segments) -> tuple[list[list[int]], list[int], list[int]]:
    """Frames, lengths and rates of the segments, put back in the order of time."""
    ends = np.cumsum(drawn.lengths)
    seen = [drawn.frames[end - length : end] for end, length in zip(ends, drawn.lengths, strict=True)]
    places = orders(len(seen))[drawn.order]
    back = sorted(range(len(seen)), key=lambda place: places[place])
    return [seen[i] for i in back], [drawn.lengths[i] for i in back], [drawn.rates[i] for i in back]


@given(
    segments=st.integers(2, 5),
    shortest=st.integers(1, 4),
    spare=st.integers(0, 20),
    max_rate=st.integers(1, 10),
    frames=st.integers(1, 400),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=300, deadline=None)
def test_segments(segments, shortest, spare, max_rate, frames, seed):
    length = segments * shortest + spare
    layout = {"clip_length": length, "segments": segments, "shortest": shortest, "max_rate": max_rate}
    drawn = segment_clips.draw_segments(generator(seed), frames, **layout)
    assert segment_clips.draw_segments(generator(seed), frames, **layout) == drawn
    assert len(drawn.frames) == sum(drawn.lengths) == length
    assert len(drawn.lengths) == len(drawn.rates) == segments
    assert min(drawn.lengths) >= shortest
    assert all(1 <= rate <= max_rate for rate in drawn.rates)
    assert min(drawn.frames) >= 0
    assert max(drawn.frames) < frames
    parts, _, rates = on_the_timeline(drawn)
    if frames < length:
        assert rates == [1] * segments
        assert [frame for part in parts for frame in part] == [step % frames for step in range(length)]
        return
    for part, rate in zip(parts, rates, strict=True):
        assert all(later - earlier == rate for earlier, later in itertools.pairwise(part))
    # The next segment starts one step of the rate of the one before later.
    for (before, after), rate in zip(itertools.pairwise(parts), rates, strict=False):
        assert after[0] - before[-1] == rate


def test_a_clip_of_the_paper_by_hand():
    drawn = segment_clips.draw_segments(generator(11), 300, **PAPER)
    parts, lengths, rates = on_the_timeline(drawn)
    span = parts[-1][-1] - parts[0][0] + 1
    assert span == lengths[0] * rates[0] + lengths[1] * rates[1] + (lengths[2] - 1) * rates[2] + 1
    # Targets belong to what is seen: the class says which segment of the timeline comes first.
    first = orders(3)[drawn.order][0]
    assert (drawn.lengths[0], drawn.rates[0]) == (lengths[first], rates[first])


def likely(counts: Counter, outcomes: list) -> bool:
    """Whether counts are those of equally likely outcomes: a chi-square test at one in a million."""
    assert set(counts) <= set(outcomes)
    return chisquare([counts[outcome] for outcome in outcomes]).pvalue > 1e-6


def test_every_composition_is_equally_likely():
    draw = generator(0)
    every = [c for c in itertools.product(range(2, 9), repeat=3) if sum(c) == 9]
    assert len(every) == 10
    counts = Counter(tuple(segment_clips._composition(draw, 9, 3, 2)) for _ in range(4000))
    assert likely(counts, every)
    assert segment_clips._composition(draw, 6, 3, 2) == [2, 2, 2]
    with pytest.raises(ValueError, match="3 segments of at least 3 frames do not fit into 8"):
        segment_clips._composition(draw, 8, 3, 3)


@pytest.mark.parametrize(("steps", "most"), [((3, 2, 4), 100), ((3, 2, 4), 22), ((2, 5, 0), 16), ((3, 2, 4), 9)])
def test_every_list_of_rates_that_fits_is_equally_likely(steps, most):
    rates = itertools.product(range(1, 5), repeat=3)
    every = [each for each in rates if sum(r * s for r, s in zip(each, steps, strict=True)) <= most]
    draw = generator(1)
    counts = Counter(tuple(segment_clips._fitting_rates(draw, steps, most, 4)) for _ in range(60 * len(every)))
    assert set(counts) == set(every)
    assert len(every) == 1 or likely(counts, every)


@pytest.mark.parametrize("frames", [20, 60])
def test_rates_of_drawn_clips_are_those_of_drawing_until_one_fits(frames):
    """The slow way beside ours: at given lengths, draw rates until they fit."""
    layout = {"clip_length": 8, "segments": 2, "shortest": 4, "max_rate": 5}
    random = np.random.default_rng(0)
    slow, draw = [], generator(2)
    while len(slow) < 3000:
        first, last = random.integers(1, 6, 2)
        if 4 * first + 3 * last + 1 <= frames:
            slow.append((int(first), int(last)))
    ours = [tuple(on_the_timeline(segment_clips.draw_segments(draw, frames, **layout))[2]) for _ in range(3000)]
    assert set(ours) == set(slow)
    assert likely(Counter(ours), sorted(set(slow)))


def test_no_start_and_no_order_is_preferred():
    layout = {"clip_length": 8, "segments": 3, "shortest": 2, "max_rate": 1}
    draw = generator(3)
    drawn = [segment_clips.draw_segments(draw, 12, **layout) for _ in range(3000)]
    assert likely(Counter(min(clip.frames) for clip in drawn), list(range(5)))
    assert likely(Counter(clip.order for clip in drawn), list(range(6)))


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 300), frames=st.integers(1, 90), training=st.booleans())
@settings(deadline=None)
def test_a_sample_shows_the_drawn_frames_with_one_crop_and_one_mirroring_a_clip(seed, epoch, frames, training):
    dataset = numbered(frames, seed=seed, training=training, videos=2)
    clips, colours, order, rates = dataset[epoch, 1]
    assert (clips.shape, clips.dtype) == ((2, 8, 8, 8, 3), torch.uint8)
    assert (colours.shape, colours.dtype) == ((2, 3), torch.float32)
    assert rates.dtype == torch.int64
    drawn = dataset.segments((epoch, 1))
    assert (order, tuple(rates.tolist())) == (drawn.order, drawn.rates)
    assert clips[0, :, 0, 0, 0].tolist() == drawn.frames
    for clip in clips:
        assert (clip[..., 1:] == clip[:1, ..., 1:]).all()
        assert (clip[..., 0] == clip[:, :1, :1, 0]).all()
        columns, rows = clip[0, 0, :, 1].tolist(), clip[0, :, 0, 2].tolist()
        assert sorted(columns) == list(range(min(columns), min(columns) + 8))
        assert rows == list(range(rows[0], rows[0] + 8))
        if not training:
            # The middle 8 of 16 columns and of 12 rows.
            assert (columns[0], columns[-1], rows[0]) == (4, 11, 2)
    if training:
        assert ((colours >= 0.6) & (colours <= 1.4)).all()
    else:
        assert (colours == 1).all()


def test_query_and_second_clip_have_draws_of_their_own():
    dataset = numbered(200)
    pairs = [dataset[epoch, 0] for epoch in range(200)]
    same = {
        "frames": sum(torch.equal(clips[0, :, 0, 0, 0], clips[1, :, 0, 0, 0]) for clips, *_ in pairs),
        "rows": sum(torch.equal(clips[0, 0, :, 0, 2], clips[1, 0, :, 0, 2]) for clips, *_ in pairs),
        "colours": sum(torch.equal(*colours) for _, colours, *_ in pairs),
    }
    # Five rows to start from: a fifth of the pairs agree.
    assert same["frames"] < 5
    assert same["rows"] == pytest.approx(40, abs=5 * math.sqrt(200 * 0.2 * 0.8))
    assert same["colours"] == 0
    for clip in range(2):
        mirrored = sum(bool(clips[clip, 0, 0, 0, 1] > clips[clip, 0, 0, -1, 1]) for clips, *_ in pairs)
        assert abs(mirrored - 100) < 5 * math.sqrt(50)
    factors = torch.stack([colours for _, colours, *_ in pairs]).flatten(0, 1)
    assert factors.mean(0).tolist() == pytest.approx([1.0] * 3, abs=5 * 0.8 / math.sqrt(12 * 400))
    assert factors.amin() < 0.61
    assert factors.amax() > 1.39
    unmirrored = numbered(200, flip=False)
    assert all((unmirrored[epoch, 0][0][:, 0, 0, 0, 1] < 9).all() for epoch in range(50))


@pytest.mark.parametrize("training", [False, True])
def test_the_query_is_the_same_without_a_second_clip(training):
    paired, alone = (numbered(80, pairs=pairs, training=training, videos=3) for pairs in (True, False))
    for key in itertools.product(range(3), range(3)):
        clips, colours, order, rates = paired[key]
        query, colour, its_order, its_rates = alone[key]
        assert query.shape == (1, 8, 8, 8, 3)
        assert torch.equal(query[0], clips[0])
        assert torch.equal(colour[0], colours[0])
        assert its_order == order
        assert torch.equal(its_rates, rates)


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    many = numbered(200, videos=3)
    keys = list(itertools.product(range(3), range(3)))
    first = {key: many[key] for key in keys}
    backwards = {key: many[key] for key in reversed(keys)}
    assert all(torch.equal(first[key][part], backwards[key][part]) for key in keys for part in (0, 1, 3))
    assert len({clips.numpy().tobytes() for clips, *_ in first.values()}) == 9


# ---------------------------------------------------------------- contrast


def distance_of_parts(query: np.ndarray, key: np.ndarray, parts: int, matching: str) -> float:
    """Algorithm 1, or the best of all matchings, by loops over the parts of two vectors."""
    size = -(-len(query) // parts)
    padded = [np.pad(vector / np.linalg.norm(vector), (0, size * parts - len(vector))) for vector in (query, key)]
    first, second = (vector.reshape(parts, size) for vector in padded)
    table = {(i, j): np.linalg.norm(first[i] - second[j]) for i in range(parts) for j in range(parts)}
    if matching == "exact-shuffle":
        return min(sum(table[i, j] for i, j in enumerate(each)) for each in itertools.permutations(range(parts)))
    total = 0.0
    while table:
        i, j = min(table, key=table.get)
        total += table[i, j]
        table = {(a, b): value for (a, b), value in table.items() if a != i and b != j}
    return total


def similarity_of(query: np.ndarray, key: np.ndarray, parts: int, similarity: str) -> float:
    if similarity == "cosine":
        return float(query @ key / np.linalg.norm(query) / np.linalg.norm(key))
    return -distance_of_parts(query, key, parts, similarity)


def logits_of(queries, keys, queue, parts: int, similarity: str, temperature: float) -> np.ndarray:
    """[B, 1 + K], one similarity at a time, in float64."""
    queries, keys, queue = (vectors.double().numpy() for vectors in (queries, keys, queue))
    pairs = zip(queries, keys, strict=True)
    rows = [[similarity_of(query, other, parts, similarity) for other in (key, *queue)] for query, key in pairs]
    return np.array(rows) / temperature


@given(
    similarity=st.sampled_from(["cosine", "shuffle", "exact-shuffle"]),
    batch=st.integers(1, 4),
    queue=st.integers(1, 6),
    size=st.integers(3, 8),
    parts=st.integers(1, 4),
    temperature=st.floats(0.05, 2),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_info_nce_against_a_plain_loop(similarity, batch, queue, size, parts, temperature, seed):
    draw = generator(seed)
    unit = [F.normalize(torch.randn(n, size, generator=draw, dtype=torch.float64)) for n in (batch, batch, queue)]
    found = segment_network.contrastive_logits(*unit, similarity=similarity, parts=parts, temperature=temperature)
    wanted = logits_of(*unit, parts, similarity, temperature)
    assert found.numpy() == pytest.approx(wanted, abs=1e-9)
    losses = [-math.log(math.exp(row[0]) / sum(map(math.exp, row))) for row in wanted.tolist()]
    assert segment_network.info_nce(found).tolist() == pytest.approx(losses, abs=1e-9)
    assert segment_network.positive_first(found).tolist() == [row[0] > max(row[1:]) for row in found.tolist()]


@pytest.mark.parametrize("similarity", ["cosine", "shuffle", "exact-shuffle"])
def test_similarities_are_in_single_precision_under_autocast(similarity):
    unit = [F.normalize(torch.randn(n, 32, generator=generator(n))) for n in (4, 4, 9)]
    settings = {"similarity": similarity, "parts": 3, "temperature": 0.07}
    expected = segment_network.contrastive_logits(*unit, **settings)
    with torch.autocast("cpu", torch.bfloat16):
        found = segment_network.contrastive_logits(*unit, **settings)
    assert torch.equal(found, expected)


def test_a_tie_is_not_first():
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.5, 0.9]])
    assert segment_network.positive_first(logits).tolist() == [False, True]


# ---------------------------------------------------------------- the network

PRETRAINING = {"segments": 3, "shortest": 2, "max_rate": 4, "order_weight": 1.0, "rate_weight": 0.3}
PRETRAINING |= {"contrastive_weight": 1.0, "rate_head": "regression", "hidden": 16, "projection": 7}
PRETRAINING |= {"similarity": "shuffle", "temperature": 0.07, "queue": 11, "momentum": 0.9, "jitter": 0.4, "flip": True}
VIDEO = {"clip_length": 8, "resize": (12, 16), "crop": 8, "pixels": "unit"}


def a_network(width=1, seed=0, **changes) -> SegmentNetwork:
    torch.manual_seed(seed)
    return segment_order.network(R3D(width), PRETRAINING | changes, VIDEO)


def a_batch(videos=3, size=8, seed=0) -> tuple[torch.Tensor, ...]:
    draw = generator(seed, 5)
    clips = torch.randint(0, 256, (videos, 2, 8, size, size, 3), dtype=torch.uint8, generator=draw)
    colours = 0.6 + 0.8 * torch.rand(videos, 2, 3, generator=draw)
    order = torch.randint(6, (videos,), generator=draw)
    return clips, colours, order, torch.randint(1, 5, (videos, 3), generator=draw)


def numbers(parts) -> dict[str, float]:
    return {name: float(part.detach()) for name, part in parts.items()}


def test_the_papers_network():
    paper = {"max_rate": 8, "hidden": 512, "projection": 128, "queue": 1024}
    with torch.device("meta"):
        network = segment_order.network(R3D(64), PRETRAINING | paper, VIDEO)
        clips = torch.empty(2, 2, 16, 112, 112, 3, dtype=torch.uint8)
        features = network(clips[:, 0], torch.ones(2, 3))
        assert network.order_head(features).shape == (2, 6)
        assert network.rate_head(features).shape == (2, 3)
        assert network.queries(features).shape == (2, 128)
    learnt = sum(p.numel() for p in network.parameters() if p.requires_grad)
    order, rate, projection = 512 * 512 + 512 + 512 * 6 + 6, 512 * 3 + 3, 512 * 512 + 512 + 512 * 128 + 128
    assert learnt == 14_361_792 + order + rate + projection
    # As srop Table X prints it for R3D.
    assert round(learnt / 1e6, 1) == 15.0
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert frozen == 14_361_792 + projection
    assert network.queue.shape == (1024, 128)


@pytest.mark.parametrize("similarity", ["cosine", "shuffle", "exact-shuffle"])
@pytest.mark.parametrize("rate_head", ["regression", "classification"])
def test_the_outcome_is_the_weighted_sum_of_its_losses(similarity, rate_head):
    network = a_network(similarity=similarity, rate_head=rate_head).eval()
    # A key encoder that is not the query encoder.
    with torch.no_grad():
        for parameter in [*network.key_backbone.parameters(), *network.key_projection.parameters()]:
            parameter.add_(0.05 * torch.randn_like(parameter))
    clips, colours, order, rates = a_batch()
    outcome = network.outcome(clips, colours, order, rates)
    with torch.no_grad():
        queries, seconds = (transforms.coloured(transforms.to_network(clips[:, i]), colours[:, i]) for i in range(2))
        features = network.backbone(queries)
        logits = network.order_head(features).double().log_softmax(1).numpy()
        outputs = network.rate_head(features).double()
        projected = network.projection(features)
        keys = network.key_projection(network.key_backbone(seconds))
    if rate_head == "regression":
        predicted = outputs.numpy()
        rate_loss = np.mean([(predicted[b, i] - int(rates[b, i])) ** 2 for b in range(3) for i in range(3)])
    else:
        assert outputs.shape == (3, 3, 4)
        predicted = outputs.argmax(2).numpy() + 1
        chosen = outputs.log_softmax(2)
        rate_loss = -np.mean([float(chosen[b, i, int(rates[b, i]) - 1]) for b in range(3) for i in range(3)])
    contrast = logits_of(projected, keys, network.queue, 3, similarity, 0.07)
    wanted = {
        "order_loss": -np.mean([logits[b, int(order[b])] for b in range(3)]),
        "order_accuracy": 100 * np.mean(logits.argmax(1) == order.numpy()),
        "rate_loss": rate_loss,
        "rate_error": np.mean((predicted - rates.numpy()) ** 2),
        "contrastive_loss": np.mean([np.logaddexp.reduce(row) - row[0] for row in contrast]),
        "positive_first": 100 * np.mean([row[0] > max(row[1:]) for row in contrast]),
    }
    assert numbers(outcome.parts) == pytest.approx(wanted, abs=2e-4)
    total = wanted["order_loss"] + 0.3 * wanted["rate_loss"] + wanted["contrastive_loss"]
    assert float(outcome.loss.detach()) == pytest.approx(total, abs=2e-4)
    assert int(outcome.correct) == round(wanted["order_accuracy"] * 3 / 100)


SUBTASKS = {"order": ("order_head",), "rate": ("rate_head",), "contrastive": ("projection", "key_", "queue", "oldest")}
PARTS = {
    "order": {"order_loss", "order_accuracy"},
    "rate": {"rate_loss", "rate_error"},
    "contrastive": {"contrastive_loss", "positive_first"},
}


@pytest.mark.parametrize("on", [s for n in (1, 2, 3) for s in itertools.combinations(SUBTASKS, n)])
def test_a_weight_of_zero_switches_a_subtask_off(on):
    weights = {"order": 1.0, "rate": 0.3, "contrastive": 2.0}
    network = a_network(**{f"{name}_weight": weights[name] if name in on else 0.0 for name in SUBTASKS})
    clips, *rest = a_batch()
    # No second clip is asked for where there is no contrast.
    outcome = network.outcome(clips if "contrastive" in on else clips[:, :1], *rest)
    assert set(outcome.parts) == set().union(*(PARTS[name] for name in on))
    parts = numbers(outcome.parts)
    assert float(outcome.loss.detach()) == pytest.approx(sum(weights[name] * parts[f"{name}_loss"] for name in on))
    assert (outcome.correct is not None) == ("order" in on)
    outcome.loss.backward()
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.grad.isfinite().all() for parameter in learning)
    there = {
        prefix for name in network.state_dict() for prefix in sum(SUBTASKS.values(), ()) if name.startswith(prefix)
    }
    assert there == {prefix for name in on for prefix in SUBTASKS[name]}


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="all weights are 0"):
        a_network(order_weight=0, rate_weight=0, contrastive_weight=0)
    with pytest.raises(ValueError, match="pixels must be 'unit', not 'rgb-mean'"):
        segment_order.network(R3D(1), PRETRAINING, VIDEO | {"pixels": "rgb-mean"})
    with pytest.raises(ValueError, match="a queue of 11 keys is too short for a batch of 12"):
        a_network().train().outcome(*a_batch(videos=12))


@pytest.mark.parametrize("similarity", ["cosine", "shuffle", "exact-shuffle"])
def test_everything_but_the_key_encoder_learns_and_fine_tuning_finds_the_backbone(similarity):
    network = a_network(width=2, similarity=similarity).train()
    network.outcome(*a_batch()).loss.backward()
    for name, parameter in network.named_parameters():
        if name.startswith("key_"):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().sum() > 0, name
    state = network.state_dict()
    taken = {name.removeprefix("backbone."): t for name, t in state.items() if name.startswith("backbone.")}
    R3D(2).load_state_dict(taken, strict=True)


def test_the_key_encoder_starts_as_the_query_encoder_and_follows_it_by_momentum():
    network = a_network(momentum=0.75).train()
    leaders = [*network.backbone.parameters(), *network.projection.parameters()]
    followers = [*network.key_backbone.parameters(), *network.key_projection.parameters()]
    assert all(torch.equal(key, query) for key, query in zip(followers, leaders, strict=True))
    with torch.no_grad():
        for parameter in leaders:
            parameter.add_(torch.randn_like(parameter))
    wanted = [0.75 * key.double() + 0.25 * query.double() for key, query in zip(followers, leaders, strict=True)]
    before = [query.clone() for query in leaders]
    network.outcome(*a_batch()).loss.backward()
    for key, expected in zip(followers, wanted, strict=True):
        torch.testing.assert_close(key.double(), expected, atol=1e-6, rtol=0)
    assert all(torch.equal(query, old) for query, old in zip(leaders, before, strict=True))


def test_the_key_encoder_has_moved_before_it_is_used_and_normalises_by_its_own_batch():
    network = a_network(momentum=0.0).train()
    with torch.no_grad():
        for parameter in network.backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    clips, colours, order, rates = a_batch()
    network.outcome(clips, colours, order, rates)
    # With momentum 0 the keys are what the query encoder, in training mode, makes of the second clips.
    with torch.no_grad():
        seconds = network(clips[:, 1], colours[:, 1])
        expected = F.normalize(network.projection(seconds), dim=1)
    torch.testing.assert_close(network.queue[:3], expected, atol=1e-5, rtol=0)
    statistics = dict(network.key_backbone.named_buffers()), dict(network.backbone.named_buffers())
    assert int(statistics[0]["conv1.bn.num_batches_tracked"]) == 1
    assert not torch.allclose(*(buffers["conv1.bn.running_mean"] for buffers in statistics))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_queue_holds_the_latest_keys_in_order(sizes):
    network = a_network(queue=5)
    start = network.queue.clone()
    assert start.norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    added = [torch.randn(size, 7, generator=generator(9, place, 1)) for place, size in enumerate(sizes)]
    for keys in added:
        network._enqueue(keys)
    everything = torch.cat([start, *added])
    # From the oldest on, around the end.
    found = network.queue.roll(-int(network.oldest), 0)
    assert torch.equal(found, everything[-5:])
    assert int(network.oldest) == sum(sizes) % 5


def test_training_enqueues_the_keys_that_it_used_after_it_used_them():
    network = a_network(queue=5).train()
    start = network.queue.clone()
    clips, colours, order, rates = a_batch()
    outcome = network.outcome(clips, colours, order, rates)
    assert int(network.oldest) == 3
    assert torch.equal(network.queue[3:], start[3:])
    assert network.queue.norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    # The loss was against the queue as it was.
    with torch.no_grad():
        queries = network.queries(network(clips[:, 0], colours[:, 0]))
        wanted = segment_network.info_nce(network.logits(queries, network.queue[:3], start)).mean()
    assert float(outcome.parts["contrastive_loss"].detach()) == pytest.approx(float(wanted), abs=1e-4)


def test_outside_training_nothing_moves_and_nothing_is_drawn():
    network = a_network().eval()
    network.views = Negative()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    losses = {float(network.outcome(*a_batch()).loss.detach()) for _ in range(2)}
    assert len(losses) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network.views = None
    assert {float(network.outcome(*a_batch()).loss.detach())} == losses


def test_half_precision_trains_with_losses_and_queue_in_single():
    network = a_network(similarity="cosine").train()
    # Frames of 8 pixels are one pixel at conv5: oneDNN leaves gradients of weights that no data reach unwritten in bfloat16.
    with torch.autocast("cpu", torch.bfloat16):
        outcome = network.outcome(*a_batch(size=16))
    assert outcome.loss.dtype == network.queue.dtype == torch.float32
    outcome.loss.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


# ---------------------------------------------------------------- views


class Negative(nn.Module):
    """A generator of views for tests: the negative, by a parameter; it notes its mode and has statistics that could move."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm3d(3)
        self.asked: list[bool] = []

    def forward(self, clips):
        self.asked.append(self.training)
        self.norm(clips)
        return self.one - clips


def with_views(**changes) -> SegmentNetwork:
    network = a_network(**changes)
    network.views = Negative().requires_grad_(False)
    return network.train()


def test_half_of_the_keys_are_views_of_the_queries():
    network = with_views()
    queries, seconds = torch.zeros(400, 3, 1, 2, 2), torch.full((400, 3, 1, 2, 2), 0.25)
    torch.manual_seed(5)
    keys = network._key_inputs(queries, seconds)
    values = keys[:, 0, 0, 0, 0]
    assert torch.equal(keys, values.view(-1, 1, 1, 1, 1).expand_as(keys))
    assert set(values.tolist()) == {1.0, 0.25}
    assert abs(int((values == 1).sum()) - 200) < 5 * math.sqrt(100)
    torch.manual_seed(5)
    assert torch.equal(network._key_inputs(queries, seconds), keys)
    assert not torch.equal(network._key_inputs(queries, seconds), keys)


def test_the_view_is_of_the_coloured_query():
    network = with_views()
    clips, colours, order, rates = a_batch()
    seen = []
    network.key_backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network.outcome(clips, colours, order, rates)
    query, second = (network.inputs(clips[:, i], colours[:, i]) for i in range(2))
    either = [any(torch.equal(key, c) for c in (1 - query[b], second[b])) for b, key in enumerate(seen[0])]
    assert either == [True] * 3


def test_views_stay_frozen_and_out_of_the_state():
    network = with_views()
    before = {name: tensor.clone() for name, tensor in network.views.state_dict().items()}
    for _ in range(3):
        network.train()
        network.outcome(*a_batch()).loss.backward()
    assert network.views.asked == [False] * 3
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.views.state_dict().items())
    assert all(parameter.grad is None for parameter in network.views.parameters())
    # With and without views, one state: strict both ways.
    plain = a_network(seed=3)
    assert network.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(network.state_dict())
    network.load_state_dict(a_network(seed=4).state_dict())
    missing = plain.state_dict()
    del missing["queue"]
    with pytest.raises(RuntimeError, match="queue"):
        network.load_state_dict(missing)


# ---------------------------------------------------------------- the recipe's side


class Data:
    frames = {"none": 0, "one": 1, "long": 90}  # noqa: RUF012

    def source(self, size):
        assert size == (12, 16)
        return Numbered()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_every_video_with_a_frame_is_used(weight):
    pretraining = PRETRAINING | {"contrastive_weight": weight}
    videos = segment_order.eligible([Named("none"), Named("one"), Named("long")], Data.frames, pretraining, VIDEO)
    assert [video.name for video in videos] == ["one", "long"]
    made = segment_order.samples(Data(), videos, pretraining, VIDEO, seed=4, training=True)
    clips, _, _, rates = made[2, 0]
    assert clips.shape == (2 if weight else 1, 8, 8, 8, 3)
    assert (clips[..., 0] == 0).all()
    assert rates.tolist() == [1, 1, 1]
    assert made.name(1) == "long"
    again = segment_order.samples(Data(), videos, pretraining, VIDEO, seed=4, training=True)[2, 1]
    assert torch.equal(again[0], made[2, 1][0])


@pytest.mark.parametrize(
    ("written", "instead", "complaint"),
    [
        (
            "segments = 5",
            "segments = 5\nshortest = 4",
            "view-n5: 5 segments of at least 4 frames do not fit into clips of 16",
        ),
        ("queue = 1024", "queue = 8", "full: a queue of 8 keys is too short for batches of 16"),
        (
            'views = "views"\nsegments = 2',
            'views = "vews"\nsegments = 2',
            "view-n2 needs the pretraining 'vews', which is not there",
        ),
        ('start = "full"', 'start = "all"', "views needs the pretraining 'all', which is not there"),
    ],
)
def test_a_recipe_that_does_not_go_together_is_refused(tmp_path, written, instead, complaint):
    text = (recipe.FOLDER / "srop/recipe.toml").read_text(encoding="utf-8")
    assert written in text
    (tmp_path / "srop").mkdir()
    (tmp_path / "srop/recipe.toml").write_text(text.replace(written, instead, 1), encoding="utf-8")
    with pytest.raises(
        InputError, match=rf"^srop/recipe\.toml: .*{re.escape(complaint)}; mend this key of the recipe$"
    ):
        recipe.load("srop", "paper", tmp_path)


def test_the_shortest_segments_of_every_scale_and_size_fit():
    for scale in recipe.SCALES:
        settings = recipe.load("srop", scale).settings
        for name, pretraining in settings.pretraining.items():
            for video in (settings.video, *settings.inputs.values()):
                layout = {key: getattr(pretraining, key) for key in ("segments", "shortest", "max_rate")}
                drawn = segment_clips.draw_segments(generator(0), 30, clip_length=video.clip_length, **layout)
                assert len(drawn.frames) == video.clip_length, name


def test_a_tuple_costs_as_much_as_its_clips(tmp_path):
    video = {"clip_length": 4, "resize": (12, 16), "crop": 16, "pixels": "unit"}
    config = {"backbone": "r3d", "width": 2, "seed": 0, "video": video}
    one, three = (
        stages.run(stages.Job("cost", config | clips, {}, {}, tmp_path, stages.Runtime()))["scores"]
        for clips in ({}, {"clips": 3})
    )
    assert three["gmacs"] == pytest.approx(3 * one["gmacs"])
    assert three["parameters"] == one["parameters"]


# ---------------------------------------------------------------- what was learnt


class Crossing:
    """A square that crosses a frame of 20 x 20 in 40 frames, always to the right; its row and colour tell the video."""

    def frames(self, name, indices):
        video = int(name)
        frames = torch.full((len(indices), 20, 20, 3), 90, dtype=torch.uint8)
        colour = torch.tensor([230 - 10 * (video % 5), 120 + 20 * (video % 4), 60 + 25 * (video % 7)])
        for row, index in enumerate(indices):
            top, left = 1 + video * 5 % 12, round(index * 13 / 39)
            frames[row, top : top + 6, left : left + 6] = colour.to(torch.uint8)
        return frames


def crossing(videos: range, training: bool, pairs=True, jitter=0.4, segments=3) -> SegmentClips:
    named = [Named(str(video)) for video in videos]
    kept = {"layout": TINY | {"segments": segments}, "pairs": pairs, "crop": 16, "flip": False, "jitter": jitter}
    return SegmentClips(Crossing(), named, {v.name: 40 for v in named}, seed=0, training=training, **kept)


@pytest.mark.parametrize("rate_head", ["regression", "classification"])
@pytest.mark.parametrize(("queue", "workers"), [(4, 0), (50, 2)])
def test_pretext_scores_against_a_plain_loop(rate_head, queue, workers):
    network = a_network(width=2, rate_head=rate_head, queue=queue).train()
    samples, gallery = crossing(range(50, 55), False), crossing(range(7), True)
    for epoch in range(2):
        network.outcome(*default_collate([gallery[epoch, 0], gallery[epoch, 1]]))
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state, seen = torch.get_rng_state(), []
    found = segment_network.pretext_scores(
        network, samples, gallery, 3, "cpu", lambda *at: seen.append(at), workers=workers
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in network.state_dict().items())
    assert network.training
    assert network.key_backbone.training
    assert seen[-1] == (min(queue, 7) + 5, min(queue, 7) + 5)

    network.eval()
    constant = np.mean([rate for index in range(7) for rate in gallery[0, index][3].tolist()])
    with torch.no_grad():

        def key_of(clips, colours):
            inputs = transforms.coloured(transforms.to_network(clips[None, 1]), colours[None, 1])
            return network.key_projection(network.key_backbone(inputs))

        # All seven, or four of them that are spread over the list.
        among = [0, 1, 3, 5] if queue == 4 else range(7)
        negatives = torch.cat([key_of(*gallery[0, index][:2]) for index in among])
        hits, rate_errors, constants, losses, first = [], [], [], [], []
        for index in range(5):
            clips, colours, order, rates = samples[0, index]
            features = network(clips[None, 0], colours[None, 0])
            hits.append(int(network.order_head(features).argmax()) == order)
            predicted = network.rate_head(features)[0]
            predicted = predicted if rate_head == "regression" else predicted.argmax(1) + 1
            rate_errors.append(np.mean([(float(p) - int(r)) ** 2 for p, r in zip(predicted, rates, strict=True)]))
            constants.append(np.mean([(constant - int(r)) ** 2 for r in rates]))
            query = network.projection(features)
            (row,) = logits_of(query, key_of(clips, colours), negatives, 3, "shuffle", 0.07)
            losses.append(np.logaddexp.reduce(row) - row[0])
            first.append(bool(row[0] > max(row[1:])))
    assert found.order_hits == hits
    assert found.rate_errors == pytest.approx(rate_errors, abs=1e-4)
    assert found.constant_rate_errors == pytest.approx(constants, abs=1e-9)
    assert found.constant_rate == pytest.approx(constant)
    assert found.contrastive_losses == pytest.approx(losses, abs=1e-3)
    assert found.positive_first == first
    assert found.queue == min(queue, 7)


@pytest.mark.parametrize("similarity", ["cosine", "shuffle"])
def test_vectors_that_are_nearly_one_are_told_apart(similarity):
    """What an untrained network gives: cosines that differ by less than single precision holds."""
    network = a_network(width=2, similarity=similarity, queue=50)
    with torch.no_grad():
        for projection in (network.projection, network.key_projection):
            projection[-1].bias.copy_(torch.arange(1.0, 8.0))
    samples, gallery = (crossing(videos, False) for videos in (range(50, 62), range(7)))
    found = segment_network.pretext_scores(network, samples, gallery, 4, "cpu")
    exact = copy.deepcopy(network).double().eval()
    with torch.no_grad():

        def vector(item, clip, encode):
            clips, colours, *_ = item
            return F.normalize(encode(network.inputs(clips[None, clip], colours[None, clip]).double()), dim=1)

        def keyed(inputs):
            return exact.key_projection(exact.key_backbone(inputs))

        queries, keys = (
            torch.cat([vector(samples[0, index], clip, encode) for index in range(12)])
            for clip, encode in ((0, lambda inputs: exact.projection(exact.backbone(inputs))), (1, keyed))
        )
        negatives = torch.cat([vector(gallery[0, index], 1, keyed) for index in range(7)])
        logits = network.logits(queries, keys, negatives)
    assert float((1 - queries @ negatives.T).abs().max()) < 1e-7
    assert found.positive_first == segment_network.positive_first(logits).tolist()
    assert len(set(found.positive_first)) == 2


def test_pretext_scores_of_one_subtask_have_no_others():
    network = a_network(rate_weight=0, contrastive_weight=0)
    samples, gallery = crossing(range(3), False, pairs=False), crossing(range(3), False, pairs=False)
    found = segment_network.pretext_scores(network, samples, gallery, 2, "cpu")
    assert len(found.order_hits) == 3
    assert found == segment_network.PretextScores(found.order_hits, *[None] * 6)
    network = a_network(order_weight=0, contrastive_weight=0)
    found = segment_network.pretext_scores(network, samples, gallery, 2, "cpu")
    assert (found.order_hits, found.contrastive_losses, found.queue) == (None, None, None)
    assert len(found.rate_errors) == len(found.constant_rate_errors) == 3


ADAM = {"optimiser": "adam", "weight_decay": 0.0, "precision": "fp32", "keep": "last"}


def test_order_and_rates_are_learnt(tmp_path):
    network = a_network(width=4, segments=2, contrastive_weight=0.0, hidden=32)
    training, held = (
        crossing(videos, shown, pairs=False, jitter=0, segments=2)
        for videos, shown in ((range(48), True), (range(100, 132), False))
    )
    schedule = {"learning_rate": 1e-2, "lr_every": 25, "lr_factor": 0.1}
    fit(network, training, None, Optimisation(batch=16, epochs=40, **schedule, **ADAM), tmp_path, seed=0, device="cpu")
    after = segment_network.pretext_scores(network, held, training, 16, "cpu")
    assert np.mean(after.order_hits) > 0.8
    assert np.mean(after.rate_errors) < 0.9 * np.mean(after.constant_rate_errors)


def test_a_killed_run_ends_as_one_never_killed(tmp_path):
    optimisation = Optimisation(batch=4, epochs=2, learning_rate=1e-3, **ADAM)

    data = crossing(range(10), True), crossing(range(10, 13), False)
    (whole, first), (resumed, second) = whole_and_resumed(tmp_path, lambda: with_views(queue=8), *data, optimisation)
    # Two epochs of 4, 4 and 2 keys: the queue of 8 has gone around.
    assert int(whole["oldest"]) == 20 % 8
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert first["curves"] == second["curves"]
    assert {"train_rate_error", "train_positive_first", "validation_order_accuracy"} <= set(first["curves"])
