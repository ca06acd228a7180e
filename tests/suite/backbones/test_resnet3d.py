"""The ResNets of Skip-Clip: Hara et al.'s in 3D, torchvision's in 2D, and the way from one to the other."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models import resnet18

from suite.backbones import resnet3d
from tests.suite.backbones.test_networks import multiply_accumulates


def on_meta(width: int = 64) -> resnet3d.ResNet3D:
    with torch.device("meta"):
        return resnet3d.ResNet3D(width)


def shapes(network, frames: int, side: int) -> list[tuple]:
    return [tuple(x.shape[1:]) for x in network.stages(torch.empty(1, 3, frames, side, side, device="meta")).values()]


def test_maps_are_those_of_the_paper():
    # A context of 16 frames of 224 x 224 becomes 512 x 7 x 7: the strides leave one frame.
    assert shapes(on_meta(), 16, 224) == [
        (64, 16, 112, 112),
        (64, 8, 56, 56),
        (128, 4, 28, 28),
        (256, 2, 14, 14),
        (512, 1, 7, 7),
    ]
    assert shapes(on_meta(), 16, 112)[-1] == (512, 1, 4, 4)
    assert shapes(on_meta(16), 8, 64) == [
        (16, 8, 32, 32),
        (16, 4, 16, 16),
        (32, 2, 8, 8),
        (64, 1, 4, 4),
        (128, 1, 2, 2),
    ]
    assert on_meta().feature_size == 512


def test_parameters_and_cost():
    network = on_meta()
    assert sum(parameter.numel() for parameter in network.parameters()) == 33_203_904
    assert round(multiply_accumulates(network, (1, 3, 16, 112, 112)) / 1e9, 2) == 8.31


def test_stages_map_and_feature_agree():
    torch.manual_seed(0)
    network = resnet3d.ResNet3D(8).eval()
    clips = torch.rand(2, 3, 8, 64, 64)
    with torch.no_grad():
        stages, last, feature = network.stages(clips), network.conv5_map(clips), network(clips)
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert torch.equal(stages["conv5"], last)
    torch.testing.assert_close(feature, F.adaptive_avg_pool3d(last, 1).flatten(1))
    # Every stage ends in a ReLU, and later stages have not overwritten earlier maps.
    assert all(x.min() >= 0 for x in stages.values())
    assert torch.equal(stages["conv1"], network.conv1(clips))


@settings(max_examples=4, deadline=None)
@given(width=st.integers(1, 9))
def test_any_width_scales_all_stages(width):
    maps = on_meta(width).stages(torch.empty(2, 3, 8, 32, 32, device="meta"))
    assert [x.shape[1] // width for x in maps.values()] == [1, 1, 2, 4, 8]
    with torch.device("meta"):
        flat = resnet3d.ResNet2D(width)(torch.empty(2, 3, 64, 96))
    assert flat.shape == (2, 8 * width, 2, 3)


@pytest.mark.parametrize("shape", [(1, 112, 112), (4, 16, 16), (5, 17, 23), (1, 1, 1)])
def test_short_and_small_clips_pass(shape):
    feature = resnet3d.ResNet3D(4).eval()(torch.rand(2, 3, *shape))
    assert feature.shape == (2, 32)
    assert feature.isfinite().all()


@pytest.mark.parametrize(("made", "shape"), [(resnet3d.ResNet3D, (8, 64, 64)), (resnet3d.ResNet2D, (64, 64))])
def test_every_parameter_learns(made, shape):
    torch.manual_seed(0)
    network = made(4)
    network(torch.rand(4, 3, *shape)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_initialisation_is_the_authors():
    torch.manual_seed(0)
    network = resnet3d.ResNet3D(16)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d) and module.weight.numel() > 10_000:
            fan_out = module.out_channels * module.weight[0, 0].numel()
            assert float(module.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_the_flat_network_is_torchvisions():
    torch.manual_seed(1)
    theirs = resnet18().eval()
    ours = resnet3d.ResNet2D().eval()
    weights = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(weights, strict=True)
    frames = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        last = ours(frames)
        assert last.shape == (2, 512, 2, 3)
        assert torch.equal(theirs.fc(last.mean((2, 3))), theirs(frames))


def test_the_flat_network_starts_as_torchvisions_does():
    ours, theirs = resnet3d.ResNet2D().state_dict(), resnet18().state_dict()
    for name, tensor in ours.items():
        if tensor.dim() == 4:
            assert float(tensor.std()) == pytest.approx(float(theirs[name].std()), rel=0.05)
        else:
            assert torch.equal(tensor, theirs[name])


@pytest.fixture(scope="module")
def imagenet_like() -> torch.nn.Module:
    """torchvision's ResNet-18 with weights and statistics of no special value."""
    torch.manual_seed(2)
    network = resnet18().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    return network


def test_an_inflated_network_sees_a_still_video_as_the_flat_one_sees_its_frame(imagenet_like):
    state = {name: tensor for name, tensor in imagenet_like.state_dict().items() if not name.startswith("fc.")}
    flat, deep = resnet3d.ResNet2D().eval(), resnet3d.ResNet3D().eval()
    flat.load_state_dict(state)
    deep.load_state_dict(resnet3d.inflate(imagenet_like.state_dict()), strict=True)
    # Frames of zeros before and after a still video would move it; padding with the video itself does not.
    for module in (*flat.modules(), *deep.modules()):
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            module.padding_mode = "circular"
    frame = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        of_frame, of_video = flat(frame), deep.conv5_map(frame.unsqueeze(2).expand(-1, -1, 16, -1, -1))
    assert of_video.shape == (1, 512, 1, 2, 2)
    torch.testing.assert_close(of_video[:, :, 0], of_frame, rtol=1e-4, atol=1e-5 * float(of_frame.max()))
