"""What the papers say about their numbers, and whether it is true of ours.

A claim is data (``reference_tables/claims/<paper>.toml``): a sentence, its place in the paper, and a relation over
cells in the language of ``harness/judging/relations.py``. On the printed tables it is true or false; on our records it has a
probability.

Method. Cells of cited rows are constants as printed, sizes and costs constants as measured. Every other cell is a mean over
runs; given these runs, its true mean (over training seeds, on these test videos) is taken to be distributed
around ours as Student's t with runs - splits degrees of freedom, scaled so that its central 95 % are exactly the
interval of the cell's judgement (harness/judging/statistics.py; where that has fewer degrees of freedom, since splits share a
pretraining, this shape is the more cautious one). Where the table's prior spread stands in, the distribution is normal
and the evidence says so. Where a spread is unknown (one seed, or equal ones, without a prior), nothing is decided. The
probability of a claim is the share of DRAWS joint draws in which its relation
holds. Each cell has a generator of its own, seeded by its name: the same records give the same verdict, whatever else
is evaluated, and two claims about a cell see the same draws of it.

NOT MEASURED is a claim as soon as one own cell has no result. So is one without any own cell: it is arithmetic, or
compares what others printed, and no run of ours bears on it; `printed_holds` says what the tables make of it.

Cells of one row come from the same runs. With the records at hand and two degrees of freedom or more they are drawn
together: the deviations of each run from its split's mean, one vector per run over the row's cells, are combined with
one standard normal per run, and one chi-square serves the row. Each cell keeps its own t distribution, and a difference
of two cells is judged as a paired t-test would. With fewer runs the correlation is unknown: both extremes, independent
cells and fully shared deviations, are drawn, and the less decisive one counts (0.5 if they lie on either side of it).
Different rows are drawn independently, also where they share a pretraining.

HOLDS from a probability of 0.95 on, FAILS up to 0.05, UNDECIDED between. For an undecided claim the same draws are
narrowed to what n seeds per cell would give at the present means and spreads; the smallest n up to MOST_SEEDS that
decides is reported (from SEARCH_DRAWS of them, so give or take a few percent).
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from harness import files
from harness.errors import UsageError
from harness.judging.compare import Judgement
from harness.judging.relations import Look, Relation, RelationError, stacked
from harness.judging.statistics import quantile
from harness.records import Record
from harness.tables import EXACT_UNITS, Cell, Paper

DRAWS = 2000
SEARCH_DRAWS = 500  # to find how many seeds would decide
HOLDS, FAILS = 0.95, 0.05
MOST_SEEDS = 100

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

    def fault(self, what: object) -> UsageError:
        """An error that names this claim and its file."""
        return UsageError(f"{self._file}: claim {self.id}: {what}")


@dataclass(frozen=True)
class ClaimResult:
    """What a claim comes to on our records."""

    # the claim's own fields
    paper: str
    id: str
    statement: str
    where: str
    printed_holds: bool | None
    verdict: Literal["HOLDS", "FAILS", "UNDECIDED", "NOT MEASURED"]
    # that the relation holds; None where NOT MEASURED, and where no spread is known
    probability: float | None
    # UNDECIDED: seeds per cell, those at hand included, that would decide; None if more than MOST_SEEDS. Without a
    # probability the least number that could tell a spread
    seeds_needed: int | None
    # every cell that the relation names: number, 95 % interval over seeds, seeds; or why there is none
    evidence: list[str]
    note: str
    # UNDECIDED: seeds at hand of the cell with the fewest
    seeds: int = 0

    @property
    def remedy(self) -> str:
        """What would decide an undecided claim, in words; "" for others."""
        if self.verdict != "UNDECIDED":
            return ""
        if self.seeds_needed is None:
            return f"{MOST_SEEDS} seeds would not decide"
        if self.probability is None:
            return f"at least {self.seeds_needed} seeds are needed to know the spread"
        more = self.seeds_needed - self.seeds
        return f"{more} more seed{'s'[: more > 1]} ({self.seeds_needed} in all) would decide"


def load(folder: Path) -> dict[str, list[Claim]]:
    """Read every claims file of a folder; paper key -> claims in the file's order.

    Raises UsageError, one line that names file and claim, for whatever the form or the relations' language forbids.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise UsageError(f"{folder}: no claims (*.toml) there; point to the folder reference_tables/claims")
    return {path.stem: _load_file(path) for path in paths}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    paper: Text
    sets: Sets = {}
    claim: list[Claim] = []


