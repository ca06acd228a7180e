"""Verdicts: a paper's cells and the records of one scale in, one judgement per cell out. Touches no file.

How a cell is judged. Ours is the mean over the cell's splits of each split's mean over seeds. It is compared with the
printed number as a difference d between two results of one experiment on the same videos: the printed number is one
run, and runs scatter, there as here, by the spread of our seeds (harness/judging/statistics.py). So

    variance of d = variance of our mean over seeds + variance of one run

The sampling of videos has no place in that sum: the official test list is the same on both sides, and an easier draw of
test videos would have raised both. It does matter to whoever reads our number as the method's accuracy on such videos
at large, so it is given apart: `half_width` is the 95 % interval of ours over seeds, on these videos; `video_interval`
is the 95 % interval over videos, for these seeds, by a bootstrap of whole groups. They answer different questions and
are not added up.

Two tests are made of d against the tolerance, each at 5 %, by Student's t with the degrees of freedom of the seeds:
`p_different`, that the truth lies beyond the tolerance, and `p_equivalent`, that it lies within (TOST).

    REPRODUCED  |d| is within the tolerance, and the standard error of d is not above the tolerance, so that
                agreement means something
    BELOW       p_different < 0.05, and ours is the worse (the lower, where the column knows no better)
    ABOVE       p_different < 0.05, and ours is the better (the higher): a finding too, that wants explaining
    NEAR        neither: the difference may be noise, or the noise drowns the tolerance

Where the seeds do not tell a spread, the table's prior stands in, at paper scale on the full data alone.

For a given spread the verdict only worsens as |d| grows: p_different falls with |d|, and is at least 0.5 within the
tolerance. Equivalence is the stricter claim: p_equivalent < 0.05 implies REPRODUCED, and is flagged "equivalence
shown". It is rare, since the printed number is a single run.
Parameters, multiply-accumulates and counts have no noise: REPRODUCED means equal at the printed precision.

What comes first, in this order: CITED (a row quoted from elsewhere), NOT RUN (no record of the row on this dataset),
MISSING (a record, but not of this number, or by an older recipe only), INVALID (harness/judging/validity.py: scores or counts
that cannot be, records that contradict each other or do not belong together), NOT COMPARABLE (another scale than the
paper's, other data than the complete official lists, settings or videos asked for otherwise, no printed value), INCOMPLETE
(a split is missing, or a seed that another split has).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from harness.judging import statistics
from harness.judging.validity import cell_fault, record_faults, videos_lost
from harness.records import Record
from harness.tables import EXACT_UNITS, Cell, Paper

VERDICTS = (
    "REPRODUCED",
    "NEAR",
    "BELOW",
    "ABOVE",
    "INCOMPLETE",
    "MISSING",
    "INVALID",
    "NOT COMPARABLE",
    "NOT RUN",
    "CITED",
)
LEVEL = 0.05
# The stage kind whose key, common to several splits, means that they share a network.
PRETRAINING = "pretrain"
# What is lost with unreadable videos, by protocols that count something else.
LOST = {"aslan": "pairs hold unreadable videos", "video-qa": "questions are about unreadable videos"}


@dataclass(frozen=True)
class Judgement:
    """What one cell comes to. Numbers are in the unit of the cell's column."""

    # which cell: keys as in reference_tables/
    paper: str
    table: str
    row: str
    column: str
    # the printed value, as read with the table's erratum; nan where the paper gives none
    printed: float
    # mean over splits of each split's mean over seeds; None without (valid) records
    ours: float | None = None
    # spread of one seed on one split: standard deviation within splits, pooled; None where no split has two seeds
    sd: float | None = None
    # half of the 95 % interval of ours over seeds, on these videos
    half_width: float | None = None
    # degrees of freedom of that interval and of the tests; inf with the prior spread
    degrees: float | None = None
    # 95 % interval of ours over videos, for these seeds; None without outcomes
    video_interval: tuple[float, float] | None = None
    # distinct seeds
    seeds: int = 0
    # split -> mean over its seeds
    per_split: dict[int, float] = field(default_factory=dict)
    # what a complete cell would also have, such as "split 2 seed 0"
    missing: tuple[str, ...] = ()
    # ours - printed, where the two may be compared
    difference: float | None = None
    # the margin: the table's tolerance, or half a unit of the last printed digit; nan where the table states none
    tolerance: float = math.nan
    # p-value of the test that the two differ by more than the tolerance
    p_different: float | None = None
    # p-value of the test that the two differ by less than the tolerance
    p_equivalent: float | None = None
    # one of VERDICTS
    verdict: str = "NOT RUN"
    # short remarks that a reader of the number must know
    flags: tuple[str, ...] = ()
    # why this verdict, in a sentence
    reason: str = ""
    # keys of the records that it rests on, sorted
    records: tuple[str, ...] = ()


