"""From video files to uint8 frames, with PyAV.

A frame's index is its place in decoding order: AVI carries no presentation times, so frames are found by counting,
never by seeking to a time. Only the frames that are wanted are converted to RGB, by one reformatter that keeps its
conversion tables from frame to frame; the rest are decoded and dropped (0.1 ms each at 320x240).

A folder of jpg or png files is a video too: its frames are the files in the order of the numbers in their names. Of those,
only the frames that are wanted are read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from suite.datasets import lists
from suite.errors import InputError

if TYPE_CHECKING:
    import torch

    from suite.datasets import Video


class Reader:
    """Reads frames by index. Keeps one reformatter: make one reader for each process, not one for each video."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __reduce__(self):
        return Reader, ()

    def frames(self, path: str | Path, indices: Sequence[int]) -> np.ndarray:
        """Full-size RGB frames at `indices` (counted from 0, any order, repeats allowed): uint8 [N, H, W, 3].

        Raises InputError, naming the file, if it cannot be opened or decoded or ends before the last index, and if the
        images of a folder are of different sizes.
        """
        slots: dict[int, list[int]] = {}
        for slot, index in enumerate(indices):
            slots.setdefault(int(index), []).append(slot)
        if not slots or min(slots) < 0:
            raise ValueError(f"frame indices must be at least one and not negative, not {list(indices)}")
        last = max(slots)
        if os.path.isdir(path):
            return _images(path, slots)
        result, height, width = None, 0, 0
        with _opened(path) as frames:
            count = 0
            for index, frame in enumerate(frames):
                if index in slots:
                    if result is None:
                        height, width = frame.height, frame.width
                        result = np.empty((len(indices), height, width, 3), np.uint8)
                    first, *others = slots[index]
                    # A stream that changes its size half way comes out in the size of the first wanted frame.
                    rgb = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
                    result[first] = _pixels(rgb)
                    for other in others:
                        result[other] = result[first]
                count = index + 1
                if index == last:
                    break
        if count <= last:
            raise InputError(f"{path}: ends after {count} frames, frame {last} was expected; get the file again")
        return result


def count_frames(path: str | Path) -> int:
    """Number of frames that decode. Raises InputError, naming the file, if it cannot be decoded or is cut short."""
    return inspect(path).frames


