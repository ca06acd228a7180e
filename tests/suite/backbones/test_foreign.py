"""Networks from elsewhere: torchvision's give what torchvision gives, and what breaks the contract is told by name."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models import video

from suite import backbones
from suite.backbones import foreign
from suite.backbones.staged import STAGES, modules_below, probe_feature
from suite.errors import InputError
from suite.evaluation import recognition
from suite.evaluation.features import pooled
from suite.video import decode, transforms
from suite.video.inputs import NetworkInput, Pixels

SMALL = (8, 64, 64)


def whole(name: str) -> nn.Module:
    """torchvision's own network with weights that are not its first ones, in evaluation mode."""
    torch.manual_seed(3)
    network = getattr(video, name)(num_classes=11)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_torchvision_weights_give_torchvision_logits(name):
    original = whole(name)
    network = backbones.build(f"torchvision:{name}", clip=SMALL).eval()
    published = original.state_dict()
    network.load_state_dict({key: tensor for key, tensor in published.items() if not key.startswith("fc.")})
    clips = torch.rand(2, 3, *SMALL)
    with torch.no_grad():
        features = network(clips)
        assert torch.allclose(original.fc(features), original(clips), atol=1e-5)
        assert features.shape == (2, network.feature_size)
        assert torch.equal(network.conv5_map(clips).mean((2, 3, 4)), features)
        assert tuple(network.stages(clips)) == STAGES
        assert torch.equal(probe_feature(network)(clips), network.conv5_map(clips).flatten(1))
        assert pooled(network, clips, "layer1").shape == (2, 64 * 4 * 6 * 6)


def test_s3d_gives_torchvision_logits_where_the_clip_is_large_enough():
    original = whole("s3d")
    network = backbones.build("torchvision:s3d", clip=(16, 224, 224)).eval()
    published = original.state_dict()
    network.load_state_dict({key: tensor for key, tensor in published.items() if not key.startswith("classifier.")})
    clips = torch.rand(1, 3, 16, 224, 256)
    with torch.no_grad():
        features = network(clips)[..., None, None, None]
        assert torch.allclose(original.classifier(features).flatten(1), original(clips), atol=1e-5)
        with pytest.raises(InputError, match="TorchvisionS3D: conv1 has 64 channels and conv5 1024; no grid"):
            pooled(network, clips, "layer1")
    with pytest.raises(InputError, match="clips of 16x112x112 are too small"):
        backbones.build("torchvision:s3d", clip=(16, 112, 112))


@pytest.mark.parametrize("name", ["torchvision:r3d_18", "torchvision:s3d"])
def test_the_stages_below_one_hold_the_parameters_that_freeze(name):
    with torch.device("meta"):
        network = foreign.build(name)
    below = [parameter for module in modules_below(network, "conv3") for parameter in module.parameters()]
    above = [
        parameter
        for stage in STAGES[2:]
        for module in network.stage_modules()[stage]
        for parameter in module.parameters()
    ]
    assert {id(parameter) for parameter in network.parameters()} == {id(one) for one in below + above}
    assert len(below) + len(above) == len(list(network.parameters()))
    assert modules_below(network, "conv1") == []
    with pytest.raises(ValueError, match="has no stage 'conv6'"):
        modules_below(network, "conv6")


