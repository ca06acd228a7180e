"""S3D-G: separable Inception with gates, the size of its published counts, and a signal that reaches the end when narrow."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import backbones
from suite.backbones.s3dg import BLOCKS, S3DG, Inception, SelfGating, Separable
from suite.evaluation import retrieval
from suite.evaluation.features import pooled
from suite.seeding import generator


def on_meta(width: int = 64) -> S3DG:
    with torch.device("meta"):
        return S3DG(width)


def shapes(network, *clip: int) -> list[tuple]:
    return [tuple(x.shape[1:]) for x in network.stages(torch.empty(1, 3, *clip, device="meta")).values()]


def clips(count: int, frames: int, side: int, seed: int = 0) -> torch.Tensor:
    """Smooth random clips, no two alike: [count, 3, frames, side, side] in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 6, 6, generator=generator(seed))
    return F.interpolate(coarse, size=(frames, side, side), mode="trilinear")


def test_maps_at_the_papers_input_and_at_tiny_scale():
    network, narrow = on_meta(), on_meta(16)
    assert shapes(network, 16, 112, 112) == [
        (64, 8, 56, 56),
        (192, 8, 28, 28),
        (480, 8, 14, 14),
        (832, 4, 7, 7),
        (1024, 2, 4, 4),
    ]
    assert shapes(narrow, 8, 40, 40) == [
        (16, 4, 20, 20),
        (48, 4, 10, 10),
        (120, 4, 5, 5),
        (208, 2, 3, 3),
        (256, 1, 2, 2),
    ]
    # The largest inputs of the paper's Tables IX and X.
    assert shapes(network, 16, 224, 224)[-1] == (1024, 2, 7, 7)
    assert shapes(network, 64, 152, 152)[-1] == (1024, 8, 5, 5)
    assert (network.feature_size, narrow.feature_size) == (1024, 256)


def test_parameters_with_and_without_gates_are_the_published_ones():
    network = on_meta()
    gates = sum(
        p.numel() for module in network.modules() if isinstance(module, SelfGating) for p in module.parameters()
    )
    assert sum(p.numel() for p in network.parameters()) - gates == 7_910_048
    assert gates == 9_098_000 - 7_910_048
    # The blocks' widths lead from one to the next: 256, 480, 512, ... 832, 1,024.
    ends = [block.outputs for stage in BLOCKS for block in getattr(network, stage)]
    assert ends == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_every_large_convolution_is_separable():
    convolutions = [module for module in on_meta(4).modules() if isinstance(module, torch.nn.Conv3d)]
    assert {module.kernel_size for module in convolutions} == {(1, 1, 1), (1, 3, 3), (3, 1, 1), (1, 7, 7), (7, 1, 1)}
    assert all(module.bias is None for module in convolutions)


def test_a_gate_by_hand():
    gate = SelfGating(2)
    with torch.no_grad():
        gate.weights.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, -1.0]]))
        gate.weights.bias.copy_(torch.tensor([0.0, 0.5]))
    # Channel means 2 and 1: gates sigmoid(2) and sigmoid(3.5).
    x = torch.tensor([[1.0, 3.0], [0.0, 2.0]]).reshape(1, 2, 1, 2, 1)
    wanted = torch.tensor([[1.0, 3.0], [0.0, 2.0]]) * torch.sigmoid(torch.tensor([[2.0], [3.5]]))
    torch.testing.assert_close(gate(x).detach().reshape(2, 2), wanted)


