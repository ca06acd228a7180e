"""VCOP's three backbones and its order head as functions of weights by the authors' names. Slow, plain, and no module of the suite."""

import itertools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

# Running mean and variance of each batch norm, by name.
Statistics = dict[str, tuple[Tensor, Tensor]]


class Network:
    """Weights by name; batch statistics in training, running ones else.

    Args:
        prefix: stands before the names of the backbone's weights.
    """

    def __init__(self, kind: str, weights: Mapping[str, Tensor], prefix: str = ""):
        self.kind, self.weights, self.prefix = kind, weights, prefix
        self.statistics: Statistics = {}
        self.passes = 0
        self.training = False

    def of(self, name: str) -> Tensor:
        """A weight of the backbone."""
        return self.weights[self.prefix + name]

    def normalised(self, x: Tensor, name: str) -> Tensor:
        """Batch normalisation of [B, C, T, H, W] with eps 1e-5 and momentum 0.1; the running variance is unbiased."""
        zeros = torch.zeros(x.shape[1], dtype=x.dtype)
        mean, variance = self.statistics.get(name, (zeros, zeros + 1))
        if self.training:
            values = x.transpose(0, 1).flatten(1)
            own, count = values.mean(1), values.shape[1]
            spread = (values - own[:, None]).square().sum(1)
            kept = (0.9 * mean + 0.1 * own.detach(), 0.9 * variance + 0.1 * spread.detach() / (count - 1))
            self.statistics[name] = kept
            mean, variance = own, spread / count
        scale = self.of(f"{name}.weight") / (variance + 1e-5).sqrt()
        shift = self.of(f"{name}.bias") - mean * scale
        return x * scale[:, None, None, None] + shift[:, None, None, None]

    def convolved(self, x: Tensor, name: str, stride: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
        """A convolution without bias; of R(2+1)D: space, batch norm, ReLU, time."""
        if self.kind == "r3d":
            return F.conv3d(x, self.of(f"{name}.temporal_spatial_conv.weight"), None, stride, padding)
        (t, *hw), (pad, *pads) = stride, padding
        x = F.conv3d(x, self.of(f"{name}.spatial_conv.weight"), None, (1, *hw), (0, *pads))
        x = self.normalised(x, f"{name}.bn").relu()
        return F.conv3d(x, self.of(f"{name}.temporal_conv.weight"), None, (t, 1, 1), (pad, 0, 0))

    def last_map(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> the last convolution's map after its ReLU."""
        self.passes += self.training
        if self.kind == "c3d":
            for layer in ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"):
                if layer in ("2", "3a", "4a", "5a"):
                    x = F.max_pool3d(x, (1, 2, 2) if layer == "2" else 2)
                x = F.conv3d(x, self.of(f"conv{layer}.weight"), self.of(f"conv{layer}.bias"), 1, 1)
                x = self.normalised(x, f"bn{layer}").relu()
            return x
        x = self.normalised(self.convolved(x, "conv1", (1, 2, 2), (1, 3, 3)), "bn1").relu()
        for block in ("conv2.block1", "conv3.block1", "conv4.block1", "conv5.block1"):
            stride = (1, 1, 1) if block.startswith("conv2") else (2, 2, 2)
            branch = self.normalised(self.convolved(x, f"{block}.conv1", stride, (1, 1, 1)), f"{block}.bn1").relu()
            branch = self.normalised(self.convolved(branch, f"{block}.conv2", (1, 1, 1), (1, 1, 1)), f"{block}.bn2")
            if stride != (1, 1, 1):
                x = self.convolved(x, f"{block}.downsampleconv", stride, (0, 0, 0))
                x = self.normalised(x, f"{block}.downsamplebn")
            x = (x + branch).relu()
        return x

    def feature(self, x: Tensor) -> Tensor:
        """The mean of the last map: [B, 512]."""
        return self.last_map(x).mean((2, 3, 4))


def head(weights: Mapping[str, Tensor], features: list[Tensor]) -> Tensor:
    """Features of each position [B, D] -> logits over their orders: every pair through fc7, all pairs through fc8."""
    pairs = [torch.cat(pair, dim=1) for pair in itertools.combinations(features, 2)]
    hidden = [(pair @ weights["fc7.weight"].T + weights["fc7.bias"]).relu() for pair in pairs]
    return torch.cat(hidden, dim=1) @ weights["fc8.weight"].T + weights["fc8.bias"]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch."""
    return (logits.logsumexp(1) - logits[torch.arange(len(targets)), targets]).mean()
