"""What makes a record, or the records of one cell, impossible to believe: the reasons for the verdict INVALID.

Names in a record's counts that are checked against each other:

    listed          videos that the lists name for scoring
    decoded         those of them that could be decoded
    unreadable      videos of the dataset that could not, and that the run was told to do without
    duplicates_across   test videos of the split with the bytes of a training video, which are scored like all others
    queries         videos that were scored
    total           denominator of the scores: queries, times the clips of each where clips are scored one by one
    asked_<metric>  that of a score of its own, such as one type of question
    correct_<metric>, or correct of the accuracy or the only score: numerator

ASLAN counts pairs of videos where others count videos, and its accuracy is the mean over ten folds: the share of all pairs
as long as none is lost. Video question answering counts questions.
"""

import math
from collections.abc import Iterator, Sequence

from harness.records import Outcomes, Record
from harness.tables import EXACT_UNITS, RANGES, Cell

# Protocols that score all that was decoded, each video (or pair) as often as the others.
WHOLE = frozenset({"recognition", "clip-retrieval", "layer-retrieval", "video-retrieval", "aslan", "yupenn"})
# Protocols that score what is long enough for the task, or what is asked about: shares of fewer videos, or of other things.
PARTLY = frozenset({"order-accuracy", "ranking-accuracy", "pretext", "video-qa"})
# How far a share of right answers may be from a whole number of them: floats are rounded, and so are some scores.
ROUNDING = 1e-3
# Counts that all seeds of a split share.
OF_THE_DATA = ("listed", "decoded", "queries", "gallery", "total")
# Protocols that count pairs of videos, or questions about them: one video that cannot be read takes several with it.
SEVERAL_OF_A_VIDEO = ("aslan", "video-qa")


def videos_lost(counts: dict[str, int]) -> int:
    """Listed videos that were not decoded."""
    return counts["listed"] - counts["decoded"] if "listed" in counts and "decoded" in counts else 0


def record_faults(record: Record) -> tuple[str, ...]:
    """Contradictions inside one record, whatever cell it serves."""
    return tuple(_record_faults(record))


def _record_faults(record: Record) -> Iterator[str]:
    counts = record.counts
    if min(counts.values(), default=0) < 0:
        for name, value in counts.items():
            if value < 0:
                yield f"{name} is {value}"
    total = counts.get("total")
    if total == 0:
        yield "nothing was scored (total is 0)"
    unreadable = counts.get("unreadable", 0)
    lost = videos_lost(counts)
    if lost < 0 or (lost > unreadable and not (unreadable and record.protocol in SEVERAL_OF_A_VIDEO)):
        yield f"{counts['decoded']} videos decoded of {counts['listed']} listed, {unreadable} known to be unreadable"
    if "queries" in counts and counts.get("decoded", counts["queries"]) != counts["queries"]:
        yield f"{counts['queries']} videos scored of {counts['decoded']} decoded"
    if total is not None and max(counts.values()) > total:
        for name, value in counts.items():
            if name.partition("_")[0] == "correct" and value > total:
                yield f"{name} is {value} of {total}"
    if not record.fingerprint.startswith(f"{record.scope}-"):
        yield f"scope is {record.scope}, but the data's fingerprint is {record.fingerprint}"
    if record.protocol in WHOLE:
        if record.scope == "full" and not counts.keys() >= {"listed", "decoded", "total"}:
            yield _uncounted(counts)
        if total and ((decoded := counts.get("decoded", total)) < 1 or total % decoded):
            yield f"total is {total}, no multiple of the {decoded} videos decoded"
    elif record.protocol == "order-accuracy" and record.outcomes is None and (total or 0) > counts.get("decoded", 0):
        yield f"total is {total} of {counts.get('decoded', 0)} videos decoded"
    if record.outcomes is not None:
        yield from _outcome_faults(record, record.outcomes, counts)


def _uncounted(counts: dict[str, int]) -> str:
    return (
        f"does not say how many were {', '.join(name for name in ('listed', 'decoded', 'total') if name not in counts)}"
    )


def _outcome_faults(record: Record, outcomes: Outcomes, counts: dict[str, int]) -> Iterator[str]:
    videos = len(outcomes.groups)
    if outcomes.trials < 1:
        yield f"outcomes of {outcomes.trials} trials"
    if counts.get("queries", videos) != videos:
        yield f"outcomes of {videos} videos, {counts['queries']} scored"
    decoded = counts.get("decoded", videos)
    if decoded < videos or (decoded > videos and record.protocol in WHOLE):
        yield f"outcomes of {videos} videos, {decoded} decoded"
    if counts.get("total", videos * outcomes.trials) != videos * outcomes.trials:
        yield f"outcomes of {videos} x {outcomes.trials}, total is {counts['total']}"
    usual = frozenset(range(min(outcomes.trials, 100) + 1))
    for metric, hits in outcomes.hits.items():
        if len(hits) != videos:
            yield f"{metric}: {len(hits)} outcomes for {videos} videos"
        elif not usual.issuperset(hits) and not 0 <= min(hits) <= max(hits) <= outcomes.trials:
            yield f"{metric}: a video has {min(hits) if min(hits) < 0 else max(hits)} hits in {outcomes.trials} trials"


