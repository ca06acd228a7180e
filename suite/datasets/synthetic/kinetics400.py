"""Synthetic data in the layout of Kinetics-400: one object that drifts, grows or shrinks.

There are no groups, and some of the videos that the lists name are missing, as from every real copy.
"""

from functools import partial
from pathlib import Path

import numpy as np

from suite.datasets import Description, lists
from suite.datasets.synthetic import actions
from suite.datasets.synthetic.drawing import VERSION, Look, Plan, Scene, Settings, by_class, crossing, write

# Direction of each class, (down, right), or the sign of growth.
MOTIONS: dict[str, tuple[int, int] | int] = {
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
# Videos of a Kinetics-like class that its training and validation lists name, and the places in them of those missing.
VIDEOS_OF_CLASS = {"train": 36, "val": 10}
MISSING = {"train": (2, 19), "val": (4,)}
LOOK = Look(False, (20, 60), (110, 190), 30)


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """36 training and 10 validation videos a class in the lists; 2 and 1 of them are missing.

    Training videos lie in folders named as the classes, validation videos in folders with "_" for " ": both are about.
    """
    motions = by_class(about, MOTIONS, settings.classes)
    classes = list(motions)
    rows: dict[str, list[str]] = {side: [] for side in VIDEOS_OF_CLASS}
    scenes = []
    for number, (side, count) in enumerate(VIDEOS_OF_CLASS.items()):
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
                path = root / about.videos / side / folder / f"{youtube_id}_{start:06d}_{start + 10:06d}.avi"
                frames = (
                    actions.SHORTEST if (number, label, index) == (0, 0, 5) else actions.length(label, index + 1, own)
                )
                draw_it = partial(crossing, motions[class_name], frames, own, [*own, 3], LOOK, settings)
                scenes.append(Scene(path, draw_it))

    def write_lists() -> None:
        for side, lines in rows.items():
            header = "label,youtube_id,time_start,time_end,split,is_cc\n"
            write(lists.home(about, root) / f"{side}.csv", [header, *lines])

    return Plan(scenes, write_lists)


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """Training and test videos that are there, and the classes."""
    classes = tuple(by_class(about, MOTIONS))
    count = len(classes)
    train, test = (count * (videos - len(MISSING[side])) for side, videos in VIDEOS_OF_CLASS.items())
    return {1: (train, test)}, classes


def _youtube_id(draw: np.random.Generator) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(letters[place] for place in draw.integers(0, len(letters), 11))
