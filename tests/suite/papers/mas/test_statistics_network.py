"""The pretext task of MAS: which clips it shows, what flow goes with them, and the network that regresses the labels."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import backbones
from suite.backbones.c3d5 import C3D5
from suite.errors import InputError
from suite.papers.mas import statistics, statistics_network, statistics_regression
from suite.seeding import generator
from suite.settings import Optimisation
from suite.training import fit
from tests.suite.sampling import Named

LENGTHS = {"short.avi": 7, "one.avi": 8, "more.avi": 21}
VIDEO = {"clip_length": 8, "crop": 16, "resize": (20, 24), "pixels": "rgb-mean"}


VIDEOS = [Named(name) for name in LENGTHS]


class Scene:
    """Frames and flow of 20 x 24 pixels that tell where they are from: red is the frame, green the column, blue the row.

    u is frame + column / 100, v is row / 100.
    """

    def frames(self, name, indices):
        frames = torch.zeros(len(indices), 20, 24, 3, dtype=torch.uint8)
        frames[..., 0] = torch.tensor(list(indices), dtype=torch.uint8)[:, None, None]
        frames[..., 1] = torch.arange(24, dtype=torch.uint8)
        frames[..., 2] = torch.arange(20, dtype=torch.uint8)[:, None]
        return frames

    def flows(self, name, indices):
        frames = self.frames(name, indices).float()
        return torch.stack([frames[..., 0] + frames[..., 1] / 100, frames[..., 2] / 100], dim=1)


class Data:
    """What stages hand to a task."""

    frames = LENGTHS

    def __init__(self):
        self.flow_asked_for = False

    def source(self, resize):
        assert resize == (20, 24)
        return Scene()

    def flow(self, resize):
        assert resize == (20, 24)
        self.flow_asked_for = True
        return Scene()


def clips(labels="joint", *, training=True, seed=0, data=None) -> statistics_network.LabelledClips:
    settings = {"labels": labels, "scaled": False}
    videos = statistics_regression.eligible(VIDEOS, LENGTHS, settings, VIDEO)
    return statistics_regression.samples(data or Data(), videos, settings, VIDEO, seed=seed, training=training)


def tiny_network(labels="joint", *, scaled=False, width=4) -> statistics_network.StatisticsNetwork:
    torch.manual_seed(0)
    return statistics_regression.network(C3D5(width, (8, 16, 16)), {"labels": labels, "scaled": scaled}, VIDEO)


# ---------------------------------------------------------------- samples


def test_every_whole_clip_of_every_long_enough_video_is_an_item():
    dataset = clips()
    assert [dataset.name(index) for index in range(len(dataset))] == [
        "one.avi from frame 0",
        "more.avi from frame 0",
        "more.avi from frame 8",
    ]
    clip, flow = dataset[0, 2]
    assert (clip.dtype, tuple(clip.shape)) == (torch.uint8, (8, 16, 16, 3))
    assert (flow.dtype, tuple(flow.shape)) == (torch.float32, (7, 2, 16, 16))
    assert clip[:, 0, 0, 0].tolist() == list(range(8, 16))


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 300), index=st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_flow_is_cut_and_mirrored_with_its_clip(seed, epoch, index):
    clip, flow = clips(seed=seed)[epoch, index]
    columns, rows = clip[0, 0, :, 1].float(), clip[0, :, 0, 2].float()
    # One crop a clip: every frame shows the same pixels, and so does every field of the flow.
    assert (clip[..., 1:] == clip[:1, ..., 1:]).all()
    mirrored = bool(columns[0] > columns[-1])
    assert (columns.diff() == (-1 if mirrored else 1)).all()
    u = clip[:-1, ..., 0].float() + columns / 100
    torch.testing.assert_close(flow[:, 0], -u if mirrored else u)
    torch.testing.assert_close(flow[:, 1], (rows[:, None] / 100).expand(7, 16, 16))


def test_crops_and_flips_vary_with_the_epoch_and_repeat_with_the_seed():
    dataset, again, other = clips(seed=3), clips(seed=3), clips(seed=4)
    drawn = [dataset[epoch, 0][0] for epoch in range(60)]
    corners = {(int(clip[0, 0, :, 1].min()), int(clip[0, 0, 0, 2])) for clip in drawn}
    assert corners <= {(left, top) for left in range(9) for top in range(5)}
    assert len(corners) > 25
    assert 15 < sum(bool(clip[0, 0, 0, 1] > clip[0, 0, 1, 1]) for clip in drawn) < 45
    assert all(torch.equal(clip, again[epoch, 0][0]) for epoch, clip in enumerate(drawn))
    assert any(not torch.equal(clip, other[epoch, 0][0]) for epoch, clip in enumerate(drawn))


def test_validation_is_the_centre_without_flips_whatever_the_seed():
    for seed in (0, 7):
        clip, flow = clips(training=False, seed=seed)[0, 1]
        assert clip[0, 0, 0, 1:].tolist() == [4, 2]
        assert clip[0, 0, -1, 1] == 19
        assert flow[3, :, 0, 0].tolist() == pytest.approx([3.04, 0.02])


def test_flow_is_neither_read_nor_asked_for_where_no_label_needs_it():
    data = Data()
    clip, flow = clips("appearance", data=data)[0, 0]
    assert not data.flow_asked_for
    assert flow.shape == (0,)
    network = tiny_network("appearance")
    outcome = network.outcome(clip[None], flow[None])
    assert list(outcome.parts) == ["appearance"]


def test_samples_travel_to_loader_processes():
    dataset = pickle.loads(pickle.dumps(clips()))
    assert torch.equal(dataset[2, 1][0], clips()[2, 1][0])


# ---------------------------------------------------------------- network


def test_sizes_and_initialisation_are_the_authors():
    with torch.device("meta"):
        backbone = C3D5()
        shapes = [
            tuple(layer.weight.shape)
            for layer in statistics_network.fully_connected(backbone, 14)
            if hasattr(layer, "weight")
        ]
    assert shapes == [(2048, 4096), (2048, 2048), (14, 2048)]
    torch.manual_seed(0)
    layers = [layer for layer in statistics_network.fully_connected(C3D5(), 14) if isinstance(layer, torch.nn.Linear)]
    assert [layer.weight.std().item() for layer in layers] == pytest.approx([0.005, 0.005, 0.01], rel=0.03)
    assert [layer.bias.unique().tolist() for layer in layers] == [[1.0], [1.0], [0.0]]


def test_heads_narrow_with_the_network_and_fit_the_one_with_batch_norm():
    narrow = statistics_network.fully_connected(C3D5(16, (8, 32, 32)), 5)
    assert [layer.out_features for layer in narrow if isinstance(layer, torch.nn.Linear)] == [512, 512, 5]
    # 64 inputs instead of 4,096: weights eight times as large.
    assert narrow[0].weight.std().item() == pytest.approx(0.04, rel=0.05)
    with_bn = statistics_network.fully_connected(backbones.build("c3d", 16), 5)
    assert [tuple(layer.weight.shape) for layer in with_bn if isinstance(layer, torch.nn.Linear)] == [
        (512, 128),
        (512, 512),
        (5, 512),
    ]


@pytest.mark.parametrize("labels", list(statistics.SUBSETS))
def test_only_the_branches_that_the_labels_need_are_there(labels):
    network = tiny_network(labels)
    wanted = statistics.SUBSETS[labels]
    assert [name for branch in network.labels.values() for name in branch] == list(wanted)
    assert list(network.branches) == [
        branch
        for branch, names in (("motion", statistics.MOTION), ("appearance", statistics.APPEARANCE))
        if set(names) & set(wanted)
    ]
    batch = [torch.stack(items) for items in zip(*(clips(labels)[0, index] for index in range(3)), strict=True)]
    targets = network.targets(*batch)
    moved = statistics.motion_labels(batch[1]) if batch[1].numel() else torch.zeros(3, 14)
    every = torch.cat([moved, statistics.appearance_labels(batch[0])], 1)
    columns = [(statistics.MOTION + statistics.APPEARANCE).index(name) for name in wanted]
    assert torch.equal(torch.cat(list(targets.values()), 1), every[:, columns])


@pytest.mark.parametrize("scaled", [False, True])
def test_the_loss_by_hand(scaled):
    network = tiny_network(scaled=scaled).eval()
    batch = [torch.stack(items) for items in zip(*(clips()[0, index] for index in range(3)), strict=True)]
    with torch.no_grad():
        outcome, predicted, wanted = network.outcome(*batch), network(batch[0]), network.targets(*batch)
    largest = statistics.ranges(8)
    for branch, names in (("motion", statistics.MOTION), ("appearance", statistics.APPEARANCE)):
        squares = [
            ((predicted[branch][row, column] - wanted[branch][row, column]) / (largest[name] if scaled else 1)) ** 2
            for row in range(3)
            for column, name in enumerate(names)
        ]
        assert outcome.parts[branch].item() == pytest.approx(float(sum(squares)) / len(squares), rel=1e-5)
    assert outcome.loss.item() == pytest.approx(sum(part.item() for part in outcome.parts.values()))
    assert outcome.correct is None


def test_mixed_precision_moves_predictions_but_no_label():
    network = tiny_network()
    batch = [torch.stack(items) for items in zip(*(clips()[0, index] for index in range(3)), strict=True)]
    exact = network.targets(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        outcome, targets = network.outcome(*batch), network.targets(*batch)
    assert outcome.loss.dtype == torch.float32
    assert all(torch.equal(exact[branch], targets[branch]) for branch in exact)


def test_labels_are_of_what_the_network_sees():
    # A patch moves in the upper left corner; where its clip is mirrored, its block is too.
    flow = torch.zeros(1, 7, 2, 16, 16)
    flow[:, :, 0, 1:3, 1:3] = 2
    network, clip = tiny_network("pattern1"), torch.zeros(1, 8, 16, 16, 3, dtype=torch.uint8)
    assert network.targets(clip, flow)["motion"][0, 0] == 1
    assert network.targets(clip, -flow.flip(-1))["motion"][0, 0] == 4


# ---------------------------------------------------------------- training and errors


class Moving:
    """Ninety clips: a bright square on dark ground in one of four corners, which moves right in its clip's flow."""

    def __init__(self):
        self.lengths = {f"v{index}.avi": 8 for index in range(90)}

    def _corner(self, name):
        return [(2, 2), (2, 10), (10, 2), (10, 10)][int(name[1:-4]) % 4]

    def frames(self, name, indices):
        frames = torch.full((len(indices), 20, 24, 3), 40, dtype=torch.uint8)
        frames += torch.randint(8, frames.shape, dtype=torch.uint8, generator=generator(int(name[1:-4]), 1))
        row, column = self._corner(name)
        for place, frame in enumerate(indices):
            left = 4 + column + int(frame) // 4
            frames[place, 2 + row : 6 + row, left : left + 4] = 220
        return frames

    def flows(self, name, indices):
        flow = torch.zeros(len(indices), 2, 20, 24)
        row, column = self._corner(name)
        flow[:, :, 2 + row : 6 + row, 4 + column : 8 + column] = 1
        return flow


