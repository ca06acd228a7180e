"""From video files to uint8 frames, with PyAV.

A frame's index is its place in decoding order: AVI carries no presentation times, so frames are found by counting,
never by seeking to a time. Only the frames that are wanted are converted to RGB, by one reformatter that keeps its
conversion tables from frame to frame; the rest are decoded and dropped (0.1 ms each at 320x240).

Frames come as FFmpeg's own command gives them: of the best video stream (never a cover picture), turned and mirrored as the
display matrix says, in the size of the stream's first frame if it changes on the way. Pixels that are not square stay
as they are, and so do interlaced frames.

A folder of jpg or png files is a video too: `images` reads those.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from suite import files
from suite.errors import InputError
from suite.video import containers, damage, images

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
        """Frames at `indices` (counted from 0, any order, repeats allowed) as displayed, RGB: uint8 [N, H, W, 3].

        All are of the size of the video's first frame, whichever are asked for. Raises InputError, naming the file, if it
        cannot be opened or decoded or ends before the last index, and if the images of a folder are of different sizes.
        """
        slots: dict[int, list[int]] = {}
        for slot, index in enumerate(indices):
            slots.setdefault(int(index), []).append(slot)
        if not slots or min(slots) < 0:
            raise ValueError(f"frame indices must be at least one and not negative, not {list(indices)}")
        last = max(slots)
        if os.path.isdir(path):
            return images.read_all(path, slots)
        count = 0
        with _opened(path) as source:
            for index, frame in enumerate(source.frames()):
                if not index:
                    height, width = frame.height, frame.width
                    turn = _Turn.of(frame)
                    result = np.empty((len(indices), *turn.size(height, width), 3), np.uint8)
                if index in slots:
                    first, *others = slots[index]
                    rgb = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
                    result[first] = turn.apply(_pixels(rgb))
                    for other in others:
                        result[other] = result[first]
                count = index + 1
                if index == last:
                    break
        if count <= last:
            raise InputError(f"{path}: ends after {count} frames, frame {last} was expected; get the file again")
        return result


def count_frames(path: str | Path) -> int:
    """Number of frames that decode. Raises InputError, naming the file, if it cannot be decoded or is damaged."""
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

    Raises InputError, naming the file, if it cannot be opened or decoded, has no frame, or is certainly damaged
    (`damage.certain`). The images of a folder must be of one size.
    """
    if os.path.isdir(path):
        found = images.frame_files(path)
        first = images.read(found[0])
        for file in found[1:]:
            images.read(file, first.shape)
        return Inspection(len(found), ((first.shape[1], first.shape[0]),))
    with _opened(path) as source:
        facts, sizes, notes = _examine(source)
    if reason := damage.certain(facts):
        raise InputError(f"{path}: {reason}; get the file again or leave the video out")
    if not facts.frames:
        raise InputError(f"{path}: not one frame can be decoded; get the file again or leave the video out")
    return Inspection(facts.frames, sizes, facts.promised, notes)


class ResizedVideos:
    """Frames decoded and resized on the fly; gives the bytes that `store.FrameStore` would.

    Args:
        root: data root that the videos' paths start from.
        videos: the videos that will be asked for.
        size: (height, width) in pixels.
        antialias: as in `transforms.resize`.
    """

    def __init__(self, root: Path, videos: Sequence[Video], size: tuple[int, int], antialias: bool = True) -> None:
        self._paths = {video.name: Path(root) / video.path for video in videos}
        height, width = size
        self._size, self._antialias = (height, width), antialias
        self._reader = Reader()

    def frames(self, name: str, indices: Sequence[int]) -> torch.Tensor:
        """Frames at `indices` (any order, repeats allowed): uint8 [N, h, w, 3]. Raises InputError as Reader does."""
        from suite.video import transforms

        distinct, places = np.unique(np.asarray(indices), return_inverse=True)
        frames = transforms.resize(
            self._reader.frames(self._paths[name], distinct.tolist()), self._size, self._antialias
        )
        if len(distinct) == len(places) and (places[1:] > places[:-1]).all():
            return frames
        return frames[places.tolist()]


class _Source:
    """An open file and the stream of it that is the video."""

    def __init__(self, container, file: BinaryIO) -> None:
        self.container, self.file = container, file
        self.stream = _best(container)
        # Parallelism is over videos: threads inside one decoder would only fight for the same cores.
        self.stream.thread_type = "NONE"

    def frames(self) -> Iterator[av.VideoFrame]:
        """All frames; an FFmpegError at the first packet that does not decode, but for those before the first key frame."""
        begun = False
        for packet in self.container.demux(self.stream):
            begun = begun or packet.is_keyframe
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                # A recording begins anywhere, and what its first packets are decoded from may lie before it.
                if begun:
                    raise
                continue
            for frame in decoded:
                begun = True
                yield frame


