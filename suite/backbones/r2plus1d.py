"""R(2+1)D with nine convolutions: R3D with each 3D convolution factorised into a spatial and a temporal one.

VCOP Sec. 4, after Tran et al. 2018; details from the authors' code, among them the stem (83 channels between its two
parts, where the published R(2+1)D-18 has 45) and a shortcut that is factorised like everything else.
Maps are those of R3D (see r3d.py). Channels between the spatial and the temporal part at width 64:

    conv1   3 -> 83 -> 64
    conv2  64 -> 144 -> 64     64 -> 144 -> 64
    conv3  64 -> 230 -> 128   128 -> 288 -> 128   shortcut  64 -> 42 -> 128
    conv4 128 -> 460 -> 256   256 -> 576 -> 256   shortcut 128 -> 85 -> 256
    conv5 256 -> 921 -> 512   512 -> 1152 -> 512  shortcut 256 -> 170 -> 512
"""

import torch.nn.functional as F
from torch import Tensor, nn

from suite.backbones.r3d import R3D


def intermediate_channels(inputs: int, outputs: int, kernel: tuple[int, int, int]) -> int:
    """Channels that give the two parts about as many weights as the 3D convolution has (Tran et al. 2018, Sec. 3.5).

    floor(t h w Cin Cout / (h w Cin + t Cout)) for a kernel t x h x w.
    """
    t, h, w = kernel
    return t * h * w * inputs * outputs // (h * w * inputs + t * outputs)


class FactorisedConvolution(nn.Module):
    """1xhxw convolution, batch normalisation, ReLU, tx1x1 convolution, without biases: stands for a txhxw convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple, stride: tuple, padding: tuple):
        super().__init__()
        between = intermediate_channels(inputs, outputs, kernel)
        self.spatial = nn.Conv3d(
            inputs, between, (1, *kernel[1:]), (1, *stride[1:]), padding=(0, *padding[1:]), bias=False
        )
        self.bn = nn.BatchNorm3d(between)
        self.temporal = nn.Conv3d(
            between, outputs, (kernel[0], 1, 1), (stride[0], 1, 1), padding=(padding[0], 0, 0), bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal(F.relu(self.bn(self.spatial(x)), inplace=True))


class R2Plus1D(R3D):
    """R(2+1)D; see the table at the top of this file."""

    def __init__(self, width: int = 64):
        super().__init__(width, FactorisedConvolution)