def judge(
    paper: Paper,
    records: Iterable[Record],
    *,
    scale: str,
    fingerprint: dict[str, str] | None = None,
    recipe_hash: str | None = None,
    protocol_versions: dict[str, int] | None = None,
    cells: Iterable[Cell] | None = None,
) -> list[Judgement]:
    """Judge every cell of a paper's tables and figures, in their order; the order of the records does not matter.

    Only records of the paper and scale count. fingerprint: dataset -> the data that counts, where there are several.
    recipe_hash: records of another recipe are left out, and flagged. protocol_versions: protocol -> the version that
    counts; a record of another makes its cell INVALID, unless its run was repeated with the right one. cells: those of
    the tables and figures, where they are at hand.
    """
    of_row: dict[tuple[str, str], list[_Kept]] = defaultdict(list)
    stale: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.paper != paper.key or record.scale != scale:
            continue
        if fingerprint and fingerprint.get(record.dataset, record.fingerprint) != record.fingerprint:
            continue
        if recipe_hash is not None and record.recipe_hash != recipe_hash:
            stale[record.table, record.row].append(record)
        else:
            of_row[record.table, record.row].append(_Kept(record, record.key(), record_faults(record)))
    for kept in of_row.values():
        kept.sort(key=lambda one: one.key)
        if len({one.key for one in kept}) < len(kept):
            # What is said of two records under one key must not depend on their order.
            kept.sort(key=lambda one: (one.key, repr(sorted(one.record.scores.items())), one.faults))
    clusters: dict[tuple[tuple[str, ...], ...], statistics.Clusters] = {}
    if cells is None:
        cells = (cell for table in paper.tables_and_figures for cell in table.cells())
    return [
        _judge_cell(
            cell,
            of_row.get((cell.table, cell.row), []),
            stale=sum(_serves(record, cell) for record in stale.get((cell.table, cell.row), [])),
            protocol_versions=protocol_versions or {},
            clusters=clusters,
        )
        for cell in cells
    ]


@dataclass(frozen=True)
class _Kept:
    """A record that counts, with what is wrong with it whatever the cell."""

    record: Record
    key: str
    faults: tuple[str, ...]


