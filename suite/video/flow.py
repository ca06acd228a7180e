"""Optical flow between neighbouring frames: computed, kept on disk in one byte a value, and read back.

Flow is float32 [N, 2, h, w] in pixels of the frames it is computed from: u (to the right) and v (downwards, as image
rows are counted), how far what a pixel of frame t shows has moved in frame t + 1. Pair t of a video is frames t and
t + 1. A clip of a video that is too short goes on from the video's start (`clips.clip_indices`), and so has the pair of
the last frame and the first: a jump, not a motion. Its flow is zero, so that it counts for nothing among the others;
the only pair of a video of one frame is of this kind.

`FlowStore` reads what `write` has computed, `FlowOnTheFly` computes what it is asked for; both give the same flow, up to
the rounding of the store, through the same `flows`.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from suite import files
from suite.errors import DamagedError, InputError
from suite.processes import ordered

INDEX = "index.json"
# What the files of a folder were made with; written first, so that a run that goes on can compare.
SETTINGS = "settings.json"

# Settings of "brox" and their defaults, chosen by end-point error on frames of real videos that were moved, turned and
# zoomed by known amounts: at 128x171 they come to a third of the error of "dis".
BROX = {
    # Size of a level by that of the one below it. Brox et al. take 0.95; 0.8 takes a third of the time and errs by half as much again.
    "factor": 0.95,
    # Shorter side of the smallest level, in pixels: the smaller, the larger the motions that are found.
    "smallest": 10,
    # Deviation, in pixels, of the Gaussian that smooths both frames first.
    "blur": 0.8,
    # Weights of smoothness, of constant gradient and of constant brightness in the energy.
    "alpha": 20.0,
    "gamma": 10.0,
    "delta": 5.0,
    # Solver, at each level: linearisations, sweeps of over-relaxation in each, and its factor.
    "linearisations": 2,
    "sweeps": 8,
    "relaxation": 1.9,
}
# Above these a pyramid has no end, and over-relaxation diverges.
_BELOW = {"factor": 1, "relaxation": 2}
# Shorter side of a frame, in pixels: OpenCV's DIS refuses frames of 8x8, and a pyramid needs room for its levels.
SMALLEST_FRAME = 16

_STEP = np.dtype("<f4")
# Bytes of a file's name that every file system of Linux takes.
LONGEST_NAME = 255


def complete(settings: Mapping) -> dict:
    """Settings with their defaults filled in: what flow depends on, JSON-able.

    Args:
        settings: `method`, "brox" (the default) or "dis"; for "brox" any of the keys of `BROX`.

    Raises InputError on an unknown method, key or value.
    """
    given = dict(settings)
    method = given.pop("method", "brox")
    if method not in ("brox", "dis"):
        raise InputError(f"optical flow: method = {method!r} is unknown; the methods are brox and dis")
    known = BROX if method == "brox" else {}
    for key, value in given.items():
        if key not in known:
            raise InputError(f"optical flow: {method} has no setting {key!r}; it has: {', '.join(known) or 'none'}")
        kind, low, high = (int, 1, np.inf) if isinstance(known[key], int) else (int | float, 0, _BELOW.get(key, np.inf))
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value < high:
            number = "whole number" if kind is int else "number"
            bounds = f"from {low} on" if high == np.inf else f"from {low} to below {high}"
            raise InputError(f"optical flow: {key} = {value!r} must be a {number} {bounds}")
    return {"method": method, **known, **given}


def flow(frames: np.ndarray | Tensor, settings: Mapping) -> Tensor:
    """Flow between neighbouring frames, uint8 RGB [T, h, w, 3]: float32 [T - 1, 2, h, w], u and v as said above.

    Computed from grey values, on one thread: the same frames give the same flow, bit for bit. Frames that are equal or
    of one colour give exactly zero.

    "brox" minimises the energy of Brox et al. 2004 (constant brightness and gradient, smoothness; all robust) from coarse
    to fine: OpenCV's VariationalRefinement at every level, the flow of a level scaled up to start the next. "dis" is
    OpenCV's DISOpticalFlow, preset medium (Kroeger et al. 2016).

    Raises InputError on wrong settings, and if frames are smaller than `SMALLEST_FRAME`.
    """
    pixels = np.asarray(frames)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or not len(pixels):
        raise ValueError(f"frames must be uint8 [T, h, w, 3], not {pixels.dtype} {pixels.shape}")
    result = np.empty((len(pixels) - 1, 2, *pixels.shape[1:3]), np.float32)
    for pair, field in enumerate(_fields(pixels, settings)):
        result[pair] = field
    return torch.from_numpy(result)


def quantise(flows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flow [N, 2, h, w] in one byte a value: int8 like it, and its steps, float32 [N, 2].

    The step of a field of u, or of v, is its largest magnitude / 127, so that no value is off by more than half a step
    (and the rounding of float32). Over ten real clips at 128x171 that is 0.034 px at most and 0.004 px
    root mean square, and 98.6 % of MAS's motion labels stay the same.
    """
    steps = (np.abs(flows).max((2, 3)) / 127).astype(_STEP)
    # Where nothing moves any step will do.
    scale = np.where(steps > 0, steps, 1).astype(np.float32)[:, :, None, None]
    return np.rint(flows / scale).clip(-127, 127).astype(np.int8), steps


