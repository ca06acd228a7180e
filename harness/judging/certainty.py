"""How certain a claim is: the probability that its relation holds of our results, and the verdict that follows.

Cells of cited rows are constants as printed, sizes and costs constants as measured. Every other cell is a mean over
runs; given these runs, its true mean (over training seeds, on these test videos) is taken to be distributed
around ours as Student's t with runs - splits degrees of freedom, scaled so that its central 95 % are exactly the
interval of the cell's judgement (harness/judging/statistics.py; where that has fewer degrees of freedom, since splits share a
pretraining, this shape is the more cautious one). Where the table's prior spread stands in, the distribution is normal
and the evidence says so. Where a spread is unknown (one seed, or equal ones, without a prior), nothing is decided. The
probability of a claim is the share of DRAWS joint draws in which its relation holds. Each cell has a generator of its own,
seeded by its name: the same records give the same verdict, whatever else is evaluated, and two claims about a cell see the
same draws of it.

NOT MEASURED is a claim as soon as one own cell has no result. So is one without any own cell: it is arithmetic, or
compares what others printed, and no run of ours bears on it; `Claim.printed_holds` says what the tables make of it.

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
from typing import Literal

import numpy as np

from harness.judging.claims import Cells, Claim
from harness.judging.compare import Judgement
from harness.judging.statistics import quantile
from harness.records import Record
from harness.tables import EXACT_UNITS, Cell, Paper

DRAWS = 2000
SEARCH_DRAWS = 500  # to find how many seeds would decide
HOLDS, FAILS = 0.95, 0.05
MOST_SEEDS = 100

_Key = tuple[str, str, str, str]


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


def evaluate(
    claims: Iterable[Claim],
    papers: Mapping[str, Paper],
    judgements: Iterable[Judgement],
    records: Iterable[Record] = (),
    cells: Cells | None = None,
) -> list[ClaimResult]:
    """Judge claims on our results at one scale, in the order given.

    judgements: those of all papers that the claims are about, at that scale. records: those that the judgements were
    made from (others are ignored), which let the cells of a row be drawn together; see the module's text. cells: the
    papers' cells, where other results of the same papers are evaluated, too.
    Raises UsageError as `claims.holds_as_printed` does.
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


def _evaluate(claim: Claim, cells: Cells, results: _Results) -> ClaimResult:
    named = cells.named_by(claim, claim.own_relation)
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
        truth = self.cells.truth(self.claim, self.claim.own_relation, numbers)
        if len(truth) == 1:
            return float(truth[0])
        shares = truth.reshape(-1, draws).mean(axis=1)
        return float(min(max(0.5, shares.min()), shares.max()))  # of two, the less decisive; 0.5 if they disagree
