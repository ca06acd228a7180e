"""C3D with five convolutions and no batch normalisation: the network of MAS (Wang et al., CVPR 2019).

The paper's "smaller version of C3D" (Sec. 3.4); widths, padding and initialisation from the authors' code. Its fully
connected layers are a head (suite/evaluation/heads.py); the feature is the last pooling's output, flattened.
Shapes as channels x frames x height x width, at the paper's width 64 and input, and at width 16 on 8x32x32:

    input     3x16x112x112       3x8x32x32
    conv1    64x16x112x112      16x8x32x32     max pool 1x2x2
    conv2   128x16x56x56        32x8x16x16     max pool 2x2x2
    conv3   256x8x28x28         64x4x8x8       max pool 2x2x2
    conv4   256x4x14x14         64x2x4x4       max pool 2x2x2
    conv5   256x2x7x7           64x1x2x2       max pool 2x2x2
    pooled  256x1x4x4           64x1x1x1       sizes halve rounding up: 7 becomes 4
    feature 4096                64
"""

import math
from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from suite.backbones.staged import Staged

POOLS = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
# Standard deviation of the convolutions' first weights at width 64 (authors' code); their biases start at 0.
CONVOLUTION_STD = 0.01


class C3D5(Staged):
    """C3D with five convolutions; see the table at the top of this file. A stage's map is its ReLU, before the pooling.

    Args:
        width: channels of the first convolution.
        clip_shape: (frames, height, width) of the clips that it will see; the length of the feature follows from it.
    """

    def __init__(self, width: int = 64, clip_shape: Sequence[int] = (16, 112, 112)):
        super().__init__()
        self.width, self.clip_shape = width, tuple(clip_shape)
        self.feature_size = 4 * width * math.prod(pooled_shape(self.clip_shape))
        self.conv1 = convolution(3, width, CONVOLUTION_STD)
        # Without batch normalisation a signal dies in a narrow network unless fewer weights are larger ones.
        std = CONVOLUTION_STD * math.sqrt(64 / width)
        self.conv2 = convolution(width, 2 * width, std)
        self.conv3 = convolution(2 * width, 4 * width, std)
        self.conv4 = convolution(4 * width, 4 * width, std)
        self.conv5 = convolution(4 * width, 4 * width, std)

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        for stage, name in enumerate(("conv1", "conv2", "conv3", "conv4", "conv5")):
            if stage:
                x = max_pool(x, POOLS[stage - 1])
            x = F.relu(getattr(self, name)(x), inplace=True)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, feature_size]: conv5 after its pooling, flattened channel by channel.

        Raises ValueError for clips of another size than the network was made for: their features have another length.
        """
        if tuple(x.shape[2:]) != self.clip_shape:
            raise ValueError(
                f"this C3D was made for clips of {'x'.join(map(str, self.clip_shape))} (frames, height, width), "
                f"not {'x'.join(map(str, x.shape[2:]))}"
            )
        return max_pool(self.conv5_map(x), POOLS[-1]).flatten(1)

    def probe_feature(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> [B, D]: conv5 after its pooling, which is the feature itself."""
        return self(x)


def convolution(inputs: int, outputs: int, std: float) -> nn.Conv3d:
    """3x3x3 convolution that keeps the map's size; weights start normally distributed, biases at 0."""
    layer = nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)
    nn.init.normal_(layer.weight, std=std)
    assert layer.bias is not None  # asked for by default
    nn.init.zeros_(layer.bias)
    return layer


def max_pool(x: Tensor, kernel: tuple[int, int, int]) -> Tensor:
    """Max pooling of [B, C, T, H, W] whose stride is its kernel; an odd rest is pooled too (TensorFlow's SAME)."""
    return F.max_pool3d(x, kernel, ceil_mode=True)


def pooled_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """(frames, height, width) after all five poolings."""
    for kernel in POOLS:
        shape = [-(-size // side) for size, side in zip(shape, kernel, strict=True)]
    return tuple(shape)