def restore(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Flow of what `quantise` gave: float32 [N, 2, h, w]."""
    return values * steps[:, :, None, None].astype(np.float32)


def bytes_needed(frames: Mapping[str, int], size: tuple[int, int]) -> int:
    """Bytes that the flow of videos of so many frames takes on disk, at (height, width), without the index."""
    return sum(_file_bytes(count, size) for count in frames.values())


def write(
    folder: Path,
    names: Sequence[str],
    frames: Mapping[str, int],
    source,
    settings: Mapping,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict:
    """Compute the flow of whole videos and keep it in `folder`, one file a video; the index comes last.

    A file is written beside and renamed. Whole files that an earlier run left are kept.

    Args:
        names: the videos.
        frames: number of frames by video.
        source: gives frames of one size, as `decode.ResizedVideos` and `store.FrameStore` do; shared with the processes.
        workers: processes; up to 1 works in this one. The files are the same for any number.
        progress: called with (videos done, videos in all).

    Returns what the index says (JSON-able): height, width, settings, `videos` (number of frames by name), pairs, bytes,
    and the largest and the mean `error`, in pixels, that rounding may make in a field: half its step.

    Raises InputError if the folder holds flow of another size or other settings, and what `source` and `flow` raise.
    """
    folder, names, settings = Path(folder), list(names), complete(settings)
    size = tuple(source.frames(names[0], [0]).shape[1:3]) if names else (0, 0)
    made = {"height": size[0], "width": size[1], "settings": settings}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    _claim(folder, made)
    missing = [name for name in names if not _is_whole(_file(folder, name), frames[name], size)]
    kept = len(names) - len(missing)
    progress(kept, len(names))
    tasks = [(name, frames[name]) for name in missing]
    written = ordered(
        partial(_write_video, folder, source, settings),
        tasks,
        min(workers, len(tasks)),
        describe=lambda task: f"flow of {task[0]}",
        remedy="run again to go on",
    )
    for done, _ in enumerate(written, start=kept + 1):
        progress(done, len(names))
    videos = {name: frames[name] for name in names}
    content = made | {
        "videos": videos,
        "pairs": sum(videos.values()) - len(videos),
        "bytes": bytes_needed(videos, size),
        "error": _errors(folder, videos),
    }
    _write_json(folder / INDEX, content)
    return content


class FlowStore:
    """Reads flow that `write` computed. Safe to share between threads and processes.

    Raises InputError if the folder holds no complete store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        try:
            index = json.loads((self._folder / INDEX).read_text(encoding="utf-8"))
            self._size: tuple[int, int] = (int(index["height"]), int(index["width"]))
            self._videos: dict[str, int] = dict(index["videos"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._folder}: no store of optical flow ({error!r}); delete it and run again") from None

    def __reduce__(self):
        return FlowStore, (self._folder,)

    def flows(self, name: str, indices: Sequence[int]) -> Tensor:
        """Flow of pairs (any order, repeats allowed): float32 [N, 2, h, w].

        Raises InputError past the last frame, and if the video's file is missing or damaged.
        """
        if name not in self._videos:
            raise InputError(f"{self._folder}: holds no flow of {name}; delete the folder and run again")
        count = self._videos[name]
        wanted = _checked(name, indices, count)
        result = np.zeros((len(wanted), 2, *self._size), np.float32)
        real = np.flatnonzero(wanted < count - 1)
        if len(real):
            result[real] = self._read(_file(self._folder, name), wanted[real], count)
        return torch.from_numpy(result)

    def _read(self, path: Path, pairs: np.ndarray, count: int) -> np.ndarray:
        values = np.empty((len(pairs), 2, *self._size), np.int8)
        field_bytes = values[0].nbytes
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size != _file_bytes(count, self._size):
                    raise InputError(f"{path}: is not whole; delete {self._folder} and run again")
                steps = np.fromfile(file, _STEP, 2 * (count - 1)).reshape(-1, 2)
                # One read for each run of consecutive pairs: a clip is one read.
                for low, high in _runs(pairs):
                    file.seek(steps.nbytes + int(pairs[low]) * field_bytes)
                    file.readinto(values[low:high])
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); delete {self._folder} and run again"
            ) from None
        if not np.isfinite(steps).all():
            raise InputError(f"{path}: is damaged; delete {self._folder} and run again")
        return restore(values, steps[pairs])


