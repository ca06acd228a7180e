"""Names of other code bases: the same network under them computes the same."""

import pytest
import torch
import torch.nn.functional as F

from suite import checkpoints
from tests.suite.checkpoints.made import authors_state, trained


def authors_forward(name: str, state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The authors' network, written from the key names of their models and nothing of ours."""

    def bn(x, key):
        entries = [state[f"{key}.{entry}"] for entry in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *entries)

    def conv(x, key, kernel, stride):
        pad = tuple(side // 2 for side in kernel)
        if name == "r3d":
            return F.conv3d(x, state[f"{key}.temporal_spatial_conv.weight"], None, stride, pad)
        x = F.conv3d(x, state[f"{key}.spatial_conv.weight"], None, (1, *stride[1:]), (0, *pad[1:]))
        x = F.relu(bn(x, f"{key}.bn"))
        return F.conv3d(x, state[f"{key}.temporal_conv.weight"], None, (stride[0], 1, 1), (pad[0], 0, 0))

    if name == "c3d":
        for layer in ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"):
            if layer == "2":
                x = F.max_pool3d(x, (1, 2, 2))
            elif layer in ("3a", "4a", "5a"):
                x = F.max_pool3d(x, 2)
            x = F.conv3d(x, state[f"conv{layer}.weight"], state[f"conv{layer}.bias"], padding=1)
            x = F.relu(bn(x, f"bn{layer}"))
        return F.adaptive_avg_pool3d(x, 1).flatten(1)
    x = F.relu(bn(conv(x, "conv1", (3, 7, 7), (1, 2, 2)), "bn1"))
    for layer in ("conv2", "conv3", "conv4", "conv5"):
        stride = (1, 1, 1) if layer == "conv2" else (2, 2, 2)
        block = f"{layer}.block1"
        y = F.relu(bn(conv(x, f"{block}.conv1", (3, 3, 3), stride), f"{block}.bn1"))
        y = bn(conv(y, f"{block}.conv2", (3, 3, 3), (1, 1, 1)), f"{block}.bn2")
        if layer != "conv2":
            x = bn(conv(x, f"{block}.downsampleconv", (1, 1, 1), stride), f"{block}.downsamplebn")
        x = F.relu(x + y)
    return F.adaptive_avg_pool3d(x, 1).flatten(1)


@pytest.mark.parametrize("name", ["c3d", "r3d", "r2plus1d"])
def test_our_network_is_the_authors_under_other_names(name):
    network, clips = trained(name), torch.rand(2, 3, 16, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(clips), authors_forward(name, authors_state(name, network), clips))


def test_known_names_of_the_authors():
    names = {
        "c3d": {"conv3a.conv.bias": "conv3a.bias", "conv5b.bn.running_var": "bn5b.running_var"},
        "r3d": {
            "conv1.conv.weight": "conv1.temporal_spatial_conv.weight",
            "conv1.bn.bias": "bn1.bias",
            "conv3.shortcut_conv.weight": "conv3.block1.downsampleconv.temporal_spatial_conv.weight",
        },
        "r2plus1d": {
            "conv1.conv.bn.weight": "conv1.bn.weight",
            "conv1.bn.weight": "bn1.weight",
            "conv5.conv_b.temporal.weight": "conv5.block1.conv2.temporal_conv.weight",
            "conv4.shortcut_conv.bn.bias": "conv4.block1.downsampleconv.bn.bias",
            "conv4.shortcut_bn.bias": "conv4.block1.downsamplebn.bias",
        },
    }
    for backbone, pairs in names.items():
        assert {ours: checkpoints.vcop_name(backbone, ours) for ours in pairs} == pairs
