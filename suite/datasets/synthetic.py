"""Synthetic datasets: real avi files in the official layouts, made in seconds, the same bytes on every run.

An action is a motion: one object moves steadily through the whole video (or grows, or shrinks), so the order of clips
can be read from where the object is and which way it goes. Colour, size and place are drawn at random, and the place is
drawn so that a single frame says next to nothing about the class. Groups (UCF101) and movies (HMDB51) share a background
and never cross between training and test, as in the official lists.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from suite.datasets import hmdb51, lists, ucf101
from suite.errors import InputError

# Raised whenever the same settings give other videos.
VERSION = 1

# Direction of each class, (down, right).
UCF101_MOTIONS = {
    "MoveRight": (0, 1),
    "MoveUpRight": (-1, 1),
    "MoveUp": (-1, 0),
    "MoveUpLeft": (-1, -1),
    "MoveLeft": (0, -1),
    "MoveDownLeft": (1, -1),
    "MoveDown": (1, 0),
    "MoveDownRight": (1, 1),
}
# The same, or the sign of growth.
HMDB51_MOTIONS = {
    "grow": 1,
    "shrink": -1,
    "slide_down": (1, 0),
    "slide_left": (0, -1),
    "slide_right": (0, 1),
    "slide_up": (-1, 0),
}
# Groups of UCF101 that test in splits 1, 2, 3; groups 22 to 25 always train.
TEST_GROUPS = {1: range(1, 8), 2: range(8, 15), 3: range(15, 22)}
# (group, clip) of the videos of a class: 25 groups, 13 of which have a second clip.
CLIPS = [
    (group, clip) for group in range(1, 26) for clip in (1, 2) if clip == 1 or (group <= 22 and (group - 1) % 7 < 4)
]
# Source movies of an HMDB51-like class, named as oddly as some real ones, and their flags in splits 1, 2, 3. Three videos
# each: 12 training, 6 test and 6 unused videos in every split, and no movie on two sides.
MOVIES = {
    "Plain_Movie": "211",
    "(HQ)_Speed_-_Solo": "211",
    "Tips_300+_Yards!!!": "021",
    "[_NEW_AUDIO_]_UPDATED": "021",
    "Lesson;-)": "102",
    "50%_more_&_again": "102",
    "third-part": "110",
    "A#1": "110",
}
VIDEOS_OF_MOVIE = 3

# Lengths in frames. One video in about twenty is shorter than a tuple of three clips, one of each dataset than a clip.
LENGTHS = (36, 48)
SHORT_LENGTHS = (20, 30)
SHORTEST = 6
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


LOOKS = {"ucf101": Look(False, (180, 230), (60, 110), 0), "hmdb51": Look(True, (25, 60), (130, 170), 60)}


class _Scene(NamedTuple):
    """One video to make."""

    path: Path
    motion: tuple[int, int] | int
    frames: int
    # Seeds of what is the video's own, and of what it shares with its group.
    own: list[int]
    shared: list[int]


def generate(name: str, root: Path, settings: dict, progress: Callable[[int, int], None]) -> None:
    """Write the synthetic counterpart of dataset "ucf101" or "hmdb51" under `root`, in its official layout.

    Args:
        settings: any of the fields of `Settings`.
        progress: called with (videos done, videos in all).

    The list files come last, so that a folder left half written does not load. Raises InputError on a wrong setting.
    """
    root, chosen = Path(root), _settings(settings)
    if name not in LOOKS:
        raise InputError(f"no synthetic counterpart of dataset {name!r}; there are: {', '.join(LOOKS)}")
    root.mkdir(parents=True, exist_ok=True)
    _mark(root, name, chosen)
    scenes, write_lists = (_ucf101 if name == "ucf101" else _hmdb51)(root, chosen)
    for done, scene in enumerate(scenes):
        progress(done, len(scenes))
        scene.path.parent.mkdir(parents=True, exist_ok=True)
        _encode(scene.path, _draw(scene, LOOKS[name], chosen))
    write_lists()
    progress(len(scenes), len(scenes))


def sizes(name: str) -> tuple[dict[int, tuple[int, int]], int]:
    """How many training and test videos each split of a generated dataset has, and how many classes, without making it."""
    if name == "ucf101":
        tested = {split: sum(group in groups for group, _ in CLIPS) for split, groups in TEST_GROUPS.items()}
        count = len(UCF101_MOTIONS)
        return {split: (count * (len(CLIPS) - test), count * test) for split, test in tested.items()}, count
    count = len(HMDB51_MOTIONS)
    flags = {split: [movie[split - 1] for movie in MOVIES.values()] for split in (1, 2, 3)}
    per_flag = count * VIDEOS_OF_MOVIE
    return {split: (per_flag * found.count("1"), per_flag * found.count("2")) for split, found in flags.items()}, count


def _settings(settings: dict) -> Settings:
    known = {field.name for field in fields(Settings)}
    for key, value in settings.items():
        if key not in known or not isinstance(value, int):
            raise InputError(
                f"synthetic data: {key} = {value!r} is no setting; they are whole numbers: {', '.join(known)}"
            )
    chosen = Settings(**settings)
    if chosen.height % 2 or chosen.width % 2 or min(chosen.height, chosen.width) < 16:
        raise InputError(
            f"synthetic data: {chosen.width}x{chosen.height} is no frame size; take even numbers from 16 on"
        )
    if chosen.seed < 0 or chosen.classes < 0:
        raise InputError("synthetic data: seed and classes must not be negative")
    return chosen


def _mark(root: Path, name: str, settings: Settings) -> None:
    """Note in the root that its data are synthetic, and what made them."""
    path = root / lists.SYNTHETIC
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[name] = {"version": VERSION, **asdict(settings)}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)


def _ucf101(root: Path, settings: Settings) -> tuple[list[_Scene], Callable[[], None]]:
    """38 videos a class: 27 train and 11 test in each split."""
    classes = list(UCF101_MOTIONS)[: settings.classes or None]
    names: list[tuple[str, int, int]] = []
    scenes = []
    for label, class_name in enumerate(classes):
        for index, (group, clip) in enumerate(CLIPS):
            name = f"{class_name}/v_{class_name}_g{group:02d}_c{clip:02d}.avi"
            names.append((name, label, group))
            own = [VERSION, settings.seed, 0, label, index]
            scenes.append(
                _Scene(
                    path=root / ucf101.VIDEOS / name,
                    motion=UCF101_MOTIONS[class_name],
                    frames=_length(label, index, own),
                    own=own,
                    shared=[VERSION, settings.seed, 1, label, group],
                )
            )

    def write_lists() -> None:
        folder = root / ucf101.LISTS
        folder.mkdir(exist_ok=True)
        _write(folder / "classInd.txt", (f"{number} {name}\r\n" for number, name in enumerate(classes, start=1)))
        for split, groups in TEST_GROUPS.items():
            train = (f"{name} {label + 1}\r\n" for name, label, group in names if group not in groups)
            _write(folder / f"trainlist{split:02d}.txt", train)
            _write(folder / f"testlist{split:02d}.txt", (f"{name}\r\n" for name, _, group in names if group in groups))

    return scenes, write_lists


def _hmdb51(root: Path, settings: Settings) -> tuple[list[_Scene], Callable[[], None]]:
    """24 videos a class from 8 source movies: 12 train, 6 test and 6 unused in each split."""
    classes = list(HMDB51_MOTIONS)[: settings.classes or None]
    # By class: (file name, flags).
    names: dict[str, list[tuple[str, str]]] = {class_name: [] for class_name in classes}
    scenes = []
    for label, class_name in enumerate(classes):
        for movie_number, (movie, flags) in enumerate(MOVIES.items()):
            for number in range(VIDEOS_OF_MOVIE):
                name = f"{movie}_{class_name}_f_cm_np1_le_med_{number}.avi"
                index = len(names[class_name])
                names[class_name].append((name, flags))
                own = [VERSION, settings.seed, 2, label, index]
                scenes.append(
                    _Scene(
                        path=root / hmdb51.VIDEOS / class_name / name,
                        motion=HMDB51_MOTIONS[class_name],
                        frames=_length(label, index, own),
                        own=own,
                        shared=[VERSION, settings.seed, 3, movie_number],
                    )
                )

    def write_lists() -> None:
        folder = root / hmdb51.LISTS[0]
        folder.mkdir(exist_ok=True)
        for class_name, entries in names.items():
            for split in (1, 2, 3):
                lines = (f"{name} {flags[split - 1]} \n" for name, flags in entries)
                _write(folder / f"{class_name}_test_split{split}.txt", lines)

    return scenes, write_lists


def _write(path: Path, lines: Iterator[str]) -> None:
    path.write_bytes("".join(lines).encode())


def _length(label: int, index: int, own: list[int]) -> int:
    """Frames of video `index` of a class."""
    if (label, index) == (0, 5):
        return SHORTEST
    low, high = SHORT_LENGTHS if (index + 5 * label) % 19 == 3 else LENGTHS
    return int(np.random.default_rng([*own, 1]).integers(low, high + 1))


def _draw(scene: _Scene, look: Look, settings: Settings) -> np.ndarray:
    """The frames of a video in planar YUV 4:2:0: uint8 [T, H * 3 / 2, W]."""
    height, width = settings.height, settings.width
    own, shared = np.random.default_rng(scene.own), np.random.default_rng(scene.shared)
    # Time from -1/2 to 1/2.
    time = np.linspace(-0.5, 0.5, scene.frames)
    # The path is a chord of a disc. Chords are drawn as often as they are long (by a point that is uniform in the disc), so
    # that at a random time an object is equally likely to be anywhere in the disc, whichever way it goes.
    (middle_row, middle_column), (along, across) = _in_disc(own, SPREAD), _in_disc(own, REACH)
    low, high = RADII
    if isinstance(scene.motion, tuple):
        down, right = np.array(scene.motion) / np.hypot(*scene.motion)
        along = 2 * np.sqrt(REACH**2 - across**2) * time
        radius = np.full(scene.frames, own.uniform(low, high))
    else:
        down, right = 1.0, 0.0
        along = np.full(scene.frames, along)
        radius = (low + high) / 2 + scene.motion * (high - low) * time
    row = (height - 1) / 2 + height / 48 * (middle_row + along * down - across * right)
    column = (width - 1) / 2 + height / 48 * (middle_column + along * right + across * down)
    radius = radius * height / 48
    covered = _cover(row, column, radius, height, width, look.square)

    frames = np.empty((scene.frames, height * 3 // 2, width), np.uint8)
    background = _background(own, shared, look, height, width)
    luma = own.uniform(*look.object_luma)
    flicker = own.integers(-FLICKER, FLICKER + 1, (scene.frames, height, width), np.int8)
    frames[:, :height] = np.rint(background + covered * (luma - background) + flicker)
    coarse = covered.reshape(scene.frames, height // 2, 2, width // 2, 2).mean((2, 4))
    tint = shared.uniform(108, 148, 2)
    colour = own.uniform(48, 208, 2)
    chroma = np.stack([np.rint(t + coarse * (c - t)) for t, c in zip(tint, colour, strict=True)], axis=1)
    frames[:, height:] = chroma.reshape(scene.frames, height // 2, width)
    return frames


def _in_disc(draw: np.random.Generator, radius: float) -> tuple[float, float]:
    """A point that is uniform in a disc around (0, 0)."""
    distance, angle = radius * np.sqrt(draw.random()), draw.uniform(0, 2 * np.pi)
    return distance * np.cos(angle), distance * np.sin(angle)


def _cover(row, column, radius, height: int, width: int, square: bool) -> np.ndarray:
    """How much of each pixel the object covers, 0 to 1, so that it moves by less than a pixel too: [T, H, W]."""
    down = np.abs(np.arange(height, dtype=np.float32)[None, :, None] - row.astype(np.float32)[:, None, None])
    right = np.abs(np.arange(width, dtype=np.float32)[None, None, :] - column.astype(np.float32)[:, None, None])
    edge = radius.astype(np.float32)[:, None, None] + np.float32(0.5)
    if square:
        return np.clip(edge - down, 0, 1) * np.clip(edge - right, 0, 1)
    return np.clip(edge - np.sqrt(down * down + right * right), 0, 1)


def _background(own, shared, look: Look, height: int, width: int) -> np.ndarray:
    """Luma of the background: a level (and a slope) of the group, and still noise of the video: [H, W]."""
    level, angle = shared.uniform(*look.background_luma), shared.uniform(0, 2 * np.pi)
    down, right = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None, :]
    slope = look.gradient * (np.sin(angle) * down + np.cos(angle) * right) / np.sqrt(2)
    return (level + slope + own.uniform(-NOISE, NOISE, (height, width))).astype(np.float32)


def _encode(path: Path, frames: np.ndarray) -> None:
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
