"""C3D with batch normalisation: eight 3x3x3 convolutions, global pooling instead of fully connected layers.

VCOP Sec. 4 ("followed by batch normalization", "global spatiotemporal pooling"); details from the authors' code.
Shapes as channels x frames x height x width, at the paper's width 64 and input, and at width 16 on 8x32x32:

    input     3x16x112x112       3x8x32x32
    conv1    64x16x112x112      16x8x32x32     max pool 1x2x2
    conv2   128x16x56x56        32x8x16x16     max pool 2x2x2
    conv3   256x8x28x28         64x4x8x8       two convolutions, max pool 2x2x2
    conv4   512x4x14x14        128x2x4x4       two convolutions, max pool 2x2x2
    conv5   512x2x7x7          128x1x2x2       two convolutions
    feature 512                128             mean over frames, height and width
"""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from suite.backbones.staged import Staged


class ConvBNReLU(nn.Module):
    """3x3x3 convolution with bias, batch normalisation, ReLU; the map keeps its size."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class C3D(Staged):
    """C3D; see the table at the top of this file. A stage's map is the output of its last ReLU, before the pooling."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.feature_size = 8 * width
        self.conv1 = ConvBNReLU(3, width)
        self.conv2 = ConvBNReLU(width, 2 * width)
        self.conv3a = ConvBNReLU(2 * width, 4 * width)
        self.conv3b = ConvBNReLU(4 * width, 4 * width)
        self.conv4a = ConvBNReLU(4 * width, 8 * width)
        self.conv4b = ConvBNReLU(8 * width, 8 * width)
        self.conv5a = ConvBNReLU(8 * width, 8 * width)
        self.conv5b = ConvBNReLU(8 * width, 8 * width)

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        x = self.conv1(x)
        yield "conv1", x
        x = self.conv2(max_pool(x, (1, 2, 2)))
        yield "conv2", x
        x = self.conv3b(self.conv3a(max_pool(x, (2, 2, 2))))
        yield "conv3", x
        x = self.conv4b(self.conv4a(max_pool(x, (2, 2, 2))))
        yield "conv4", x
        x = self.conv5b(self.conv5a(max_pool(x, (2, 2, 2))))
        yield "conv5", x

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 8*width]: the mean of conv5 over frames, height and width."""
        return self.conv5_map(x).mean((2, 3, 4))

    def probe_feature(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> [B, D]: conv5 max-pooled 1x2x2 and flattened, as for retrieval."""
        return max_pool(self.conv5_map(x), (1, 2, 2)).flatten(1)


def max_pool(x: Tensor, kernel: tuple[int, int, int]) -> Tensor:
    """Max pooling of [B, C, T, H, W] whose stride is its kernel, an odd rest dropped.

    Where the map is smaller than the kernel along an axis, the kernel is as large as the map there, so that short or
    small clips pass too: one frame stays one frame. At the papers' input every map is large enough and nothing changes.
    """
    fitting = tuple(min(side, size) for side, size in zip(kernel, x.shape[2:], strict=True))
    return F.max_pool3d(x, fitting)