def _judge_cell(
    cell: Cell,
    kept: Sequence[_Kept],
    *,
    stale: int,
    protocol_versions: dict[str, int],
    clusters: dict[tuple[tuple[str, ...], ...], statistics.Clusters],
) -> Judgement:
    judged = partial(Judgement, cell.paper, cell.table, cell.row, cell.column, cell.value, tolerance=_tolerance(cell))
    if cell.source == "cited":
        return judged(verdict="CITED", reason="quoted from another paper, not run")
    flags = [f"{stale} record{'s'[: stale > 1]} of another recipe left out"] if stale else []
    kept = [one for one in kept if _serves(one.record, cell)]
    measured = [one for one in kept if cell.metric in one.record.scores]
    if not measured:
        # A run may ask for some rows and datasets only: a number is missing where its own run did not bring it.
        verdict = "MISSING" if kept or stale else "NOT RUN"
        reason = f"its records hold no score {cell.metric}" if kept else "no record of it at this scale"
        return judged(verdict=verdict, flags=tuple(flags), reason=reason)
    keys = tuple(one.key for one in measured)
    measured, remarks = _current(measured, protocol_versions)
    flags += remarks
    if fault := _fault(cell, measured, protocol_versions):
        return judged(records=keys, verdict="INVALID", flags=tuple(flags), reason=fault)
    measured, remarks = _one_device(measured)
    flags += remarks
    if any(one.record.dirty for one in measured):
        flags.append("uncommitted changes")
    if unreadable := max(one.record.counts.get("unreadable", 0) for one in measured):
        flags.append(f"{unreadable} unreadable video{'s'[: unreadable > 1]} left out")
    if across := max(one.record.counts.get("duplicates_across", 0) for one in measured):
        flags.append(f"{across} test video{'s'[: across > 1]} with the bytes of a training video")
    judged = partial(judged, records=tuple(one.key for one in measured))
    if cell.unit in EXACT_UNITS:
        return judged(flags=tuple(flags), **_judge_exact(cell, measured))
    # A record without the score leaves a hole; it does not make its seed disappear.
    seeds = sorted({one.record.seed for one in kept})
    return judged(**_judge_noisy(cell, seeds, measured, flags, clusters))


def _serves(record: Record, cell: Cell) -> bool:
    # Sizes of a network do not depend on the data: any record of the row may give them.
    if cell.unit in EXACT_UNITS:
        return cell.metric in record.scores
    return cell.column in record.columns and cell.dataset in (None, record.dataset) and record.split in cell.splits


def _fault(cell: Cell, measured: list[_Kept], protocol_versions: dict[str, int]) -> str | None:
    for one in measured:
        if one.faults:
            return f"split {one.record.split} seed {one.record.seed}: {one.faults[0]}"
    return cell_fault(cell, [one.record for one in measured], protocol_versions)


def _tolerance(cell: Cell) -> float:
    if cell.unit in EXACT_UNITS:
        return 0.5 * 10.0**-cell.decimals
    return math.nan if cell.tolerance is None else cell.tolerance.points


def _judge_exact(cell: Cell, measured: list[_Kept]) -> dict[str, Any]:
    """The fields of the judgement of a number without noise."""
    ours = measured[0].record.scores[cell.metric]
    found: dict[str, Any] = {"ours": ours, "seeds": len({one.record.seed for one in measured})}
    if math.isnan(cell.value):
        return found | {"verdict": "NOT COMPARABLE", "reason": "the paper prints no value"}
    if reason := _otherwise(measured):
        return found | {"verdict": "NOT COMPARABLE", "reason": reason}
    # The protocol "cost" counts the paper's networks and clips at every scale.
    if measured[0].record.scale != "paper" and measured[0].record.protocol != "cost":
        reason = f"measured at {measured[0].record.scale} scale, printed for the paper's networks"
        return found | {"verdict": "NOT COMPARABLE", "reason": reason}
    difference = ours - cell.value
    # The slack is for decimal fractions, which binary floats do not hold exactly.
    if abs(difference) <= _tolerance(cell) * (1 + 1e-9) + 1e-12:
        verdict, reason = "REPRODUCED", "equal at the printed precision"
    else:
        verdict = _side(difference, cell.better)
        reason = f"{_number(abs(difference))} {'more' if difference > 0 else 'less'} than printed"
    return found | {"difference": difference, "verdict": verdict, "reason": reason}


