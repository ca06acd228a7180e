"""R3D with nine convolutions: a stem and four residual blocks, one a stage. (Not ResNet-18, which has two a stage.)

VCOP Sec. 4 ("no repetitions in conv{2-5}_x"); strides and shortcuts from the authors' code. No convolution has a bias.
Shapes as channels x frames x height x width, at the paper's width 64 and input, and at width 16 on 8x32x32:

    input     3x16x112x112       3x8x32x32
    conv1    64x16x56x56        16x8x16x16     3x7x7, stride 1x2x2, BN, ReLU; no pooling
    conv2    64x16x56x56        16x8x16x16     residual block
    conv3   128x8x28x28         32x4x8x8       residual block, stride 2x2x2
    conv4   256x4x14x14         64x2x4x4       residual block, stride 2x2x2
    conv5   512x2x7x7          128x1x2x2       residual block, stride 2x2x2
    feature 512                128             mean over frames, height and width
"""

from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from suite.backbones.c3d import max_pool
from suite.backbones.staged import Staged

# Makes a convolution without bias from (inputs, outputs, kernel, stride, padding), the last three as (t, h, w).
Convolution = Callable[..., nn.Module]


def plain_convolution(inputs: int, outputs: int, kernel: tuple, stride: tuple, padding: tuple) -> nn.Module:
    """A 3D convolution without bias."""
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)


class Stem(nn.Module):
    """3x7x7 convolution of stride 1x2x2, batch normalisation, ReLU."""

    def __init__(self, outputs: int, convolution: Convolution):
        super().__init__()
        self.conv = convolution(3, outputs, (3, 7, 7), (1, 2, 2), (1, 3, 3))
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN plus shortcut, then ReLU; where the size changes, the shortcut is 1x1x1 conv-BN."""

    def __init__(self, inputs: int, outputs: int, stride: int, convolution: Convolution):
        super().__init__()
        self.conv_a = convolution(inputs, outputs, (3, 3, 3), (stride,) * 3, (1, 1, 1))
        self.bn_a = nn.BatchNorm3d(outputs)
        self.conv_b = convolution(outputs, outputs, (3, 3, 3), (1, 1, 1), (1, 1, 1))
        self.bn_b = nn.BatchNorm3d(outputs)
        self.has_shortcut = stride != 1 or inputs != outputs
        if self.has_shortcut:
            self.shortcut_conv = convolution(inputs, outputs, (1, 1, 1), (stride,) * 3, (0, 0, 0))
            self.shortcut_bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        residual = F.relu(self.bn_a(self.conv_a(x)), inplace=True)
        residual = self.bn_b(self.conv_b(residual))
        shortcut = self.shortcut_bn(self.shortcut_conv(x)) if self.has_shortcut else x
        return F.relu(shortcut + residual, inplace=True)


class R3D(Staged):
    """R3D; see the table at the top of this file. A stage's map is the output of its last ReLU."""

    def __init__(self, width: int = 64, convolution: Convolution = plain_convolution):
        super().__init__()
        self.feature_size = 8 * width
        self.conv1 = Stem(width, convolution)
        self.conv2 = ResidualBlock(width, width, 1, convolution)
        self.conv3 = ResidualBlock(width, 2 * width, 2, convolution)
        self.conv4 = ResidualBlock(2 * width, 4 * width, 2, convolution)
        self.conv5 = ResidualBlock(4 * width, 8 * width, 2, convolution)

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
            x = getattr(self, name)(x)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 8*width]: the mean of conv5 over frames, height and width."""
        return self.conv5_map(x).mean((2, 3, 4))

    def probe_feature(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> [B, D]: conv5 max-pooled 1x2x2 and flattened, as for retrieval."""
        return max_pool(self.conv5_map(x), (1, 2, 2)).flatten(1)
