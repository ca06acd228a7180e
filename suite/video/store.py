"""Resized frames on disk: one raw file of uint8 frames and an index. Fast to read, and as large as the frames are.

UCF101 at 128x171 takes 158 GB, so this is for small data; `decode.ResizedVideos` gives the same bytes without it.
"""

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from suite.errors import InputError

FRAMES = "frames.raw"
INDEX = "index.json"


def write(folder: Path, entries: Iterable[tuple[str, Tensor | np.ndarray]]) -> None:
    """Write a store of (name, frames uint8 [T, h, w, 3]), all of one size. The index comes last: without it no store."""
    folder.mkdir(parents=True, exist_ok=True)
    videos: dict[str, list[int]] = {}
    size, total = None, 0
    with open(folder / FRAMES, "wb") as file:
        for name, frames in entries:
            pixels = np.ascontiguousarray(frames)
            if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
                raise ValueError(f"{name}: frames must be uint8 [T, h, w, 3], not {pixels.dtype} {pixels.shape}")
            size = size or pixels.shape[1:3]
            if pixels.shape[1:3] != size or name in videos:
                raise ValueError(f"{name}: frames of {pixels.shape[1:3]} in a store of {size}, or a second entry")
            file.write(pixels)
            videos[name] = [total, len(pixels)]
            total += len(pixels)
    height, width = size or (0, 0)
    content = {"height": height, "width": width, "frames": total, "videos": videos}
    (folder / INDEX).write_text(json.dumps(content), encoding="utf-8")


class FrameStore:
    """Reads frames of a store by video name and index. Safe to share between threads and processes.

    Raises InputError if the folder holds no complete store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        try:
            index = json.loads((self._folder / INDEX).read_text(encoding="utf-8"))
            self._shape = (index["height"], index["width"], 3)
            self._videos = {name: tuple(place) for name, place in index["videos"].items()}
            self._file = os.open(self._folder / FRAMES, os.O_RDONLY)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self._folder}: no frame store ({error}); delete the folder and run again") from None
        self._frame_bytes = self._shape[0] * self._shape[1] * 3
        if os.fstat(self._file).st_size != index["frames"] * self._frame_bytes:
            raise InputError(f"{self._folder / FRAMES}: not as long as its index says; delete the folder and run again")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def __reduce__(self):
        return FrameStore, (self._folder,)

    def count(self, name: str) -> int:
        """Number of frames of a video."""
        return self._videos[name][1]

    def frames(self, name: str, indices: Sequence[int]) -> Tensor:
        """Frames at `indices` (any order, repeats allowed): uint8 [N, h, w, 3]. Raises InputError past the end."""
        first, count = self._videos[name]
        wanted = np.asarray(indices)
        if not len(wanted) or wanted.min() < 0:
            raise ValueError(f"frame indices must be at least one and not negative, not {list(indices)}")
        if wanted.max() >= count:
            raise InputError(f"{name}: has {count} frames, frame {wanted.max()} was expected")
        result = np.empty((len(wanted), *self._shape), np.uint8)
        # One read for each run of consecutive frames: a clip is one read.
        breaks = [0, *(np.flatnonzero(np.diff(wanted) != 1) + 1), len(wanted)]
        for low, high in itertools.pairwise(breaks):
            self._read(result[low:high], first + int(wanted[low]))
        return torch.from_numpy(result)

    def _read(self, into: np.ndarray, frame: int) -> None:
        """Fill a contiguous array with the frames from `frame` on."""
        target = memoryview(into).cast("B")
        offset, done = frame * self._frame_bytes, 0
        while done < len(target):
            # One call may give less than asked for (2 GB at most on Linux).
            got = os.preadv(self._file, [target[done:]], offset + done)
            if not got:
                raise InputError(f"{self._folder / FRAMES}: ends early; delete the folder and run again")
            done += got
