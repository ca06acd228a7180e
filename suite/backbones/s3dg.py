"""S3D-G: Inception in 3D with separable convolutions and self-gating (Xie et al., ECCV 2018).

Each txkxk convolution is 1xkxk, BN, ReLU, tx1x1, BN, ReLU; 1x1x1 ones are followed by BN and ReLU. No convolution has a bias.
At the end of each branch of an Inception block every channel is multiplied by a gate that depends on the whole clip.
Shapes as channels x frames x height x width, at the paper's width 64 and input, and at width 16 on 8x40x40:

    input      3x16x112x112      3x8x40x40
    conv1     64x8x56x56        16x4x20x20     7x7x7 of stride 2
    conv2    192x8x28x28        48x4x10x10     max pool 1x3x3 of stride 1x2x2; 1x1x1, 3x3x3
    conv3    480x8x14x14       120x4x5x5       the same pooling; blocks 3b, 3c
    conv4    832x4x7x7         208x2x3x3       max pool 3x3x3 of stride 2; blocks 4b to 4f
    conv5   1024x2x4x4         256x1x2x2       max pool 2x2x2; blocks 5b, 5c
    feature 1024               256             mean over frames, height and width

Two networks go by this name. One has a stem of a single 3x7x7 convolution and a gate behind conv2 (Xie et al.'s code, and the
port that Pace uses: 9,125,072 parameters). This is the other: the stem is separable like everything else, as srop has it ("the
3D convolution kernel is replaced", Sec. IV-C), and the blocks alone are gated (CoCLR's code: 9,098,000 parameters, 7,910,048 of
them without the gates). Neither is the 9.6 M that srop's Table X prints. Odd rests are pooled too, as in Xie et al.'s code.

Convolutions start from N(0, 0.01), as in both published codes: before normalisation small weights mean large steps, and at
srop's learning rate of 1e-3 a narrow network learnt four directions of motion to 97 % in 120 steps, where it reached 42 % from
PyTorch's own initialisation and 50 % from He's. The price: under stored statistics that have seen no clip, features are some
3e-17. They still tell clips apart, but only what scales them by their own length may use them (no epsilon of 1e-12).
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.backbones import c3d, c3d5
from suite.backbones.staged import Staged

# Standard deviation of the convolutions' first weights at width 64 (Xie et al.'s code, CoCLR's).
CONVOLUTION_STD = 0.01
# Channels of the blocks at width 64: of the 1x1x1 branch; before and after the 3x3x3 of the second and the third branch; of
# the branch behind the pooling (Inception v1, as I3D has it).
BLOCKS = {
    "conv3": ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    "conv4": (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    "conv5": ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
}


class Pointwise(nn.Module):
    """1x1x1 convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Separable(nn.Module):
    """A kxkxk convolution in two: 1xkxk, then kx1x1, both without bias and followed by batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        side, step, rim = kernel, stride, kernel // 2
        self.spatial = nn.Conv3d(inputs, outputs, (1, side, side), (1, step, step), (0, rim, rim), bias=False)
        self.spatial_bn = nn.BatchNorm3d(outputs)
        self.temporal = nn.Conv3d(outputs, outputs, (side, 1, 1), (step, 1, 1), (rim, 0, 0), bias=False)
        self.temporal_bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.spatial_bn(self.spatial(x)), inplace=True)
        return F.relu(self.temporal_bn(self.temporal(x)), inplace=True)


class SelfGating(nn.Module):
    """Channels times sigmoid(W m + b), m being their means over frames, height and width."""

    def __init__(self, channels: int):
        super().__init__()
        self.weights = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.weights(x.mean((2, 3, 4))))[:, :, None, None, None]


class Inception(nn.Module):
    """Four gated branches side by side: [B, inputs, t, h, w] -> as many channels as the branches end with, same size."""

    def __init__(self, inputs: int, channels: tuple[int, ...]):
        super().__init__()
        only, before_a, after_a, before_b, after_b, pooled = channels
        self.point = nn.Sequential(Pointwise(inputs, only), SelfGating(only))
        self.large = nn.Sequential(Pointwise(inputs, before_a), Separable(before_a, after_a, 3), SelfGating(after_a))
        self.small = nn.Sequential(Pointwise(inputs, before_b), Separable(before_b, after_b, 3), SelfGating(after_b))
        self.pooled = nn.Sequential(nn.MaxPool3d(3, 1, 1), Pointwise(inputs, pooled), SelfGating(pooled))
        self.outputs = only + after_a + after_b + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.point(x), self.large(x), self.small(x), self.pooled(x)], dim=1)


class S3DG(Staged):
    """S3D-G; see the table at the top of this file. A stage's map is what its last block, or its last ReLU, gives."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.feature_size = 16 * width
        self.conv1 = Separable(3, width, 7, stride=2)
        self.conv2 = nn.Sequential(Pointwise(width, width), Separable(width, 3 * width, 3))
        channels = 3 * width
        for stage, blocks in BLOCKS.items():
            made = []
            for block in blocks:
                # A narrow network has as much of each width as fits, and at least one channel.
                made.append(Inception(channels, tuple(max(1, size * width // 64) for size in block)))
                channels = made[-1].outputs
            setattr(self, stage, nn.Sequential(*made))
        # Fewer weights are larger ones, so that a narrow network starts with the same signal.
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, std=CONVOLUTION_STD * math.sqrt(64 / width))

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        x = self.conv1(x)
        yield "conv1", x
        x = self.conv2(F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)))
        yield "conv2", x
        x = self.conv3(F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)))
        yield "conv3", x
        x = self.conv4(F.max_pool3d(x, 3, 2, 1))
        yield "conv4", x
        x = self.conv5(c3d5.max_pool(x, (2, 2, 2)))
        yield "conv5", x

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 16*width]: the mean of conv5 over frames, height and width."""
        return self.conv5_map(x).mean((2, 3, 4))

    def probe_feature(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> [B, D]: conv5 max-pooled 1x2x2 and flattened, as for retrieval."""
        return c3d.max_pool(self.conv5_map(x), (1, 2, 2)).flatten(1)
