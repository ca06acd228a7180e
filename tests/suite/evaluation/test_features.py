"""Features and recognition scores equal a slow reference, whatever the batches, workers and switches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from suite import backbones
from suite.backbones.c3d5 import C3D5
from suite.errors import InputError, SampleError
from suite.evaluation import features, recognition, scenes, similarity
from suite.video import clips, decode, store, transforms
from tests.suite.sampling import Named, noise

# Frames of the videos; the second is shorter than a clip.
LENGTHS = {"a": 20, "b": 5, "c": 40, "d": 8, "e": 9}
SETTINGS = {"clip_length": 8, "clips": 3, "crop": 32}


@dataclass(frozen=True)
class Placed:
    name: str
    path: Path


VIDEOS = [Named(name) for name in LENGTHS]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("store"), LENGTHS)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(1)
    network = backbones.build("r3d", 8)
    # Running statistics that differ from the initial ones.
    network.train()(torch.rand(4, 3, 8, 32, 32))
    return network.eval()


def reference(network, source, pooling: str, stride: int = 1) -> np.ndarray:
    """One clip at a time, written out."""
    rows = []
    for name, count in LENGTHS.items():
        for start in clips.evenly_spaced_starts(count, 7 * stride + 1, 3):
            frames = source.frames(name, [(start + stride * step) % count for step in range(8)])
            clip = transforms.to_network(transforms.centre_crop(frames, 32)[None])
            with torch.no_grad():
                last = network.stages(clip)["conv5"]
            pooled = F.max_pool3d(last, (1, 2, 2)) if pooling == "conv5-max" else F.adaptive_avg_pool3d(last, 1)
            rows.append(pooled.flatten())
    return torch.stack(rows).reshape(len(LENGTHS), 3, -1).numpy()


@pytest.mark.parametrize("pooling", ["conv5-max", "global"])
@pytest.mark.parametrize("batch", [1, 4, 7, 64])
def test_features_equal_one_clip_at_a_time(source, backbone, pooling, batch):
    found = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling=pooling, batch=batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(backbone, source, pooling), rtol=1e-4, atol=1e-6)


def test_a_stride_spreads_the_frames_of_a_clip(source, backbone):
    found = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global", stride=2)
    np.testing.assert_allclose(found, reference(backbone, source, "global", stride=2), rtol=1e-4, atol=1e-6)


def test_the_retrieval_feature_has_9216_values_at_the_papers_input():
    with torch.device("meta"):
        last = backbones.build("c3d").conv5_map(torch.empty(1, 3, 16, 112, 112))
    assert features.max_pool(last, (1, 2, 2)).flatten(1).shape == (1, 9216)


def test_the_retrieval_pooling_is_capped_at_a_small_map(source):
    torch.manual_seed(0)
    network = backbones.build("r3d", 4)
    small = features.extract(network, source, VIDEOS, LENGTHS, clip_length=8, clips=1, crop=16, pooling="conv5-max")
    # conv5 is 32x1x1x1 there.
    assert small.shape == (5, 1, 32)


def test_the_number_of_workers_changes_no_bit(source, backbone):
    runs = [
        features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="conv5-max", batch=4, workers=workers)
        for workers in (0, 1, 3)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])


def test_progress_counts_whole_videos(source, backbone):
    seen = []
    features.extract(
        backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global", batch=4, progress=lambda *at: seen.append(at)
    )
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_batch_statistics_are_the_batches_own_and_leave_no_trace(source, backbone):
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    arguments = SETTINGS | {"pooling": "global", "batch": 15}
    running = features.extract(backbone, source, VIDEOS, LENGTHS, **arguments)
    own = features.extract(backbone, source, VIDEOS, LENGTHS, **arguments, bn="batch")
    after = backbone.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert not backbone.training
    assert not np.allclose(own, running, rtol=0.01)
    # The same clips, as one batch, through the network in training mode.
    loader = features.ClipsOfVideos(source, VIDEOS, LENGTHS, **SETTINGS, stride=1)
    clips_of_all = torch.cat([loader[index] for index in range(len(loader))])
    trainer = backbones.build("r3d", 8).train()
    trainer.load_state_dict(before)
    with torch.no_grad():
        expected = trainer(transforms.to_network(clips_of_all)).reshape(5, 3, -1)
    np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


def test_autocast_does_not_reach_features(source, backbone):
    plain = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global")
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global"), plain)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_cannot_be_read_is_named_in_one_line(source, backbone, workers):
    with pytest.raises(InputError) as caught:
        features.extract(backbone, source, VIDEOS, LENGTHS | {"d": 50}, **SETTINGS, pooling="global", workers=workers)
    assert str(caught.value) == "d: has 8 frames, frame 49 was expected"


@pytest.mark.parametrize("workers", [0, 2])
def test_what_nobody_foresaw_names_the_video_it_came_from(source, backbone, workers):
    # One video's number of frames is no number.
    lengths = LENGTHS | {"c": "forty"}
    with pytest.raises(SampleError, match=r"^c: TypeError: "):
        features.extract(backbone, source, VIDEOS, lengths, **SETTINGS, pooling="global", workers=workers)


def test_windows_have_the_names_of_their_videos(monkeypatch):
    monkeypatch.setattr(features, "PIECE", 3)
    # Windows from frame 0, 4, ...: four, one, nine, one and one; three to an item.
    items = features.WindowsOfVideos(None, VIDEOS, LENGTHS, clip_length=8, step=4, crop=32)
    assert [items.name(index) for index in range(len(items))] == ["a", "a", "b", "c", "c", "c", "d", "e"]


def test_frames_smaller_than_the_crop_are_refused(source, backbone):
    with pytest.raises(InputError, match="a: frames of 41x36 are smaller than the crop of 40; resize larger"):
        features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS | {"crop": 40}, pooling="global")


def test_no_video_at_all_is_refused(source, backbone):
    with pytest.raises(InputError, match="no readable video"):
        features.extract(backbone, source, [], LENGTHS, **SETTINGS, pooling="global")


def test_an_output_that_is_not_finite_names_its_video(source, backbone):
    class Blinded(torch.nn.Module):
        """Gives infinity for the clips of video c alone, which it knows by their sum."""

        def forward(self, x):
            return torch.where(torch.isin(x.sum((1, 2, 3, 4)), sums), torch.inf, 1.0)[:, None]

    loader = features.ClipsOfVideos(source, VIDEOS, LENGTHS, **SETTINGS, stride=1)
    sums = transforms.to_network(loader[2]).sum((1, 2, 3, 4))
    with pytest.raises(InputError, match=r"^c: the network's output is NaN or infinite"):
        recognition.test(Blinded(), source, VIDEOS, LENGTHS, **SETTINGS, batch=7)


@pytest.mark.parametrize("wrong", [{"pooling": "max"}, {"pooling": "global", "bn": "none"}])
def test_unknown_options_are_refused(source, backbone, wrong):
    with pytest.raises(ValueError, match="not '"):
        features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, **wrong)


def test_recognition_is_the_mean_of_logits_over_clips(source, backbone):
    torch.manual_seed(2)
    network = torch.nn.Sequential(backbone, torch.nn.Linear(64, 6))
    logits = recognition.test(network, source, VIDEOS, LENGTHS, **SETTINGS, batch=4)
    pooled = torch.from_numpy(reference(backbone, source, "global"))
    with torch.no_grad():
        per_clip = network[1](pooled)
    assert logits.shape == (5, 6)
    np.testing.assert_allclose(logits, per_clip.double().mean(1), rtol=1e-4, atol=1e-5)
    # Not the mean of probabilities: that would order some videos' classes otherwise.
    assert not np.allclose(logits, per_clip.softmax(-1).mean(1), rtol=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_features_on_a_gpu_are_those_of_the_cpu(source, backbone):
    on_cpu = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="conv5-max")
    on_gpu = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="conv5-max", device="cuda")
    backbone.cpu()
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-5)


# What layer-wise retrieval pools the maps of conv1 to conv5 to at 16x112x112 (channels, frames, height, width).
LAYERS = {
    "c3d": [(64, 4, 6, 6), (128, 2, 6, 6), (256, 4, 3, 3), (512, 2, 3, 3), (512, 2, 3, 3)],
    "r3d": [(64, 4, 6, 6), (64, 4, 6, 6), (128, 2, 6, 6), (256, 4, 3, 3), (512, 2, 3, 3)],
    "r2plus1d": [(64, 4, 6, 6), (64, 4, 6, 6), (128, 2, 6, 6), (256, 4, 3, 3), (512, 2, 3, 3)],
}


@pytest.mark.parametrize("layer", range(1, 6))
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_9216_values_at_the_papers_input(name, layer):
    with torch.device("meta"):
        network, clip = backbones.build(name), torch.empty(1, 3, 16, 112, 112)
        assert features.pooled(network, clip, f"layer{layer}").shape == (1, 9216)
        shape = network.stages(clip)[f"conv{layer}"].shape[1:]
    assert shape[0] == LAYERS[name][layer - 1][0]
    assert features.GRIDS[512 // shape[0]] == LAYERS[name][layer - 1][1:]
    # No grid is larger than its map: nothing is capped there.
    assert all(size <= side for size, side in zip(LAYERS[name][layer - 1][1:], shape[1:], strict=True))


@pytest.mark.parametrize(
    ("layer", "grid"), [("layer1", (4, 6, 6)), ("layer2", (4, 6, 6)), ("layer3", (2, 6, 6)), ("layer4", (2, 3, 3))]
)
def test_layers_are_pooled_to_their_grids_capped_at_the_map(source, backbone, layer, grid):
    # R3D's maps at 8x32x32 are 8x16x16 twice, 4x8x8 and 2x4x4; the grid of layer 4 is 4x3x3.
    found = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling=layer)
    frames = source.frames("a", clips.clip_indices(clips.evenly_spaced_starts(20, 8, 3)[1], 8, 20))
    clip = transforms.to_network(transforms.centre_crop(frames, 32)[None])
    with torch.no_grad():
        chosen = backbone.stages(clip)[layer.replace("layer", "conv")][0].numpy()
    # Cell i of n covers the positions from floor(i side / n) to ceil((i + 1) side / n) of an axis.
    cells = [[slice(i * s // n, -(-(i + 1) * s // n)) for i in range(n)] for n, s in zip(grid, chosen.shape[1:])]  # noqa: B905
    expected = [channel[t, h, w].max() for channel in chosen for t in cells[0] for h in cells[1] for w in cells[2]]
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-4, atol=1e-6)


def test_layer_5_is_the_retrieval_feature(source, backbone):
    runs = [features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling=p) for p in ("layer5", "conv5-max")]
    assert np.array_equal(*runs)


def windows_of(source, name: str, count: int, step: int, crop: int = 32) -> torch.Tensor:
    """All whole windows of 8 frames of a video, written out; one that repeats from the start if it is too short."""
    starts = [start for start in range(0, count, step) if start + 8 <= count] or [0]
    frames = source.frames(name, list(range(count)))
    clip = torch.stack([torch.stack([frames[(start + step) % count] for step in range(8)]) for start in starts])
    return transforms.to_network(transforms.centre_crop(clip, crop))


def probe_reference(network, source, feature, crop: int = 32) -> np.ndarray:
    """One window at a time, 4 frames apart, a sum, a quotient."""
    rows = []
    for name, count in LENGTHS.items():
        total, windows = 0.0, windows_of(source, name, count, 4, crop)
        for window in windows:
            with torch.no_grad():
                total = total + feature(network, window[None])[0].double().numpy()
        mean = total / len(windows)
        rows.append(mean / np.sqrt((mean**2).sum()))
    return np.array(rows)


def conv5_max(network, clip):
    return F.max_pool3d(network.stages(clip)["conv5"], (1, 2, 2)).flatten(1)


PROBE = {"clip_length": 8, "overlap": 4, "crop": 32}


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
def test_a_videos_feature_is_the_mean_of_its_windows_at_length_1(source, name, batch):
    torch.manual_seed(4)
    network = backbones.build(name, 4).eval()
    found = features.video_features(network, source, VIDEOS, LENGTHS, **PROBE, batch=batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, probe_reference(network, source, conv5_max), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_the_probe_takes_the_last_pooling_of_the_five_convolution_c3d(source):
    # Its conv5 is 16x1x3x3 there, of which this pooling keeps 2x2 and the retrieval feature's would keep 1x1.
    torch.manual_seed(4)
    network = C3D5(4, (8, 36, 36))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(10)
    found = features.video_features(network, source, VIDEOS, LENGTHS, clip_length=8, overlap=4, crop=36)
    assert found.shape == (5, 16 * 2 * 2)

    def rounding_up(network, clip):
        return F.max_pool3d(network.stages(clip)["conv5"], (1, 2, 2), ceil_mode=True).flatten(1)

    expected = probe_reference(network, source, rounding_up, crop=36)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_pieces_and_workers_change_no_bit_of_a_videos_feature(source, backbone, monkeypatch):
    whole = features.video_features(backbone, source, VIDEOS, LENGTHS, **PROBE, batch=4)
    # Video c has nine windows: four items of the loader.
    monkeypatch.setattr(features, "PIECE", 2)
    loader = features.WindowsOfVideos(source, VIDEOS, LENGTHS, clip_length=8, step=4, crop=32)
    assert loader.counts == [4, 1, 9, 1, 1]
    assert [len(loader[index]) for index in range(len(loader))] == [2, 2, 1, 2, 2, 2, 2, 1, 1, 1]
    for workers in (0, 2):
        seen = []
        pieces = features.video_features(
            backbone,
            source,
            VIDEOS,
            LENGTHS,
            **PROBE,
            batch=4,
            workers=workers,
            progress=lambda *at, seen=seen: seen.append(at),
        )
        assert np.array_equal(pieces, whole)
        assert seen == [(done, 5) for done in range(1, 6)]


def test_a_dead_networks_feature_is_zero_not_nan(source, backbone):
    class Dead(torch.nn.Module):
        def probe_feature(self, x):
            return torch.zeros(len(x), 4)

    assert not features.video_features(Dead(), source, VIDEOS, LENGTHS, **PROBE).any()


def test_windows_name_the_video_whose_output_is_not_finite(source):
    class Blinded(torch.nn.Module):
        """Gives infinity for the last window of video c alone, which it knows by its sum."""

        def forward(self, x):
            return torch.where(torch.isin(x.sum((1, 2, 3, 4)), last), torch.inf, 1.0)[:, None]

    last = windows_of(source, "c", 40, 8)[-1].sum()
    with pytest.raises(InputError, match=r"^c: the network's output is NaN or infinite"):
        recognition.test(Blinded(), source, VIDEOS, LENGTHS, clip_length=8, clips="windows", crop=32, batch=3)


def test_windows_refuse_what_the_clips_refuse(source, backbone):
    with pytest.raises(InputError, match="a: frames of 41x36 are smaller than the crop of 40; resize larger"):
        features.video_features(backbone, source, VIDEOS, LENGTHS, **PROBE | {"crop": 40})
    with pytest.raises(InputError, match="no readable video"):
        features.video_features(backbone, source, [], LENGTHS, **PROBE)
    with pytest.raises(ValueError, match="cannot overlap by 8"):
        features.video_features(backbone, source, VIDEOS, LENGTHS, **PROBE | {"overlap": 8})


def test_pixels_reach_the_network(source, backbone):
    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3, 4))

        def probe_feature(self, x):
            return self(x)

    # Video d is one window of 8 frames: its only clip.
    frames = transforms.centre_crop(source.frames("d", list(range(8))), 32).double()
    rgb = frames.mean((0, 1, 2)).numpy()
    one, common = [Named("d")], {"clip_length": 8, "crop": 32, "pixels": "bgr-raw"}
    found = features.extract(Mean(), source, one, LENGTHS, **common, clips=1, pooling="global")
    np.testing.assert_allclose(found[0, 0], rgb[::-1], rtol=1e-5)
    found = recognition.test(Mean(), source, one, LENGTHS, **common, clips=1)
    np.testing.assert_allclose(found[0], rgb[::-1], rtol=1e-5)
    found = features.video_features(Mean(), source, one, LENGTHS, **common, overlap=0)
    np.testing.assert_allclose(found[0], rgb[::-1] / np.linalg.norm(rgb), rtol=1e-5)


class Brightness(torch.nn.Module):
    """Logits log(1 + 3b) and 0 for a clip of brightness b, so that its probabilities are (1+3b, 1) / (2+3b)."""

    def forward(self, x):
        bright = torch.log1p(3 * x.mean((1, 2, 3, 4)))
        return torch.stack([bright, torch.zeros_like(bright)], dim=1)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_recognition_over_windows_by_hand(tmp_path, batch):
    # Ten frames and windows of 4: black, white; the two grey frames behind them make no window.
    # Three frames: one window, white white black white, of brightness 3/4.
    long = np.repeat([0, 255, 128], [4, 4, 2]).astype(np.uint8)
    short = np.array([255, 255, 0], np.uint8)
    fill = np.ones((1, 6, 6, 3), np.uint8)
    store.write(tmp_path, [("long", long[:, None, None, None] * fill), ("short", short[:, None, None, None] * fill)])
    arguments = (Brightness(), store.FrameStore(tmp_path), [Named("long"), Named("short")], {"long": 10, "short": 3})
    settings = {"clip_length": 4, "crop": 4, "clips": "windows", "batch": batch}
    found = recognition.test(*arguments, **settings, average="softmax")
    assert found.dtype == np.float64
    # b = 0: (1, 1) / 2; b = 1: (4, 1) / 5; b = 3/4: (13/4, 1) / (17/4).
    np.testing.assert_allclose(found, [[(1 / 2 + 4 / 5) / 2, (1 / 2 + 1 / 5) / 2], [13 / 17, 4 / 17]], rtol=1e-6)
    found = recognition.test(*arguments, **settings)
    np.testing.assert_allclose(found, [[(0 + np.log(4)) / 2, 0], [np.log(13 / 4), 0]], rtol=1e-6)


def test_recognition_can_average_probabilities_over_spaced_clips(source, backbone):
    torch.manual_seed(2)
    network = torch.nn.Sequential(backbone, torch.nn.Linear(64, 6))
    with torch.no_grad():
        per_clip = network[1](torch.from_numpy(reference(backbone, source, "global"))).double()
    found = recognition.test(network, source, VIDEOS, LENGTHS, **SETTINGS, average="softmax")
    np.testing.assert_allclose(found, per_clip.softmax(-1).mean(1), rtol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_recognition_refuses_what_it_does_not_know(source, backbone):
    with pytest.raises(ValueError, match="not 'logits' or 'softmax'"):
        recognition.test(backbone, source, VIDEOS, LENGTHS, clip_length=8, crop=32, clips="windows", average="mode")


def test_a_stride_spreads_the_frames_of_a_window(tmp_path):
    # Frames of one value each, their number: a network that gives the first and the last frame tells what it saw.
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    store.write(tmp_path, [("long", frames), ("short", frames[:5])])
    read, videos = store.FrameStore(tmp_path), [Named("long"), Named("short")]

    class Ends(torch.nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, 0, 0, 0], x[:, 0, -1, 0, 0]], 1)

    settings = {"clip_length": 4, "stride": 3, "crop": 8, "clips": "windows", "pixels": "bgr-raw"}
    found = recognition.test(Ends(), read, videos, {"long": 20, "short": 5}, **settings)
    # Windows of 10 frames at 0 only (the next would start at 12); 0, 3, 6 % 5, 9 % 5.
    np.testing.assert_allclose(found, [[0, 9], [0, 4]])
    loader = features.WindowsOfVideos(read, videos, {"long": 20, "short": 5}, clip_length=4, step=2, stride=3, crop=8)
    assert loader.counts == [2, 1]
    assert loader[0][:, :, 0, 0, 0].tolist() == [[0, 3, 6, 9], [6, 9, 12, 15]]


def test_both_probes_on_real_videos(shared_data):
    root = shared_data / "ucf101-six-small" / "UCF-101"
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())[:2]
    videos = [Placed(path.stem, path) for folder in folders for path in sorted(folder.glob("*.avi"))[:3]]
    counts = {video.name: decode.count_frames(video.path) for video in videos}
    read = decode.ResizedVideos(root, videos, (36, 48))
    torch.manual_seed(0)
    network = backbones.build("r3d", 4).eval()
    found = features.video_features(network, read, videos, counts, clip_length=16, overlap=8, crop=32)
    assert found.shape == (6, network.conv5_map(torch.zeros(1, 3, 16, 32, 32)).shape[1] * 2)
    # The first video, its windows written out.
    frames = transforms.centre_crop(read.frames(videos[0].name, range(counts[videos[0].name])), 32)
    clip = torch.stack([frames[start : start + 16] for start in range(0, len(frames) - 15, 8)])
    with torch.no_grad():
        mean = conv5_max(network, transforms.to_network(clip)).double().mean(0).numpy()
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-6)
    scored = scenes.leave_one_out(found, [0, 0, 0, 1, 1, 1], [folder.name for folder in folders])
    assert scored.accuracy == pytest.approx(sum(scored.class_accuracies.values()) / 2)
    names = [video.name for video in videos]
    fold = [(names[i], names[j], i // 3 == j // 3) for i in range(6) for j in range(i)]
    judged = similarity.score(dict(zip(names, found, strict=True)), [fold[::2], fold[1::2]])
    assert np.isfinite(np.concatenate(judged.decisions)).all()
    assert judged.accuracy == pytest.approx(np.mean([outcomes.mean() for outcomes in judged.right]))
