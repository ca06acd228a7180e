"""YUPENN dynamic scenes: YUPENN/<Class>/<video>, 14 classes of 30 videos. No list files: the folders are the list.

A video is a file with any usual extension, or a folder of its frames (jpg or png, in the order of their numbers).
"""

from pathlib import Path

from suite.datasets import Dataset, Split, Video, lists
from suite.errors import InputError

VIDEOS = "YUPENN"


def load(root: Path) -> Dataset:
    """Read YUPENN from its folders: one split without training videos, since the probe leaves out one test video at a time.

    Classes are in the order of their folders' names, videos of a class in that of the numbers in theirs. The data count as
    full with 14 classes of 30 videos each, whatever the folders are called. Raises InputError for a class with fewer than
    two videos (left out, it could not be learnt), or a video that is there twice, which would be its own neighbour.
    """
    folder = root / VIDEOS
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the data root must hold {VIDEOS}/ with a folder for each class")
    classes = [name for name in lists.names_in(folder) if (folder / name).is_dir()]
    if len(classes) < 2:
        raise InputError(f"{folder}: holds {len(classes)} class folders; it must hold one for each of the classes")
    videos, counts = [], []
    for label, class_name in enumerate(classes):
        names = lists.videos_in(folder / class_name)
        if len(names) < 2:
            raise InputError(
                f"{folder / class_name}: holds {len(names)} video{'' if len(names) == 1 else 's'}, and a class needs two to be "
                f"learnt when one is left out; complete the class or remove its folder"
            )
        stems: dict[str, str] = {}
        for name in names:
            other = stems.setdefault(lists.stem(name), name)
            if other != name:
                raise InputError(f"{folder / class_name / name}: is there as {other!r} too; keep one of them")
            path = f"{class_name}/{name}"
            full_name = lists.printable(path)
            videos.append(Video(full_name, f"{VIDEOS}/{path}", label, full_name))
        counts.append(len(names))
    said = {"classes": len(classes), "videos_of_a_class": sorted(set(counts))}
    return Dataset(
        name="yupenn",
        root=root,
        classes=tuple(map(lists.printable, classes)),
        splits={1: Split((), tuple(videos))},
        lists={},
        scope=lists.scope("yupenn", root, said),
    )
