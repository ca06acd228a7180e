"""The layout of ASLAN's View 2: pairs of videos that show the same action or not, in ten folds that share no action.

<videos>/ASLAN_AVI/*.avi (or ASLAN_MP4/, or the videos in <videos>/ itself) and <videos>/View2.mat. A video's number is what
its name ends with: 0084.avi, aslan-0084.mp4. In place of the .mat file its content may lie in <videos>/view2.txt: fold after
fold, a line for each pair, with the five numbers of a row of the matrix.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from suite.datasets import Absent, Description, Listing, Split, Video, describe, lists
from suite.errors import InputError

# Where below their folder the videos may lie.
FOLDERS = ("ASLAN_AVI", "ASLAN_MP4", ".")
MATRIX = "View2.mat"
TEXT = "view2.txt"
# The matrix in the .mat file, [pairs of a fold, 5, folds]: sample, sample, 1 if their action is the same, action, action.
VARIABLE = "action_splits_pairs"
FOLDS = 10


class Pair(NamedTuple):
    """Two videos, by name, and whether they show the same action."""

    first: str
    second: str
    same: bool


def read(about: Description, root: Path) -> Listing:
    """Read View 2: one split without training videos, every video of any pair as a test video.

    All videos have label 0, since View 2 tells a network no classes. Only the videos that pairs name are listed (of ASLAN's
    3,697 that is 3,017). Raises InputError, naming the list file and the line or the row.
    """
    table = _read(about, root)
    places = _places(about, root)
    videos: dict[int, Video] = {}
    absent: dict[str, Absent] = {}
    for row in (row for fold in table.folds for row in fold):
        for sample in row.samples:
            name = _name(sample)
            videos.setdefault(sample, Video(name, places.get(sample, ""), 0, name))
            if sample not in places:
                absent.setdefault(name, Absent(root / about.videos / name, f"{table.path.name}, {row.where}"))
    said = {
        "pairs": lists.canonical_hash(
            f"{number} {row.samples[0]} {row.samples[1]} {int(row.same)}"
            for number, fold in enumerate(table.folds, start=1)
            for row in fold
        )
    }
    split = Split((), tuple(videos[sample] for sample in sorted(videos)))
    return Listing(("unlabelled",), {1: split}, {table.path.name: table.sha256}, said, absent)


def pairs(root: Path, name: str = "aslan") -> list[list[Pair]]:
    """The ten folds of a dataset of this layout under a data root, each a list of pairs in the order of the list file.

    Names are those of the videos of `read`. Raises InputError, naming the list file and the line or the row, if it is
    malformed: a pair of one video, folds that cannot be told apart, an action in two folds.
    """
    return [
        [Pair(_name(row.samples[0]), _name(row.samples[1]), row.same) for row in fold]
        for fold in _read(describe(name), root).folds
    ]


class _Row(NamedTuple):
    """A row of the list."""

    samples: tuple[int, int]
    same: bool
    actions: tuple[int, int]
    # "line 7", or "fold 2, row 7" of the matrix.
    where: str


@dataclass
class _Table:
    """A list file as read."""

    path: Path
    sha256: str
    folds: list[list[_Row]]


def _name(sample: int) -> str:
    return f"{sample:04d}"


def _read(about: Description, root: Path) -> _Table:
    """Read View2.mat, or else view2.txt, and check what it says."""
    folder = Path(root) / about.videos
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; the data root must hold {about.videos}/ with its videos and {MATRIX}"
        )
    if (folder / MATRIX).exists():
        table = _read_matrix(folder / MATRIX)
    elif (folder / TEXT).exists():
        table = _read_text(folder / TEXT)
    else:
        raise InputError(f"{folder / MATRIX}: no such file (nor {TEXT}); take the list of View 2 as published")
    _check(table)
    return table


def _read_matrix(path: Path) -> _Table:
    import numpy as np
    import scipy.io

    raw = lists.content_of(path)
    remedy = f"take {MATRIX} as published, or its text form as {TEXT}"
    try:
        content = scipy.io.loadmat(io.BytesIO(raw), variable_names=[VARIABLE])
    except NotImplementedError:
        raise InputError(f"{path}: is a MATLAB 7.3 file; save it with -v7, or {remedy}") from None
    except Exception as error:
        # scipy gives up on bytes that are no .mat file with errors of many kinds.
        raise InputError(f"{path}: cannot be read as a .mat file ({_line(error)}); {remedy}") from None
    if VARIABLE not in content:
        raise InputError(f"{path}: holds no variable {VARIABLE!r}; {remedy}")
    matrix = content[VARIABLE]
    if matrix.ndim != 3 or matrix.shape[1:] != (5, FOLDS) or not len(matrix):
        shape = " x ".join(str(side) for side in matrix.shape)
        raise InputError(f"{path}: {VARIABLE} is {shape}, not pairs x 5 x {FOLDS}; {remedy}")
    if matrix.dtype.kind not in "iuf" or not ((np.abs(matrix) < 2**31) & (matrix == np.rint(matrix))).all():
        raise InputError(f"{path}: {VARIABLE} holds values that are no whole numbers; {remedy}")
    folds = [
        [_row(path, values, f"fold {fold}, row {number}") for number, values in enumerate(rows.tolist(), start=1)]
        for fold, rows in enumerate(np.moveaxis(matrix.astype(np.int64), 2, 0), start=1)
    ]
    return _Table(path, hashlib.sha256(raw).hexdigest(), folds)


def _read_text(path: Path) -> _Table:
    file = lists.read(path)
    rows = []
    for number, line in file.lines:
        values = line.split()
        if len(values) != 5 or not all(value.isascii() and value.isdigit() for value in values):
            raise file.fault(number, f"{line!r} is not the five numbers of a pair")
        rows.append(_row(path, [int(value) for value in values], f"line {number}"))
    if not rows or len(rows) % FOLDS:
        raise InputError(f"{path}: {len(rows)} pairs are no {FOLDS} folds of one size; take the list as published")
    size = len(rows) // FOLDS
    return _Table(path, file.sha256, [rows[first : first + size] for first in range(0, len(rows), size)])


def _row(path: Path, values: list[int], where: str) -> _Row:
    first, second, same, action, other = values
    if first < 1 or second < 1 or same not in (0, 1):
        problem = f"{values} is not two samples from 1 on, a 0 or 1, and two actions"
    elif first == second:
        problem = f"a pair of sample {first} with itself"
    elif (action == other) != bool(same):
        problem = f"actions {action} and {other} are called {'the same' if same else 'not the same'}"
    else:
        return _Row((first, second), bool(same), (action, other), where)
    raise InputError(f"{path}, {where}: {problem}; take the list of View 2 as published")


def _check(table: _Table) -> None:
    """InputError unless every fold has pairs of both kinds, and no action or video is in two folds."""
    homes: dict[str, int] = {}
    for number, fold in enumerate(table.folds, start=1):
        if len({row.same for row in fold}) < 2:
            raise InputError(
                f"{table.path}: fold {number} has {'only' if fold[0].same else 'no'} pairs of the same action; "
                f"take the list of View 2 as published"
            )
        for row in fold:
            for what in (*(f"action {action}" for action in row.actions), *(f"sample {s}" for s in row.samples)):
                if homes.setdefault(what, number) != number:
                    raise InputError(
                        f"{table.path}, {row.where}: {what} is in fold {homes[what]} and in fold {number}, but folds share "
                        f"no action; take the list of View 2 as published, its lines in their order"
                    )


def _places(about: Description, root: Path) -> dict[int, str]:
    """Path from the root of each sample, by its number. InputError if a number is there twice."""
    folder = next(name for name in FOLDERS if (root / about.videos / name).is_dir())
    prefix = about.videos if folder == "." else f"{about.videos}/{folder}"
    found: dict[int, str] = {}
    for name in lists.videos_in(root / prefix):
        stem = lists.stem(name)
        digits = stem[len(stem.rstrip("0123456789")) :]
        if not digits:
            continue
        path = f"{prefix}/{name}"
        if found.setdefault(int(digits), path) != path:
            raise InputError(
                f"{root / path}: sample {_name(int(digits))} is there twice (also {found[int(digits)]}); remove one of them"
            )
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
