"""The page of networks and checkpoints from elsewhere: what `evaluate` measured. No paper prints numbers for them."""

from collections.abc import Sequence
from statistics import fmean, stdev

from harness.records import Record
from harness.reporting import pages
from harness.reporting.markdown import DASH, code, number, text
from harness.reporting.markdown import table as grid

# Their key among the papers of records.
KEY = "imported"
TITLE = "Networks from elsewhere"
UNJUDGED = "no printed number belongs to networks from elsewhere, and nothing is judged"


def page(records: Sequence[Record]) -> str:
    """The page, a table for each protocol; a line for each checkpoint, data, recipe and scale."""
    parts = [
        f"# {TITLE}",
        pages.GENERATED,
        "[All papers](README.md)",
        f"Measured by `python -m harness evaluate`: {UNJUDGED}. "
        "± is the standard deviation over seeds. A checkpoint is known by the sha256 of its file; without one, weights are random.",
    ]
    for protocol in sorted({record.protocol for record in records}):
        mine = [record for record in records if record.protocol == protocol]
        metrics = list(dict.fromkeys(metric for record in mine for metric in record.columns))
        groups: dict[tuple[str, ...], list[Record]] = {}
        for record in mine:
            groups.setdefault((*_which(record), *_where(record)), []).append(record)
        rows = [
            [
                *map(text, which[:2]),
                *map(code, which[2:3]),
                *map(text, which[3:]),
                *_scores(found, metrics),
                str(len(found)),
            ]
            for which, found in sorted(groups.items())
        ]
        head = [
            "Network",
            "backbone",
            "sha256",
            "recipe",
            "input",
            "dataset",
            "split",
            "data",
            *map(text, metrics),
            "seeds",
        ]
        parts += [f"## {protocol}", grid(head, rows, words=range(8))]
    return "\n\n".join(parts) + "\n"


def _which(record: Record) -> tuple[str, str, str, str, str]:
    """Name, backbone, digits of the sha256, recipe, and input; of records from before checkpoints were kept, the row alone."""
    if record.checkpoint is None:
        return record.row, DASH, DASH, f"{record.scale} {record.recipe_hash[:8]}", DASH
    one = record.checkpoint
    recipe = "; ".join([f"{one.recipe} {record.scale} {record.recipe_hash[:8]}", *(two.what for two in record.asked)])
    return one.name, one.backbone, one.sha256[:16] if one.sha256 else DASH, recipe, one.input or DASH


def _where(record: Record) -> tuple[str, str, str]:
    return record.dataset, str(record.split), record.fingerprint


def _scores(records: Sequence[Record], metrics: Sequence[str]) -> list[str]:
    shown = []
    for metric in metrics:
        values = [record.scores[metric] for record in records if metric in record.scores]
        mean = number(fmean(values), 1) if values else DASH
        shown.append(f"{mean} ± {number(stdev(values), 1)}" if len(values) > 1 and mean != DASH else mean)
    return shown