def test_training_brings_the_error_below_the_constant_predictors(tmp_path):
    scene = Moving()
    names = list(scene.lengths)
    common = {"clip_length": 8, "crop": 16}
    held_out = [Named(name) for name in names[:20]]
    learnt = [Named(name) for name in names[20:]]

    def dataset(videos, training):
        return statistics_network.LabelledClips(
            scene, scene, videos, scene.lengths, seed=1, training=training, **common
        )

    network = tiny_network("pattern1", width=8)
    optimisation = Optimisation(
        batch=10,
        epochs=24,
        learning_rate=1e-3,
        momentum=0.9,
        weight_decay=5e-3,
        weight_decay_on="linear",
        precision="fp32",
    )
    before = statistics_network.errors(network, dataset(learnt, True), dataset(held_out, False), batch=8, device="cpu")
    result = fit(network, dataset(learnt, True), dataset(held_out, False), optimisation, tmp_path, seed=1, device="cpu")
    done = []
    after = statistics_network.errors(
        network,
        dataset(learnt, True),
        dataset(held_out, False),
        batch=8,
        device="cpu",
        progress=lambda *counts: done.append(counts),
    )
    assert done[-1] == (90, 90)
    assert set(after) == {*statistics.SUBSETS["pattern1"], "motion", "joint"}
    assert len(result["curves"]["train_motion"]) == 24
    # Trained or not, the constant predictor is the same; the network was worse than it and is better.
    assert {name: error["constant"] for name, error in after.items()} == {
        name: error["constant"] for name, error in before.items()
    }
    assert before["motion"]["network"] > before["motion"]["constant"]
    assert after["pattern1_u_location"]["network"] < 0.7 * after["pattern1_u_location"]["constant"]
    assert after["motion"]["network"] < 0.8 * after["motion"]["constant"]