class FlowOnTheFly:
    """Flow computed when it is asked for: what `FlowStore` gives, without its rounding and its gigabytes.

    Args:
        source: gives the frames, as `decode.ResizedVideos` and `store.FrameStore` do.
        frames: number of frames of each video.
        settings: as `flow` takes them; "dis" is fast enough for this.
    """

    def __init__(self, source, frames: Mapping[str, int], settings: Mapping) -> None:
        self._source, self._frames, self._settings = source, dict(frames), complete(settings)

    def flows(self, name: str, indices: Sequence[int]) -> Tensor:
        """Flow of pairs (any order, repeats allowed): float32 [N, 2, h, w]. Raises InputError past the last frame."""
        count = self._frames[name]
        wanted = _checked(name, indices, count)
        pairs = sorted({int(pair) for pair in wanted if pair < count - 1})
        needed = sorted({0} if not pairs else {frame for pair in pairs for frame in (pair, pair + 1)})
        pixels = self._source.frames(name, needed).numpy()
        result = np.zeros((len(wanted), 2, *pixels.shape[1:3]), np.float32)
        # Each frame of a run of consecutive pairs is prepared once.
        for low, high in _runs(np.array(pairs)):
            first = needed.index(pairs[low])
            fields = _fields(pixels[first : first + high - low + 1], self._settings)
            for pair, field in zip(pairs[low:high], fields, strict=True):
                result[wanted == pair] = field
        return torch.from_numpy(result)


def _checked(name: str, indices: Sequence[int], count: int) -> np.ndarray:
    """Pair indices as an array. Pair `count` - 1, from the last frame to the first, is the last there is."""
    wanted = np.asarray(indices)
    if not len(wanted) or wanted.min() < 0:
        raise ValueError(f"pair indices must be at least one and not negative, not {list(indices)}")
    if wanted.max() >= count:
        raise InputError(f"{name}: has {count} frames, the flow from frame {wanted.max()} was expected")
    return wanted


def _runs(pairs: np.ndarray) -> list[tuple[int, int]]:
    """Places [low, high) of the runs of consecutive pairs."""
    breaks = [0, *(np.flatnonzero(np.diff(pairs) != 1) + 1), len(pairs)]
    return [(low, high) for low, high in itertools.pairwise(breaks) if low < high]


class _Brox:
    """Coarse-to-fine minimisation for frames of one shape."""

    def __init__(self, shape: tuple[int, int], settings: Mapping) -> None:
        self._sizes = _pyramid(shape, settings["factor"], settings["smallest"])
        self._blur = settings["blur"]
        self._solver = cv2.VariationalRefinement.create()
        self._solver.setAlpha(settings["alpha"])
        self._solver.setGamma(settings["gamma"])
        self._solver.setDelta(settings["delta"])
        self._solver.setFixedPointIterations(settings["linearisations"])
        self._solver.setSorIterations(settings["sweeps"])
        self._solver.setOmega(settings["relaxation"])

    def prepare(self, grey: np.ndarray) -> list[np.ndarray]:
        """The pyramid of a frame, smallest level first, in float32: rounding small levels to bytes costs accuracy."""
        smooth = grey.astype(np.float32)
        if self._blur:
            smooth = np.asarray(cv2.GaussianBlur(smooth, (0, 0), self._blur), np.float32)
        return [cv2.resize(smooth, (width, height), interpolation=cv2.INTER_AREA) for height, width in self._sizes]

    def between(self, first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
        """Flow [h, w, 2] from one frame to the next."""
        result: np.ndarray = np.zeros((*self._sizes[0], 2), np.float32)
        for (height, width), one, two in zip(self._sizes, first, second, strict=True):
            growth = np.array([width / result.shape[1], height / result.shape[0]], np.float32)
            result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR) * growth
            result = self._solver.calc(one, two, result)
        return result


