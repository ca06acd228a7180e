"""View synthesis: where warping looks, what each loss is, whom it teaches, and that views move but look otherwise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from suite import checkpoints
from suite.backbones.r3d import R3D
from suite.errors import InputError
from suite.evaluation import pictures
from suite.papers.srop import segment_clips, segment_order, view_network, view_synthesis
from suite.papers.srop.view_network import Autoencoder, FlowEstimator, ViewSynthesisNetwork, warp
from suite.seeding import generator
from suite.settings import Optimisation
from suite.training import fit
from suite.video import flow as video_flow
from suite.video import transforms
from tests.suite.sampling import Named, whole_and_resumed

PRETRAINING = {"segments": 2, "shortest": 2, "max_rate": 2, "jitter": 0.4, "flip": True}
PRETRAINING |= {"channels": 4, "latent": 3, "info_min": "words"}
VIDEO = {"clip_length": 4, "resize": (20, 26), "crop": 16, "pixels": "unit"}


class Crossing:
    """A bright square that crosses a grey frame of 20 x 26 from left to right; another place in every video."""

    def frames(self, name, indices):
        frames = torch.full((len(indices), 20, 26, 3), 90, dtype=torch.uint8)
        for row, index in enumerate(indices):
            left, top = 4 + index, 3 + int(name) * 3 % 9
            frames[row, top : top + 6, left : left + 6] = torch.tensor([230, 200, 40], dtype=torch.uint8)
        return frames


class Data:
    """What a stage gives: frame counts, and a source of resized frames."""

    def __init__(self, videos):
        self.frames = {video.name: 12 for video in videos}

    def source(self, resize):
        assert resize == VIDEO["resize"]
        return Crossing()


def crossing(count: int, training: bool = True, **changes) -> segment_clips.SegmentClips:
    videos = [Named(str(video)) for video in range(count)]
    return view_synthesis.samples(Data(videos), videos, PRETRAINING | changes, VIDEO, seed=0, training=training)


def a_batch(count=3, frames=4, size=16, seed=0) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    clips = torch.randint(0, 256, (count, 2, frames, size, size, 3), dtype=torch.uint8, generator=draw)
    colours = 0.6 + 0.8 * torch.rand(count, 2, 3, generator=draw)
    return clips, colours, torch.zeros(count, dtype=torch.int64), torch.ones(count, 2, dtype=torch.int64)


def a_network(seed=0, **changes) -> ViewSynthesisNetwork:
    torch.manual_seed(seed)
    return view_synthesis.network(R3D(2), PRETRAINING | changes, VIDEO)


def texture(shape: tuple[int, ...], seed=0) -> torch.Tensor:
    """Smooth noise in [0, 1], [..., H, W]: it says everywhere which way it was moved."""
    noise = torch.rand(1, math.prod(shape[:-2]), *shape[-2:], generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
    return ((smooth - 0.5) * 4 + 0.5).clamp(0, 1).reshape(shape)


# ---------------------------------------------------------------- warping


def looked_up(image: np.ndarray, row: float, column: float) -> float:
    """Bilinear, the slow way; beyond the edge the edge goes on."""
    height, width = image.shape
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = min(int(row), height - 2), min(int(column), width - 2)
    down, right = row - top, column - left
    above = (1 - right) * image[top, left] + right * image[top, left + 1]
    below = (1 - right) * image[top + 1, left] + right * image[top + 1, left + 1]
    return (1 - down) * above + down * below


@given(
    seed=st.integers(0, 2**31), height=st.integers(2, 7), width=st.integers(2, 7), reach=st.sampled_from([0, 0.7, 9])
)
@settings(max_examples=30, deadline=None)
def test_warping_looks_where_the_flow_points(seed, height, width, reach):
    draw = torch.Generator().manual_seed(seed)
    frames = torch.rand(2, 3, 2, height, width, generator=draw)
    flow = reach * torch.randn(2, 2, 2, height, width, generator=draw)
    found = warp(frames, flow).numpy()
    for batch, channel, time in np.ndindex(2, 3, 2):
        image, (u, v) = frames[batch, channel, time].numpy(), flow[batch, :, time].numpy()
        slow = [[looked_up(image, y + v[y, x], x + u[y, x]) for x in range(width)] for y in range(height)]
        np.testing.assert_allclose(found[batch, channel, time], slow, atol=1e-5)


def test_second_frames_warped_back_are_the_first_ones():
    scene = texture((3, 40, 50))
    # What is at (row, column) of the first frame is 3 to the right and 2 up in the second.
    first, second = scene[:, 5:35, 10:40], scene[:, 7:37, 7:37]
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 30, 30)
    back = warp(second[None, :, None], flow)[0, :, 0]
    torch.testing.assert_close(back[:, 2:, :-3], first[:, 2:, :-3], atol=1e-5, rtol=0)
    assert float((second - first).abs().mean()) > 0.1
    # By half a pixel along a slope of 1.
    slope = torch.arange(6.0).expand(1, 1, 1, 4, 6)
    along = warp(slope, torch.tensor([0.5, 0.0]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 4, 6))
    torch.testing.assert_close(along[0, 0, 0, 0], torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5, 5.0]))


def test_flow_has_the_direction_that_it_has_everywhere_here():
    scene = texture((3, 60, 80), seed=1)
    frames = torch.stack([scene[:, 10:50, 10:70], scene[:, 11:51, 8:68]])
    pixels = (255 * frames.permute(0, 2, 3, 1)).round().to(torch.uint8)
    flow = video_flow.flow(pixels, {"method": "dis"})
    assert float(flow[0, 0].median()) == pytest.approx(2, abs=0.2)
    clips = frames.transpose(0, 1)[None]
    still = view_network.photometric_loss(clips, torch.zeros(1, 2, 1, 40, 60))
    assert float(view_network.photometric_loss(clips, flow.transpose(0, 1)[None])) < 0.3 * float(still)


# ---------------------------------------------------------------- losses


def test_charbonnier_losses_by_hand():
    penalty = (math.sqrt(0.09 + 1e-6) + math.sqrt(0.16 + 1e-6) + 2 * 1e-3) / 4
    assert float(view_network.charbonnier(torch.tensor([[0.3, -0.4], [0.0, 0.0]]))) == pytest.approx(penalty)
    # One row of three pixels; the square moves by one to the right and the flow says so of it alone.
    clip = torch.zeros(1, 1, 2, 2, 3)
    clip[0, 0, 0, :, 0] = clip[0, 0, 1, :, 1] = 1.0
    flow = torch.zeros(1, 2, 1, 2, 3)
    still = (4 * math.sqrt(1 + 1e-6) + 2 * 1e-3) / 6
    assert float(view_network.photometric_loss(clip, flow)) == pytest.approx(still)
    flow[0, 0, 0, :, 0] = 1.0
    # The pixel that the square has left is found; the one where it went still shows it.
    moved = (2 * math.sqrt(1 + 1e-6) + 4 * 1e-3) / 6
    assert float(view_network.photometric_loss(clip, flow)) == pytest.approx(moved)
    assert float(view_network.info_max_loss(flow, torch.zeros_like(flow))) == pytest.approx(
        (2 * math.sqrt(1 + 1e-6) + 10 * 1e-3) / 12
    )


def test_kl_and_similarity_by_hand():
    mean, log_variance = torch.tensor([[1.0, 0.0], [0.0, -2.0]]), torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    # Nats of two clips: 1/2 and (4 - ln 4 - 1) / 2; 2. A mean over the clips, divided by the values of a clip.
    by_hand = (0.5 + (3 - math.log(4)) / 2 + 2) / 2 / 10
    assert float(view_network.kl_loss(mean, log_variance, 10)) == pytest.approx(by_hand)
    normal = torch.distributions.Normal
    nats = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)).sum(1).mean()
    assert float(view_network.kl_loss(mean, log_variance, 1)) == pytest.approx(float(nats))
    views, clips = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0]])
    assert float(view_network.similarity(views, clips)) == pytest.approx((24 / 25 + 0) / 2)


def test_targets_are_fixed():
    flow, view_flow = (torch.rand(1, 2, 1, 3, 3).requires_grad_() for _ in range(2))
    view_network.info_max_loss(flow, view_flow).backward()
    features, view_features = (torch.rand(2, 5).requires_grad_() for _ in range(2))
    view_network.similarity(view_features, features).backward()
    assert flow.grad is None
    assert features.grad is None
    assert view_flow.grad.abs().sum() > 0
    assert view_features.grad.abs().sum() > 0


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("size", [(13, 20, 37), (4, 16, 16), (5, 17, 31)])
def test_views_have_the_size_of_their_clips(size):
    torch.manual_seed(0)
    autoencoder, estimator = Autoencoder(3, 2), FlowEstimator(3)
    clips = torch.rand(2, 3, *size)
    clips[0], clips[1] = clips[0].round(), 0.5
    view = autoencoder(clips)
    assert view.shape == clips.shape
    assert view.dtype == torch.float32
    assert float(view.detach().min()) >= 0
    assert float(view.detach().max()) <= 1
    assert autoencoder.encode(clips)[0].shape == (2, 2, -(-size[0] // 2), -(-size[1] // 4), -(-size[2] // 4))
    assert estimator(clips).shape == (2, 2, size[0] - 1, *size[1:])


def test_a_clip_has_its_view_whatever_else_is_in_the_batch():
    torch.manual_seed(0)
    autoencoder, clips = Autoencoder(4, 2).eval(), torch.rand(3, 3, 4, 16, 16)
    together = autoencoder(clips)
    torch.testing.assert_close(autoencoder(clips[1:2])[0], together[1])
    assert float((together[0] - together[1]).detach().abs().max()) > 0.1


def test_flow_is_of_neighbouring_frames_alone():
    torch.manual_seed(0)
    estimator, clips = FlowEstimator(3), torch.rand(1, 3, 5, 16, 16)
    flow = estimator(clips)
    torch.testing.assert_close(estimator(clips[:, :, 2:4])[:, :, 0], flow[:, :, 2])
    other = clips.clone()
    other[:, :, 4] = 0
    assert torch.equal(estimator(other)[:, :, :3], flow[:, :, :3])
    assert not torch.equal(estimator(other)[:, :, 3], flow[:, :, 3])


def test_the_latent_is_drawn_in_training_alone():
    torch.manual_seed(0)
    autoencoder, clips = Autoencoder(4, 2), torch.rand(1, 3, 4, 16, 16)
    torch.manual_seed(5)
    first, second = autoencoder(clips), autoencoder(clips)
    torch.manual_seed(5)
    assert torch.equal(autoencoder(clips), first)
    assert not torch.equal(second, first)
    autoencoder.eval()
    before = torch.get_rng_state()
    assert torch.equal(autoencoder(clips), autoencoder(clips))
    assert torch.equal(torch.get_rng_state(), before)
    # Drawn around the mean, as far as the variance says.
    autoencoder.train()
    mean, log_variance = torch.full((1, 50_000), 3.0), torch.full((1, 50_000), math.log(0.25))
    drawn = autoencoder.latent(mean, log_variance)
    assert float(drawn.mean()) == pytest.approx(3, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.01)


def test_an_autoencoder_is_built_from_a_checkpoint_alone(tmp_path):
    network = a_network(channels=5, latent=3)
    checkpoints.save(network.state_dict(), tmp_path / "best.safetensors", {})
    state = checkpoints.load(tmp_path / "best.safetensors")
    prefix = "autoencoder."
    made = Autoencoder.from_state({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    clips = torch.rand(2, 3, 4, 16, 16)
    assert torch.equal(made(clips), network.eval().autoencoder(clips))
    assert not made.training
    assert not any(parameter.requires_grad for parameter in made.parameters())
    del state["autoencoder.change.bias"]
    with pytest.raises(RuntimeError, match=r"change\.bias"):
        Autoencoder.from_state({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


# ---------------------------------------------------------------- the outcome


def parts_by_hand(network: ViewSynthesisNetwork, clips, colours) -> dict[str, float]:
    """The four losses of an evaluation, step by step."""
    query = transforms.coloured(transforms.to_network(clips[:, 0]), colours[:, 0])
    view, flow = network.autoencoder(query), network.flow(query)
    mean, log_variance = network.autoencoder.encode(query)
    difference = query[:, :, :-1] - warp(query[:, :, 1:], flow)
    nats = (mean.square() + log_variance.exp() - log_variance - 1).flatten(1).sum(1) / 2
    seen, asked = network.backbone(view), network.backbone(query)
    cosine = (seen * asked).sum(1) / seen.norm(dim=1) / asked.norm(dim=1)
    found = {
        "photometric": (difference.square() + 1e-6).sqrt().mean(),
        "kl": nats.mean() / query[0].numel(),
        "info_max": ((flow - network.flow(view)).square() + 1e-6).sqrt().mean(),
        "view_similarity": cosine.mean(),
    }
    return {name: float(part.detach()) for name, part in found.items()}


@pytest.mark.parametrize(("info_min", "sign"), [("words", 1), ("printed", -1)])
def test_the_outcome_is_the_sum_of_its_losses(info_min, sign):
    network = a_network(info_min=info_min).eval()
    batch = a_batch()
    outcome = network.outcome(*batch)
    wanted = parts_by_hand(network, *batch[:2])
    wanted["info_min"] = sign * wanted["view_similarity"]
    assert {name: float(part.detach()) for name, part in outcome.parts.items()} == pytest.approx(wanted, abs=1e-6)
    total = sum(wanted[name] for name in ("photometric", "kl", "info_max", "info_min"))
    assert float(outcome.loss.detach()) == pytest.approx(total, abs=1e-5)
    assert outcome.correct is None
    before = torch.get_rng_state()
    assert torch.equal(network.outcome(*batch).loss, outcome.loss)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_second_clip_is_not_asked_for():
    clips, colours, *rest = a_batch()
    network = a_network().eval()
    alone = network.outcome(clips[:, :1], colours[:, :1], *rest).loss
    assert torch.equal(alone, network.outcome(clips, colours, *rest).loss)


def test_each_loss_teaches_its_own_network():
    network = a_network()
    outcome = network.outcome(*a_batch())
    learners = {"flow": network.flow, "autoencoder": network.autoencoder}
    sums = {name: [torch.zeros_like(p) for p in module.parameters()] for name, module in learners.items()}
    taught = {}
    for part in ("photometric", "kl", "info_max", "info_min"):
        for name, module in learners.items():
            given_by = torch.autograd.grad(
                outcome.parts[part], list(module.parameters()), retain_graph=True, allow_unused=True
            )
            taught[part, name] = any(each is not None and float(each.abs().sum()) > 0 for each in given_by)
            for total, each in zip(sums[name], given_by, strict=True):
                total += 0 if each is None else each
    assert [pair for pair, there in taught.items() if there] == [
        ("photometric", "flow"),
        ("kl", "autoencoder"),
        ("info_max", "autoencoder"),
        ("info_min", "autoencoder"),
    ]
    outcome.loss.backward()
    for name, module in learners.items():
        for parameter, total in zip(module.parameters(), sums[name], strict=True):
            torch.testing.assert_close(parameter.grad, total, rtol=1e-4, atol=1e-8)
            assert parameter.grad.isfinite().all()
    assert all(parameter.grad is None for parameter in network.backbone.parameters())


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr, 0.9, weight_decay=5e-4)])
def test_one_optimiser_makes_the_steps_of_the_papers_two(make):
    one, two = a_network(), a_network()
    together = make([parameter for parameter in one.parameters() if parameter.requires_grad], lr=1e-2)
    apart = [make(module.parameters(), lr=1e-2) for module in (two.autoencoder, two.flow)]
    for step in range(3):
        batch = a_batch(seed=step)
        torch.manual_seed(step)
        together.zero_grad()
        one.outcome(*batch).loss.backward()
        together.step()
        # As the paper says it: info-max goes through the estimator itself, whose parameters are then put back.
        torch.manual_seed(step)
        query = transforms.coloured(transforms.to_network(batch[0][:, 0]), batch[1][:, 0])
        mean, log_variance = two.autoencoder.encode(query)
        view = two.autoencoder.decode(two.autoencoder.latent(mean, log_variance), query)
        loss = view_network.info_max_loss(two.flow(query), two.flow(view))
        loss = loss + view_network.kl_loss(mean, log_variance, query[0].numel())
        loss = loss + view_network.similarity(two.backbone(view), two.backbone(query))
        for optimiser in apart:
            optimiser.zero_grad()
        loss.backward()
        two.flow.zero_grad()
        view_network.photometric_loss(query, two.flow(query)).backward()
        for optimiser in apart:
            optimiser.step()
    start = a_network().state_dict()
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)
        assert name.startswith("backbone.") or not torch.equal(tensor, start[name])


def test_the_extractor_does_not_change():
    network = a_network()
    before = {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}
    network.train()
    network.outcome(*a_batch()).loss.backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.backbone.state_dict().items())
    assert not any(module.training for module in network.backbone.modules())
    assert network.autoencoder.training
    assert not network.eval().autoencoder.training


def test_half_precision_loses_no_loss():
    network = a_network()
    batch = a_batch()
    torch.manual_seed(1)
    whole = network.outcome(*batch)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.outcome(*batch)
    assert {part.dtype for part in half.parts.values()} == {torch.float32}
    for name, part in half.parts.items():
        assert float(part.detach()) == pytest.approx(float(whole.parts[name].detach()), rel=0.05, abs=5e-3)
    # No gradients: of small maps in bf16, PyTorch's CPU convolutions give some from memory that nobody wrote (2.15).


def test_other_pixels_are_refused():
    with pytest.raises(InputError, match=r"not 'rgb-mean': set pixels = \"unit\" in the recipe$"):
        view_synthesis.network(R3D(2), PRETRAINING, VIDEO | {"pixels": "rgb-mean"})


# ---------------------------------------------------------------- the recipe's samples


def test_samples_are_the_pretexts_queries():
    alone = crossing(5)
    videos = [Named(str(video)) for video in range(5)]
    contrast = PRETRAINING | {"contrastive_weight": 1.0}
    pairs = segment_order.samples(Data(videos), videos, contrast, VIDEO, seed=0, training=True)
    for index in range(5):
        clips, colours, order, rates = alone[3, index]
        two, their_colours, their_order, their_rates = pairs[3, index]
        assert clips.shape == (1, 4, 16, 16, 3)
        assert torch.equal(clips[0], two[0])
        assert torch.equal(colours[0], their_colours[0])
        assert (order, rates.tolist()) == (their_order, their_rates.tolist())
    frames = {video.name: 12 for video in videos} | {"0": 0}
    assert view_synthesis.eligible(videos, frames, PRETRAINING, VIDEO) == segment_order.eligible(
        videos, frames, contrast, VIDEO
    )


# ---------------------------------------------------------------- learning


def test_flow_is_learnt_from_the_photometric_loss_alone():
    torch.manual_seed(0)
    estimator = FlowEstimator(8)
    optimiser = torch.optim.Adam(estimator.parameters(), lr=5e-3)
    scene = texture((40, 3, 28, 28))

    def pairs(scenes: torch.Tensor) -> torch.Tensor:
        """What was at (row, column) comes to (row + 1, column - 1)."""
        return torch.stack([scenes[:, :, 2:-2, 2:-2], scenes[:, :, 1:-3, 3:-1]], dim=2)

    for step in range(80):
        seen = pairs(scene[torch.randint(32, (8,), generator=generator(step))])
        loss = view_network.photometric_loss(seen, estimator(seen))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen = pairs(scene[32:])
    with torch.no_grad():
        flow = estimator(unseen)
        still = view_network.photometric_loss(unseen, torch.zeros_like(flow))
        assert float(view_network.photometric_loss(unseen, flow)) < 0.4 * float(still)
    u, v = flow.transpose(0, 1).flatten(1).median(1).values.tolist()
    assert u == pytest.approx(-1, abs=0.25)
    assert v == pytest.approx(1, abs=0.25)


ADAM = {"optimiser": "adam", "learning_rate": 3e-3, "weight_decay": 0.0, "precision": "fp32", "keep": "last"}


def test_views_move_as_clips_do_and_look_otherwise(tmp_path):
    torch.manual_seed(1)
    network = view_synthesis.network(R3D(4), PRETRAINING | {"channels": 8, "latent": 4}, VIDEO)
    held = [crossing(18, False)[0, index] for index in range(9, 18)]
    query = transforms.to_network(torch.stack([clips[0] for clips, *_ in held]))

    def measured() -> tuple[float, float, float]:
        """Info-max of the views, that of a still grey, and how alike clip and view look."""
        network.eval()
        with torch.no_grad():
            view, flow = network.autoencoder(query), network.flow(query)
            still = network.flow(torch.full_like(query, 0.5))
            found = view_network.similarity(network.backbone(view), network.backbone(query))
            losses = [float(view_network.info_max_loss(flow, each)) for each in (network.flow(view), still)]
        return *losses, float(found)

    *_, similar_before = measured()
    result = fit(network, crossing(9), None, Optimisation(batch=9, epochs=150, **ADAM), tmp_path, seed=0, device="cpu")
    info_max, of_still, similar = measured()
    assert similar < similar_before - 0.05
    assert info_max < 0.6 * of_still
    photometric = result["curves"]["train_photometric"]
    assert photometric[-1] < 0.9 * photometric[0]


def test_a_killed_run_ends_as_one_never_killed(tmp_path):
    optimisation = Optimisation(batch=4, epochs=2, **ADAM)
    data = crossing(10), crossing(3, False)
    (whole, first), (resumed, second) = whole_and_resumed(tmp_path, a_network, *data, optimisation)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert first["curves"] == second["curves"]
    assert {"train_photometric", "train_kl", "train_info_max", "validation_view_similarity"} <= set(first["curves"])


# ---------------------------------------------------------------- Fig. 3


def test_view_picture(tmp_path):
    clip = torch.zeros(6, 16, 16, 3, dtype=torch.uint8)
    clip[..., 0] = 200
    view = torch.zeros(3, 6, 16, 16)
    view[2] = 0.8
    still, moving = torch.zeros(2, 5, 16, 16), torch.zeros(2, 5, 16, 16)
    moving[0, 4] = 2.0
    for name, flows in (("a", (still, moving)), ("b", (still, moving)), ("c", (moving, still))):
        view_network.view_picture(clip, view, *flows, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size < 100_000
    sheet = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    cell = (pictures.SIDE + 2 * pictures.LINE + pictures.GAP, pictures.SIDE + pictures.GAP)
    middles = [
        [
            sheet[pictures.LINE + pictures.GAP + row * cell[0] + 80, pictures.GAP + column * cell[1] + 80]
            for row in range(4)
        ]
        for column in range(view_network.PICTURED)
    ]
    # Frames 1, 2, 4 and 5, the last of which has a next one; motion to the right is red, as in the other pictures.
    white, red = (255, 255, 255), (255, 0, 0)
    for column, shown in enumerate(middles):
        wanted = [(200, 0, 0), (0, 0, 204), white, red if column == 3 else white]
        assert np.abs(np.array(shown) - wanted).max() <= 8


def test_nothing_moves_in_a_picture_of_a_still_clip(tmp_path):
    clip, still = torch.zeros(4, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 3, 16, 16)
    view_network.view_picture(clip, torch.zeros(3, 4, 16, 16), still, still, tmp_path / "still.png")
    # Three frames have a next one.
    assert Image.open(tmp_path / "still.png").size[0] == 3 * (pictures.SIDE + pictures.GAP) + pictures.GAP