def _judge_noisy(
    cell: Cell,
    seeds: list[int],
    measured: list[_Kept],
    flags: list[str],
    clusters: dict[tuple[tuple[str, ...], ...], statistics.Clusters],
) -> dict[str, Any]:
    """The fields of the judgement of a mean over runs, `flags` included."""
    by_split: dict[int, dict[int, _Kept]] = {split: {} for split in sorted(cell.splits)}
    for one in measured:
        by_split[one.record.split][one.record.seed] = one
    missing = tuple(
        f"split {split} seed {seed}" for split, runs in by_split.items() for seed in seeds if seed not in runs
    )
    scores = {
        split: [runs[seed].record.scores[cell.metric] for seed in sorted(runs)]
        for split, runs in by_split.items()
        if runs
    }
    per_split = {split: math.fsum(values) / len(values) for split, values in scores.items()}
    ours = math.fsum(per_split.values()) / len(per_split)
    variance, degrees = statistics.pooled_variance(list(scores.values()))
    prior_sd = cell.tolerance.prior_sd if cell.tolerance and _as_the_paper(measured[0].record) else None
    flags = list(flags)
    if _shares_pretraining(measured):
        flags.append("splits share a pretraining")
        whole = [
            math.fsum(runs[seed].record.scores[cell.metric] for runs in by_split.values()) / len(by_split)
            for seed in seeds
            if all(seed in runs for runs in by_split.values())
        ]
        # Without a seed that ran every split there is no replicate; the cell is incomplete, and the prior alone speaks.
        spread = statistics.shared_seed_spread(whole or [ours], prior_sd)
    else:
        spread = statistics.seed_spread(list(scores.values()), prior_sd)
    if degrees and variance == 0:
        flags.append("all seeds give the same value")
    if spread and spread.prior:
        flags.append(
            "one seed: prior spread" if degrees == 0 else f"{'equal' if variance == 0 else 'few'} seeds: prior spread"
        )
    found: dict[str, Any] = {
        "ours": ours,
        "sd": math.sqrt(variance) if degrees else None,
        "half_width": statistics.half_width(spread.ours_variance, spread.degrees) if spread else None,
        "degrees": spread.degrees if spread else None,
        "video_interval": _video_interval(
            cell.metric, [list(runs.values()) for runs in by_split.values() if runs], clusters
        ),
        "seeds": len({one.record.seed for one in measured}),
        "per_split": per_split,
        "missing": missing,
        "flags": tuple(flags),
    }
    if reason := _why_not_comparable(cell, measured):
        return found | {"verdict": "NOT COMPARABLE", "reason": reason}
    if missing:
        difference = ours - cell.value if len(per_split) == len(by_split) else None
        first = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        return found | {"difference": difference, "verdict": "INCOMPLETE", "reason": f"missing: {first}"}
    assert spread is not None  # a printed number has a tolerance, and that a prior
    return found | _compare(cell, ours, spread, tuple(flags))


def _compare(cell: Cell, ours: float, spread: statistics.Spread, flags: tuple[str, ...]) -> dict[str, Any]:
    difference, tolerance = ours - cell.value, _tolerance(cell)
    error = math.sqrt(spread.ours_variance + spread.run_variance)
    # Two printed decimals apart by the tolerance are within it, though their floats may not be.
    size = max(0.0, abs(difference) - 1e-9)
    p_different = statistics.p_different(size, error, spread.degrees, tolerance)
    p_equivalent = statistics.p_equivalent(size, error, spread.degrees, tolerance)
    apart = f"{_number(abs(difference))} {'above' if difference > 0 else 'below'} the printed value"
    noise = f"standard error {_number(error)}"
    if size <= tolerance and error <= tolerance:
        verdict, reason = "REPRODUCED", f"{apart}, within the tolerance of {_number(tolerance)} ({noise})"
        if p_equivalent < LEVEL:
            flags = (*flags, "equivalence shown")
    elif p_different < LEVEL:
        verdict = _side(difference, cell.better)
        reason = f"{apart}, beyond the tolerance of {_number(tolerance)} (p = {_number(p_different)})"
    elif size <= tolerance:
        verdict, reason = "NEAR", f"{apart}, but the noise exceeds the tolerance of {_number(tolerance)} ({noise})"
    else:
        verdict = "NEAR"
        reason = (
            f"{apart}, beyond the tolerance of {_number(tolerance)} but not beyond noise (p = {_number(p_different)})"
        )
    return {
        "difference": difference,
        "p_different": p_different,
        "p_equivalent": p_equivalent,
        "verdict": verdict,
        "flags": flags,
        "reason": reason,
    }


