"""What is known of a dataset before its lists are read: a TOML of a few lines, `<name>.toml`.

Those of the suite lie beside this module, others in `DIR/datasets/` of the places that `suite.elsewhere` names. The keys are
the fields of `Description`; docs/bring-a-dataset.md shows how to write one.
"""

import os
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from suite import elsewhere
from suite.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

HOME = Path(__file__).parent
# What a dataset can be called: a part of keys, labels and names of files.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"

Count = Annotated[int, Field(strict=True, ge=0, le=100_000_000)]
Some = Annotated[int, Field(strict=True, ge=1, le=100_000_000)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200)]


def _below(folder: str) -> str:
    """A folder below the data root, with forward slashes."""
    if any(part in ("", ".", "..") for part in folder.split("/")) or "\\" in folder or "\0" in folder:
        raise ValueError("is no folder below the data root; write it with forward slashes, without ..")
    return folder


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names one twice")
    return names


Folder = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_below)]


class Description(BaseModel):
    """A dataset as its TOML describes it; `name` is that of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME)]
    # The module that reads the lists: a name in suite.datasets, or any that can be imported. It has
    # `read(description, root) -> Listing` (suite.datasets).
    layout: Module
    # Folder of the videos; and folders that the list files may lie in, of which the layout takes what is there.
    videos: Folder
    lists: tuple[Folder, ...] = ()
    # Of the official lists: how many classes, or their names in the order of their labels; and the numbers of training and
    # test videos by the number of the split.
    classes: Some | Annotated[tuple[Word, ...], Field(min_length=1), AfterValidator(_each_once)]
    splits: Annotated[
        dict[Annotated[int, Field(ge=1, le=1000)], tuple[Count, Count]], Field(min_length=1, max_length=1000)
    ]
    # Frames of a video on average, for estimates only.
    frames: Some
    # Whether videos have classes that can be learnt and asked for.
    labelled: Annotated[bool, Field(strict=True)] = True
    # The protocol that is about this dataset and those like it alone; empty where all others are.
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9-]*$", max_length=60)] = ""
    # Share of the videos of a list that may be missing before the data are a subset; at 0 every video must be there.
    missing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # The module that generates videos and lists in its place, for runs without data: a name in suite.datasets.synthetic, or
    # any that can be imported. It has `plan(description, root, settings) -> Plan` and `sizes(description)`.
    synthetic: Module | None = None
    # What the official lists say, in the layout's own words (hashes, counts); without it the data are full when they have
    # as many classes and videos as stated above.
    official: dict[str, Any] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by label; empty where the lists are to tell them."""
        return self.classes if isinstance(self.classes, tuple) else ()

    @property
    def class_count(self) -> int:
        """How many classes the official lists have."""
        return len(self.classes) if isinstance(self.classes, tuple) else self.classes

    @property
    def trains(self) -> bool:
        """Whether any split has training videos."""
        return any(train for train, _ in self.splits.values())


def names() -> tuple[str, ...]:
    """Names of all datasets: those of the suite, then those from elsewhere, each sorted."""
    return tuple(dict.fromkeys(path.stem for folder in _folders() for path in _files(folder)))


def files() -> dict[str, Path]:
    """The file of each dataset by its name; of a name that is there twice, which `describe` refuses, the first."""
    return {path.stem: path for folder in reversed(_folders()) for path in reversed(_files(folder))}


def describe(name: str) -> Description:
    """The description of a dataset. Raises InputError for a name that is not there, and for a malformed file."""
    places = [folder / f"{name}.toml" for folder in _folders()] if re.fullmatch(NAME, name) else []
    found = [path for path in places if os.path.lexists(path)]
    if not found:
        raise InputError(f"unknown dataset {name!r}; choose one of {', '.join(names())}")
    if len(found) > 1:
        raise InputError(f"{found[1]}: there is a dataset {name!r} already ({found[0]}); rename one of the files")
    (path,) = found
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    return _read(path, changed)


@lru_cache(maxsize=1000)
def _read(path: Path, changed: int) -> Description:
    """A file as it was when it last changed: recipes ask for the same few datasets all the time."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    # Python itself refuses numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML ({error}); mend this file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    try:
        return Description.model_validate({"videos": path.stem} | content | {"name": path.stem})
    except ValidationError as error:
        first, *more = (f"{path}: {_fault(fault)}; mend this key of the dataset" for fault in _faults(error))
        raise InputError(first, more) from None


def built_in(name: str) -> bool:
    """Whether a dataset is one of the suite's own."""
    return HOME / f"{name}.toml" in _files(HOME)


def _folders() -> list[Path]:
    return [HOME, *(folder / "datasets" for folder in elsewhere.folders())]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.toml") if re.fullmatch(NAME, path.stem))


def _faults(error: ValidationError) -> "list[ErrorDetails]":
    """The faults of a file, one for each key: of a union, what is wrong in the branch that the value is of."""
    found: dict[object, ErrorDetails] = {}
    for fault in error.errors():
        known = found.setdefault(fault["loc"][0], fault)
        if known["type"].endswith("_type"):
            found[fault["loc"][0]] = known if fault["type"].endswith("_type") else fault
    return list(found.values())


def _fault(fault: "ErrorDetails") -> str:
    given = fault["input"]
    shown = f" = {given!r}"[:60] if isinstance(given, str | int | float) else ""
    what = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"][0].lower() + fault["msg"][1:]
    # Of a union the key alone: its branches are no keys.
    place = [str(part) for part in fault["loc"] if isinstance(part, int) or re.fullmatch(r"\w+", str(part))]
    return f"{'.'.join(place)}{shown}: {what}"
