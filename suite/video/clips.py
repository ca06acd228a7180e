"""Which frames make a clip: arithmetic on indices, nothing else."""

import numpy as np


def evenly_spaced_starts(frames: int, length: int, count: int) -> list[int]:
    """First frames of `count` clips spread evenly over a video, as VCOP's authors place them for tests.

    int(i - L/2) for i in linspace(L/2, n - L/2, count), so the first clip starts at 0 and the last ends at the video's
    end. A video shorter than a clip has all its clips start at 0.
    """
    if frames < length:
        return [0] * count
    half = length / 2
    return [int(centre - half) for centre in np.linspace(half, frames - half, count)]


def clip_indices(start: int, length: int, frames: int, stride: int = 1) -> list[int]:
    """Frame indices of a clip; past the end of the video it goes on from the video's start."""
    if frames < 1:
        raise ValueError("a video without frames has no clips")
    return [(start + step * stride) % frames for step in range(length)]


def tuple_span(clips: int, length: int, interval: int) -> int:
    """Frames from the first frame of a tuple of clips to its last, both counted (VCOP: 3*16 + 2*8 = 64)."""
    return clips * length + (clips - 1) * interval


def tuple_starts(start: int, clips: int, length: int, interval: int) -> list[int]:
    """First frames of the clips of a tuple that starts at `start`, `interval` frames apart from end to start."""
    return [start + clip * (length + interval) for clip in range(clips)]


def windows(frames: int, length: int, step: int) -> list[int]:
    """First frames of all whole windows of a video, `step` frames from start to start; one at 0 if it is too short."""
    return list(range(0, max(frames - length, 0) + 1, step))
