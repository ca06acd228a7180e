"""Synthetic data in the layout of UCF101: one object that goes in one of eight directions.

Groups share a background and never cross between training and test, as in the official lists.
"""

from functools import partial
from pathlib import Path

from suite.datasets import Description, lists, ucf101
from suite.datasets.synthetic import actions
from suite.datasets.synthetic.drawing import VERSION, Look, Plan, Scene, Settings, by_class, crossing, write

# Direction of each class, (down, right).
MOTIONS = {
    "MoveRight": (0, 1),
    "MoveUpRight": (-1, 1),
    "MoveUp": (-1, 0),
    "MoveUpLeft": (-1, -1),
    "MoveLeft": (0, -1),
    "MoveDownLeft": (1, -1),
    "MoveDown": (1, 0),
    "MoveDownRight": (1, 1),
}
# Groups of UCF101 that test in splits 1, 2, 3; groups 22 to 25 always train.
TEST_GROUPS = {1: range(1, 8), 2: range(8, 15), 3: range(15, 22)}
# (group, clip) of the videos of a class: 25 groups, 13 of which have a second clip.
CLIPS = [
    (group, clip) for group in range(1, 26) for clip in (1, 2) if clip == 1 or (group <= 22 and (group - 1) % 7 < 4)
]
LOOK = Look(False, (180, 230), (60, 110), 0)


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """38 videos a class: 27 train and 11 test in each split."""
    motions = by_class(about, MOTIONS, settings.classes)
    classes = list(motions)
    names: list[tuple[str, int, int]] = []
    scenes = []
    for label, class_name in enumerate(classes):
        for index, (group, clip) in enumerate(CLIPS):
            name = f"{class_name}/v_{class_name}_g{group:02d}_c{clip:02d}.avi"
            names.append((name, label, group))
            own = [VERSION, settings.seed, 0, label, index]
            shared = [VERSION, settings.seed, 1, label, group]
            frames = actions.length(label, index, own)
            draw = partial(crossing, motions[class_name], frames, own, shared, LOOK, settings)
            scenes.append(Scene(root / about.videos / name, draw))

    def write_lists() -> None:
        folder = lists.home(about, root)
        write(folder / ucf101.CLASSES, (f"{number} {name}\r\n" for number, name in enumerate(classes, start=1)))
        for split, groups in TEST_GROUPS.items():
            train = (f"{name} {label + 1}\r\n" for name, label, group in names if group not in groups)
            write(folder / f"trainlist{split:02d}.txt", train)
            write(folder / f"testlist{split:02d}.txt", (f"{name}\r\n" for name, _, group in names if group in groups))

    return Plan(scenes, write_lists)


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """Training and test videos of each split, and the classes."""
    tested = {split: sum(group in groups for group, _ in CLIPS) for split, groups in TEST_GROUPS.items()}
    classes = tuple(by_class(about, MOTIONS))
    count = len(classes)
    return {split: (count * (len(CLIPS) - test), count * test) for split, test in tested.items()}, classes