@dataclass(frozen=True)
class Inspection:
    """What decoding a whole video shows.

    Attributes:
        frames: number of frames that decode.
        sizes: (width, height) in pixels, as displayed, of its frames, each once, in the order in which they come; frames
            are read in the first of them.
        promised: number of frames that the header gives; None if it gives none.
        notes: what is odd about the video without being damage, each a phrase of one line.
    """

    frames: int
    sizes: tuple[tuple[int, int], ...]
    promised: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames as they are read."""
        return self.sizes[0]

    @property
    def agrees(self) -> bool:
        """Whether as many frames decode as the header gives, if it gives any."""
        return self.promised is None or self.frames == self.promised


def inspect(path: str | Path) -> Inspection:
    """Decode a whole video.

    Raises InputError, naming the file, if it cannot be opened or decoded, has no frame, or is cut short. Headers alone
    are no proof of that (real HMDB51 files have one frame less than their header says): a file counts as cut short if
    it has fewer bytes than its header promises, and fewer frames or a damaged last one. The images of a folder must be of
    one size.
    """
    if os.path.isdir(path):
        files = _frame_files(path)
        first = _image(files[0])
        for file in files[1:]:
            _image(file, first.shape)
        return Inspection(len(files), ((first.shape[1], first.shape[0]),))
    count, sizes, damaged = 0, {}, False
    with _opened(path) as frames:
        for frame in frames:
            sizes[frame.width, frame.height] = None
            count, damaged = count + 1, frame.is_corrupt
        promised = frames.promised
    if not count:
        raise InputError(f"{path}: not one frame can be decoded; get the file again or leave the video out")
    missing = _missing_bytes(path)
    if missing and (count < promised or damaged):
        raise InputError(
            f"{path}: cut short, {missing} bytes missing ({count} of {promised} frames); get the file again"
        )
    return Inspection(count, tuple(sizes), promised or None)


class ResizedVideos:
    """Frames decoded and resized on the fly; gives the bytes that `store.FrameStore` would.

    Args:
        root: data root that the videos' paths start from.
        videos: the videos that will be asked for.
        size: (height, width) in pixels.
    """

    def __init__(self, root: Path, videos: Sequence[Video], size: tuple[int, int]) -> None:
        self._paths = {video.name: Path(root) / video.path for video in videos}
        self._size = tuple(size)
        self._reader = Reader()

    def frames(self, name: str, indices: Sequence[int]) -> torch.Tensor:
        """Frames at `indices` (any order, repeats allowed): uint8 [N, h, w, 3]. Raises InputError as Reader does."""
        from suite.video import transforms

        distinct, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = transforms.resize(self._reader.frames(self._paths[name], distinct), self._size)
        if len(distinct) == len(places) and (places[1:] > places[:-1]).all():
            return frames
        return frames[places.tolist()]


class _Frames:
    """Iterates over the decoded frames of a file; `promised` is the number its header gives, 0 if none."""

    def __init__(self, container) -> None:
        stream = container.streams.video[0]
        # Parallelism is over videos: threads inside one decoder would only fight for the same cores.
        stream.thread_type = "NONE"
        self.promised = stream.frames
        self._decoded = container.decode(stream)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        return self._decoded


@contextmanager
def _opened(path: str | Path) -> Iterator[_Frames]:
    """Open `path` and give its frames; whatever FFmpeg refuses becomes an InputError that names the file."""
    try:
        # "file:" so that no file name is taken for a protocol; some HMDB51 files have metadata that is not UTF-8.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{path}: holds no video stream; get the file again or leave the video out")
            yield _Frames(container)
    except FileNotFoundError:
        raise InputError(f"{path}: no such video; check the data root and the list files") from None
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({reason}); get the file again or leave the video out") from None


def _frame_files(folder: str | Path) -> list[Path]:
    """The images of a folder of frames. Raises InputError, naming it, if there are none."""
    try:
        files = lists.frame_files(Path(folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check the folder") from None
    if not files:
        raise InputError(f"{folder}: holds no jpg or png file; get the folder again or leave the video out")
    return files


def _images(folder: str | Path, slots: dict[int, list[int]]) -> np.ndarray:
    """Images of a folder of frames, each (by its index) in the places it is wanted: uint8 [N, H, W, 3]."""
    files, last = _frame_files(folder), max(slots)
    if last >= len(files):
        raise InputError(f"{folder}: ends after {len(files)} frames, frame {last} was expected; get the folder again")
    first = _image(files[min(slots)])
    result = np.empty((sum(map(len, slots.values())), *first.shape), np.uint8)
    for index, places in slots.items():
        result[places] = _image(files[index], first.shape)
    return result


def _image(path: Path, shape: tuple[int, ...] = ()) -> np.ndarray:
    """An image file as RGB: uint8 [H, W, 3]. Raises InputError, naming it, if it cannot be read or has another shape."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({reason}); get the file again or leave the video out") from None
    if shape and pixels.shape != shape:
        raise InputError(
            f"{path}: is {pixels.shape[1]}x{pixels.shape[0]}, other frames of the folder are {shape[1]}x{shape[0]}; "
            f"get the folder again"
        )
    return pixels


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    """View of an rgb24 frame: uint8 [H, W, 3], without the padding at the end of its rows."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width * 3].reshape(frame.height, frame.width, 3)


def _missing_bytes(path: str | Path) -> int:
    """Bytes that the RIFF header of an AVI file promises and the file does not have; 0 for other formats."""
    with open(path, "rb") as file:
        head = file.read(12)
        file.seek(0, 2)
        size = file.tell()
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"AVI ":
        return 0
    return max(0, struct.unpack("<I", head[4:8])[0] + 8 - size)
