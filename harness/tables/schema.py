"""What the papers printed: the schema of ``reference_tables/*.toml`` and its checks.

One file per paper, one ``[[table]]`` per numbered table, one ``[[figure]]`` per measurement that the paper shows as a
figure or states in words only (the same form without values). ``reference_tables/README.md`` tells how to enter one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.errors import UsageError

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Text = Annotated[str, Field(min_length=1)]
Scalar = bool | int | float | str
Number = Annotated[float, Field(strict=True)]


def _each_once(splits: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(splits)) < len(splits):
        raise ValueError(f"splits {list(splits)} name one twice")
    return splits


Splits = Annotated[
    tuple[Annotated[int, Field(ge=1, strict=True)], ...], Field(min_length=1), AfterValidator(_each_once)
]


def _there(dataset: str, info: ValidationInfo) -> str:
    """A dataset's name is one of those that the reader of a file knows, where it knows any."""
    known = (info.context or {}).get("datasets")
    if known is not None and dataset not in known:
        raise PydanticCustomError("literal_error", "unknown dataset", {"expected": ", ".join(known)})
    return dataset


Dataset = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"), AfterValidator(_there)]
Unit = Literal["percent", "millions", "gmacs", "loss", "auc", "error", "count", "samples", "epochs", "silhouette"]
# How something is measured. A pretext task may have a protocol of its own, which its module names; those of the suite are
#     order-accuracy     clips of a video put in order
#     statistics-errors  squared errors of regressed statistics, by the constant predictor's
#     ranking-accuracy   pairs of coming frames ranked in their order
#     segment-scores     order, sampling rates and contrast of a clip's segments
#     view-scores        motion and looks that synthesised views keep
#     pretext            other scores of the pretraining task itself
#     clip-retrieval     every test clip queries all training clips
#     video-retrieval    the mean over a video's clips queries
#     cross-retrieval    the videos of one dataset query another's (the setting `gallery`)
#     layer-retrieval    clip retrieval with the features of one layer
#     recognition        fine-tuning, then the mean prediction over a video's clips
#     training-curve     a quantity read off the curves of a training run
#     finetuning-curve   the same of fine-tuning
#     feature-space      how the features of a few classes lie
#     cost               parameters and multiply-accumulates, no training
#     video-qa, aslan, yupenn
Protocol = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,59}$")]

