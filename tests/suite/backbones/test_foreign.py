"""Networks from elsewhere: torchvision's give what torchvision gives, and what breaks the contract is told by name."""

import sys

import pytest
import torch
from torch import nn
from torchvision.models import video

from suite import backbones
from suite.backbones import foreign
from suite.backbones.staged import STAGES, modules_below, probe_feature
from suite.errors import InputError
from suite.evaluation.features import pooled

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
        ("Listed", "stages gives list"),
        ("Strict", "a clip of 8x64x64 ends in RuntimeError: wants 32 frames"),
        ("function", "is a builtin_function_or_method, not a torch.nn.Module"),
        ("broken", r"broken\(\) fails with OSError: no weights"),
        ("nothing", "has no attribute 'nothing'"),
    ],
)
def test_what_breaks_the_contract_is_told_by_name(factories, made, said):
    with pytest.raises(InputError, match=said) as found:
        backbones.build(f"{factories}:{made}", clip=SMALL)
    assert f"{factories}:{made}" in str(found.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnet18", "of torchvision there are r3d_18, mc3_18, r2plus1d_18, s3d"),
        ("no_such_package:net", "No module named 'no_such_package'"),
        (":net", "name it package.module:factory"),
        ("math:", "name it package.module:factory"),
    ],
)
def test_names_that_mean_no_network(name, said):
    with pytest.raises(InputError, match=said):
        backbones.build(name)
