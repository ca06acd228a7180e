"""From frames to network input. Every transform treats all frames of a clip alike: one draw a clip, never one a frame.

Shapes: clips are [..., T, H, W, 3] uint8 until `to_network` makes [B, 3, T, H, W] float32 of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from suite.video import inputs

# What a network sees: a name of `inputs.NAMED`, a table of a configuration, or the value itself.
Pixels = str | Mapping | inputs.Pixels
# How much of red, green and blue there is in grey, as torchvision (and PIL) take it.
GREY = (0.2989, 0.587, 0.114)


def resize(frames: np.ndarray | Tensor, size: tuple[int, int], antialias: bool = True) -> Tensor:
    """Resize uint8 frames [T, H, W, 3] to (height, width), bilinear: uint8 [T, h, w, 3], contiguous.

    Antialiased it is near to PIL's bilinear resize, which VCOP's authors use (69 dB); without, it gives the bytes that
    torchvision's presets for videos give. The frames stay in NHWC order in memory: torchvision
    sees a strided view, which is its fastest case.
    """
    images = torch.as_tensor(frames).permute(0, 3, 1, 2)
    if antialias:
        resized = vision.resize(images, list(size), InterpolationMode.BILINEAR, antialias=True)
    else:
        # As the presets, through single precision: PyTorch's own resize of bytes rounds a fifth of the pixels otherwise.
        resized = vision.resize(images.float(), list(size), InterpolationMode.BILINEAR, antialias=False).round().byte()
    return resized.permute(0, 2, 3, 1).contiguous()


def crop(clips: Tensor, top: int, left: int, size: int) -> Tensor:
    """The square [..., size, size, 3] of [..., H, W, 3] whose corner is at (top, left): a view."""
    return clips[..., top : top + size, left : left + size, :]


def centre_crop(clips: Tensor, size: int) -> Tensor:
    """The middle square of [..., H, W, 3], rounded as torchvision's CenterCrop does: a view."""
    height, width = clips.shape[-3:-1]
    return crop(clips, round((height - size) / 2), round((width - size) / 2), size)


def random_crop_offset(generator: torch.Generator, shape: Sequence[int], size: int) -> tuple[int, int]:
    """Draw (top, left) of a square crop of frames of shape (H, W). Draw once for a clip and crop all its frames there."""
    height, width = shape
    top = torch.randint(height - size + 1, (), generator=generator)
    left = torch.randint(width - size + 1, (), generator=generator)
    return int(top), int(left)


def mirrored(clips: Tensor) -> Tensor:
    """Clips [..., H, W, 3] flipped left to right."""
    return clips.flip(-2)


def to_network(batch: Tensor, pixels: Pixels = "unit", colours: Tensor | None = None) -> Tensor:
    """Clips uint8 [B, T, H, W, 3] to float32 [B, 3, T, H, W], on the device the batch is on.

    The result keeps the memory order of the frames, which is torch's channels_last_3d: convolutions are fastest in it
    (R3D on a CPU core by 1.7).

    Args:
        pixels: how bytes become numbers; by default values in [0, 1], no mean or deviation taken (VCOP's code).
        colours: factors of `coloured`, [B, 3], which changes values in [0, 1], whatever the network takes.

    Raises ValueError for a name that `inputs.NAMED` has not.
    """
    how = inputs.pixels(pixels)
    if colours is not None:
        values = coloured(to_network(batch), colours).permute(0, 2, 3, 4, 1).mul_(how.range)
    else:
        values = batch.float()
        # One by one, and only what changes a value: each of them rounds, as it does where the network was trained.
        if how.range == 1:
            values.div_(255)
    if how.channels == "bgr":
        values = values.flip(-1)
    if any(how.mean):
        values.sub_(values.new_tensor(how.mean))
    if how.std != (1.0, 1.0, 1.0):
        values.div_(values.new_tensor(how.std))
    return values.permute(0, 4, 1, 2, 3)


def drawn_colours(generator: torch.Generator, jitter: float) -> Tensor:
    """Draw factors of brightness, contrast and saturation for `coloured`, uniform in [1 - jitter, 1 + jitter]: float32 [3]."""
    return 1 + jitter * (2 * torch.rand(3, generator=generator) - 1)


def coloured(clips: Tensor, factors: Tensor) -> Tensor:
    """Clips float [B, 3, T, H, W] in [0, 1] with other colours, every frame of a clip alike; on the device they are on.

    Brightness, contrast and saturation change in this order, in which srop names them (torchvision's ColorJitter draws an
    order), and values are cut to [0, 1] after each. Every frame is changed as torchvision changes an image, but contrast
    is about the mean grey of the whole clip, so that frames of different brightness are not drawn together.

    Args:
        factors: [B, 3], of brightness, contrast and saturation; at 1 nothing changes, not even by rounding.
    """
    brightness, contrast, saturation = (factors[:, kind].view(-1, 1, 1, 1, 1) for kind in range(3))
    clips = (clips * brightness).clamp_(0, 1)
    # The grey of the mean is the mean of the greys.
    clips = _blend(clips, _grey(clips.mean((2, 3, 4), keepdim=True)), contrast)
    return _blend(clips, _grey(clips), saturation)


def _blend(clips: Tensor, grey: Tensor, share: Tensor) -> Tensor:
    """`share` of the clips and the rest of grey, in place; products and sum are rounded one by one, alike for every pixel."""
    return clips.mul_(share).add_(grey * (1 - share)).clamp_(0, 1)


def _grey(clips: Tensor) -> Tensor:
    """[B, 3, T, H, W] -> [B, 1, T, H, W]."""
    red, green, blue = (clips[:, channel : channel + 1] * part for channel, part in enumerate(GREY))
    return red + green + blue