# Paper, table, row and column: the name of a cell among all.
_Key = tuple[str, str, str, str]


def _load_file(path: Path) -> list[Claim]:
    content = files.toml(path)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {_describe(error, content)}") from None
    if file.paper != path.stem:
        raise UsageError(f"{path}: paper is '{file.paper}'; name the file {file.paper}.toml or mend the key")
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


def _describe(error: ValidationError, content: dict[str, Any]) -> str:
    """The first fault of a file as "claim top1_gain: missing key 'where'"."""
    fault = error.errors()[0]
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
    named = cells.named_by(claim, claim._printed)
    if any(math.isnan(cell.value) for cell in named.values()):
        return None
    printed = {name: np.array([cell.value]) for name, cell in named.items()}
    return bool(cells.truth(claim, claim._printed, printed)[0])


def evaluate(
    claims: Iterable[Claim],
    papers: Mapping[str, Paper],
    judgements: Iterable[Judgement],
    records: Iterable[Record] = (),
    cells: "Cells | None" = None,
) -> list[ClaimResult]:
    """Judge claims on our results at one scale, in the order given.

    judgements: those of all papers that the claims are about, at that scale. records: those that the judgements were
    made from (others are ignored), which let the cells of a row be drawn together; see the module's text. cells: the
    papers' cells, where other results of the same papers are evaluated, too.
    Raises UsageError as ``holds_as_printed`` does.
    """
    judged: dict[_Key, Judgement] = {(one.paper, one.table, one.row, one.column): one for one in judgements}
    named = {key for one in judged.values() for key in one.records}
    runs = {key: record for record in records if (key := record.key()) in named} if named else {}
    results = _Results(judged, runs)
    cells = cells or Cells(papers)
    return [_evaluate(claim, cells, results) for claim in claims]


@dataclass(frozen=True)
class _Mean:
    """A cell as the relation sees it: a mean over runs, or a constant (standard error 0)."""

    value: float
    standard_error: float = 0.0
    freedom: int | float = math.inf  # degrees of freedom; inf with the prior spread
    seeds: int = 0
    splits: int = 1
    # (split, seed) -> deviation of this run from the mean of its split; None where the records do not tell
    deviations: Mapping[tuple[int, int], float] | None = None

    def with_seeds(self, seeds: int) -> tuple[float, int | float]:
        """Standard error and degrees of freedom if there were that many seeds; as they are if there are more."""
        if seeds <= self.seeds:
            return self.standard_error, self.freedom
        freedom = self.splits * (seeds - 1)
        return self.standard_error * math.sqrt(self.seeds / seeds), freedom if freedom >= 2 else math.inf


class _Results:
    """What was measured: of each cell its mean, and the draws of it, worked out once for all claims."""

    def __init__(self, judged: Mapping[_Key, Judgement], runs: Mapping[str, Record]):
        self.judged, self.runs = judged, runs
        self._means: dict[_Key, _Mean] = {}
        self._paired: dict[_Key, np.ndarray] = {}
        # By name of a row and its runs.
        self._rows: dict[tuple[str, tuple[tuple[int, int], ...]], list[np.ndarray]] = {}

    def judgement(self, cell: Cell) -> Judgement | None:
        return self.judged.get(_key(cell))

    def mean(self, cell: Cell) -> _Mean:
        """The mean of a cell with a result."""
        key = _key(cell)
        if key not in self._means:
            self._means[key] = _measured(cell, self.judged[key], self.runs)
        return self._means[key]

    def paired(self, cell: Cell, deviations: Mapping[tuple[int, int], float]) -> np.ndarray:
        """[DRAWS] standard normals of a cell whose deviations are known: those of its runs, weighted."""
        key = _key(cell)
        if key not in self._paired:
            size = math.sqrt(math.fsum(deviation**2 for deviation in deviations.values()))
            row = f"{cell.table}.{cell.row}", tuple(deviations)
            if row not in self._rows:
                self._rows[row] = [_normals(f"{row[0]} {run}") for run in deviations]
            # Run after run, not a product of matrices, whose sums come out differently on different processors.
            self._paired[key] = np.zeros(DRAWS)
            for deviation, run in zip(deviations.values(), self._rows[row], strict=True):
                self._paired[key] += deviation / size * run
        return self._paired[key]


def _key(cell: Cell) -> _Key:
    return cell.paper, cell.table, cell.row, cell.column


