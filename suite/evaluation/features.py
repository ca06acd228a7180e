"""Features of evenly spaced clips, by a frozen network in single precision.

Shapes: V videos, C clips of a video, T frames of a clip, h x w pixels of a resized frame, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.backbones.c3d import max_pool
from suite.errors import InputError
from suite.loading import batches_of
from suite.precision import cudnn_benchmark, full_precision
from suite.video import transforms
from suite.video.clips import clip_indices, evenly_spaced_starts

# Clips that go through a network at once: about 3 GB for C3D at 16x112x112. With bn="batch" it is part of the result.
BATCH = 16

Pooling = Literal["conv5-max", "global"]


def extract(
    backbone: nn.Module,
    source,
    videos: Sequence,
    frames: dict[str, int],
    *,
    clip_length: int,
    clips: int,
    stride: int = 1,
    crop: int,
    pooling: Pooling,
    bn: Literal["running", "batch"] = "running",
    batch: int = BATCH,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Features of `clips` evenly spaced clips of every video: float32 [V, C, D].

    Args:
        backbone: a network of `suite.backbones`; it is moved to `device` and left in the mode it was in.
        source: gives resized frames, `source.frames(name, indices) -> uint8 [N, h, w, 3]`.
        videos: in the order of the result; `frames` holds the number of frames of each by name.
        clip_length, stride: frames of a clip, and how far apart they are; a video too short repeats from its start.
        crop: side of the central square, in pixels.
        pooling: "conv5-max" is VCOP's retrieval feature (Sec. 4.1), conv5 max-pooled 1x2x2 and flattened, 9,216 values
            at the paper's input (the kernel is capped at a smaller map); "global" is the mean of conv5.
        bn: "running" normalises by the network's stored statistics; "batch" by those of each batch of `batch` clips in
            the order of `videos` (a variant for random networks), without changing the stored ones.
        batch: clips in a batch; batches run across videos and the last one may be smaller.
        workers: loader processes; none of the numbers depends on it.
        progress: called with (videos done, videos in all).

    Raises:
        InputError: a video cannot be read, or frames are smaller than the crop.
    """

    def pooled(inputs: Tensor) -> Tensor:
        if pooling == "global":
            return backbone(inputs)
        return max_pool(backbone.conv5_map(inputs), (1, 2, 2)).flatten(1)

    if pooling not in ("conv5-max", "global"):
        raise ValueError(f"pooling is {pooling!r}, not 'conv5-max' or 'global'")
    loader = ClipsOfVideos(source, videos, frames, clip_length=clip_length, clips=clips, stride=stride, crop=crop)
    with frozen(backbone.to(device), bn):
        return run_over_clips(pooled, loader, batch=batch, device=device, workers=workers, progress=progress)


def run_over_clips(
    function: Callable[[Tensor], Tensor],
    loader: ClipsOfVideos,
    *,
    batch: int,
    device: str,
    workers: int,
    progress: Callable[[int, int], None],
) -> np.ndarray:
    """Apply `function` ([B, 3, T, h, w] -> [B, D]) to every clip of every video: float32 [V, C, D]."""
    videos, clips = len(loader), loader.clips
    if not videos:
        raise InputError("there is no readable video to measure; check the data root and the lists")
    result: np.ndarray | None = None
    done = 0

    def store(outputs: Tensor) -> None:
        nonlocal result, done
        rows = outputs.float().cpu().numpy()
        if result is None:
            result = np.empty((videos * clips, rows.shape[1]), np.float32)
        if not np.isfinite(rows).all():
            name = loader.videos[(done + int(np.isfinite(rows).all(1).argmin())) // clips].name
            raise InputError(f"{name}: the network's output is NaN or infinite; check the weights it was given")
        result[done : done + len(rows)] = rows
        done += len(rows)
        progress(done // clips, videos)

    for clip_batch in _batches(loader, batch, workers):
        inputs = transforms.to_network(clip_batch.to(device))
        if device.startswith("cuda"):
            inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
        store(function(inputs))
    return result.reshape(videos, clips, -1)


class ClipsOfVideos(Dataset):
    """The evenly spaced clips of one video as an item: uint8 [C, T, crop, crop, 3], each frame read once."""

    def __init__(self, source, videos, frames, *, clip_length: int, clips: int, stride: int, crop: int):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.clip_length, self.clips, self.stride, self.crop = clip_length, clips, stride, crop

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Tensor:
        name = self.videos[index].name
        count = self.frames[name]
        span = (self.clip_length - 1) * self.stride + 1
        starts = evenly_spaced_starts(count, span, self.clips)
        wanted = [clip_indices(start, self.clip_length, count, self.stride) for start in starts]
        distinct, places = np.unique(wanted, return_inverse=True)
        frames = self.source.frames(name, distinct.tolist())
        if min(frames.shape[1:3]) < self.crop:
            height, width = frames.shape[1:3]
            raise InputError(
                f"{name}: frames of {width}x{height} are smaller than the crop of {self.crop}; resize larger"
            )
        frames = transforms.centre_crop(frames, self.crop)
        return frames[torch.from_numpy(places.reshape(len(starts), self.clip_length))]


def _batches(videos: ClipsOfVideos, batch: int, workers: int) -> Iterator[Tensor]:
    """Clips of all videos in order, `batch` at a time whatever video they are of: uint8 [B, T, crop, crop, 3]."""
    waiting: Tensor | None = None
    # A loader process reads whole videos, one at a time.
    one_by_one = [[index] for index in range(len(videos))]
    for clips in batches_of(videos, one_by_one, workers=workers, collate=itemgetter(0)):
        waiting = clips if waiting is None else torch.cat([waiting, clips])
        while len(waiting) >= batch:
            yield waiting[:batch]
            waiting = waiting[batch:]
    if waiting is not None and len(waiting):
        yield waiting


@contextmanager
def frozen(network: nn.Module, bn: Literal["running", "batch"] = "running") -> Iterator[None]:
    """Evaluate `network` without gradients, in full precision, by the algorithms that cuDNN takes without timing them.

    Every module's mode is as before at the end.

    `bn` as in `extract`: normalise by stored statistics or by those of each batch; the stored ones never change.
    """
    if bn not in ("running", "batch"):
        raise ValueError(f"bn is {bn!r}, not 'running' or 'batch'")
    modes = {module: module.training for module in network.modules()}
    norms = [module for module in modes if isinstance(module, nn.BatchNorm3d)]
    tracking = [module.track_running_stats for module in norms]
    network.eval()
    if bn == "batch":
        for module in norms:
            # In training mode without tracking, PyTorch uses the batch's statistics and updates nothing.
            module.training, module.track_running_stats = True, False
    try:
        with torch.no_grad(), full_precision(), cudnn_benchmark(False):
            yield
    finally:
        for module, tracked in zip(norms, tracking, strict=True):
            module.track_running_stats = tracked
        for module, mode in modes.items():
            module.training = mode