class _Method(Protocol):
    """What is prepared of each frame once, and the flow from that of one frame to the next."""

    def prepare(self, grey: np.ndarray, /) -> Any:
        """Of a grey frame, uint8 [h, w]."""

    def between(self, first: Any, second: Any, /) -> np.ndarray:
        """Flow [h, w, 2] from one frame to the next."""


class _Dis:
    """Dense inverse search: nothing is prepared."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def prepare(self, grey: np.ndarray) -> np.ndarray:
        return grey

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow [h, w, 2] from one frame to the next."""
        return self._search.calc(first, second, None)  # type: ignore[call-overload]  # cv2 makes the result where none is given


def _fields(pixels: np.ndarray, settings: Mapping) -> Iterator[np.ndarray]:
    """Flow of neighbouring frames, pair by pair: [2, h, w], a view."""
    settings, shape = complete(settings), pixels.shape[1:3]
    if min(shape) < SMALLEST_FRAME:
        raise InputError(
            f"optical flow: frames of {shape[0]}x{shape[1]} are too small; resize to {SMALLEST_FRAME} pixels at least"
        )
    # Parallelism is over videos; with one thread results do not depend on the machine's number of cores.
    cv2.setNumThreads(1)
    method: _Method = _Brox(shape, settings) if settings["method"] == "brox" else _Dis()
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pixels)
    prepared = ((grey, method.prepare(grey)) for grey in greys)
    for (grey, first), (next_grey, second) in itertools.pairwise(prepared):
        # Nothing is seen to move in equal frames, nor without edges; the solver would follow rounding errors there.
        if np.array_equal(grey, next_grey) or not np.ptp(grey) or not np.ptp(next_grey):
            yield np.zeros((2, *shape), np.float32)
        else:
            yield method.between(first, second).transpose(2, 0, 1)


def _pyramid(shape: tuple[int, int], factor: float, smallest: int) -> list[tuple[int, int]]:
    """Distinct sizes of the levels, coarsest first; the last is `shape`."""
    height, width = shape
    sizes = [(height, width)]
    for level in itertools.count(1):
        size = round(height * factor**level), round(width * factor**level)
        if min(size) < smallest:
            break
        if size != sizes[-1]:
            sizes.append(size)
    return sizes[::-1]


def _file(folder: Path, name: str) -> Path:
    """Where the flow of a video lies: the steps of all pairs, float32 [T - 1, 2], then int8 [T - 1, 2, h, w].

    A name that leaves no room for `.flow` is replaced by its digest.
    """
    path = folder / f"{name}.flow"
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        return path.with_name(f"{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.flow")
    return path


def _file_bytes(count: int, size: tuple[int, int]) -> int:
    return (count - 1) * 2 * (_STEP.itemsize + size[0] * size[1])


def _is_whole(path: Path, count: int, size: tuple[int, int]) -> bool:
    return path.is_file() and path.stat().st_size == _file_bytes(count, size)


def _claim(folder: Path, made: dict) -> None:
    """Note what the folder's files are made with, or compare with what an earlier run noted."""
    path = folder / SETTINGS
    if not path.exists():
        _write_json(path, made)
        return
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DamagedError(f"{path}: not the settings that the folder's files were made with") from None
    if noted != made:
        raise InputError(f"{folder}: holds optical flow of another size or other settings; delete it and run again")


def _write_json(path: Path, content: dict) -> None:
    with files.replacing(path) as file:
        file.write(f"{json.dumps(content, indent=1)}\n".encode())


def _write_video(folder: Path, source, settings: Mapping, task: tuple[str, int]) -> None:
    name, count = task
    pixels = source.frames(name, range(count)).numpy()
    steps = np.empty((count - 1, 2), _STEP)
    values = np.empty((count - 1, 2, *pixels.shape[1:3]), np.int8)
    for pair, field in enumerate(_fields(pixels, settings)):
        values[pair : pair + 1], steps[pair : pair + 1] = quantise(field[None])
    path = _file(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as file:
        file.write(steps)
        file.write(values)


def _errors(folder: Path, videos: Mapping[str, int]) -> dict[str, float]:
    """Half the largest and half the mean step of all fields."""
    largest, total, fields = 0.0, 0.0, 0
    for name, count in videos.items():
        steps = np.fromfile(_file(folder, name), _STEP, 2 * (count - 1))
        largest = max(largest, float(steps.max(initial=0)))
        total, fields = total + float(steps.sum(dtype=np.float64)), fields + len(steps)
    return {"largest": largest / 2, "mean": total / max(fields, 1) / 2}
