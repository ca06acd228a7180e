"""From frames to network input. Every transform treats all frames of a clip alike: one draw a clip, never one a frame.

Shapes: clips are [..., T, H, W, 3] uint8 until `to_network` makes [B, 3, T, H, W] float32 of them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision


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


def to_network(batch: Tensor) -> Tensor:
    """Clips uint8 [B, T, H, W, 3] to float32 [B, 3, T, H, W] in [0, 1], on the device the batch is on.

    VCOP's pixels: scaled, no mean or deviation taken. The result keeps the memory order of the frames, which is torch's
    channels_last_3d: no byte is moved, and convolutions are fastest in it (R3D on a CPU core by 1.7).
    """
    return batch.permute(0, 4, 1, 2, 3).float().div_(255)