def _side(difference: float, better: str) -> str:
    return "ABOVE" if (difference > 0) != (better == "low") else "BELOW"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _why_not_comparable(cell: Cell, measured: list[_Kept]) -> str:
    record = measured[0].record
    if math.isnan(cell.value):
        return "the paper prints no value"
    if record.scale != "paper":
        return f"measured at {record.scale} scale"
    if record.scope != "full":
        return f"measured on {'synthetic data' if record.scope == 'synthetic' else 'a subset of the official lists'}"
    if reason := _otherwise(measured):
        return reason
    for one in measured:
        if lost := videos_lost(one.record.counts):
            what = LOST.get(one.record.protocol, "videos are unreadable")
            return f"split {one.record.split}: {lost} of {one.record.counts['listed']} listed {what}"
    return ""


def _otherwise(measured: list[_Kept]) -> str:
    """What the commands behind a cell asked for otherwise than the recipe and the lists have it; "" for nothing."""
    asked = dict.fromkeys(one.what for kept in measured for one in kept.record.asked)
    return f"asked for otherwise: {'; '.join(asked)}" if asked else ""


def _as_the_paper(record: Record) -> bool:
    return record.scale == "paper" and record.scope == "full" and not record.asked


def _shares_pretraining(measured: list[_Kept]) -> bool:
    """Whether two splits of one seed were built on the same pretraining."""
    splits: dict[tuple[int, str], set[int]] = defaultdict(set)
    for one in measured:
        if stage := one.record.stages.get(PRETRAINING):
            splits[one.record.seed, stage].add(one.record.split)
    return any(len(shared) > 1 for shared in splits.values())


def _video_interval(
    metric: str, by_split: list[list[_Kept]], clusters: dict[tuple[tuple[str, ...], ...], statistics.Clusters]
) -> tuple[float, float] | None:
    outcomes = [[found for one in runs if (found := one.record.outcomes) and metric in found.hits] for runs in by_split]
    if [*map(len, outcomes)] != [*map(len, by_split)]:
        return None
    # The seeds of a split scored the same videos; the columns of a row and most rows of a table share them, too.
    groups = tuple(tuple(runs[0].groups) for runs in outcomes)
    if groups not in clusters:
        clusters[groups] = statistics.cluster(groups)
    hits = [_mean([one.hits[metric] for one in runs]) for runs in outcomes]
    return statistics.video_interval(clusters[groups], hits, [runs[0].trials for runs in outcomes])


def _mean(runs: list[list[int]]) -> np.ndarray:
    """Of each video's right answers over runs: [videos]."""
    try:
        # By way of bytes, a fifth of the time: answers are counted in tens.
        counts = np.frombuffer(b"".join(map(bytes, runs)), np.uint8).reshape(len(runs), -1)
    except ValueError:
        counts = np.array(runs)
    return np.asarray(counts.sum(axis=0) / len(runs))


def _current(measured: list[_Kept], protocol_versions: dict[str, int]) -> tuple[list[_Kept], list[str]]:
    """Leave out records of another protocol version where the right one stands beside them."""

    def right(record: Record) -> bool:
        return protocol_versions.get(record.protocol, record.protocol_version) == record.protocol_version

    def place(record: Record) -> tuple[str, int, int]:
        return record.dataset, record.split, record.seed

    have = {place(one.record) for one in measured if right(one.record)}
    current = [one for one in measured if right(one.record) or place(one.record) not in have]
    left_out = len(measured) - len(current)
    return current, [f"{left_out} of an older protocol version left out"] if left_out else []


def _one_device(measured: list[_Kept]) -> tuple[list[_Kept], list[str]]:
    """Of a run repeated on another kind of device keep the one on CUDA, where published scores come from."""
    chosen: dict[tuple[str, int, int], _Kept] = {}
    remarks = []
    for one in sorted(measured, key=lambda one: one.record.device_kind):  # "cpu" comes before "cuda"
        place = one.record.dataset, one.record.split, one.record.seed
        if place in chosen and chosen[place].record.device_kind != one.record.device_kind:
            remarks = ["run on cpu and cuda: cuda counts"]
        chosen[place] = one
    return sorted(chosen.values(), key=lambda one: one.key), remarks
