"""The layout of YUPENN dynamic scenes: <videos>/<Class>/<video>. No list files: the folders are the list.

A video is a file with any usual extension, or a folder of its frames (jpg or png, in the order of their numbers).
"""

from pathlib import Path

from suite.datasets import Description, Listing, Split, Video, lists
from suite.errors import InputError


def read(about: Description, root: Path) -> Listing:
    """Read the folders: one split without training videos, since the probe leaves out one test video at a time.

    Classes are in the order of their folders' names, videos of a class in that of the numbers in theirs. What is said is how
    many of each there are, whatever the folders are called. Raises InputError for a class with fewer than two videos (left
    out, it could not be learnt), or a video that is there twice, which would be its own neighbour.
    """
    folder = root / about.videos
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; the data root must hold {about.videos}/ with a folder for each class"
        )
    found = [name for name in lists.names_in(folder) if (folder / name).is_dir()]
    classes = lists.class_order(about, found, folder)
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
            videos.append(Video(full_name, f"{about.videos}/{path}", label, full_name))
        counts.append(len(names))
    said = {"classes": len(classes), "videos_of_a_class": sorted(set(counts))}
    return Listing(tuple(map(lists.printable, classes)), {1: Split((), tuple(videos))}, {}, said)