def _evaluate(claim: Claim, cells: "Cells", results: _Results) -> ClaimResult:
    named = cells.named_by(claim, claim._ours)
    means: dict[str, _Mean] = {}
    evidence: list[str] = []
    measured = missing = elsewhere = cited = False
    unknown_spread = 0  # most seeds that tell no spread
    for name, cell in named.items():
        judgement = results.judgement(cell)
        if judgement is not None and cell.source == "own" and _has_a_result(judgement):
            mean, measured = results.mean(cell), True
            elsewhere |= not _as_in_the_paper(judgement)
            if math.isnan(mean.standard_error):
                unknown_spread = max(unknown_spread, mean.seeds)
            evidence.append(f"{name} = {_text(cell, mean.value, judgement)}")
        elif cell.source == "cited" and not math.isnan(cell.value):
            mean, cited = _Mean(cell.value), True
            evidence.append(f"{name} = {cell.value:g} (printed, cited)")
        else:
            missing = True
            evidence.append(f"{name} not measured" + (f" ({judgement.verdict})" if judgement else ""))
            continue
        means[name] = mean

    verdict: Literal["HOLDS", "FAILS", "UNDECIDED", "NOT MEASURED"]
    probability, seeds_needed, seeds = None, None, 0
    if not measured and not missing:
        missing = True
        evidence.append("about printed numbers alone: no run of ours bears on it")
    if cited and elsewhere:
        missing = True
        evidence.append("quoted numbers are not set against results at a smaller scale or on other data")
    if missing:
        verdict = "NOT MEASURED"
    elif unknown_spread:
        verdict, seeds_needed, seeds = "UNDECIDED", unknown_spread + 1, unknown_spread
    else:
        sampler = _Sampler(claim, cells, named, means, results)
        probability = sampler.probability(0, DRAWS)
        verdict = _verdict(probability)
        if verdict == "UNDECIDED":
            seeds_needed, seeds = _seeds_needed(sampler), sampler.fewest_seeds
    return ClaimResult(
        claim.paper, claim.id, claim.statement, claim.where, claim.printed_holds,
        verdict, probability, seeds_needed, evidence, claim.note, seeds,
    )  # fmt: skip


def _has_a_result(judgement: Judgement) -> bool:
    """Whether a number of ours is there that can be believed."""
    return judgement.verdict != "INVALID" and judgement.ours is not None and math.isfinite(judgement.ours)


def _as_in_the_paper(judgement: Judgement) -> bool:
    """Whether all its records are of paper scale and the complete official data, which their keys say."""
    places = [key.split("/")[1:3] for key in judgement.records]
    return all(scale == "paper" and fingerprint.startswith("full-") for scale, fingerprint in places)


def _verdict(probability: float) -> Literal["HOLDS", "FAILS", "UNDECIDED"]:
    if probability >= HOLDS:
        return "HOLDS"
    return "FAILS" if probability <= FAILS else "UNDECIDED"


def _seeds_needed(sampler: "_Sampler") -> int | None:
    """The smallest number of seeds per cell that decides; certainty grows with seeds, so halving the range finds it."""
    undecided, enough = sampler.fewest_seeds, MOST_SEEDS
    if undecided >= enough or _verdict(sampler.probability(enough, SEARCH_DRAWS)) == "UNDECIDED":
        return None
    while enough - undecided > 1:
        middle = (undecided + enough) // 2
        if _verdict(sampler.probability(middle, SEARCH_DRAWS)) == "UNDECIDED":
            undecided = middle
        else:
            enough = middle
    return enough


def _measured(cell: Cell, judgement: Judgement, runs: Mapping[str, Record]) -> _Mean:
    ours = judgement.ours
    assert ours is not None  # only cells with a result are asked for
    if cell.unit in EXACT_UNITS:  # sizes and counts do not depend on a seed
        return _Mean(ours)
    seeds, splits = judgement.seeds, len(judgement.per_split)
    if judgement.half_width is None:
        return _Mean(ours, math.nan, seeds=seeds, splits=splits)
    if _prior(judgement):
        return _Mean(ours, judgement.half_width / quantile(0.975, math.inf), math.inf, seeds, splits)
    freedom = max(1, len(judgement.records) - splits)
    error = judgement.half_width / quantile(0.975, freedom)
    # Two runs of one split always correlate perfectly, so they tell nothing.
    deviations = _deviations(cell, judgement, runs) if freedom >= 2 else None
    return _Mean(ours, error, freedom, seeds, splits, deviations)


