"""What the papers say about their numbers, and whether it is true of ours.

A claim is data (``reference_tables/claims/<paper>.toml``): a sentence, its place in the paper, and a relation over
cells in the language of ``harness/judging/relations.py``. On the printed tables it is true or false; on our records it has a
probability (harness/judging/certainty.py).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from harness import files
from harness.errors import UsageError
from harness.judging.relations import Look, Relation, RelationError, stacked
from harness.tables import Cell, Paper

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Text = Annotated[str, Field(min_length=1)]
Item = Text | int
SetName = Annotated[str, Field(pattern=r"^[a-z_]+$")]
Sets = dict[SetName, Annotated[list[Item | list[Item]], Field(min_length=1, max_length=100)]]


class Claim(BaseModel):
    """One sentence of a paper about its results, in a form that can be checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    # what the paper says, in our words
    statement: Text
    # section, table or figure of the paper
    where: Text
    kind: Literal["quantitative", "ordering", "qualitative"]
    # whether it stands in the paper's text, only follows from its tables, or is a sanity check of ours
    basis: Literal["stated", "implied", "ours"] = "stated"
    # the statement over cells
    relation: Text
    # what a reproduction checks instead, where the printed magnitudes are not the point
    reproduction: Text | None = None
    # whether the paper's own tables bear it out; None where they do not hold the numbers
    printed_holds: bool | None = None
    note: str = ""
    _file: str = PrivateAttr("")
    _paper: str = PrivateAttr("")
    _printed: Relation = PrivateAttr()
    _ours: Relation = PrivateAttr()

    @property
    def paper(self) -> str:
        """The key of the paper that makes the claim."""
        return self._paper

    @property
    def printed_relation(self) -> Relation:
        """What the paper's own tables are asked."""
        return self._printed

    @property
    def own_relation(self) -> Relation:
        """What a reproduction is asked."""
        return self._ours

    def fault(self, what: object) -> UsageError:
        """An error that names this claim and its file."""
        return UsageError(f"{self._file}: claim {self.id}: {what}")


def load(folder: Path, elsewhere: Mapping[str, Path] | None = None) -> dict[str, list[Claim]]:
    """Read every claims file of a folder; paper key -> claims in the file's order.

    elsewhere: paper key -> the claims file of a paper that lies in another place. Raises UsageError, one line that names
    file and claim, for whatever the form or the relations' language forbids.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise UsageError(f"{folder}: no claims (*.toml) there; point to the folder reference_tables/claims")
    found = {path.stem: load_file(path, path.stem) for path in paths}
    for key, path in (elsewhere or {}).items():
        if key in found:
            raise UsageError(
                f"{path}: claims of {key!r} are there already, in {folder / key}.toml; give the paper another key"
            )
        found[key] = load_file(path, key)
    return found


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    paper: Text
    sets: Sets = {}
    claim: list[Claim] = []


def load_file(path: Path, key: str) -> list[Claim]:
    """The claims of one paper, in the file's order. Raises UsageError as `load` does."""
    content = files.toml(path)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first, *more = (f"{path}: {_describe(fault, content)}" for fault in error.errors())
        raise UsageError(first, more) from None
    if file.paper != key:
        raise UsageError(f"{path}: paper is '{file.paper}', not {key!r}; name the file by the paper, or mend the key")
    seen: set[str] = set()
    for claim in file.claim:
        claim._file, claim._paper = str(path), file.paper
        if claim.id in seen:
            raise claim.fault("the id appears twice")
        seen.add(claim.id)
        try:
            claim._printed = Relation(claim.relation, file.sets)
            claim._ours = Relation(claim.reproduction, file.sets) if claim.reproduction else claim._printed
        except RelationError as error:
            raise claim.fault(error) from None
        if (claim.printed_holds is None) != claim._printed.uses("M"):
            raise claim.fault("give printed_holds exactly where the relation names no measurement M(...)")
    return file.claim


