"""Synthetic data in the layout of HMDB51: one object that grows, shrinks or slides.

Source movies share a background and never cross between training and test, as in the official lists.
"""

from functools import partial
from pathlib import Path

from suite.datasets import Description, lists
from suite.datasets.synthetic import actions
from suite.datasets.synthetic.drawing import VERSION, Look, Plan, Scene, Settings, by_class, crossing, write

# Direction of each class, (down, right), or the sign of growth.
MOTIONS: dict[str, tuple[int, int] | int] = {
    "grow": 1,
    "shrink": -1,
    "slide_down": (1, 0),
    "slide_left": (0, -1),
    "slide_right": (0, 1),
    "slide_up": (-1, 0),
}
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
LOOK = Look(True, (25, 60), (130, 170), 60)


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """24 videos a class from 8 source movies: 12 train, 6 test and 6 unused in each split."""
    motions = by_class(about, MOTIONS, settings.classes)
    classes = list(motions)
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
                frames = actions.length(label, index, own)
                draw = partial(crossing, motions[class_name], frames, own, shared, LOOK, settings)
                scenes.append(Scene(root / about.videos / class_name / name, draw))

    def write_lists() -> None:
        folder = lists.home(about, root)
        for class_name, entries in names.items():
            for split in (1, 2, 3):
                lines = (f"{name} {flags[split - 1]} \n" for name, flags in entries)
                write(folder / f"{class_name}_test_split{split}.txt", lines)

    return Plan(scenes, write_lists)


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """Training and test videos of each split, and the classes."""
    classes = tuple(by_class(about, MOTIONS))
    count = len(classes)
    flags = {split: [movie[split - 1] for movie in MOVIES.values()] for split in (1, 2, 3)}
    per_flag = count * VIDEOS_OF_MOVIE
    return {
        split: (per_flag * found.count("1"), per_flag * found.count("2")) for split, found in flags.items()
    }, classes
