"""Synthetic UCF101, HMDB51 and Kinetics-400: the class is the way one object moves.

Groups (UCF101) and movies (HMDB51) share a background and never cross between training and test, as in the official
lists. Kinetics has no groups, and some of the videos that its lists name are missing, as from every real copy.
"""

from functools import partial
from pathlib import Path

import numpy as np

from suite.datasets import hmdb51, kinetics400, ucf101
from suite.datasets.synthetic.drawing import VERSION, Look, Plan, Scene, Settings, crossing, write

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
KINETICS400_MOTIONS = {
    "drifting down": (1, 0),
    "drifting down left": (1, -1),
    "drifting down right": (1, 1),
    "drifting left": (0, -1),
    "drifting right": (0, 1),
    "drifting up": (-1, 0),
    "drifting up left": (-1, -1),
    "drifting up right": (-1, 1),
    "growing (not moving)": 1,
    "shrinking (not moving)": -1,
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
# Videos of a Kinetics-like class that its training and validation lists name, and the places in them of those missing.
KINETICS_VIDEOS = {"train": 36, "val": 10}
MISSING = {"train": (2, 19), "val": (4,)}

# Lengths in frames. One video in about twenty is shorter than a tuple of three clips, one of each dataset than a clip.
LENGTHS = (36, 48)
SHORT_LENGTHS = (20, 30)
SHORTEST = 6

LOOKS = {
    "ucf101": Look(False, (180, 230), (60, 110), 0),
    "hmdb51": Look(True, (25, 60), (130, 170), 60),
    "kinetics400": Look(False, (20, 60), (110, 190), 30),
}


def ucf101_plan(root: Path, settings: Settings) -> Plan:
    """38 videos a class: 27 train and 11 test in each split."""
    classes = list(UCF101_MOTIONS)[: settings.classes or None]
    names: list[tuple[str, int, int]] = []
    scenes = []
    for label, class_name in enumerate(classes):
        for index, (group, clip) in enumerate(CLIPS):
            name = f"{class_name}/v_{class_name}_g{group:02d}_c{clip:02d}.avi"
            names.append((name, label, group))
            own = [VERSION, settings.seed, 0, label, index]
            shared = [VERSION, settings.seed, 1, label, group]
            frames = _length(label, index, own)
            draw = partial(crossing, UCF101_MOTIONS[class_name], frames, own, shared, LOOKS["ucf101"], settings)
            scenes.append(Scene(root / ucf101.VIDEOS / name, draw))

    def write_lists() -> None:
        folder = root / ucf101.LISTS
        write(folder / "classInd.txt", (f"{number} {name}\r\n" for number, name in enumerate(classes, start=1)))
        for split, groups in TEST_GROUPS.items():
            train = (f"{name} {label + 1}\r\n" for name, label, group in names if group not in groups)
            write(folder / f"trainlist{split:02d}.txt", train)
            write(folder / f"testlist{split:02d}.txt", (f"{name}\r\n" for name, _, group in names if group in groups))

    return Plan(scenes, write_lists)


def ucf101_sizes() -> tuple[dict[int, tuple[int, int]], int]:
    """Training and test videos of each split, and the number of classes."""
    tested = {split: sum(group in groups for group, _ in CLIPS) for split, groups in TEST_GROUPS.items()}
    count = len(UCF101_MOTIONS)
    return {split: (count * (len(CLIPS) - test), count * test) for split, test in tested.items()}, count


def hmdb51_plan(root: Path, settings: Settings) -> Plan:
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
                shared = [VERSION, settings.seed, 3, movie_number]
                frames = _length(label, index, own)
                draw = partial(crossing, HMDB51_MOTIONS[class_name], frames, own, shared, LOOKS["hmdb51"], settings)
                scenes.append(Scene(root / hmdb51.VIDEOS / class_name / name, draw))

    def write_lists() -> None:
        folder = root / hmdb51.LISTS[0]
        for class_name, entries in names.items():
            for split in (1, 2, 3):
                lines = (f"{name} {flags[split - 1]} \n" for name, flags in entries)
                write(folder / f"{class_name}_test_split{split}.txt", lines)

    return Plan(scenes, write_lists)


def hmdb51_sizes() -> tuple[dict[int, tuple[int, int]], int]:
    """Training and test videos of each split, and the number of classes."""
    count = len(HMDB51_MOTIONS)
    flags = {split: [movie[split - 1] for movie in MOVIES.values()] for split in (1, 2, 3)}
    per_flag = count * VIDEOS_OF_MOVIE
    return {split: (per_flag * found.count("1"), per_flag * found.count("2")) for split, found in flags.items()}, count


def kinetics400_plan(root: Path, settings: Settings) -> Plan:
    """36 training and 10 validation videos a class in the lists; 2 and 1 of them are missing.

    Training videos lie in folders named as the classes, validation videos in folders with "_" for " ": both are about.
    """
    classes = list(KINETICS400_MOTIONS)[: settings.classes or None]
    rows: dict[str, list[str]] = {side: [] for side in KINETICS_VIDEOS}
    scenes = []
    for number, (side, count) in enumerate(KINETICS_VIDEOS.items()):
        for label, class_name in enumerate(classes):
            folder = class_name if side == "train" else class_name.replace(" ", "_")
            for index in range(count):
                own = [VERSION, settings.seed, 4 + number, label, index, 1]
                draw = np.random.default_rng([*own, 2])
                youtube_id = _youtube_id(draw)
                start = int(draw.integers(0, 300))
                rows[side].append(f'"{class_name}",{youtube_id},{start},{start + 10},{side},0\n')
                if index in MISSING[side]:
                    continue
                path = root / kinetics400.VIDEOS / side / folder / f"{youtube_id}_{start:06d}_{start + 10:06d}.avi"
                frames = SHORTEST if (number, label, index) == (0, 0, 5) else _length(label, index + 1, own)
                motion, look = KINETICS400_MOTIONS[class_name], LOOKS["kinetics400"]
                scenes.append(Scene(path, partial(crossing, motion, frames, own, [*own, 3], look, settings)))

    def write_lists() -> None:
        for side, lines in rows.items():
            header = "label,youtube_id,time_start,time_end,split,is_cc\n"
            write(root / kinetics400.VIDEOS / "annotations" / f"{side}.csv", [header, *lines])

    return Plan(scenes, write_lists)


def kinetics400_sizes() -> tuple[dict[int, tuple[int, int]], int]:
    """Training and test videos that are there, and the number of classes."""
    count = len(KINETICS400_MOTIONS)
    train, test = (count * (videos - len(MISSING[side])) for side, videos in KINETICS_VIDEOS.items())
    return {1: (train, test)}, count


def _youtube_id(draw: np.random.Generator) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(letters[place] for place in draw.integers(0, len(letters), 11))


def _length(label: int, index: int, own: list[int]) -> int:
    """Frames of video `index` of a class."""
    if (label, index) == (0, 5):
        return SHORTEST
    low, high = SHORT_LENGTHS if (index + 5 * label) % 19 == 3 else LENGTHS
    return int(np.random.default_rng([*own, 1]).integers(low, high + 1))