def _describe(fault: "ErrorDetails", content: dict[str, Any]) -> str:
    """A fault of a file as "claim top1_gain: missing key 'where'"."""
    place, location = "", fault["loc"]
    if location[0] == "claim" and len(location) > 1 and isinstance(location[1], int):
        number = location[1]
        entry = content["claim"][number]
        name = entry.get("id", f"number {number + 1}") if isinstance(entry, dict) else f"number {number + 1}"
        place, location = f"claim {name}: ", location[2:]
    elif location[0] == "sets" and len(location) > 1:
        place, location = "sets: ", location[1:]
    key = location[0] if location else "claim"
    if fault["type"] == "extra_forbidden":
        return f"{place}unknown key '{key}'"
    if fault["type"] == "missing":
        return f"{place}missing key '{key}'"
    return f"{place}{key}: {fault['msg']}"


def holds_as_printed(claim: Claim, papers: Mapping[str, Paper]) -> bool | None:
    """Whether the paper's own tables bear the claim out; None where they do not hold all of its numbers.

    Raises UsageError for a relation that names an unknown cell or does not come out as one true or false.
    """
    cells = Cells(papers)
    named = cells.named_by(claim, claim.printed_relation)
    if any(math.isnan(cell.value) for cell in named.values()):
        return None
    printed = {name: np.array([cell.value]) for name, cell in named.items()}
    return bool(cells.truth(claim, claim.printed_relation, printed)[0])


class Cells:
    """The cells that relations name, each looked up once."""

    def __init__(self, papers: Mapping[str, Paper]):
        self.papers = papers
        self.found: dict[tuple[str, str, str], list[tuple[str, Cell]]] = {}
        self.named: dict[tuple[str, Relation], dict[str, Cell]] = {}

    def named_by(self, claim: Claim, relation: Relation) -> dict[str, Cell]:
        """All cells that the relation names, under "table.row.column", in the order of their first mention."""
        paper = claim.paper
        if (paper, relation) in self.named:
            return self.named[paper, relation]
        named: dict[str, Cell] = {}

        def look(kind: str, name: str) -> np.ndarray:
            cells = self._look_up(paper, kind, name)
            named.update(cells)
            return np.ones((len(cells), 1)) if kind == "R" else np.ones(1)

        self._run(claim, relation, look)
        self.named[paper, relation] = named
        return named

    def truth(self, claim: Claim, relation: Relation, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """[draws] booleans: whether the relation holds, where each named cell has the value [draws] or [1]."""
        paper = claim.paper

        def look(kind: str, name: str) -> np.ndarray:
            if kind == "R":
                return stacked([numbers[cell] for cell, _ in self._look_up(paper, kind, name)])
            return numbers[name]

        return self._run(claim, relation, look)

    def _run(self, claim: Claim, relation: Relation, look: Look) -> np.ndarray:
        try:
            return relation.truth(look)
        except (RelationError, UsageError) as error:
            raise claim.fault(error) from None

    def _look_up(self, paper: str, kind: str, name: str) -> list[tuple[str, Cell]]:
        """The cell that V or M names, or all cells of the row that R names."""
        key = (paper, kind, name)
        if key in self.found:
            return self.found[key]
        if paper not in self.papers:
            raise RelationError(f"there are no reference tables of the paper '{paper}'")
        parts = name.split(".")
        if len(parts) != (2 if kind == "R" else 3):
            form = "table.row" if kind == "R" else "table.row.column"
            raise RelationError(f"{kind} takes \"{form}\", not '{name}'")
        table = self.papers[paper].table(parts[0])
        if table.is_figure != (kind == "M"):
            place, right = ("figure", "M") if table.is_figure else ("table", "V or R")
            raise RelationError(f"'{name}' is in a {place}; use {right}")
        columns = parts[2:] or [column.id for column in table.columns]
        cells = [(f"{parts[0]}.{parts[1]}.{column}", table.cell(parts[1], column)) for column in columns]
        self.found[key] = cells
        return cells
