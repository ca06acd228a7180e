"""What the words of a command may be: lists of names, numbers with their bounds, paths.

A bound is there for a reason that its message states. Whatever is out of bounds is one line, before anything is read.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UsageError

# More seeds decide no claim (harness/judging/claims.py looks no further), and a plan of them all would never be run.
MOST_SEEDS = 100
MOST_WORKERS = 256
# TFLOP/s: from a microcontroller to the largest machines there are.
SPEEDS = (1e-3, 1e6)
# Letters of the name that a checkpoint has in a report.
LONGEST_NAME = 100


def whole(option: str, low: int, high: int, why: str) -> Callable[[object], int]:
    """A parser of whole numbers from `low` to `high`; `why` says where the bounds come from."""

    def parse(words: object) -> int:
        # Digits are counted first: of 5,000 of them Python makes no number.
        if not re.fullmatch("[0-9]{1,9}", str(words)) or not low <= int(str(words)) <= high:
            raise UsageError(f"{option} {words}: give a whole number from {low} to {high} ({why})")
        return int(str(words))

    return parse


def speed(words: object) -> float:
    """TFLOP/s, a number within `SPEEDS`; nan is in no bounds."""
    low, high = SPEEDS
    try:
        value = float(str(words))
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(f"--tflops {words}: give a number from {low:g} to {high:g}, the device's TFLOP/s")
    return value


def path(words: object) -> Path:
    """A path; an empty one, which an unset shell variable leaves, would be the present folder."""
    if not str(words):
        raise UsageError("an option that takes a path was given nothing; is a shell variable empty?")
    return Path(str(words))


def folder(words: object) -> Path:
    """A folder that is there or can be made."""
    found = path(words)
    try:
        str(found).encode()
    except UnicodeEncodeError:
        # Libraries that write below it (safetensors, ffmpeg) take names as text.
        raise UsageError(f"{found}: its name is not UTF-8; give the path of another folder") from None
    if found.exists() and not found.is_dir():
        raise UsageError(f"{found}: is no folder; give the path of one, or of one to be made")
    return found


def names(param: typer.CallbackParam, value: list[str] | None):
    """Names given one by one or with commas between them; None where the option was not given.

    An empty name is refused: an empty shell variable must not ask for everything.
    """
    parts = [part.strip() for words in value or () for part in words.split(",")]
    if not all(parts):
        given = ",".join(value or ())
        raise UsageError(
            f"--{param.name} {given!r}: an empty name; name what is wanted, or leave the option out for all"
        )
    return parts or None


def splits(words: object) -> tuple[int, ...]:
    """Official splits, "1" or "1,2,3"."""
    parts = [part.strip() for part in str(words).split(",")]
    if not all(part in ("1", "2", "3") for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--splits {words}: give official split numbers, each once, such as 1 or 1,2,3")
    return tuple(map(int, parts))


def name(words: object) -> str:
    """The name of a checkpoint in reports: letters that can be printed, not too many."""
    found = str(words).strip()
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise UsageError(f"--name {found!r}: give 1 to {LONGEST_NAME} letters that can be printed")
    return found


PaperKey = Annotated[str, typer.Argument(metavar="PAPER", help="Key of a paper, such as vcop; `list` shows them.")]
Scale = Annotated[str, typer.Option(help="paper, small or tiny: the settings of the recipe.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="SUITE_DATA",
        parser=path,
        metavar="DIR",
        help="Folder that holds the datasets in their official layouts; without it, generated data.",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(callback=names, help="Only these (comma-separated or repeated); the rest is NOT RUN."),
]
RunsFolder = Annotated[
    Path,
    typer.Option(
        "--runs", parser=folder, metavar="DIR", help="Where checkpoints, features and generated data are kept."
    ),
]
Records = Annotated[Path, typer.Option("--records", parser=path, metavar="DIR", help="Folder of records.")]
OwnRecords = Annotated[
    Path | None,
    typer.Option(
        "--records",
        parser=folder,
        metavar="DIR",
        help="Folder of records; a run's own are under <runs>/records.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        parser=whole("--seeds", 1, MOST_SEEDS, "each trains everything once, and more decide no claim"),
        metavar="N",
        help="Runs of every training, with seeds 0, 1, ...",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=whole("--workers", 0, MOST_WORKERS, "processes of each stage; 0 reads in the stage itself"),
        metavar="N",
        help="Loader processes of each stage.",
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        parser=speed,
        metavar="NUMBER",
        help="State the speed of your device; else it is measured from finished stages, or taken.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Everything = Annotated[
    bool, typer.Option("--all", help="Every row, where a scale runs a subset by default (the recipe's `subset`).")
]
Glove = Annotated[
    Path | None,
    typer.Option(
        "--glove",
        parser=path,
        metavar="FILE",
        help="glove.6B.300d.txt, for questions about videos; without it, words are learnt (a departure).",
    ),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Count videos that do not decode, and go on without them.")
]
