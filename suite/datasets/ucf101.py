"""The layout of UCF101: <videos>/<Class>/*.avi and <lists>/{classInd,trainlist0N,testlist0N}.txt, with any number of splits.

Where the description names the classes, classInd.txt need not be there.
"""

import re
from pathlib import Path

from suite.datasets import Description, Listing, Video, lists
from suite.errors import InputError

# Of the list files as published.
LINE_END = b"\r\n"
CLASSES = "classInd.txt"
_LINE = re.compile(r"(?P<name>\S.*?\.\w+)(?:\s+(?P<label>\d+))?")
_LIST = re.compile(r"(?:train|test)list(\d{2,3})\.txt")
_GROUP = re.compile(r"_(g\d+)_c\d+\.\w+$")


def read(about: Description, root: Path) -> Listing:
    """Read lists of UCF101's layout. Raises InputError, naming file and line."""
    folder = lists.folder_of(about, root)
    numbers = sorted({int(found[1]) for name in lists.names_in(folder) if (found := _LIST.fullmatch(name))} - {0})
    if not numbers:
        raise InputError(f"{folder / 'trainlist01.txt'}: no such file; take the list files as published")
    files, splits = [], {}
    if about.class_names and not (folder / CLASSES).exists():
        classes = list(about.class_names)
    else:
        files.append(lists.read(folder / CLASSES, LINE_END))
        classes = _classes(files[0])
    videos = lists.Folder(root, about.videos)
    for number in numbers:
        train, test = (lists.read(folder / name, LINE_END) for name in _names(number))
        files += [train, test]
        splits[number] = lists.split_of(
            _entries(train, classes, videos, labelled=True),
            _entries(test, classes, videos, labelled=False),
            folder,
            number,
        )
    return Listing(
        classes=tuple(classes),
        splits=splits,
        lists={file.path.name: file.sha256 for file in files},
        said={file.path.name: lists.canonical_hash(line for _, line in file.lines) for file in files},
        absent=videos.absent,
    )


def _names(number: int) -> tuple[str, str]:
    return f"trainlist{number:02d}.txt", f"testlist{number:02d}.txt"


def _classes(file: lists.ListFile) -> list[str]:
    """Class names in the order of their numbers, which must run from 1 without a gap."""
    classes: list[str] = []
    for number, line in file.lines:
        match = re.fullmatch(r"(\d+)\s+(\S+)", line)
        if not match or int(match[1]) != len(classes) + 1 or match[2] in classes or not lists.is_plain(match[2]):
            raise file.fault(number, f"{line!r} is not class number {len(classes) + 1} and its name")
        classes.append(match[2])
    if not classes:
        raise InputError(f"{file.path}: names no class; take the list file as published")
    return classes


def _entries(file: lists.ListFile, classes: list[str], videos: lists.Folder, labelled: bool) -> lists.Entries:
    """The videos of a train list (`Class/video.avi 1`) or a test list (`Class/video.avi`)."""
    labels = {name: label for label, name in enumerate(classes)}
    entries = lists.Entries()
    for number, line in file.lines:
        match = _LINE.fullmatch(line)
        if not match or (labelled and not match["label"]):
            raise file.fault(
                number, f"{line!r} is not {'Class/video.avi and a label' if labelled else 'Class/video.avi'}"
            )
        name = match["name"]
        if name.count("/") != 1 or not lists.is_plain(name):
            raise file.fault(number, f"{name!r} is not Class/video.avi inside {videos.folder}/")
        class_name, _, file_name = name.partition("/")
        if class_name not in labels:
            raise file.fault(number, f"class {class_name!r} is not in {CLASSES}")
        label = labels[class_name]
        if match["label"] and int(match["label"]) != label + 1:
            raise file.fault(number, f"label {match['label']} is not that of {class_name}, {label + 1} in {CLASSES}")
        found = _GROUP.search(file_name)
        if not found:
            raise file.fault(number, f"{file_name!r} has no group and clip number (..._g01_c01.avi)")
        path = videos.find(name, file, number)
        entries.add(Video(name, path, label, f"{class_name}_{found[1]}"), file, number)
    return entries
