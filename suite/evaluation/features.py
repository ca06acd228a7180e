"""Features of a video's clips, by a frozen network in single precision: evenly spaced ones, or all windows.

Shapes: V videos, C clips of a video, T frames of a clip, h x w pixels of a resized frame, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.backbones.c3d import max_pool
from suite.backbones.staged import probe_feature
from suite.errors import InputError
from suite.evaluation.asking import frozen
from suite.loading import batches_of
from suite.video import transforms
from suite.video.clips import clip_indices, evenly_spaced_starts, windows

# Clips that go through a network at once: about 3 GB for C3D at 16x112x112. With bn="batch" it is part of the result.
BATCH = 16
# Windows of one video that are read at once, however long the video is: up to 120 MB of frames of 320x240.
PIECE = 32

Pooling = Literal["conv5-max", "global", "layer1", "layer2", "layer3", "layer4", "layer5"]
# Frames, height and width that a layer's map is pooled to, by how many times fewer channels it has than conv5. At the
# papers' width these are 64, 128, 256 and 512 channels, and each grid gives 9,216 values.
GRIDS = {8: (4, 6, 6), 4: (2, 6, 6), 2: (4, 3, 3), 1: (2, 3, 3)}


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
    pixels: transforms.Pixels = "unit",
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
            at the paper's input (the kernel is capped at a smaller map); "global" is what the network's forward gives,
            the mean of conv5; "layer1" to "layer5" are the maps of conv1 to conv5 for layer-wise retrieval
            (vcop-curriculum, Table IV): adaptive max pooling to `GRIDS`, capped at a smaller map, and "layer5" is
            "conv5-max".
        bn: "running" normalises by the network's stored statistics; "batch" by those of each batch of `batch` clips in
            the order of `videos` (a variant for random networks), without changing the stored ones.
        pixels: as in `suite.video.transforms.to_network`.
        batch: clips in a batch; batches run across videos and the last one may be smaller.
        workers: loader processes; none of the numbers depends on it.
        progress: called with (videos done, videos in all).

    Raises:
        InputError: a video cannot be read, or frames are smaller than the crop.
    """
    if pooling not in get_args(Pooling):
        raise ValueError(f"pooling is {pooling!r}, not {', '.join(map(repr, get_args(Pooling)))}")
    loader = ClipsOfVideos(source, videos, frames, clip_length=clip_length, clips=clips, stride=stride, crop=crop)
    run: dict[str, Any] = {"pixels": pixels, "batch": batch, "device": device, "workers": workers, "progress": progress}
    with frozen(backbone.to(device), bn):
        return of_clips(outputs(lambda inputs: pooled(backbone, inputs, pooling), loader, **run), len(videos), clips)


def pooled(backbone: nn.Module, inputs: Tensor, pooling: Pooling) -> Tensor:
    """Network input [B, 3, T, H, W] -> features [B, D]; `pooling` as in `extract`."""
    if pooling == "global":
        return backbone(inputs)
    if pooling in ("conv5-max", "layer5"):
        return max_pool(backbone.conv5_map(inputs), (1, 2, 2)).flatten(1)
    maps, stage = backbone.stages(inputs), pooling.replace("layer", "conv")
    name = type(backbone).__name__
    if not {stage, "conv5"} <= maps.keys():
        raise InputError(
            f"{name} has no stages {stage} and conv5, but {', '.join(maps)}; layers are not searched with it"
        )
    chosen, last = maps[stage], maps["conv5"]
    fewer = last.shape[1] // chosen.shape[1]
    if fewer not in GRIDS:
        raise InputError(
            f"{name}: {stage} has {chosen.shape[1]} channels and conv5 {last.shape[1]}; no grid is known for it"
        )
    grid = GRIDS[fewer]
    capped = tuple(min(side, size) for side, size in zip(grid, chosen.shape[2:], strict=True))
    return nn.functional.adaptive_max_pool3d(chosen, capped).flatten(1)


def video_features(
    backbone: nn.Module,
    source,
    videos: Sequence,
    frames: dict[str, int],
    *,
    clip_length: int,
    overlap: int,
    stride: int = 1,
    crop: int,
    pixels: transforms.Pixels = "unit",
    batch: int = BATCH,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """One feature of each video for the probes (MAS Sec. 4.4): float32 [V, D], of length 1.

    The mean of the backbone's `probe_feature` (its last convolution's map after its pooling, flattened) over all windows
    of the video, added up in float64, over its Euclidean length. A video whose mean is zero keeps zeros.

    Args:
        clip_length, overlap: frames of a window, and how many it shares with the next (16 and 8); frames behind the
            last whole window are left out, and a video too short for one repeats from its start.
        stride: frames of the video from one frame of a window to the next.
        others: as in `extract`. Memory holds a batch and some windows of one video (`PIECE`), whatever its length.

    Raises:
        InputError: a video cannot be read, frames are smaller than the crop, or a feature is NaN or infinite.
    """
    if not 0 <= overlap < clip_length:
        raise ValueError(f"windows of {clip_length} frames cannot overlap by {overlap}")
    step = clip_length - overlap
    loader = WindowsOfVideos(source, videos, frames, clip_length=clip_length, step=step, stride=stride, crop=crop)
    run: dict[str, Any] = {"pixels": pixels, "batch": batch, "device": device, "workers": workers, "progress": progress}
    with frozen(backbone.to(device)):
        means = means_of_videos(outputs(probe_feature(backbone), loader, **run))
        return _table((mean / (np.sqrt((mean * mean).sum()) or 1.0) for mean in means), len(videos))


def outputs(
    function: Callable[[Tensor], Tensor],
    loader: ClipsOfVideos | WindowsOfVideos,
    *,
    pixels: transforms.Pixels,
    batch: int,
    device: str,
    workers: int,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, np.ndarray]]:
    """What `function` ([B, 3, T, h, w] -> [B, D]) gives for each clip in order: its video's place, and float32 [D].

    Raises InputError if there is no video, or a value is NaN or infinite.
    """
    if not loader.videos:
        raise InputError("there is no readable video to measure; check the data root and the lists")
    owners = np.repeat(np.arange(len(loader.videos)), loader.counts)
    ends = np.cumsum(loader.counts)
    done = 0
    for clip_batch in _batches(loader, batch, workers):
        inputs = transforms.to_network(clip_batch.to(device), pixels)
        if device.startswith("cuda"):
            inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
        rows = function(inputs).float().cpu().numpy()
        finite = np.isfinite(rows).all(1)
        if not finite.all():
            name = loader.videos[owners[done + int(finite.argmin())]].name
            raise InputError(f"{name}: the network's output is NaN or infinite; check the weights it was given")
        for row in rows:
            video = int(owners[done])
            yield video, row
            done += 1
            if done == ends[video]:
                progress(video + 1, len(loader.videos))


