"""Kinetics-400: kinetics400/annotations/{train,val}.csv, and videos <youtube_id>_<start>_<end>.mp4 anywhere below kinetics400/.

The annotation files are those published (label, youtube_id, time_start, time_end, split; further columns do not matter).
They may also lie in kinetics400/ itself, and be called validate.csv, kinetics-400_train.csv or kinetics_train.csv. A video
is known by its name alone, seconds in six digits: whether it lies in train/class name/, train/class_name/ or in train/
itself, and with which usual extension, does not matter.
"""

import csv
import re
from pathlib import Path

from suite.datasets import Dataset, Split, Video, lists
from suite.errors import InputError

VIDEOS = "kinetics400"
COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
# What the training list, and the validation list, which is the test list here, call themselves.
SIDES = {"train": ("train",), "val": ("val", "validate", "validation")}
# More of either list missing than this, and the data are a subset.
MISSING_SHARE = 0.1
# How many folders deep below kinetics400/ a video may lie: split, class.
_DEPTH = 2
_ID = re.compile(r"[\w-]+", re.ASCII)


def load(root: Path) -> Dataset:
    """Read Kinetics-400 from its annotation files: split 1 trains on the training list and tests on the validation list.

    Videos that are not there are left out of the split and counted in `missing`, since nobody has all of them. Data with the
    complete official lists stay "full" as long as at most a tenth of each list is missing: the hosted copy lacks 2 % of the
    training list, downloads of 2018 and 2019 lacked 6 to 9 %, and the dataset's authors call 10 % usual (issues
    cvdfoundation/kinetics-dataset#51, activitynet/ActivityNet#38, google-deepmind/kinetics-i3d#51), so that published numbers
    come from such copies. With more missing, or other lists, they are a "subset". The validation list is known by its
    content, the training list by its number of entries.

    Raises InputError, naming file and line, on a malformed list, and if not one video of a list is there.
    """
    folder = root / VIDEOS
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the data root must hold {VIDEOS}/ with videos and annotations/")
    files = {side: lists.read(_annotations(folder, side)) for side in SIDES}
    rows = {side: list(_rows(file, SIDES[side])) for side, file in files.items()}
    # In the order of the published label map, which is sorted.
    classes = sorted({label for _, label, _ in rows["train"]})
    labels = {name: label for label, name in enumerate(classes)}
    there = lists.videos_below(root, VIDEOS, _DEPTH)
    listed: dict[str, lists.Entries] = {}
    for side, file in files.items():
        listed[side] = lists.Entries()
        for number, label, stem in rows[side]:
            if label not in labels:
                raise file.fault(number, f"class {label!r} is not in {files['train'].path.name}")
            path = there.get(stem, "")
            listed[side].add(Video(f"{label}/{stem}", path, labels[label], stem.rsplit("_", 2)[0]), file, number)
    whole = lists.split_of(listed["train"], listed["val"], folder, 1)
    train, test = (tuple(video for video in videos if video.path) for videos in (whole.train, whole.test))
    for side, found in (("train", train), ("val", test)):
        if not found:
            raise InputError(
                f"{folder}: not one video that {files[side].path.name} names is there (such as {rows[side][0][2]}.mp4); "
                f"check the data root and the videos' names"
            )
    said = {
        "train_entries": len(whole.train),
        "classes": len(classes),
        "val": lists.canonical_hash(f"{label} {stem}" for _, label, stem in rows["val"]),
    }
    scope = lists.scope("kinetics400", root, said)
    sides = ((train, whole.train), (test, whole.test))
    if scope == "full" and any(len(named) - len(found) > MISSING_SHARE * len(named) for found, named in sides):
        scope = "subset"
    return Dataset(
        name="kinetics400",
        root=root,
        classes=tuple(classes),
        splits={1: Split(train, test)},
        lists={file.path.name: file.sha256 for file in files.values()},
        scope=scope,
        missing=len(whole.train) + len(whole.test) - len(train) - len(test),
    )


def _annotations(folder: Path, side: str) -> Path:
    """The annotation file of a side. InputError if there is none, or more than one."""
    name = re.compile(rf"(kinetics([-_]?400)?[-_])?({'|'.join(SIDES[side])})\.csv")
    places = (folder / "annotations", folder)
    found = [
        place / entry for place in places if place.is_dir() for entry in lists.names_in(place) if name.fullmatch(entry)
    ]
    if not found:
        raise InputError(
            f"{folder / 'annotations' / f'{side}.csv'}: no such file; take the annotation files as published"
        )
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