def _prior(judgement: Judgement) -> bool:
    return any(flag.endswith("prior spread") for flag in judgement.flags)


def _deviations(cell: Cell, judgement: Judgement, runs: Mapping[str, Record]) -> dict[tuple[int, int], float] | None:
    """(split, seed) -> deviation of the run's score from the mean of its split; None where a record is not at hand."""
    scores: dict[tuple[int, int], float] = {}
    for key in judgement.records:
        if key not in runs or cell.metric not in runs[key].scores:
            return None
        scores[runs[key].split, runs[key].seed] = runs[key].scores[cell.metric]
    return {run: score - judgement.per_split[run[0]] for run, score in scores.items()}


def _text(cell: Cell, ours: float, judgement: Judgement) -> str:
    """42.1 [40.9 to 43.3] (95 %, 3 seeds)"""
    remarks = [f"{judgement.seeds} seed{'s' if judgement.seeds != 1 else ''}"]
    digits = ".1f" if cell.unit == "percent" else ".4g"
    text = f"{ours:{digits}}"
    if cell.unit not in EXACT_UNITS:
        if judgement.half_width is None:
            remarks.append("spread unknown")
        else:
            low, high = ours - judgement.half_width, ours + judgement.half_width
            text += f" [{low:{digits}} to {high:{digits}}]"
            remarks = ["95 %", *remarks, *(["prior spread"] if _prior(judgement) else [])]
    if judgement.missing:
        remarks.append("incomplete")
    return f"{text} ({', '.join(remarks)})"


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


@lru_cache(maxsize=1)
def _random_state() -> np.random.RandomState:
    # RandomState, because its stream is frozen for all versions of numpy: committed reports must not move.
    return np.random.RandomState()


def _generator(name: str) -> np.random.RandomState:
    """A generator seeded by the name, good until the next call (making a new one would take longer than the draws)."""
    _random_state().seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
    return _random_state()


@lru_cache(maxsize=4096)
def _normals(name: str) -> np.ndarray:
    """[DRAWS] standard normals, the same ones whenever the name is."""
    return _generator(name).standard_normal(DRAWS)


@lru_cache(maxsize=4096)
def _widths(name: str, freedom: int, draws: int) -> np.ndarray:
    """[draws] factors that make standard normals Student's t."""
    return np.sqrt(freedom / _generator(f"{name} {freedom}").chisquare(freedom, draws))


class _Sampler:
    """Joint draws of a claim's cells, the same ones for every number of seeds that is asked about."""

    def __init__(
        self, claim: Claim, cells: Cells, named: Mapping[str, Cell], means: dict[str, _Mean], results: _Results
    ):
        self.claim, self.cells, self.means = claim, cells, means
        uncertain = {name: mean for name, mean in means.items() if mean.standard_error > 0}
        self.fewest_seeds = min((mean.seeds for mean in uncertain.values()), default=0)
        self.constants = {name: np.array([mean.value]) for name, mean in means.items() if name not in uncertain}
        unpaired = [self._row(name) for name, mean in uncertain.items() if mean.deviations is None]
        correlation_unknown = len(unpaired) > len(set(unpaired))
        # cell -> standard normals [1 or 2, DRAWS]: the second with shared deviations where the correlation is unknown
        self.normals: dict[str, np.ndarray] = {}
        for name, mean in uncertain.items():
            if mean.deviations:
                own = shared = results.paired(named[name], mean.deviations)
            else:
                own, shared = _normals(name), _normals(self._row(name))
            self.normals[name] = np.stack([own, shared]) if correlation_unknown else own[None]

    def _row(self, name: str) -> str:
        return name.rpartition(".")[0]

    def probability(self, seeds: int, draws: int) -> float:
        """That the relation holds, with `seeds` seeds for every cell (0: those there are)."""
        numbers = dict(self.constants)
        for name, normals in self.normals.items():
            mean = self.means[name]
            error, freedom = mean.with_seeds(seeds)
            deviations = error * normals[:, :draws]
            if math.isfinite(freedom):
                deviations *= _widths(self._row(name), freedom, draws)
            numbers[name] = (mean.value + deviations).ravel()
        truth = self.cells.truth(self.claim, self.claim._ours, numbers)
        if len(truth) == 1:
            return float(truth[0])
        shares = truth.reshape(-1, draws).mean(axis=1)
        return float(min(max(0.5, shares.min()), shares.max()))  # of two, the less decisive; 0.5 if they disagree
