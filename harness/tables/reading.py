"""Reference tables read from files. Every fault is a ``UsageError`` of one line: file, table, row, what is wrong."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness import files
from harness.errors import UsageError
from harness.tables.schema import Paper

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class _Written(float):
    """A float that remembers how the file writes it: trailing zeros are the precision that the paper prints."""

    text: str

    def __new__(cls, text: str) -> "_Written":
        number = super().__new__(cls, text)
        number.text = text
        return number


def find(folder: Path, elsewhere: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """The file of every paper, by its key: each ``*.toml`` of a folder (not of the folders in it), in the order of the keys.

    elsewhere: paper key -> its file, of papers that lie in other places; they come last. Raises UsageError for a folder
    without tables, and for a paper that is there twice.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if not paths:
        raise UsageError(f"{folder}: no reference tables (*.toml) there; point to the reference_tables folder")
    for key, path in (elsewhere or {}).items():
        if key in paths:
            raise UsageError(f"{path}: the paper {key!r} is there already, in {paths[key]}; give it another key")
        paths[key] = path
    return paths


def load(
    folder: Path,
    elsewhere: Mapping[str, Path] | None = None,
    datasets: Collection[str] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Paper]:
    """Read the papers that `find` finds; paper key -> Paper.

    datasets: names of those that there are; None: any. only: keys of those that are read, and need be in order; None: all.
    Raises UsageError as `find` and ``load_paper`` do; of a paper elsewhere it names what lists all of its faults.
    """
    papers = {}
    for key, path in find(folder, elsewhere).items():
        outside = key in (elsewhere or {})
        if only is not None and key not in only:
            continue
        try:
            papers[key] = load_paper(path, key if outside else None, datasets)
        except UsageError as error:
            if not outside:
                raise
            raise UsageError(f"{error}; `validate {path.parents[1]}` lists every fault", error.more) from None
    return papers


def load_paper(path: Path, named: str | None = None, datasets: Collection[str] | None = None) -> Paper:
    """Read and check one paper's tables; `named`: the key of a paper elsewhere, whose folder is named by it, and not the file.

    Raises UsageError, one line that names file, table and row.
    """
    document = files.toml(path, _Written)
    for key in document:
        if key not in ("paper", "table", "figure"):
            raise UsageError(f"{path}: unknown key {key!r}; a file has [paper], [[table]] and [[figure]]")
    header = document.get("paper")
    if not isinstance(header, dict):
        raise UsageError(f"{path}: no [paper] with key, title and citation")
    content = dict(header)
    for key in ("table", "figure"):
        if f"{key}s" in header:
            raise UsageError(f"{path}: paper: unknown key '{key}s'")
        content[f"{key}s"] = document.get(key, [])
        if not isinstance(content[f"{key}s"], list):
            raise UsageError(f"{path}: write [[{key}]] with two brackets; there may be several")
    try:
        paper = Paper.model_validate(content, context={"datasets": datasets})
    except ValidationError as error:
        # An id or key with a line break in it must not break the message.
        first, *more = (f"{path}: {' '.join(_describe(fault, content).split())}" for fault in error.errors())
        raise UsageError(first, more) from None
    if named is None and path.stem != paper.key:
        raise UsageError(f"{path}: paper key is '{paper.key}'; name the file {paper.key}.toml or mend the key")
    if named is not None:
        if paper.key != named:
            name = paper.key.replace("-", "_")
            raise UsageError(f"{path}: paper key is '{paper.key}'; name the folder {name} or mend the key")
        paper._elsewhere = True
    return paper


def _describe(fault: "ErrorDetails", content: dict[str, Any]) -> str:
    """A fault of a file as "table2 row c3d_vcop: unknown key 'lable'"."""
    location, here = fault["loc"], content
    names = []
    kinds: dict[int | str, str] = {"tables": "table", "figures": "figure", "columns": "column", "rows": "row"}
    while len(location) > 1 and location[0] in kinds and isinstance(location[1], int):
        kind, number = kinds[location[0]], location[1]
        here, location = here[f"{kind}s"][number], location[2:]
        name = str(here.get("id", f"number {number + 1}")) if isinstance(here, dict) else f"number {number + 1}"
        names.append(name if kind in ("table", "figure") and name.startswith(kind) else f"{kind} {name}")
    place = " ".join(names) or "paper"
    # Unions add the branch that was tried to the location; the key itself is its first part.
    key = str(location[0]) if location else ""
    if len(location) > 1 and location[0] in ("tolerance", "settings", "printed", "erratum"):
        place, key = f"{place} {location[0]}", str(location[1])
    if fault["type"] == "value_error":
        reason = str(fault["ctx"]["error"])
        return f"{place} {reason}" if names else reason
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key '{key}'"
    if fault["type"] == "missing":
        return f"{place}: missing key '{key}'"
    if fault["type"] == "literal_error":
        choices = fault["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{place}: unknown {key} '{fault['input']}'; choose one of {choices}"
    given = repr(fault["input"])
    given = given if len(given) <= 60 else f"{given[:57]}..."
    if fault["type"] == "string_pattern_mismatch":
        letters = "small letters, digits and -" if key == "protocol" else "letters, digits, - and _"
        return f"{place}: {key} is {given}: {letters} only"
    if place.endswith(" settings"):
        return f"{place}: {key} is {given}: a setting is one text, one number, true or false"
    return f"{place}: {key} is {given}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
