"""What the words of a command may be: lists of names, numbers with their bounds, paths, settings.

A bound is there for a reason that its message states. Whatever is out of bounds is one line, before anything is read.
"""

import json
import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import typer

from harness.errors import UsageError
from harness.plan import Setting
from harness.running import door

# More seeds decide no claim (harness/judging/certainty.py looks no further), and a plan of them all would never be run.
MOST_SEEDS = 100
MOST_WORKERS = 256
MOST_VIDEOS = 100_000
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


def names(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
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


def classes(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
    """Names as `names` gives them, each once and sorted: in whatever order they are said, they are one selection."""
    found = names(param, value)
    return found and sorted(set(found))


def splits(words: object) -> tuple[int, ...]:
    """Official splits, "1" or "1,2,3"."""
    parts = [part.strip() for part in str(words).split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,2}", part) for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--splits {words}: give official split numbers, each once, such as 1 or 1,2,3")
    return tuple(map(int, parts))


def setting(words: object) -> Setting:
    """KEY=VALUE as a recipe writes it, with dots between the keys; a bare word is taken for a text."""
    path, equals, written = str(words).partition("=")
    keys: list[str] = []
    try:
        # One key, of which TOML knows the form: nothing else may come in with it.
        here: object = tomllib.loads(f"{path}=0")
        while isinstance(here, dict):
            ((key, here),) = here.items()
            keys.append(key)
        found = _value(written.strip())
    except ValueError:
        found = None
    if not equals or not isinstance(found, bool | int | float | str | list | dict):
        raise UsageError(f"--set {words}: give a key of the recipe and a value, such as video.crop=56")
    return Setting(tuple(keys), found)


def _value(written: str) -> object:
    """A value of TOML, or the bare word that stands for one. Raises ValueError for anything else."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", written) and written not in ("true", "false", "nan", "inf"):
        return written
    ((_, found),) = tomllib.loads(f"value={written}").items()
    # Dates and times, which no setting is, are no JSON either; lists of anything are for the schema to judge.
    json.dumps(found, default=_refused)
    return found


def _refused(value: object) -> None:
    raise ValueError(value)


def settings(value: list[Setting] | None) -> list[Setting]:
    """Settings, each said once."""
    given = value or []
    for number, one in enumerate(given):
        if any(one.keys == other.keys for other in given[:number]):
            raise UsageError(f"--set {'.'.join(one.keys)}: said twice; say it once")
    return given


def name(words: object) -> str:
    """The name of a checkpoint in reports: letters that can be printed, not too many."""
    found = str(words).strip()
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise UsageError(f"--name {found!r}: give 1 to {LONGEST_NAME} letters that can be printed")
    return found


def places(value: list[Path] | None) -> list[Path] | None:
    """Folders of papers outside the checkout, which are looked into from here on."""
    door.add_papers(value or ())
    return value


def triple(option: str, words: str | None) -> tuple[float, ...] | None:
    """Three numbers, one for each channel: "0.45,0.45,0.45"."""
    if words is None:
        return None
    try:
        found = tuple(float(part) for part in words.split(","))
    except ValueError:
        found = ()
    if len(found) != 3 or not all(map(math.isfinite, found)):
        raise UsageError(f"{option} {words}: give three numbers, one for each channel, such as 0.45,0.45,0.45")
    return found


def size(option: str, words: str) -> tuple[int, int]:
    """Height and width in pixels: "128x171"."""
    found = re.fullmatch("([0-9]{1,4})x([0-9]{1,4})", words)
    if not found:
        raise UsageError(f"{option} {words}: give height and width in pixels, such as 128x171")
    return int(found[1]), int(found[2])
