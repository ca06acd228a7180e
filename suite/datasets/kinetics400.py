"""The layout of Kinetics: {train,val}.csv, and videos <youtube_id>_<start>_<end>.mp4 anywhere below the folder of videos.

The annotation files are those published (label, youtube_id, time_start, time_end, split; further columns do not matter), in
any of the folders of `lists`. They may be called validate.csv, kinetics-400_train.csv or kinetics_train.csv, too. A video is
known by its name alone, seconds in six digits: whether it lies in train/class name/, train/class_name/ or in train/ itself,
and with which usual extension, does not matter.
"""

import csv
import re
from pathlib import Path

from suite.datasets import Absent, Description, Listing, Video, lists
from suite.errors import InputError

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
# What the training list, and the validation list, which is the test list here, call themselves.
SIDES = {"train": ("train",), "val": ("val", "validate", "validation")}
# How many folders deep below the folder of videos a video may lie: split, class.
_DEPTH = 2
_ID = re.compile(r"[\w-]+", re.ASCII)


def read(about: Description, root: Path) -> Listing:
    """Read annotation files: split 1 trains on the training list and tests on the validation list.

    The validation list is known by its content, the training list by its number of entries. Raises InputError, naming file
    and line, on a malformed list.
    """
    folder = root / about.videos
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; the data root must hold {about.videos}/ with videos and annotations/"
        )
    files = {side: lists.read(_annotations(about, root, side)) for side in SIDES}
    rows = {side: list(_rows(file, SIDES[side])) for side, file in files.items()}
    # Sorted, as the published label map.
    classes = lists.class_order(about, {label for _, label, _ in rows["train"]}, files["train"].path)
    labels = {name: label for label, name in enumerate(classes)}
    there = lists.videos_below(root, about.videos, _DEPTH)
    listed: dict[str, lists.Entries] = {}
    absent: dict[str, Absent] = {}
    for side, file in files.items():
        listed[side] = lists.Entries()
        for number, label, stem in rows[side]:
            if label not in labels:
                raise file.fault(number, f"class {label!r} is not in {files['train'].path.name}")
            video = Video(f"{label}/{stem}", there.get(stem, ""), labels[label], stem.rsplit("_", 2)[0])
            listed[side].add(video, file, number)
            if stem not in there:
                absent[video.name] = Absent(folder / f"{stem}.mp4", file.place(number))
    split = lists.split_of(listed["train"], listed["val"], folder, 1)
    said = {
        "train_entries": len(split.train),
        "classes": len(classes),
        "val": lists.canonical_hash(f"{label} {stem}" for _, label, stem in rows["val"]),
    }
    return Listing(
        classes=tuple(classes),
        splits={1: split},
        lists={file.path.name: file.sha256 for file in files.values()},
        said=said,
        absent=absent,
        parts={files["train"].path.name: split.train, files["val"].path.name: split.test},
    )


def _annotations(about: Description, root: Path, side: str) -> Path:
    """The annotation file of a side. InputError if there is none, or more than one."""
    name = re.compile(rf"(kinetics([-_]?\d{{3}})?[-_])?({'|'.join(SIDES[side])})\.csv")
    places = [root / folder for folder in about.lists or (about.videos,)]
    found = [
        place / entry for place in places if place.is_dir() for entry in lists.names_in(place) if name.fullmatch(entry)
    ]
    if not found:
        raise InputError(f"{places[0] / f'{side}.csv'}: no such file; take the annotation files as published")
    if len(found) > 1:
        raise InputError(f"{found[0]}: there is {found[1]} too; keep one annotation file for each split")
    return found[0]


def _rows(file: lists.ListFile, sides: tuple[str, ...]):
    """Line number, label and video name without extension of each row."""
    if not file.lines:
        raise InputError(f"{file.path}: is empty; take the annotation file as published")
    (first, header), *lines = file.lines
    names = _values(file, first, header)
    if not set(COLUMNS) <= set(names):
        raise file.fault(first, f"{header!r} does not name the columns {','.join(COLUMNS)}")
    places = [names.index(column) for column in COLUMNS]
    for number, line in lines:
        fields = _values(file, number, line)
        if len(fields) != len(names):
            raise file.fault(number, f"{line!r} has {len(fields)} values, not {len(names)}")
        label, youtube_id, start, end, side = (fields[place] for place in places)
        if side not in sides:
            raise file.fault(number, f"split {side!r} is not {sides[0]!r}, as of the other rows")
        if not label or not _ID.fullmatch(youtube_id):
            raise file.fault(number, f"{line!r} does not give a class and a YouTube identifier")
        if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
            raise file.fault(number, f"{start!r} to {end!r} is no span of whole seconds")
        yield number, label, f"{youtube_id}_{int(start):06d}_{int(end):06d}"


def _values(file: lists.ListFile, number: int, line: str) -> list[str]:
    """The values of a line, quoted or not, without blanks around them."""
    try:
        (fields,) = csv.reader([line], strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise file.fault(number, f"{line!r} is not a row of comma-separated values ({error})") from None
    return [field.strip() for field in fields]