def of_clips(rows: Iterable[tuple[int, np.ndarray]], videos: int, clips: int) -> np.ndarray:
    """`outputs` of so many clips of each video: float32 [V, C, D]."""
    return _table((row for _, row in rows), videos * clips).reshape(videos, clips, -1)


def means_of_videos(rows: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    """The mean of `outputs` over the clips of each video in turn: float64 [D]."""
    for _, of_video in groupby(rows, key=itemgetter(0)):
        total, seen = np.zeros(1), 0
        # One by one in the video's order: a mean does not depend on where batches end.
        for _, row in of_video:
            total, seen = total + row.astype(np.float64), seen + 1
        yield total / seen


def _table(rows: Iterable[np.ndarray], count: int) -> np.ndarray:
    """`count` rows, at least one, as float32 [count, D]; never are all of them held twice."""
    table = np.empty(0)
    for place, row in enumerate(rows):
        if not place:
            table = np.empty((count, len(row)), np.float32)
        table[place] = row
    return table


class ClipsOfVideos(Dataset):
    """The evenly spaced clips of one video as an item: uint8 [C, T, crop, crop, 3], each frame read once."""

    def __init__(self, source, videos, frames, *, clip_length: int, clips: int, stride: int, crop: int):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.clip_length, self.clips, self.stride, self.crop = clip_length, clips, stride, crop
        self.counts = [clips] * len(self.videos)

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """Name of the video of item `index`."""
        return self.videos[index].name

    def __getitem__(self, index: int) -> Tensor:
        name = self.name(index)
        count = self.frames[name]
        span = (self.clip_length - 1) * self.stride + 1
        starts = evenly_spaced_starts(count, span, self.clips)
        wanted = [clip_indices(start, self.clip_length, count, self.stride) for start in starts]
        return _read(self.source, name, wanted, self.crop)


class WindowsOfVideos(Dataset):
    """All whole windows of every video, `step` of their frames from start to start; an item is up to `PIECE` of one video's.

    Items are uint8 [windows, T, crop, crop, 3], in the order of videos and windows; `counts` is the number of windows
    of each video, 1 for one shorter than a window, which repeats from its start.
    """

    def __init__(self, source, videos, frames, *, clip_length: int, step: int, stride: int = 1, crop: int):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.clip_length, self.stride, self.crop = clip_length, stride, crop
        span = (clip_length - 1) * stride + 1
        starts = [windows(frames[video.name], span, step * stride) for video in self.videos]
        self.counts = [len(of_video) for of_video in starts]
        self._pieces = [
            (index, of_video[low : low + PIECE])
            for index, of_video in enumerate(starts)
            for low in range(0, len(of_video), PIECE)
        ]

    def __len__(self) -> int:
        return len(self._pieces)

    def name(self, index: int) -> str:
        """Name of the video of item `index`."""
        return self.videos[self._pieces[index][0]].name

    def __getitem__(self, index: int) -> Tensor:
        name, starts = self.name(index), self._pieces[index][1]
        wanted = [clip_indices(start, self.clip_length, self.frames[name], self.stride) for start in starts]
        return _read(self.source, name, wanted, self.crop)


def _read(source, name: str, wanted: list[list[int]], side: int) -> Tensor:
    """Clips of the frames `wanted` of a video, its central square: uint8 [C, T, side, side, 3], each frame read once."""
    distinct, places = np.unique(wanted, return_inverse=True)
    frames = source.frames(name, distinct.tolist())
    if min(frames.shape[1:3]) < side:
        height, width = frames.shape[1:3]
        raise InputError(f"{name}: frames of {width}x{height} are smaller than the crop of {side}; resize larger")
    frames = transforms.centre_crop(frames, side)
    return frames[torch.from_numpy(places.reshape(np.shape(wanted)))]


def _batches(loader: ClipsOfVideos | WindowsOfVideos, batch: int, workers: int) -> Iterator[Tensor]:
    """Clips of all videos in order, `batch` at a time whatever video they are of: uint8 [B, T, crop, crop, 3]."""
    waiting: Tensor | None = None
    # A loader process reads one item at a time: a video, or the windows that lie side by side in one.
    one_by_one = [[index] for index in range(len(loader))]
    for clips in batches_of(loader, one_by_one, workers=workers, collate=itemgetter(0)):
        waiting = clips if waiting is None else torch.cat([waiting, clips])
        while len(waiting) >= batch:
            yield waiting[:batch]
            waiting = waiting[batch:]
    if waiting is not None and len(waiting):
        yield waiting
