"""Features and recognition scores equal a slow reference, whatever the batches, workers and switches."""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from suite import backbones
from suite.errors import InputError
from suite.evaluation import features, recognition
from suite.video import clips, store, transforms

# Frames of the videos; the second is shorter than a clip.
LENGTHS = {"a": 20, "b": 5, "c": 40, "d": 8, "e": 9}
SETTINGS = {"clip_length": 8, "clips": 3, "crop": 32}


@dataclass(frozen=True)
class Named:
    name: str


VIDEOS = [Named(name) for name in LENGTHS]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    drawn = np.random.default_rng(0)
    store.write(folder, ((name, drawn.integers(0, 256, (n, 36, 41, 3), np.uint8)) for name, n in LENGTHS.items()))
    return store.FrameStore(folder)


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


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
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
    assert seen == [(1, 5), (2, 5), (4, 5), (5, 5)]


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


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_switches_are_put_back(backbone, fails):
    backbone.train()
    backbone.conv2.bn_a.eval()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cudnn.benchmark = True
    try:
        with contextlib.suppress(KeyError), features.frozen(backbone, "batch"):
            assert not backbone.conv1.training
            assert backbone.conv1.bn.training
            assert not torch.is_grad_enabled()
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
            assert torch.backends.cudnn.allow_tf32 is False
            assert torch.backends.cudnn.benchmark is False
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            if fails:
                raise KeyError
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.backends.cudnn.conv.fp32_precision == "tf32"
        assert torch.backends.cudnn.rnn.fp32_precision == "tf32"
        assert torch.backends.cudnn.allow_tf32 is True
        assert torch.backends.cudnn.benchmark is True
        assert torch.is_grad_enabled()
        assert backbone.conv1.training
        assert not backbone.conv2.bn_a.training
        assert all(m.track_running_stats for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm3d))
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.benchmark = False
        backbone.eval()


def test_autocast_does_not_reach_features(source, backbone):
    plain = features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global")
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(features.extract(backbone, source, VIDEOS, LENGTHS, **SETTINGS, pooling="global"), plain)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_cannot_be_read_is_named_in_one_line(source, backbone, workers):
    with pytest.raises(InputError) as caught:
        features.extract(backbone, source, VIDEOS, LENGTHS | {"d": 50}, **SETTINGS, pooling="global", workers=workers)
    assert str(caught.value) == "d: has 8 frames, frame 49 was expected"


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
