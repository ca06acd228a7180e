"""Clips and their colours, frozen stages that keep every bit through real training, and hold-outs along a curriculum."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from suite import backbones, checkpoints, training
from suite.backbones.staged import STAGES
from suite.evaluation import finetuning
from suite.settings import Optimisation
from suite.video import store, transforms
from tests.suite.sampling import noise

LENGTHS = {f"v{index}": 6 + index for index in range(9)}
# One more batch in every epoch than an epoch can fill, so that a last, smaller batch is trained on too.
SETTINGS = Optimisation(batch=3, epochs=2, learning_rate=0.05, momentum=0.9, weight_decay=0.1, precision="fp32")


@dataclass(frozen=True)
class Labelled:
    name: str
    label: int = 0


def recognition(backbone: nn.Module, freeze_below: str = "conv1") -> finetuning.RecognitionNetwork:
    """The backbone under a linear classifier of three classes."""
    classifier = nn.Linear(backbone.feature_size, 3)
    return finetuning.RecognitionNetwork(backbone, classifier, freeze_below=freeze_below)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("store"), LENGTHS)


def fine_tuned(source, folder, backbone: str, freeze_below: str) -> tuple[dict, dict, finetuning.RecognitionNetwork]:
    """Weights and statistics before and after a real, short training, and the network."""
    torch.manual_seed(5)
    network = recognition(backbones.build(backbone, 4), freeze_below)
    with torch.no_grad():
        # Statistics as a pretraining leaves them, not the initial ones.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.num_batches_tracked.fill_(7)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    videos = [Labelled(name, index % 3) for index, name in enumerate(LENGTHS)]
    common = {"clip_length": 4, "crop": 32, "seed": 1}
    training.fit(
        network,
        finetuning.ActionClips(source, videos[:7], LENGTHS, training=True, **common),
        finetuning.ActionClips(source, videos[7:], LENGTHS, training=False, **common),
        SETTINGS,
        folder,
        seed=1,
        device="cpu",
    )
    return before, checkpoints.load(folder / "last.safetensors"), network


# ---------------------------------------------------------------------------------------------------- clips


def action_clips(source, seed: int = 1, training: bool = True, **options) -> finetuning.ActionClips:
    """Clips of four frames of all videos, cropped to 32 pixels."""
    videos = [Labelled(name, index % 3) for index, name in enumerate(LENGTHS)]
    return finetuning.ActionClips(
        source, videos, LENGTHS, clip_length=4, crop=32, seed=seed, training=training, **options
    )


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@given(epoch=st.integers(0, 5), index=st.integers(0, len(LENGTHS) - 1), seed=st.integers(0, 3))
def test_colours_come_third_and_leave_the_other_draws_as_they_were(source, every, flip, epoch, index, seed):
    plain, coloured = (action_clips(source, seed, every=every, flip=flip, jitter=jitter) for jitter in (0.0, 0.4))
    assert len(plain) == len(coloured)
    clip, label = plain[epoch, index]
    same, same_label, factors = coloured[epoch, index]
    # Start, crop and mirroring.
    assert torch.equal(clip, same)
    assert label == same_label
    assert factors.shape == (3,)
    assert factors.dtype == torch.float32
    assert ((factors >= 0.6) & (factors <= 1.4)).all()


def test_every_clip_and_epoch_has_colours_of_its_own(source):
    clips = action_clips(source, jitter=0.4)
    drawn = torch.stack([clips[epoch, index][2] for epoch in range(40) for index in range(len(clips))])
    assert len(drawn.unique()) > 0.99 * drawn.numel()
    # Uniform: mean 1, deviation 0.4 / sqrt(3).
    torch.testing.assert_close(drawn.mean(0), torch.ones(3), rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.std(0), torch.full((3,), 0.4 / 3**0.5), rtol=0, atol=0.02)
    # The three are drawn apart, and again the same when asked for again.
    assert (torch.corrcoef(drawn.T) - torch.eye(3)).abs().max() < 0.2
    assert torch.equal(clips[3, 2][2], drawn[3 * len(clips) + 2])


def test_outside_training_no_colour_changes(source):
    for epoch in range(3):
        clip, _, factors = action_clips(source, training=False, jitter=0.4)[epoch, 1]
        assert factors.tolist() == [1, 1, 1]
        assert torch.equal(clip, action_clips(source, training=False)[epoch, 1][0])
    network = recognition(backbones.build("r3d", 4)).eval()
    target = torch.tensor([1])
    with torch.no_grad():
        assert torch.equal(
            network.outcome(clip[None], target).loss, network.outcome(clip[None], target, factors[None]).loss
        )


def test_all_frames_of_a_clip_change_alike(tmp_path):
    frame = np.random.default_rng(3).integers(0, 256, (1, 36, 41, 3), np.uint8)
    store.write(tmp_path, ((name, np.repeat(frame, length, 0)) for name, length in LENGTHS.items()))
    clips = action_clips(store.FrameStore(tmp_path), flip=True, jitter=0.4)
    for index in range(len(clips)):
        clip, _, factors = clips[0, index]
        assert (clip == clip[:1]).all()
        inputs = transforms.to_network(clip[None])
        changed = transforms.coloured(inputs.clone(), factors[None])
        assert (changed == changed[:, :, :1]).all()
        assert not torch.equal(changed, inputs)


def test_a_network_sees_the_colours_that_were_drawn(source):
    clips = action_clips(source, jitter=0.4)
    items = [clips[0, index] for index in range(4)]
    batch, target = torch.stack([clip for clip, *_ in items]), torch.tensor([label for _, label, _ in items])
    colours = torch.stack([factors for *_, factors in items])
    network = recognition(backbones.build("r3d", 4)).eval()
    with torch.no_grad():
        found = network.outcome(batch, target, colours).loss
        logits = network(torch.cat([one_by_one(clip, factors) for clip, factors in zip(batch, colours, strict=True)]))
        plain = network.outcome(batch, target).loss
    torch.testing.assert_close(found, nn.functional.cross_entropy(logits, target))
    assert found != plain


def test_colours_change_before_mean_and_deviation_are_taken():
    clips = torch.randint(0, 256, (2, 3, 5, 6, 3), dtype=torch.uint8)
    factors = torch.tensor([[1.3, 0.8, 0.9], [0.7, 1.2, 1.4]])
    how = {"range": 255, "mean": [10, 20, 30], "std": [2, 4, 8], "channels": "bgr"}
    found = transforms.to_network(clips, how, factors)
    blue_first = transforms.coloured(transforms.to_network(clips), factors).flip(1) * 255
    expected = torch.stack([(blue_first[:, c] - how["mean"][c]) / how["std"][c] for c in range(3)], 1)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    # Factors of 1 change nothing but roundings.
    torch.testing.assert_close(transforms.to_network(clips, how, torch.ones(2, 3)), transforms.to_network(clips, how))
    assert torch.equal(transforms.to_network(clips, "unit", torch.ones(2, 3)), transforms.to_network(clips))


def test_a_stride_spreads_the_frames_of_training_clips(tmp_path):
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    store.write(tmp_path, [("long", frames), ("short", frames[:5])])
    given = (store.FrameStore(tmp_path), [Labelled("long"), Labelled("short")], {"long": 20, "short": 5})
    shown = {"clip_length": 4, "stride": 3, "crop": 8, "seed": 1, "training": True}
    one, every = (finetuning.ActionClips(*given, every=every, **shown) for every in (False, True))
    drawn = [one[epoch, 0][0][:, 0, 0, 0].tolist() for epoch in range(60)]
    assert {clip[0] for clip in drawn} == set(range(11))
    assert all(clip == list(range(clip[0], clip[0] + 12, 3)) for clip in drawn)
    assert one[0, 1][0][:, 0, 0, 0].tolist() == [0, 3, 1, 4]
    assert [every[0, index][0][0, 0, 0, 0].item() for index in range(len(every))] == [0, 0]


def one_by_one(clip: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """One clip [T, H, W, 3] with other colours, by the definition of each change: [1, 3, T, H, W]."""
    brightness, contrast, saturation = factors.tolist()
    grey = torch.tensor(transforms.GREY)
    clip = (clip.float() / 255 * brightness).clamp(0, 1)
    clip = (clip * contrast + (clip @ grey).mean() * (1 - contrast)).clamp(0, 1)
    clip = (clip * saturation + (clip @ grey)[..., None] * (1 - saturation)).clamp(0, 1)
    return clip.permute(3, 0, 1, 2)[None]


# ---------------------------------------------------------------------------------------------------- frozen stages


def stage_of(name: str) -> str:
    """The stage that an entry of the network's state belongs to: "conv3" for backbone.conv3b.bn.weight."""
    return next((stage for stage in STAGES if name.startswith(f"backbone.{stage}")), "classifier")