def test_errors_by_hand():
    network, dataset = tiny_network(scaled=True), clips(training=False)
    found = statistics_network.errors(network, dataset, dataset, batch=2, device="cpu")
    batch = [torch.stack(items) for items in zip(*(dataset[0, index] for index in range(3)), strict=True)]
    with torch.no_grad():
        predicted = torch.cat(list(network.eval()(batch[0]).values()), 1).double()
    labels = torch.cat(list(network.targets(*batch).values()), 1).double()
    for column, name in enumerate(statistics.MOTION + statistics.APPEARANCE):
        values = labels[:, column]
        assert found[name]["network"] == pytest.approx(float((predicted[:, column] - values).square().mean()), rel=1e-5)
        assert found[name]["constant"] == pytest.approx(float((values - values.mean()).square().mean()), abs=1e-12)
    for branch, names in (("motion", statistics.MOTION), ("appearance", statistics.APPEARANCE)):
        mean = sum(found[name]["network"] for name in names) / len(names)
        assert found[branch]["network"] == pytest.approx(mean)
    assert found["joint"]["network"] == pytest.approx(found["motion"]["network"] + found["appearance"]["network"])


def test_the_means_come_from_clips_spread_over_all(monkeypatch):
    asked = []

    class Counted(statistics_network.LabelledClips):
        def __getitem__(self, key):
            asked.append(key)
            return super().__getitem__(key)

    monkeypatch.setattr(statistics_network, "CLIPS_FOR_MEANS", 20)
    scene = Moving()
    names = list(scene.lengths)
    common = {"clip_length": 8, "crop": 16, "seed": 0, "training": False}
    training = Counted(scene, None, [Named(name) for name in names], scene.lengths, **common)
    held_out = statistics_network.LabelledClips(scene, None, [Named(names[0])], scene.lengths, **common)
    statistics_network.errors(tiny_network("appearance"), training, held_out, batch=8, device="cpu")
    assert asked == [(0, index) for index in range(0, 90, 5)]


def test_an_unreadable_video_is_named():
    class Broken(Scene):
        def flows(self, name, indices):
            raise InputError(f"{name}: is not whole; delete it and run again")

    dataset = statistics_network.LabelledClips(
        Scene(), Broken(), VIDEOS[1:], LENGTHS, clip_length=8, crop=16, seed=0, training=False
    )
    with pytest.raises(InputError, match=r"one\.avi: is not whole"):
        statistics_network.errors(tiny_network(), dataset, dataset, batch=2, device="cpu")
