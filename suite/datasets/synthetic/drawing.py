"""What the synthetic datasets share: settings, looks, moving objects, backgrounds, and the avi encoder.

Frames are made in planar YUV 4:2:0, the codec's own format: uint8 [T, H * 3 / 2, W], luma above chroma.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from suite.datasets import Description

Kind = TypeVar("Kind")

# Raised whenever the same settings give other videos.
VERSION = 1

FRAME_RATE = 25

# Geometry, in 48ths of the frame's height: the disc that an object crosses, how far its centre may lie from the frame's,
# and the object's radius (or half its side). Everything stays within the central square that networks see.
REACH = 18
SPREAD = 3
RADII = (5.0, 8.0)
# Still noise of the background, and what changes from frame to frame as in a camera: at most so many steps of luma.
NOISE = 6
FLICKER = 2


@dataclass(frozen=True)
class Settings:
    """What a synthetic dataset depends on."""

    # Frame size in pixels, even.
    height: int = 48
    width: int = 64
    seed: int = 1
    # Number of classes; 0 takes all there are.
    classes: int = 0


class Look(NamedTuple):
    """What objects and backgrounds of a dataset look like: ranges of luma (16 to 235) and the object's shape."""

    square: bool
    object_luma: tuple[int, int]
    background_luma: tuple[int, int]
    # Difference of luma between two sides of the background.
    gradient: int


class Scene(NamedTuple):
    """One video to make."""

    path: Path
    # Gives its frames: uint8 [T, H * 3 / 2, W].
    draw: Callable[[], np.ndarray]


class Plan(NamedTuple):
    """A dataset to make: its videos, and what writes its list files once they are all there."""

    scenes: list[Scene]
    write_lists: Callable[[], object]


def by_class(about: Description, kinds: dict[str, Kind], most: int = 0) -> dict[str, Kind]:
    """What makes the videos of each class, by the class's name: of as many classes as the dataset has, and there are kinds.

    Args:
        kinds: by the name that a class has where the description names none.
        most: no more than so many; 0 takes all.
    """
    names = about.class_names or tuple(kinds)[: about.class_count]
    return dict(list(zip(names, kinds.values(), strict=False))[: most or None])


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a list file, whose lines bring their own ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(lines).encode())


def crossing(
    motion: tuple[int, int] | int, frames: int, own: list[int], shared: list[int], look: Look, settings: Settings
) -> np.ndarray:
    """Frames of an object that crosses a disc in direction `motion` (down, right), or grows (1) or shrinks (-1) in it.

    Args:
        own, shared: seeds of what is the video's own, and of what it shares with its group.
    """
    height, width = settings.height, settings.width
    draw, common = np.random.default_rng(own), np.random.default_rng(shared)
    # Time from -1/2 to 1/2.
    time = np.linspace(-0.5, 0.5, frames)
    # The path is a chord of a disc. Chords are drawn as often as they are long (by a point that is uniform in the disc), so
    # that at a random time an object is equally likely to be anywhere in the disc, whichever way it goes.
    (middle_row, middle_column), (start, across) = in_disc(draw, SPREAD), in_disc(draw, REACH)
    low, high = RADII
    if isinstance(motion, tuple):
        down, right = np.array(motion) / np.hypot(*motion)
        along = 2 * np.sqrt(REACH**2 - across**2) * time
        radius = np.full(frames, draw.uniform(low, high))
    else:
        down, right = 1.0, 0.0
        along = np.full(frames, start)
        radius = (low + high) / 2 + motion * (high - low) * time
    row = (height - 1) / 2 + height / 48 * (middle_row + along * down - across * right)
    column = (width - 1) / 2 + height / 48 * (middle_column + along * right + across * down)
    radius = radius * height / 48
    return painted(cover(row, column, radius, height, width, look.square), draw, common, look)


def painted(covered: np.ndarray, own: np.random.Generator, shared: np.random.Generator, look: Look) -> np.ndarray:
    """Frames of an object that covers so much of each pixel (0 to 1, [T, H, W]) of a background, in drawn colours."""
    count, height, width = covered.shape
    frames = np.empty((count, height * 3 // 2, width), np.uint8)
    still = background(own, shared, look, height, width)
    luma = own.uniform(*look.object_luma)
    flicker = own.integers(-FLICKER, FLICKER + 1, (count, height, width), np.int8)
    frames[:, :height] = np.rint(still + covered * (luma - still) + flicker)
    coarse = covered.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))
    tint = shared.uniform(108, 148, 2)
    colour = own.uniform(48, 208, 2)
    chroma = np.stack([np.rint(t + coarse * (c - t)) for t, c in zip(tint, colour, strict=True)], axis=1)
    frames[:, height:] = chroma.reshape(count, height // 2, width)
    return frames


def in_disc(draw: np.random.Generator, radius: float) -> tuple[float, float]:
    """A point that is uniform in a disc around (0, 0)."""
    distance, angle = radius * np.sqrt(draw.random()), draw.uniform(0, 2 * np.pi)
    return distance * np.cos(angle), distance * np.sin(angle)


def cover(row, column, radius, height: int, width: int, square: bool) -> np.ndarray:
    """How much of each pixel the object covers, 0 to 1, so that it moves by less than a pixel too: [T, H, W]."""
    down = np.abs(np.arange(height, dtype=np.float32)[None, :, None] - row.astype(np.float32)[:, None, None])
    right = np.abs(np.arange(width, dtype=np.float32)[None, None, :] - column.astype(np.float32)[:, None, None])
    edge = radius.astype(np.float32)[:, None, None] + np.float32(0.5)
    if square:
        return np.clip(edge - down, 0, 1) * np.clip(edge - right, 0, 1)
    return np.clip(edge - np.sqrt(down * down + right * right), 0, 1)


def background(own, shared, look: Look, height: int, width: int) -> np.ndarray:
    """Luma of the background: a level (and a slope) of the group, and still noise of the video: [H, W]."""
    level, angle = shared.uniform(*look.background_luma), shared.uniform(0, 2 * np.pi)
    down, right = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None, :]
    slope = look.gradient * (np.sin(angle) * down + np.cos(angle) * right) / np.sqrt(2)
    return (level + slope + own.uniform(-NOISE, NOISE, (height, width))).astype(np.float32)


def encode(path: Path, frames: np.ndarray) -> None:
    """Write planar YUV frames as an avi file like UCF101's: MPEG-4 part 2, key frames, no B frames, the same bytes always."""
    import av

    with av.open(f"file:{path}", "w", format="avi", options={"fflags": "+bitexact"}) as container:
        # Exact integer transforms and one thread: nothing depends on the processor.
        options = {"flags": "+bitexact", "dct": "int", "idct": "simple", "qmin": "3", "qmax": "3", "threads": "1"}
        stream = container.add_stream("mpeg4", rate=FRAME_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1] * 2 // 3, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 0
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
        container.mux(stream.encode())
