"""From frames to network input. Every transform treats all frames of a clip alike: one draw a clip, never one a frame.

Shapes: clips are [..., T, H, W, 3] uint8 until `to_network` makes [B, 3, T, H, W] float32 of them.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

# What a network sees: see `to_network`.
Pixels = Literal["unit", "rgb-mean", "bgr-raw"]
# Mean red, green and blue of video frames, as PyTorch ports of C3D take it.
MEAN = (102.0, 98.0, 90.0)


def resize(frames: np.ndarray | Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 frames [T, H, W, 3] to (height, width), antialiased bilinear: uint8 [T, h, w, 3], contiguous.

    Near to PIL's bilinear resize, which VCOP's authors use (69 dB). The frames stay in NHWC order in memory: torchvision
    sees a strided view, which is its fastest case.
    """
    frames = torch.as_tensor(frames)
    resized = vision.resize(frames.permute(0, 3, 1, 2), list(size), InterpolationMode.BILINEAR, antialias=True)
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


def to_network(batch: Tensor, pixels: Pixels = "unit") -> Tensor:
    """Clips uint8 [B, T, H, W, 3] to float32 [B, 3, T, H, W], on the device the batch is on.

    The result keeps the memory order of the frames, which is torch's channels_last_3d: convolutions are fastest in it
    (R3D on a CPU core by 1.7).

    Args:
        pixels: "unit", values in [0, 1], no mean or deviation taken (VCOP's code); "rgb-mean", 0 to 255 less `MEAN`;
            "bgr-raw", 0 to 255 in the order blue, green, red (the code of MAS).
    """
    if pixels == "unit":
        return batch.permute(0, 4, 1, 2, 3).float().div_(255)
    if pixels == "rgb-mean":
        return (batch.float() - batch.new_tensor(MEAN, dtype=torch.float32)).permute(0, 4, 1, 2, 3)
    if pixels == "bgr-raw":
        return batch.flip(-1).permute(0, 4, 1, 2, 3).float()
    raise ValueError(f"unknown scale of pixels {pixels!r}")
