"""The networks are the papers': size, cost, shapes; and they work at tiny scale."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import backbones
from suite.backbones import counting
from suite.backbones.c3d import max_pool
from suite.backbones.r2plus1d import intermediate_channels
from suite.errors import InputError

PAPER_INPUT = (1, 3, 16, 112, 112)


# The networks that share VCOP's stages and conventions; the others have tests of their own.
VCOP = ("c3d", "r3d", "r2plus1d")


def on_meta(name: str, width: int = 64) -> torch.nn.Module:
    """A network without memory: shapes and counts cost nothing."""
    with torch.device("meta"):
        return backbones.build(name, width)


def multiply_accumulates(network: torch.nn.Module, shape: tuple) -> int:
    """Multiply-accumulates of all convolutions in one forward pass: outputs times weights of one output."""
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(count)
    network(torch.empty(shape, device="meta"))
    return counted


@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    [
        ("c3d", 27_661_440, 38.50),
        ("r3d", 14_361_792, 19.89),
        ("r2plus1d", 14_365_303, 21.36),
        ("c3d5", 4_651_008, 19.25),
        ("resnet18-3d", 33_203_904, 8.31),
        ("s3dg", 9_098_000, 4.52),
    ],
)
def test_costs_are_those_of_the_papers_networks(name, parameters, gmacs):
    network = on_meta(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    passes = multiply_accumulates(network, PAPER_INPUT)
    assert round(passes / 1e9, 2) == gmacs
    known = backbones.facts(name)
    # The gates of s3dg multiply too, one vector a clip.
    assert 0 <= known.gmacs - passes / 1e9 < 0.005
    assert (known.clip, known.width, known.stages) == (
        PAPER_INPUT[2:],
        64,
        tuple(network.stages(torch.empty(PAPER_INPUT, device="meta"))),
    )
    assert known.freezable == tuple(stage for stage, modules in network.stage_modules().items() if modules)


def test_what_is_written_down_is_what_is_counted():
    assert backbones.COUNTED.read_text(encoding="utf-8") == counting.counted()


@pytest.mark.parametrize("name", VCOP)
def test_shapes_at_the_papers_input(name):
    network = on_meta(name)
    shapes = {stage: tuple(x.shape[1:]) for stage, x in network.stages(torch.empty(PAPER_INPUT, device="meta")).items()}
    first = (64, 16, 112, 112) if name == "c3d" else (64, 16, 56, 56)
    second = (128, 16, 56, 56) if name == "c3d" else (64, 16, 56, 56)
    third = (256, 8, 28, 28) if name == "c3d" else (128, 8, 28, 28)
    fourth = (512, 4, 14, 14) if name == "c3d" else (256, 4, 14, 14)
    assert shapes == {"conv1": first, "conv2": second, "conv3": third, "conv4": fourth, "conv5": (512, 2, 7, 7)}
    assert network.feature_size == 512


def test_channels_inside_r2plus1d_are_the_authors():
    network = on_meta("r2plus1d")
    between = {
        name.removesuffix(".spatial"): (module.in_channels, module.out_channels)
        for name, module in network.named_modules()
        if name.endswith(".spatial")
    }
    assert between == {
        "conv1.conv": (3, 83),
        "conv2.conv_a": (64, 144),
        "conv2.conv_b": (64, 144),
        "conv3.conv_a": (64, 230),
        "conv3.conv_b": (128, 288),
        "conv3.shortcut_conv": (64, 42),
        "conv4.conv_a": (128, 460),
        "conv4.conv_b": (256, 576),
        "conv4.shortcut_conv": (128, 85),
        "conv5.conv_a": (256, 921),
        "conv5.conv_b": (512, 1152),
        "conv5.shortcut_conv": (256, 170),
    }


@given(inputs=st.integers(1, 600), outputs=st.integers(1, 600), t=st.integers(1, 3), side=st.sampled_from([1, 3, 7]))
def test_factorised_weights_are_as_many_as_fit_into_the_3d_convolution(inputs, outputs, t, side):
    between = intermediate_channels(inputs, outputs, (t, side, side))
    per_channel = side * side * inputs + t * outputs
    assert between * per_channel <= t * side * side * inputs * outputs < (between + 1) * per_channel


@pytest.mark.parametrize("name", VCOP)
def test_stages_map_and_feature_agree(name):
    torch.manual_seed(0)
    network = backbones.build(name, 16).eval()
    clips = torch.rand(2, 3, 8, 32, 32)
    with torch.no_grad():
        stages, last, feature = network.stages(clips), network.conv5_map(clips), network(clips)
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert last.shape == (2, 128, 1, 2, 2)
    assert torch.equal(stages["conv5"], last)
    torch.testing.assert_close(feature, F.adaptive_avg_pool3d(last, 1).flatten(1))
    # Every stage ends in a ReLU, and later stages have not overwritten earlier maps.
    assert all(x.min() >= 0 for x in stages.values())
    assert torch.equal(stages["conv1"], next(network.walk(clips))[1])


@pytest.mark.parametrize("name", VCOP)
@pytest.mark.parametrize("shape", [(1, 112, 112), (4, 16, 16), (5, 17, 23), (1, 1, 1)])
def test_short_and_small_clips_pass(name, shape):
    network = backbones.build(name, 4).eval()
    feature = network(torch.rand(2, 3, *shape))
    assert feature.shape == (2, 32)
    assert feature.isfinite().all()


def test_pooling_is_capped_at_the_map_and_plain_above_it():
    x = torch.rand(2, 3, 5, 4, 7)
    assert torch.equal(max_pool(x, (2, 2, 2)), F.max_pool3d(x, 2))
    # One frame, two rows, one column: the first and last axes keep their one element.
    small = torch.tensor([[1.0, 4.0]]).reshape(1, 1, 1, 2, 1)
    assert max_pool(small, (2, 2, 2)).flatten().tolist() == [4.0]


@pytest.mark.parametrize("name", VCOP)
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    network = backbones.build(name, 4)
    network(torch.rand(4, 3, 8, 32, 32)).square().sum().backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert not without
    # A convolution's bias before batch normalisation has no effect by definition; all else has.
    still = {key for key, p in network.named_parameters() if not p.grad.abs().sum() > 0}
    assert all(key.endswith("conv.bias") for key in still)


@pytest.mark.parametrize("name", VCOP)
def test_initialisation_is_pytorchs_and_follows_the_seed(name):
    torch.manual_seed(3)
    first = backbones.build(name, 8)
    torch.manual_seed(3)
    second = backbones.build(name, 8).state_dict()
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.state_dict().items())
    for module in first.modules():
        if isinstance(module, torch.nn.Conv3d):
            # PyTorch draws a convolution's weights uniformly within 1/sqrt(fan in).
            largest = module.weight.abs().max() * module.weight[0].numel() ** 0.5
            assert 0.9 < largest <= 1
        if isinstance(module, torch.nn.BatchNorm3d):
            assert (module.eps, module.momentum) == (1e-5, 0.1)
            assert (module.weight == 1).all()


@settings(max_examples=10, deadline=None)
@given(width=st.integers(2, 9), name=st.sampled_from(VCOP))
def test_any_width_scales_all_stages(width, name):
    maps = on_meta(name, width).stages(torch.empty(1, 3, 8, 32, 32, device="meta"))
    channels = [x.shape[1] // width for x in maps.values()]
    assert channels == ([1, 2, 4, 8, 8] if name == "c3d" else [1, 1, 2, 4, 8])


def test_unknown_name_lists_the_names():
    names = "c3d, r3d, r2plus1d, c3d5, resnet18-3d, s3dg"
    with pytest.raises(InputError, match=f"unknown backbone 'resnet'; backbones: {names}$"):
        backbones.build("resnet")


def test_width_too_small_is_refused():
    with pytest.raises(InputError, match="width is 1; use at least 2"):
        backbones.build("r2plus1d", 1)