def with_statistics(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The network in evaluation mode, with stored statistics and weights of no special value."""
    draw = generator(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for values, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=draw))
    return network.eval()


def unit(state: dict, conv: str, bn: str, x: torch.Tensor, stride=1) -> torch.Tensor:
    """Convolution that keeps the size, or divides it, then normalisation and ReLU, from a state dict."""
    weight = state[f"{conv}.weight"]
    x = F.conv3d(x, weight, None, stride, [side // 2 for side in weight.shape[2:]])
    mean, var, scale, shift = (
        state[f"{bn}.{n}"].reshape(-1, 1, 1, 1) for n in ("running_mean", "running_var", "weight", "bias")
    )
    return F.relu((x - mean) / (var + 1e-5).sqrt() * scale + shift)


def separable(state: dict, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    x = unit(state, f"{name}.spatial", f"{name}.spatial_bn", x, (1, stride, stride))
    return unit(state, f"{name}.temporal", f"{name}.temporal_bn", x, (stride, 1, 1))


def gated(state: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    means = x.flatten(2).mean(-1)
    gate = torch.sigmoid(means @ state[f"{name}.weights.weight"].T + state[f"{name}.weights.bias"])
    return x * gate.reshape(*gate.shape, 1, 1, 1)


def test_maps_are_those_of_the_definition():
    torch.manual_seed(0)
    network = with_statistics(S3DG(8), 1).double()
    inputs = clips(2, 8, 40).double()
    state = network.state_dict()
    with torch.no_grad():
        stages = network.stages(inputs)
        x = separable(state, "conv1", inputs, 2)
        torch.testing.assert_close(stages["conv1"], x)
        x = F.max_pool3d(F.pad(x, (1, 1, 1, 1)), (1, 3, 3), (1, 2, 2))
        x = separable(state, "conv2.1", unit(state, "conv2.0.conv", "conv2.0.bn", x))
        torch.testing.assert_close(stages["conv2"], x)
        for stage, kernel, stride in (("conv3", (1, 3, 3), (1, 2, 2)), ("conv4", (3, 3, 3), 2), ("conv5", None, None)):
            if kernel:
                # Maps are not negative, so zeros around them never win.
                rim = (1, 1, 1, 1, kernel[0] // 2, kernel[0] // 2)
                x = F.max_pool3d(F.pad(x, rim), kernel, stride)
            else:
                x = F.max_pool3d(F.pad(x, (0, 1, 0, 1)), 2)
            for place in range(len(BLOCKS[stage])):
                block, branches = f"{stage}.{place}", []
                for branch in ("point", "large", "small", "pooled"):
                    name, y, number = f"{block}.{branch}", x, 0
                    if branch == "pooled":
                        y, number = F.max_pool3d(F.pad(y, (1,) * 6), 3, 1), 1
                    y = unit(state, f"{name}.{number}.conv", f"{name}.{number}.bn", y)
                    if branch in ("large", "small"):
                        y, number = separable(state, f"{name}.1", y), 1
                    branches.append(gated(state, f"{name}.{number + 1}", y))
                x = torch.cat(branches, 1)
            torch.testing.assert_close(stages[stage], x)
        torch.testing.assert_close(network(inputs), x.flatten(2).mean(-1))
        assert torch.equal(network.conv5_map(inputs), stages["conv5"])
        torch.testing.assert_close(network.probe_feature(inputs), F.max_pool3d(x, (1, 2, 2)).flatten(1))
        assert torch.equal(network.probe_feature(inputs), pooled(network, inputs, "conv5-max"))
    assert all(map_.min() >= 0 for map_ in stages.values())
    # Later stages have not overwritten earlier maps.
    assert torch.equal(stages["conv1"], next(network.walk(inputs))[1])


@pytest.mark.parametrize("width", [8, 16])
def test_a_random_narrow_network_tells_clips_apart(width):
    # Stored statistics that have seen nothing, as the random baselines are measured: small features, of all directions.
    torch.manual_seed(0)
    network, seen = backbones.build("s3dg", width).eval(), clips(12, 8, 40)
    again = torch.cat([seen + 1e-3 * clips(12, 8, 40, 1), clips(12, 8, 40, 2)])
    with torch.no_grad():
        features, gallery = network(seen), network(again)
    assert float(features.abs().max()) > 1e-30
    assert float((features > 0).double().mean()) > 0.3
    directions = features.double() / features.double().norm(dim=1, keepdim=True)
    apart = (1 - directions @ directions.T)[~torch.eye(12, dtype=torch.bool)]
    assert float(apart.min()) > 1e-5
    # A clip's nearest is the same clip a little brighter.
    assert retrieval.search(features.numpy(), gallery.numpy(), 1)[:, 0].tolist() == list(range(12))
    network.train()
    with torch.no_grad():
        assert float(network(seen).std(0).mean()) > 0.05


@pytest.mark.parametrize("shape", [(1, 112, 112), (4, 16, 16), (5, 17, 23), (1, 1, 1)])
def test_short_and_small_clips_pass(shape):
    feature = S3DG(4).eval()(torch.rand(2, 3, *shape))
    assert feature.shape == (2, 64)
    assert feature.isfinite().all()


@settings(max_examples=5, deadline=None)
@given(width=st.integers(2, 20))
def test_any_width_scales_all_stages(width):
    network = on_meta(width)
    channels = [shape[0] for shape in shapes(network, 8, 40, 40)]
    assert channels[:2] == [width, 3 * width]
    assert 7 * width <= channels[2] <= 7.5 * width
    assert channels[3:] == [13 * width, 16 * width]
    assert network.feature_size == 16 * width


@pytest.mark.parametrize("width", [2, 4])
def test_every_parameter_learns(width):
    torch.manual_seed(0)
    network = S3DG(width)
    network(clips(6, 8, 40)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


def test_memory_order_changes_nothing():
    torch.manual_seed(0)
    network, inputs = with_statistics(S3DG(4), 2), clips(3, 8, 40)
    results = []
    for order in (torch.contiguous_format, torch.channels_last_3d):
        network.zero_grad()
        feature = network.to(memory_format=order)(inputs.contiguous(memory_format=order))
        feature.square().sum().backward()
        results.append((feature.detach(), network.conv1.spatial.weight.grad.clone()))
    for plain, last in zip(*results, strict=True):
        torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(inputs.contiguous(memory_format=torch.channels_last_3d)).float()
    assert float((rough - feature).detach().norm() / feature.detach().norm()) < 0.05


def test_initialisation_is_the_published_one_and_follows_the_seed():
    torch.manual_seed(3)
    network = S3DG(16)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            # 0.01 at width 64; a quarter of the inputs, weights twice as large.
            assert float(module.weight.detach().std()) == pytest.approx(
                0.02, rel=5 / (2 * module.weight.numel()) ** 0.5
            )
        if isinstance(module, torch.nn.BatchNorm3d):
            assert (module.eps, module.momentum) == (1e-5, 0.1)
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    torch.manual_seed(3)
    again = S3DG(16).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
    torch.manual_seed(3)
    assert float(S3DG().conv4[2].large[1].spatial.weight.detach().std()) == pytest.approx(0.01, rel=0.01)


def test_parts_keep_their_sizes():
    x = torch.rand(2, 3, 5, 6, 7)
    assert Separable(3, 4, 3)(x).shape == (2, 4, 5, 6, 7)
    assert Separable(3, 4, 7, stride=2)(x).shape == (2, 4, 3, 3, 4)
    assert Inception(3, (2, 3, 4, 1, 2, 5))(x).shape == (2, 13, 5, 6, 7)
