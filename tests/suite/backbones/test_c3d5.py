"""The five-convolution C3D of MAS: size, cost, shapes, initialisation."""

import pytest
import torch
import torch.nn.functional as F

from suite.backbones.c3d5 import C3D5, max_pool, pooled_shape


def on_meta(width: int = 64, **settings) -> C3D5:
    """A network without memory: shapes and counts cost nothing."""
    with torch.device("meta"):
        return C3D5(width, **settings)


def test_size_and_cost_at_the_papers_input():
    network, counted = on_meta(), 0

    def count(module, inputs, output):
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    for module in network.children():
        module.register_forward_hook(count)
    feature = network(torch.empty(1, 3, 16, 112, 112, device="meta"))
    # Weights 3x3x3 and biases of 3-64-128-256-256-256.
    expected = sum(27 * i * o + o for i, o in ((3, 64), (64, 128), (128, 256), (256, 256), (256, 256)))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 4_651_008
    assert round(counted / 1e9, 2) == 19.25
    assert feature.shape == (1, 4096)
    assert network.feature_size == 4096


def test_shapes_at_the_papers_input():
    network = on_meta()
    maps = network.stages(torch.empty(2, 3, 16, 112, 112, device="meta"))
    assert {stage: tuple(x.shape) for stage, x in maps.items()} == {
        "conv1": (2, 64, 16, 112, 112),
        "conv2": (2, 128, 16, 56, 56),
        "conv3": (2, 256, 8, 28, 28),
        "conv4": (2, 256, 4, 14, 14),
        "conv5": (2, 256, 2, 7, 7),
    }


@pytest.mark.parametrize(
    ("shape", "pooled"),
    [((16, 112, 112), (1, 4, 4)), ((8, 32, 32), (1, 1, 1)), ((17, 100, 65), (2, 4, 3)), ((1, 1, 1), (1, 1, 1))],
)
def test_the_length_of_the_feature_is_known_before_any_clip_is(shape, pooled):
    assert pooled_shape(shape) == pooled
    network = C3D5(2, clip_shape=shape)
    assert network(torch.rand(2, 3, *shape)).shape == (2, network.feature_size)


def test_clips_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"clips of 8x32x32.*not 8x32x48"):
        C3D5(2, clip_shape=(8, 32, 32))(torch.rand(1, 3, 8, 32, 48))


def test_pooling_keeps_an_odd_rest():
    x = torch.tensor([1.0, 4, 2, 3, 7]).reshape(1, 1, 1, 1, 5)
    assert max_pool(x, (1, 1, 2)).flatten().tolist() == [4, 3, 7]
    assert max_pool(x, (2, 2, 2)).flatten().tolist() == [4, 3, 7]


def test_stages_map_and_feature_agree():
    torch.manual_seed(0)
    network, clips = C3D5(16, clip_shape=(8, 32, 32)), torch.rand(2, 3, 8, 32, 32)
    with torch.no_grad():
        stages, last, feature = network.stages(clips), network.conv5_map(clips), network(clips)
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert torch.equal(stages["conv5"], last)
    # By hand from the parameters: convolution, ReLU, pooling, five times over.
    x = clips
    for name, kernel in zip(stages, ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)), strict=True):
        layer = getattr(network, name)
        x = F.relu(F.conv3d(x, layer.weight, layer.bias, padding=1))
        torch.testing.assert_close(stages[name], x)
        x = F.max_pool3d(x, kernel, kernel, ceil_mode=True)
    torch.testing.assert_close(feature, x.flatten(1))
    # Later stages have not overwritten earlier maps.
    assert torch.equal(stages["conv1"], next(network.walk(clips))[1])


def test_initialisation_is_the_authors_and_follows_the_seed():
    torch.manual_seed(3)
    network = C3D5()
    for layer in network.children():
        assert (layer.bias == 0).all()
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert abs(layer.weight.mean().item()) < 6 * 0.01 / layer.weight.numel() ** 0.5
    torch.manual_seed(3)
    again = C3D5().state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in network.state_dict().items())
    # A quarter of the inputs, weights twice as large; the first convolution sees three channels at any width.
    narrow = C3D5(16, clip_shape=(8, 32, 32))
    assert narrow.conv1.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert narrow.conv4.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = C3D5(4, clip_shape=(8, 32, 32))
    network(255 * torch.rand(4, 3, 8, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