# Lowest and highest value that a unit can have; counts are whole numbers as well. A count is a property of the data and the
# same in every run; samples and epochs are counted along a run, and differ from seed to seed.
RANGES: dict[str, tuple[float, float]] = {
    "percent": (0, 100),
    "millions": (0, math.inf),
    "gmacs": (0, math.inf),
    "loss": (0, math.inf),
    "auc": (0, 1),
    "error": (0, math.inf),
    "count": (1, math.inf),
    "samples": (0, math.inf),
    "epochs": (0, math.inf),
    "silhouette": (-100, 100),
}
# Sizes and counts are compared at the precision they are printed with, so they need no tolerance.
EXACT_UNITS = frozenset({"millions", "gmacs", "count"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(_Part):
    """How far a reproduction may be from the printed number, in the cell's unit, and why."""

    points: Annotated[Number, Field(ge=0, allow_inf_nan=False)]  # equivalence margin
    prior_sd: Annotated[Number, Field(gt=0, allow_inf_nan=False)]  # spread of one training run; used with a single seed
    reason: Text


class Column(_Part):
    """One measured quantity, with what the table says for all its columns already merged in."""

    id: Identifier
    label: Text
    metric: Text  # the key of a record's scores
    unit: Unit
    better: Literal["high", "low", "none"]
    protocol: Protocol
    dataset: Dataset | None = None  # tested on; none for parameters and FLOPs
    splits: Splits = (1,)  # the value is the mean over these
    settings: dict[str, Scalar] = {}
    tolerance: Tolerance | None = None


class Row(_Part):
    """One method or setting. Rows with source "own" are what the suite runs; "cited" rows are shown beside them."""

    id: Identifier
    label: Text
    source: Literal["own", "cited"]
    backbone: Text | None = None
    weights: Text | dict[str, Text] | None = None  # one pretraining for the row, or one for each column id
    dataset: Dataset | None = None  # wins over the column's
    splits: Splits | None = None  # wins over the column's
    settings: dict[str, Scalar] = {}  # added to the column's, and wins
    values: tuple[Number, ...] = ()  # in column order; nan where the paper gives none; empty in figures
    printed: dict[str, Text] = {}  # what the paper's text shows, where it is read otherwise
    erratum: dict[str, Text] = {}  # and why
    _texts: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_texts(cls, data: Any, handler: ModelWrapValidatorHandler["Row"]) -> "Row":
        row = handler(data)
        if isinstance(data, dict):
            row._texts = tuple(getattr(value, "text", str(value)) for value in data.get("values", ()))
        return row


@dataclass(frozen=True)
class Cell:
    """One number of one table with everything that says how it is measured (row over column over table)."""

    paper: str
    table: str
    row: str
    column: str
    source: str  # "own" or "cited"
    value: float  # nan where the paper gives none, and in figures
    printed: str  # as the paper's text shows it; "" where it gives none
    decimals: int  # digits after the point of the value as entered
    erratum: str | None
    metric: str
    unit: str
    better: str
    protocol: str
    dataset: str | None
    splits: tuple[int, ...]
    settings: dict[str, Scalar]
    backbone: str | None
    weights: str | None
    tolerance: Tolerance | None


class Table(_Part):
    """A numbered table of results."""

    # What [table.shared] may say for all columns; a column's own key wins.
    SHARED: ClassVar = ("metric", "dataset", "splits", "unit", "better", "protocol", "settings", "tolerance")
    is_figure: ClassVar[bool] = False

    id: Identifier
    title: Text
    where: Text  # table and section of the paper
    protocol: Protocol
    notes: tuple[Text, ...] = ()
    tolerance: Tolerance | None = None
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    _paper: str = PrivateAttr(default="")

    @model_validator(mode="before")
    @classmethod
    def _merge_shared(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("columns"), list):
            return data
        merged = dict(data)
        shared = merged.pop("shared", {})
        if not isinstance(shared, dict):
            raise ValueError("shared: write [table.shared] with single keys")
        for key in shared:
            if key not in cls.SHARED:
                raise ValueError(f"shared: unknown key '{key}'; choose from {', '.join(cls.SHARED)}")
        defaults = {key: data[key] for key in ("protocol", "tolerance") if key in data} | shared
        merged["columns"] = [
            defaults | column | _merged_settings(defaults, column) if isinstance(column, dict) else column
            for column in data["columns"]
        ]
        return merged

    @model_validator(mode="after")
    def _check(self) -> "Table":
        _refuse_repeats("columns", [column.id for column in self.columns])
        _refuse_repeats("rows", [row.id for row in self.rows])
        if not self.is_figure and not self.rows and not self.notes:
            raise ValueError("rows: none, and no note that says why")
        for column in self.columns:
            if not self.is_figure and column.tolerance is None and column.unit not in EXACT_UNITS:
                raise ValueError(f"column {column.id}: no tolerance, neither its own nor the table's")
        for row in self.rows:
            for fault in self._faults_of(row):
                raise ValueError(f"row {row.id}: {fault}")
        return self

    def _faults_of(self, row: Row) -> Iterator[str]:
        names = [column.id for column in self.columns]
        if self.is_figure:
            if row.values or row.printed or row.erratum:
                yield "a figure has no printed numbers; leave out values, printed and erratum"
        elif len(row.values) != len(names):
            plural = "" if len(row.values) == 1 else "s"
            yield f"{len(row.values)} value{plural} for {len(names)} columns"
        for key in ("printed", "erratum"):
            for name in getattr(row, key):
                if name not in names:
                    yield f"{key} names an unknown column '{name}'; the columns are {', '.join(names)}"
        for name in row.printed:
            if name not in row.erratum:
                yield f"{name} has printed without erratum; say why it is read otherwise"
        for name in row.erratum:
            if name not in row.printed:
                yield f"{name} has erratum without printed; say what the paper shows"
        for column, value in zip(self.columns, row.values, strict=False):
            low, high = RANGES[column.unit]
            if math.isinf(value) or value < low or value > high:
                bounds = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
                yield f"{column.id} is {value:g}, out of range for {column.unit} ({bounds})"
            if column.unit == "count" and not math.isnan(value) and value != int(value):
                yield f"{column.id} is {value:g}; a count is a whole number"
        if row.source == "cited":
            if row.weights is not None:
                yield "a cited row is never run and has no weights"
            return
        if row.backbone is None:
            yield "an own row needs a backbone"
        if row.weights is None:
            yield "an own row needs weights: a pretraining of the recipe, 'random' or 'imported'"
        if isinstance(row.weights, dict):
            for name in row.weights:
                if name not in names:
                    yield f"weights names an unknown column '{name}'; the columns are {', '.join(names)}"
            for index, name in enumerate(names):
                given = self.is_figure or not math.isnan(row.values[index])
                if given and name not in row.weights:
                    yield f"weights says nothing for column '{name}'"

    @property
    def numbers(self) -> int:
        """How many numbers the paper prints here; missing cells do not count."""
        return sum(not math.isnan(value) for row in self.rows for value in row.values)

    def row(self, row_id: str) -> Row:
        """The row of that id; UsageError lists the choices."""
        return _pick(self.rows, row_id, f"{self._paper} {self.id} has no row")

    def column(self, column_id: str) -> Column:
        """The column of that id; UsageError lists the choices."""
        return _pick(self.columns, column_id, f"{self._paper} {self.id} has no column")

    def cell(self, row_id: str, column_id: str) -> Cell:
        """One number and how it is measured; UsageError when there is no such row or column."""
        column = self.column(column_id)
        return self._cell(self.row(row_id), [each.id for each in self.columns].index(column.id))

    def cells(self) -> Iterator[Cell]:
        """Every cell, row by row, those without a number included."""
        for row in self.rows:
            for index in range(len(self.columns)):
                yield self._cell(row, index)

    def _cell(self, row: Row, index: int) -> Cell:
        column, value, text = self.columns[index], math.nan, ""
        if row.values:
            value = row.values[index]
            text = "" if math.isnan(value) else row._texts[index]
        return Cell(
            paper=self._paper,
            table=self.id,
            row=row.id,
            column=column.id,
            source=row.source,
            value=value,
            printed=row.printed.get(column.id, text),
            decimals=len(text.partition(".")[2]),
            erratum=row.erratum.get(column.id),
            metric=column.metric,
            unit=column.unit,
            better=column.better,
            protocol=column.protocol,
            dataset=row.dataset or column.dataset,
            splits=row.splits or column.splits,
            settings={**column.settings, **row.settings},
            backbone=row.backbone,
            weights=row.weights.get(column.id) if isinstance(row.weights, dict) else row.weights,
            tolerance=column.tolerance,
        )


class Figure(Table):
    """A measurement that the paper shows as a figure or states in words: a table without printed numbers."""

    is_figure: ClassVar[bool] = True


class Paper(_Part):
    """All tables of one paper, and what it shows without numbers."""

    key: Identifier
    title: Text
    citation: Text
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    _elsewhere: bool = PrivateAttr(default=False)

    @property
    def elsewhere(self) -> bool:
        """Whether its tables lie outside the checkout, in a folder that commands are told by --papers."""
        return self._elsewhere

    @model_validator(mode="after")
    def _check(self) -> "Paper":
        _refuse_repeats("tables", [table.id for table in self.tables_and_figures])
        for table in self.tables_and_figures:
            table._paper = self.key
        return self

    @property
    def tables_and_figures(self) -> tuple[Table, ...]:
        """Everything with rows and columns, in the order of pages."""
        return (*self.tables, *self.figures)

    @property
    def short(self) -> str:
        """First author, venue and year: the citation without title and DOI."""
        parts = (part.strip() for part in self.citation.replace(self.title, "").split(","))
        return ", ".join(part for part in parts if part and not part.startswith("DOI"))

    @property
    def numbers(self) -> int:
        """How many numbers the paper's tables print."""
        return sum(table.numbers for table in self.tables)

    def table(self, table_id: str) -> Table:
        """The table or figure of that id; UsageError lists the choices."""
        return _pick(self.tables_and_figures, table_id, f"{self.key} has no table")

    def cells(self) -> Iterator[Cell]:
        """Every cell of the tables, figures left out."""
        for table in self.tables:
            yield from table.cells()


def _merged_settings(defaults: dict[str, Any], column: dict[str, Any]) -> dict[str, Any]:
    both = [part["settings"] for part in (defaults, column) if "settings" in part]
    # A wrong type is left as it is, for the column's own check to name.
    return {"settings": both[0] | both[1]} if len(both) == 2 and all(isinstance(part, dict) for part in both) else {}


def _refuse_repeats(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what}: the id '{name}' appears twice")
        seen.add(name)


_Named = TypeVar("_Named", Row, Column, Table)


def _pick(parts: tuple[_Named, ...], wanted: str, complaint: str) -> _Named:
    for part in parts:
        if part.id == wanted:
            return part
    raise UsageError(f"{complaint} '{wanted}'; there are {', '.join(part.id for part in parts) or 'none'}")