def cell_fault(cell: Cell, records: Sequence[Record], versions: dict[str, int]) -> str | None:
    """The first contradiction among the records of one cell, None where there is none; record_faults come apart.

    versions: protocol -> the version that counts. The records are sorted by key.
    """
    exact = cell.unit in EXACT_UNITS
    for record in records:
        if fault := _score_fault(cell, record):
            return f"split {record.split} seed {record.seed}: {fault}"
    used = sorted({(record.protocol, record.protocol_version) for record in records})
    for protocol, version in used:
        if not exact and protocol != cell.protocol:
            return f"measured by protocol {protocol}, the table asks for {cell.protocol}"
        if versions.get(protocol, version) != version:
            return f"protocol {protocol} was version {version} then, is {versions[protocol]} now: run it again"
    if len(used) > 1:
        return "mixes protocols: " + ", ".join(f"{protocol} version {version}" for protocol, version in used)
    recipes = {record.recipe_hash for record in records}
    if len(recipes) > 1:
        return f"mixes recipes: {', '.join(sorted(recipe[:8] for recipe in recipes))}; name one"
    data: dict[str, str] = {}
    for record in records:
        if (other := data.setdefault(record.dataset, record.fingerprint)) != record.fingerprint:
            return f"mixes data: {other}, {record.fingerprint}; name one"
    if exact:
        values = [record.scores[cell.metric] for record in records]
        if max(values) - min(values) > 10.0**-cell.decimals * 1e-3:
            return f"runs differ in a quantity without noise: {min(values):g} to {max(values):g}"
        return None
    return _disagreement(cell, records)


def _disagreement(cell: Cell, records: Sequence[Record]) -> str | None:
    """Seeds of one split must have met the same lists, counts and videos; one run has one score."""
    first: dict[tuple[str, int], Record] = {}
    scores: dict[tuple[str, int, int, str], float] = {}
    for record in records:
        other = first.setdefault((record.dataset, record.split), record)
        if other is not record and (fault := _mismatch(other, record)):
            return fault
        score = record.scores[cell.metric]
        run = record.dataset, record.split, record.seed, record.device_kind
        if (before := scores.setdefault(run, score)) != score:
            return f"split {record.split} seed {record.seed}: one run with two scores: {before:g}, {score:g}"
    return None


def _mismatch(other: Record, record: Record) -> str | None:
    """What two seeds of one split do not share, though they should."""
    if record.lists != other.lists:
        return f"split {record.split}: the list files differ between seeds"
    for name in OF_THE_DATA:
        one, two = other.counts.get(name), record.counts.get(name)
        if one != two and None not in (one, two):
            return f"split {record.split}: {name} differs between seeds: {one}, {two}"
    if record.outcomes and other.outcomes:
        if record.outcomes.groups != other.outcomes.groups:
            return f"split {record.split}: seeds scored different videos"
        if record.outcomes.trials != other.outcomes.trials:
            return f"split {record.split}: seeds scored different numbers of clips"
    return None


def _score_fault(cell: Cell, record: Record) -> str | None:
    score, counts, outcomes = record.scores[cell.metric], record.counts, record.outcomes
    if not math.isfinite(score):
        return f"{cell.metric} is {score:g}"
    low, high = RANGES[cell.unit]
    if not low <= score <= high:
        return f"{cell.metric} is {score:g}, out of range for {cell.unit}"
    if cell.unit != "percent":
        return None
    if record.scope == "full" and record.protocol in PARTLY and not counts.keys() >= {"listed", "decoded", "total"}:
        return _uncounted(counts)
    total = counts.get("total", len(outcomes.groups) * outcomes.trials if outcomes else 0)
    total = counts.get(f"asked_{cell.metric}", total)
    # Without some of its pairs the mean over ASLAN's folds is no share of what is left.
    if not total or (record.protocol == "aslan" and videos_lost(counts)):
        return None
    correct = counts.get(f"correct_{cell.metric}")
    if correct is None and (cell.metric == "accuracy" or len(record.scores) == 1):
        correct = counts.get("correct")
    right = sum(outcomes.hits[cell.metric]) if outcomes is not None and cell.metric in outcomes.hits else None
    answers = score * total / 100
    # Half an answer: rounding never makes that much, one lost answer always does.
    if correct is not None and abs(answers - correct) > 0.5:
        return f"{cell.metric} is {score:g}, but {correct} of {total} are right"
    if right is not None and abs(answers - right) > 0.5:
        return f"{cell.metric} is {score:g}, but {right} of {total} outcomes are right"
    # Scores of one class, and whatever says no count of its own, are shares of fewer.
    of_all = record.protocol in WHOLE or cell.metric == "accuracy" or correct is not None or right is not None
    if of_all and abs(answers - round(answers)) > ROUNDING:
        return f"{cell.metric} is {score:g}, which no number of right answers of {total} gives"
    return None