FACTORIES = """
import sys

import torch
from torch import nn


class Good(nn.Module):
    feature_size = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3, padding=1)

    def conv5_map(self, x):
        return self.conv(x)

    def stages(self, x):
        return {"only": self.conv(x)}

    def forward(self, x):
        return self.conv(x).mean((2, 3, 4))


class Staged(Good):
    video_input = {"frames": 8, "pixels": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}

    def stage_modules(self):
        return {"only": [self.conv], "empty": []}


class Odd(Good):
    video_input = {"frames": 0}


class Counts(Good):
    # Asks for a value, which tensors without content have not.
    def forward(self, x):
        return super().forward(x) + (float(x.sum()) > 1e9)


class Headless(Good):
    conv5_map = None

    def __getattribute__(self, name):
        if name == "conv5_map":
            raise AttributeError(name)
        return super().__getattribute__(name)


class Wide(Good):
    feature_size = 5


class Sized(Good):
    feature_size = "4"


class Flat(Good):
    def conv5_map(self, x):
        return self.conv(x).mean((2, 3, 4))


class Listed(Good):
    def stages(self, x):
        return [self.conv(x)]


class Boolean(Good):
    feature_size = True

    def forward(self, x):
        return super().forward(x)[:, :1]


class Twofold(Good):
    def forward(self, x):
        return super().forward(x), None


class Whole(Good):
    def forward(self, x):
        return super().forward(x).long()


class Enlisted(Good):
    def conv5_map(self, x):
        return [self.conv(x)]


class Halved(Good):
    def conv5_map(self, x):
        return self.conv(x)[:1]


class Hollow(Good):
    def stages(self, x):
        return {"only": None}


class Numbered(Good):
    def stages(self, x):
        return {1: self.conv(x)}


class Level(Good):
    def stages(self, x):
        return {"first": self.conv(x).mean((2, 3, 4)), "only": self.conv(x)}


class Turned(Good):
    def stages(self, x):
        return {"last": self.conv(x), "first": self.conv(x)[:, :2]}


class Probed(Good):
    def probe_feature(self, x):
        return self.conv(x)


class Unprobed(Good):
    def probe_feature(self, x):
        return x.no_such_thing()


class Quits(Good):
    def stages(self, x):
        sys.exit(3)


class ModulesListed(Good):
    def stage_modules(self):
        return [self.conv]


class ModulesBare(Good):
    def stage_modules(self):
        return {"only": self.conv}


class ModulesNone(Good):
    def stage_modules(self):
        return None


class ModulesBroken(Good):
    def stage_modules(self):
        return {"only": self.convolution}


def leaving():
    sys.exit("not today")


class Strict(Good):
    def forward(self, x):
        raise RuntimeError("wants 32 frames")


def function():
    return torch.relu


def broken():
    raise OSError("no weights")
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "somebodys_networks.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(tmp_path)
    yield "somebodys_networks"
    sys.modules.pop("somebodys_networks", None)


@pytest.mark.parametrize("made", ["Good", "Counts"])
def test_anybodys_network_is_built_and_left_as_it_was(factories, made):
    network = backbones.build(f"{factories}:{made}", clip=SMALL)
    assert network.training
    assert not any(parameter.is_meta for parameter in network.parameters())
    with pytest.raises(InputError, match=f"{made} has no stages conv2 and conv5, but only"):
        pooled(network, torch.rand(1, 3, *SMALL), "layer2")
    with pytest.raises(ValueError, match="has no stage 'conv3' to freeze below"):
        modules_below(network, "conv3")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("Headless", r"has no conv5_map \(\[B, 3, T, H, W\] -> the last map"),
        ("Wide", r"forward gives \[2, 4\] for 2 clips, not \[2, 5\]"),
        ("Sized", "feature_size is '4'"),
        ("Flat", r"conv5_map gives \[2, 4\]"),
        ("Listed", "stages gives a list"),
        ("Boolean", "feature_size is True"),
        ("Twofold", r"forward gives a tuple for 2 clips, not \[2, 4\]"),
        ("Whole", r"forward gives \[2, 4\] of torch.int64 for 2 clips"),
        ("Enlisted", "conv5_map gives a list for 2 clips"),
        ("Halved", r"conv5_map gives \[1, 4, 8, 64, 64\] for 2 clips"),
        ("Hollow", "stages gives a NoneType as 'only' for 2 clips"),
        ("Numbered", "stages has a stage 1; name it by a text"),
        ("Level", r"stages gives \[2, 4\] as 'first' for 2 clips"),
        (
            "Turned",
            r"conv5_map gives \[2, 4, .* and stages \[2, 2, .* as its last, 'first'; give the last map both times",
        ),
        ("Probed", r"probe_feature gives \[2, 4, 8, 64, 64\] for 2 clips, not .* what probes take \[B, D\]"),
        ("Unprobed", "probe_feature of a clip of 8x64x64 ends in AttributeError"),
        ("Quits", "stages of a clip of 8x64x64 ends in SystemExit: 3"),
        ("ModulesListed", "stage_modules gives a list, not"),
        ("ModulesBare", "stage_modules gives a Conv3d as 'only', not"),
        ("ModulesNone", "stage_modules gives a NoneType, not"),
        ("ModulesBroken", "stage_modules ends in AttributeError"),
        ("leaving", r"leaving\(\) fails with SystemExit: not today"),
        ("Strict", "forward of a clip of 8x64x64 ends in RuntimeError: wants 32 frames"),
        ("function", "is a builtin_function_or_method, not a torch.nn.Module"),
        ("broken", r"broken\(\) fails with OSError: no weights"),
        ("nothing", "somebodys_networks has no 'nothing'; name it package.module:factory"),
    ],
)
def test_what_breaks_the_contract_is_told_by_name(factories, made, said):
    with pytest.raises(InputError, match=said) as found:
        backbones.build(f"{factories}:{made}", clip=SMALL)
    assert f"{factories}:{made}" in str(found.value)


@pytest.mark.parametrize("name", backbones.NAMES)
def test_the_suites_own_networks_keep_the_contract(name):
    clip = (16, 64, 64)
    network = backbones.build(name, 8, clip)
    foreign.check(network, name, clip)
    assert tuple(network.stages(torch.rand(1, 3, *clip))) == STAGES


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnet18", "of torchvision there are r3d_18, mc3_18, r2plus1d_18, s3d"),
        ("no_such_package:net", "no module 'no_such_package'; mend its name, or give its folder by --papers"),
        (":net", "name it package.module:factory"),
        ("math:", "name it package.module:factory"),
    ],
)
def test_names_that_mean_no_network(name, said):
    with pytest.raises(InputError, match=said):
        backbones.build(name)


@pytest.mark.parametrize("made", ["Staged", "Counts"])
def test_what_is_known_of_anybodys_network_is_counted_by_hand(factories, made):
    known = backbones.facts(f"{factories}:{made}", SMALL)
    assert known.gmacs == 8 * 64 * 64 * 4 * 3 * 27 / 1e9
    assert (known.clip, known.width, known.stages) == (SMALL, None, ("only",))
    assert known.freezable == (("only",) if made == "Staged" else ())
    stated = NetworkInput(frames=8, pixels=Pixels(mean=(0.5,) * 3, std=(0.25,) * 3))
    assert backbones.video_input(f"{factories}:{made}") == (stated if made == "Staged" else NetworkInput())


def test_an_input_that_is_none_is_told_by_name(factories):
    with pytest.raises(InputError, match=r"somebodys_networks:Odd': its input: frames: .*greater than or equal to 1"):
        backbones.video_input(f"{factories}:Odd")


def test_code_that_was_changed_is_another_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "packed_networks"
    package.mkdir()
    (package / "made.py").write_text("from packed_networks.parts import Good\n")
    (package / "parts.py").write_text(FACTORIES)
    before = backbones.facts("packed_networks.made:Good", SMALL).source
    assert re.fullmatch("[0-9a-f]{12}", before)
    assert backbones.facts("packed_networks.made:Good", SMALL).source == before
    (package / "parts.py").write_text(FACTORIES + "# changed\n")
    assert backbones.facts("packed_networks.made:Good", SMALL).source != before
    for name in ("packed_networks.made", "packed_networks.parts", "packed_networks"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "crop", "resize"), [("r3d_18", 112, (128, 171)), ("s3d", 224, (256, 256))])
def test_torchvisions_input_is_read_off_its_weights(name, crop, resize):
    stated = backbones.video_input(f"torchvision:{name}")
    preset = models.get_model_weights(name).DEFAULT.transforms()
    assert (stated.crop, stated.resize, stated.antialias) == (crop, resize, False)
    assert (stated.frames, stated.stride) == ({"r3d_18": 16, "s3d": 128}[name], 2)
    assert stated.pixels == Pixels(mean=tuple(preset.mean), std=tuple(preset.std))
    clip = torch.randint(256, (4, 3, 80, 90), dtype=torch.uint8)
    frames = transforms.centre_crop(
        transforms.resize(clip.permute(0, 2, 3, 1), stated.resize, stated.antialias), stated.crop
    )
    torch.testing.assert_close(transforms.to_network(frames[None], stated.pixels)[0], preset(clip), atol=1e-6, rtol=0)


def generated_clip(folder: Path) -> Path:
    """A video of 40 drawn frames of 320x240, written here."""
    path = folder / "drawn.mp4"
    drawn = np.random.default_rng(0)
    background = drawn.integers(0, 256, (240 + 40, 320 + 40, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=320, height=240, pix_fmt="yuv420p", bit_rate=4_000_000)
        for step in range(40):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(background[step : step + 240, step : step + 320]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True)
class Placed:
    name: str
    path: Path


def largest_difference(path: Path, name: str) -> float:
    """Between the logits of torchvision's own preset and network for a clip of a video, and those that the suite gives."""
    original, whole_name = whole(name), f"torchvision:{name}"
    seen = backbones.video_input(whole_name)
    network = backbones.build(whole_name, clip=(seen.frames, seen.crop, seen.crop))
    network.load_state_dict({key: tensor for key, tensor in original.state_dict().items() if not key.startswith("fc.")})
    video = Placed("clip", path)
    # The first clip of the video, as the suite reads, resizes, crops and normalises it.
    source = decode.ResizedVideos(path.parent, [video], seen.resize, seen.antialias)
    count = decode.count_frames(path)
    settings = {"clip_length": seen.frames, "clips": 1, "stride": seen.stride, "crop": seen.crop, "pixels": seen.pixels}
    ours = recognition.test(nn.Sequential(network, original.fc), source, [video], {"clip": count}, **settings)
    # torchvision's preset on the same frames, decoded by nothing of ours.
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    clip = torch.from_numpy(frames[: seen.frames * seen.stride : seen.stride])
    preset = models.get_model_weights(name).DEFAULT.transforms()
    with torch.no_grad():
        theirs = original(preset(clip.permute(0, 3, 1, 2))[None])
    assert theirs.abs().max() > 0.1
    return float((torch.from_numpy(ours) - theirs).abs().max())


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_logits_of_a_video_are_those_of_torchvisions_preset_and_network(tmp_path, name):
    assert largest_difference(generated_clip(tmp_path), name) < 1e-4


def test_logits_of_a_real_video_are_those_of_torchvisions_preset_and_network(shared_data):
    path = shared_data / "ucf101-six" / "UCF-101" / "Surfing" / "v_Surfing_g01_c01.avi"
    assert largest_difference(path, "r3d_18") < 1e-4
