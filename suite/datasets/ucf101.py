"""UCF101: UCF-101/<Class>/*.avi and ucfTrainTestlist/{classInd,trainlist0N,testlist0N}.txt."""

import re
from pathlib import Path

from suite.datasets import Dataset, Video, lists
from suite.errors import InputError

VIDEOS = "UCF-101"
LISTS = "ucfTrainTestlist"
# Of its list files as published.
LINE_END = b"\r\n"
_LINE = re.compile(r"(?P<name>\S.*?\.\w+)(?:\s+(?P<label>\d+))?")
_GROUP = re.compile(r"_(g\d+)_c\d+\.\w+$")


def load(root: Path) -> Dataset:
    """Read UCF101 from its official layout. Raises InputError, naming file and line."""
    folder = root / LISTS
    for needed in (VIDEOS, LISTS):
        if not (root / needed).is_dir():
            raise InputError(f"{root / needed}: no such folder; the data root must hold {VIDEOS}/ and {LISTS}/")
    numbers = [number for number in (1, 2, 3) if any((folder / name).exists() for name in _names(number))]
    if not numbers:
        raise InputError(f"{folder / 'trainlist01.txt'}: no such file; take the list files as published")
    class_file = lists.read(folder / "classInd.txt", LINE_END)
    classes = _classes(class_file)
    videos = lists.Folder(root, VIDEOS)
    files, splits = [class_file], {}
    for number in numbers:
        sides = []
        for name in _names(number):
            file = lists.read(folder / name, LINE_END)
            sides.append(_entries(file, classes, videos, labelled=name.startswith("train")))
            files.append(file)
        splits[number] = lists.split_of(*sides, folder, number)
    videos.check()
    hashes = {file.path.name: lists.canonical_hash(line for _, line in file.lines) for file in files}
    return Dataset(
        name="ucf101",
        root=root,
        classes=tuple(classes),
        splits=splits,
        lists={file.path.name: file.sha256 for file in files},
        scope=lists.scope("ucf101", root, hashes),
    )


def _names(number: int) -> tuple[str, str]:
    return f"trainlist{number:02d}.txt", f"testlist{number:02d}.txt"


def _classes(file: lists.ListFile) -> list[str]:
    """Class names in the order of their numbers, which must run from 1 without a gap."""
    classes = []
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
            raise file.fault(number, f"{name!r} is not Class/video.avi inside {VIDEOS}/")
        class_name, _, file_name = name.partition("/")
        if class_name not in labels:
            raise file.fault(number, f"class {class_name!r} is not in classInd.txt")
        label = labels[class_name]
        if match["label"] and int(match["label"]) != label + 1:
            raise file.fault(number, f"label {match['label']} is not that of {class_name}, {label + 1} in classInd.txt")
        found = _GROUP.search(file_name)
        if not found:
            raise file.fault(number, f"{file_name!r} has no group and clip number (..._g01_c01.avi)")
        path = videos.find(name, file, number)
        entries.add(Video(name, path, label, f"{class_name}_{found[1]}"), file, number)
    return entries