@pytest.mark.parametrize(
    ("backbone", "freeze_below"), [("r3d", stage) for stage in STAGES] + [("c3d", "conv4"), ("r2plus1d", "conv2")]
)
def test_what_is_frozen_keeps_every_bit_and_the_rest_moves(source, tmp_path, backbone, freeze_below):
    before, after, _ = fine_tuned(source, tmp_path, backbone, freeze_below)
    assert before.keys() == after.keys()
    frozen = STAGES[: STAGES.index(freeze_below)]
    seen = set()
    for name, tensor in before.items():
        same = torch.equal(tensor, after[name])
        # Weights, batch norm's weights, running means, variances and counters alike.
        assert same == (stage_of(name) in frozen), name
        seen.add((stage_of(name), name.rsplit(".", 1)[1]))
    assert {(stage, "running_mean") for stage in STAGES} <= seen
    assert {(stage, "num_batches_tracked") for stage in STAGES} <= seen


def test_the_best_weights_hold_the_frozen_bits_too(source, tmp_path):
    before, _, _ = fine_tuned(source, tmp_path, "r3d", "conv3")
    best = checkpoints.load(tmp_path / "best.safetensors")
    assert all(torch.equal(tensor, best[name]) for name, tensor in before.items() if stage_of(name) in STAGES[:2])