@contextmanager
def _opened(path: str | Path) -> Iterator[_Source]:
    """Open `path`; whatever FFmpeg refuses becomes an InputError that names the file."""
    try:
        # The open file and not its name: nothing else than a regular file is read, and no name is taken for a protocol.
        # Raw, as FFmpeg has a buffer of its own. Some HMDB51 files have metadata that is not UTF-8.
        with files.open_regular(path) as file, av.open(file.raw, metadata_errors="replace") as container:
            yield _Source(container, file)
    except _NoVideo:
        raise InputError(
            f"{path}: holds no video that can be decoded; get the file again or leave the video out"
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such video; check the data root and the list files") from None
    except (av.FFmpegError, OSError, IndexError) as error:
        # An IndexError is what PyAV makes of a stream that turns up on the way, in a damaged MPEG-TS.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({reason}); get the file again or leave the video out") from None


class _NoVideo(Exception):
    """A file without a video stream for which there is a decoder."""


def _best(container) -> av.VideoStream:
    """The video stream that FFmpeg takes for the best, of those that are not cover pictures."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context and not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise _NoVideo
    best = container.streams.best("video")
    return best if best in streams else max(streams, key=lambda stream: stream.width * stream.height)


def _examine(source: _Source) -> tuple[damage.Facts, tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Read a file to its end: facts for the judgement, sizes of its frames as displayed, and notes."""
    container, stream = source.container, source.stream
    timed = containers.has_times(container.format.name)
    indexed = len(stream.index_entries)
    frames = packets = failed = skipped = 0
    damaged, cut, begun, turn = None, False, False, _Turn()
    ended = Fraction(0)
    sizes: dict[tuple[int, int], None] = {}
    # Where other streams tell how long the file should be, they are read too.
    for packet in container.demux(*container.streams if timed else (stream,)):
        if timed and packet.pts is not None:
            ended = max(ended, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream is not stream:
            continue
        if packet.size or packet.dts is not None:  # not the empty one that ends the stream
            packets, cut = packets + 1, packet.is_corrupt
        begun = begun or packet.is_keyframe
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            failed, skipped = failed + begun, skipped + (not begun)
            continue
        for frame in decoded:
            if not frames:
                turn, begun = _Turn.of(frame), True
            if frame.is_corrupt and damaged is None:
                damaged = frames
            height, width = turn.size(frame.height, frame.width)
            sizes[width, height] = None
            frames += 1
    # Only now: the walk moves the place in the file from which FFmpeg reads.
    layout = containers.layout(source.file, container.format.name)
    facts = damage.Facts(
        frames=frames,
        packets=packets,
        header=stream.frames,
        indexed=indexed,
        failed=failed,
        damaged=damaged,
        cut=cut,
        seconds=Fraction(container.duration or 0, av.time_base) if timed else Fraction(0),
        ended=ended,
        layout=layout,
    )
    notes = [f"{skipped} packets before its first key frame do not decode"] if skipped else []
    return facts, tuple(sizes), (*notes, *turn.notes(), *damage.remarks(facts))


# Degrees by which a display matrix may miss a quarter turn, as FFmpeg has it.
_TOLERANCE = 1.0


@dataclass(frozen=True)
class _Turn:
    """How frames are turned to be displayed: rows and columns exchanged first, then each mirrored or not."""

    exchanged: bool = False
    rows: bool = False
    columns: bool = False
    skewed: int = 0  # degrees of a matrix that is no quarter turn; such frames are left as they are

    @classmethod
    def of(cls, frame: av.VideoFrame) -> _Turn:
        """From the display matrix of a frame, or of its stream, which decoders copy to it."""
        found = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # keys are of this type, PyAV types say int
        if found is None:
            return cls()
        # The place (x, y) is displayed at (a x + c y, b x + d y).
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(found))
        degrees = math.degrees(math.atan2(b, a))
        if abs(degrees - 90 * round(degrees / 90)) > _TOLERANCE:
            return cls(skewed=round(degrees))
        if abs(a) >= abs(b):
            return cls(False, rows=d < 0, columns=a < 0)
        return cls(True, rows=b < 0, columns=c < 0)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) as displayed."""
        return (width, height) if self.exchanged else (height, width)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """A view of a frame, uint8 [H, W, 3], as displayed."""
        if self.exchanged:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.rows else 1, :: -1 if self.columns else 1]

    def notes(self) -> tuple[str, ...]:
        """What is said of it."""
        if self.skewed:
            return (f"its header turns it by {self.skewed} degrees, which is left out",)
        if self.exchanged or self.rows or self.columns:
            return ("turned or mirrored as its header says",)
        return ()


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    """View of an rgb24 frame: uint8 [H, W, 3], without the padding at the end of its rows."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
