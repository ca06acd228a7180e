"""The layout of HMDB51: <videos>/<class>/*.avi and <lists>/<class>_test_split{1,2,...}.txt, whose flags say 1 training,
2 test, 0 unused."""

import re
from pathlib import Path

from suite.datasets import Description, Listing, Video, lists
from suite.errors import InputError

_FILE = re.compile(r"(?P<class>.+)_test_split(?P<number>[1-9]\d{0,2})\.txt")
_LINE = re.compile(r"(?P<name>\S.*\.\w+)\s+(?P<flag>[012])")


def read(about: Description, root: Path) -> Listing:
    """Read lists of HMDB51's layout. Raises InputError, naming file and line."""
    folder = lists.folder_of(about, root)
    names = [match for name in lists.names_in(folder) if (match := _FILE.fullmatch(name))]
    if not names:
        raise InputError(f"{folder}: holds no <class>_test_split1.txt; take the list files as published")
    classes = lists.class_order(about, {name["class"] for name in names}, folder)
    numbers = sorted({int(name["number"]) for name in names})
    videos = lists.Folder(root, about.videos)
    splits, said, digests = {}, {}, {}
    for number in numbers:
        train, test, lines = lists.Entries(), lists.Entries(), []
        for label, class_name in enumerate(classes):
            file = lists.read(folder / f"{class_name}_test_split{number}.txt")
            digests[file.path.name] = file.sha256
            _read(file, class_name, label, videos, train, test)
            lines += [f"{class_name}/{line}" for _, line in file.lines]
        splits[number] = lists.split_of(train, test, folder, number)
        said[f"split{number}"] = lists.canonical_hash(lines)
    return Listing(tuple(classes), splits, digests, said, videos.absent)


def _read(file: lists.ListFile, class_name: str, label: int, videos: lists.Folder, train, test) -> None:
    """Add the videos of one class's list to the sides of its split; those flagged 0 belong to neither."""
    seen: dict[str, int] = {}
    for number, line in file.lines:
        match = _LINE.fullmatch(line)
        if not match:
            raise file.fault(number, f"{line!r} is not a video's name and a flag 0, 1 or 2")
        if "/" in match["name"] or not lists.is_plain(match["name"]):
            raise file.fault(
                number, f"{match['name']!r} is not the name of a video inside {videos.folder}/{class_name}/"
            )
        if match["name"] in seen:
            raise file.fault(number, f"{match['name']!r} is named a second time (first on line {seen[match['name']]})")
        seen[match["name"]] = number
        if match["flag"] == "0":
            continue
        name = f"{class_name}/{match['name']}"
        # A name is <movie>_<class>_<visible parts>_<camera>_<people>_<view>_<quality>_<number>.avi.
        movie, found, _ = match["name"].rpartition(f"_{class_name}_")
        video = Video(name, videos.find(name, file, number), label, movie if found else match["name"])
        (train if match["flag"] == "1" else test).add(video, file, number)