@pytest.mark.parametrize("backbone", ["c3d", "r3d", "r2plus1d"])
@pytest.mark.parametrize("freeze_below", STAGES)
def test_frozen_stages_stay_in_evaluation_mode_whatever_the_network_is_told(backbone, freeze_below):
    network = recognition(backbones.build(backbone, 4), freeze_below)
    frozen = STAGES[: STAGES.index(freeze_below)]
    for mode in (True, False, True):
        assert network.train(mode) is network
        for name, module in network.named_modules():
            in_frozen = name.startswith("backbone.") and stage_of(name) in frozen
            assert module.training == (mode and not in_frozen), name
    learning = {stage_of(name) for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {*STAGES, "classifier"} - set(frozen)
    # Freezing adds nothing to the state: the same checkpoints fit.
    free = recognition(backbones.build(backbone, 4))
    assert network.state_dict().keys() == free.state_dict().keys()


def test_frozen_batch_norm_normalises_by_its_stored_statistics(source):
    network = recognition(backbones.build("r3d", 4), "conv2").train()
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        in_training = network.backbone.conv1(clips)
        alone = torch.cat([network.backbone.conv1(clip[None]) for clip in clips])
    torch.testing.assert_close(in_training, alone)


class Unstaged(nn.Module):
    """A backbone whose modules are not named by stages."""

    feature_size = 4

    def __init__(self):
        super().__init__()
        self.body = nn.Conv3d(3, 4, 3)


@pytest.mark.parametrize(("backbone", "stage"), [(backbones.build("r3d", 4), "conv6"), (Unstaged(), "conv3")])
def test_a_stage_that_a_backbone_lacks_is_refused(backbone, stage):
    with pytest.raises(ValueError, match=f"{type(backbone).__name__} has no stage '{stage}'"):
        recognition(backbone, stage)


def test_any_backbone_can_be_fine_tuned_as_a_whole():
    network = recognition(Unstaged()).train()
    assert network.backbone.body.training
    assert all(parameter.requires_grad for parameter in network.parameters())


# ---------------------------------------------------------------------------------------------------- hold-outs


def videos(count: int) -> list[Labelled]:
    return [Labelled(f"v{index}") for index in range(count)]


@given(st.data())
def test_what_was_held_out_before_stays_held_out(data):
    everyone = videos(data.draw(st.integers(1, 30)))
    seed, count = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 12))
    before = {video.name for video in finetuning.hold_out(everyone, count, seed)[1]}
    # The next stage can use fewer videos, and asks for as many to be held out.
    usable = [video for video in everyone if data.draw(st.booleans())]
    learnt, held = finetuning.hold_out(usable, count, seed, before)
    assert len(held) == min(count, len(usable))
    assert sorted(learnt + held, key=usable.index) == usable
    assert [video for video in usable if video.name in before] == [video for video in held if video.name in before]
    assert not {video.name for video in learnt} & before


def test_hold_out_by_hand():
    listed = videos(6)
    order = torch.randperm(6, generator=finetuning.generator(3)).tolist()
    first_of_the_others = next(index for index in order if index not in (1, 4))
    _, held = finetuning.hold_out(listed, 3, 3, ["v4", "v1", "of another list"])
    assert [video.name for video in held] == [f"v{index}" for index in sorted([1, 4, first_of_the_others])]
    # Fewer are asked for than were held out before: the draw chooses among those.
    _, held = finetuning.hold_out(listed, 1, 3, {"v1", "v4"})
    assert held == [listed[next(index for index in order if index in (1, 4))]]


def test_without_an_earlier_stage_the_draw_is_what_it_has_always_been():
    # Stored runs of the first paper depend on it.
    for size, count, seed in [(12, 4, 0), (40, 3, 2), (5, 0, 1)]:
        _, held = finetuning.hold_out(videos(size), count, seed)
        order = torch.randperm(size, generator=finetuning.generator(seed)).tolist()
        assert [video.name for video in held] == [f"v{index}" for index in sorted(order[:count])]
