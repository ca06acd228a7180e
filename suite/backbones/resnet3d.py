"""3D ResNet-18 (Hara et al., ICCV workshops 2017): a stem and four stages of two residual blocks.

Strides, pooling, shortcuts and initialisation from the authors' code. Its shortcuts are type B where the size changes
(1x1x1 convolution and batch normalisation; the default of the authors' code since 2020), not type A (strided copy with
zero channels): every weight of the 2D ResNet-18 then has a place to be inflated into. No convolution has a bias.
Shapes as channels x frames x height x width, at width 64 on 16x224x224 and 16x112x112, and at width 16 on 8x64x64:

    input     3x16x224x224       3x16x112x112      3x8x64x64
    conv1    64x16x112x112      64x16x56x56       16x8x32x32     7x7x7, stride 1x2x2, BN, ReLU
    conv2    64x8x56x56         64x8x28x28        16x4x16x16     max pool 3x3x3, stride 2; two residual blocks
    conv3   128x4x28x28        128x4x14x14        32x2x8x8       two residual blocks, the first of stride 2
    conv4   256x2x14x14        256x2x7x7          64x1x4x4       the same
    conv5   512x1x7x7          512x1x4x4         128x1x2x2       the same
    feature 512                512               128             mean over frames, height and width

`ResNet2D` is torchvision's ResNet-18 up to its last stage, at any width: 512x7x7 of a frame of 224x224.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from suite.backbones.r3d import ResidualBlock, plain_convolution
from suite.backbones.staged import Staged


class Stem(nn.Module):
    """7x7x7 convolution of stride 1x2x2, batch normalisation, ReLU."""

    def __init__(self, outputs: int):
        super().__init__()
        self.conv = plain_convolution(3, outputs, (7, 7, 7), (1, 2, 2), (3, 3, 3))
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class ResNet3D(Staged):
    """3D ResNet-18; see the table at the top of this file. A stage's map is the output of its last ReLU."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.feature_size = 8 * width
        self.conv1 = Stem(width)
        self.conv2 = _two_blocks(width, width, 1)
        self.conv3 = _two_blocks(width, 2 * width, 2)
        self.conv4 = _two_blocks(2 * width, 4 * width, 2)
        self.conv5 = _two_blocks(4 * width, 8 * width, 2)
        _initialise(self, nn.Conv3d)

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
            if name == "conv2":
                x = F.max_pool3d(x, 3, stride=2, padding=1)
            x = getattr(self, name)(x)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 8*width]: the mean of conv5 over frames, height and width."""
        return self.conv5_map(x).mean((2, 3, 4))


class ResNet2D(nn.Module):
    """torchvision's ResNet-18 without average pooling and classifier, at any width; its names are torchvision's."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _two_flat_blocks(width, width, 1)
        self.layer2 = _two_flat_blocks(width, 2 * width, 2)
        self.layer3 = _two_flat_blocks(2 * width, 4 * width, 2)
        self.layer4 = _two_flat_blocks(4 * width, 8 * width, 2)
        _initialise(self, nn.Conv2d)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [N, 3, H, W] -> [N, 8*width, h, w], 1/32 of the height and width, rounded up."""
        if self.conv1.out_channels < 16 and not x.is_cuda:
            # With the channels last in memory, oneDNN's strided 1x1 convolution of fewer than 16 of them writes past its
            # buffer in the backward pass (its issue 6035).
            x = x.contiguous()
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _two_blocks(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(inputs, outputs, stride, plain_convolution),
        ResidualBlock(outputs, outputs, 1, plain_convolution),
    )


def _two_flat_blocks(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, stride, shortcut), BasicBlock(outputs, outputs))


def _initialise(network: nn.Module, convolution: type[nn.Conv2d] | type[nn.Conv3d]) -> None:
    """He's normal initialisation by fan out, as both Hara et al. and torchvision start their ResNets."""
    for module in network.modules():
        if isinstance(module, convolution):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def inflate(flat: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a 2D ResNet-18 as weights of `ResNet3D`: a video of one frame, repeated, gives what the frame gave.

    A kernel is repeated along time and divided by its depth; batch norm stays as it is; the classifier is dropped.

    Args:
        flat: a state dict with torchvision's names and the width of 64, with or without `fc` and `num_batches_tracked`.

    Raises:
        ValueError: an entry is missing, left over, or of another shape; names it.
    """
    with torch.device("meta"):
        wanted = ResNet3D().state_dict()
    left = {name for name in flat if not name.startswith("fc.")}
    state = {}
    for name, empty in wanted.items():
        flat_name = _torchvision_name(name)
        # Files from before this counter existed do not hold it.
        if name.endswith("num_batches_tracked") and flat_name not in flat:
            state[name] = torch.zeros((), dtype=torch.long)
            continue
        if flat_name not in flat:
            raise ValueError(f"{flat_name} is missing")
        left.discard(flat_name)
        tensor = flat[flat_name]
        if tensor.shape != torch.Size((*empty.shape[:2], *empty.shape[3:])):
            raise ValueError(
                f"{flat_name} has shape {list(tensor.shape)}, which does not inflate to {list(empty.shape)}"
            )
        if empty.dim() == 5:
            depth = empty.shape[2]
            tensor = tensor.unsqueeze(2).expand(empty.shape) / depth
        state[name] = tensor.to(empty.dtype, copy=True)
    if left:
        raise ValueError(f"{min(left)} is no part of a ResNet-18")
    return state


# Parts of our residual block -> torchvision's.
_PARTS = {
    "conv_a": "conv1",
    "bn_a": "bn1",
    "conv_b": "conv2",
    "bn_b": "bn2",
    "shortcut_conv": "downsample.0",
    "shortcut_bn": "downsample.1",
}


def _torchvision_name(name: str) -> str:
    """What torchvision calls the entry of its ResNet-18 that our entry `name` comes from: conv3.0.bn_a.bias -> layer2.0.bn1.bias."""
    stage, part, rest = name.split(".", 2)
    if stage == "conv1":
        return f"{part}1.{rest}"
    layer, (block_part, entry) = int(stage.removeprefix("conv")) - 1, rest.split(".")
    return f"layer{layer}.{part}.{_PARTS[block_part]}.{entry}"
