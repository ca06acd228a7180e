"""A store of made-up records in the form and sizes of the committed ones: python -m tests.bench.store FOLDER [COUNT].

All five papers, three sets of results (paper scale on the full data, a small scale on a subset, the tiny scale on
generated data), every split, and as many seeds as it takes. What does not depend on the numbers (settings, lists,
environment, curves, retrieval examples) is that of a committed record of the same protocol.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path

import numpy as np

from harness import tables
from harness.records import Outcomes, Record, Store
from harness.tables import Cell, Paper
from tests.harness import results

ROOT = Path(__file__).parents[2]
SETS = (("paper", "full"), ("small", "subset"), ("tiny", "synthetic"))
TAKEN = ("lists", "settings", "environment", "departures", "short_videos", "examples", "curves")
OTHERS = "recognition"  # the protocol whose records stand in for those of protocols that were never run


def write(folder: Path, number: int = 10_000) -> None:
    """Fill a folder with that many records, the same ones each time."""
    store = Store(folder)
    for record in islice(records(tables.load(ROOT / "reference_tables")), number):
        path = store.add(record)
        for name in record.pictures:
            path.with_name(name).write_bytes(b"\x89PNG")


def records(papers: Mapping[str, Paper]) -> Iterator[Record]:
    """Records without end: seed by seed, all papers in all sets of results."""
    templates = _templates()
    for seed in count():
        for scale, scope in SETS:
            for paper in papers.values():
                for cells in _evaluations(paper):
                    for split in cells[0].splits:
                        yield _record(paper, cells, split, seed, scale, scope, templates)


def _templates() -> dict[str, dict]:
    """protocol -> the fields of one committed record."""
    found: dict[str, dict] = {}
    for path in sorted((ROOT / "reports" / "records" / "vcop" / "tiny").glob("synthetic-*/*/*.json")):
        fields = json.loads(path.read_bytes())
        found.setdefault(fields["protocol"], fields)
    return found


def _evaluations(paper: Paper) -> list[list[Cell]]:
    """The cells that one evaluation fills, for every evaluation that the paper's own rows ask for."""
    found: dict[tuple, list[Cell]] = defaultdict(list)
    for table in paper.tables_and_figures:
        for cell in table.cells():
            if cell.source == "own" and cell.dataset:
                settings = tuple(sorted(cell.settings.items()))
                where = cell.table, cell.row, cell.dataset, cell.splits
                found[*where, cell.protocol, cell.weights, cell.metric if cell.unit == "auc" else "", settings].append(
                    cell
                )
    return list(found.values())


def _record(
    paper: Paper, cells: list[Cell], split: int, seed: int, scale: str, scope: str, templates: Mapping[str, dict]
) -> Record:
    template = templates.get(cells[0].protocol, templates[OTHERS])
    videos = len(template["outcomes"]["groups"]) if template["outcomes"] else 88
    first = cells[0]
    record = results.record(
        paper, first.table, first.row, first.dataset, split, seed, cells, scale, scope, -1.0, 1.5, videos, {}
    )
    shares = {cell.metric for cell in cells if cell.unit == "percent"}
    others = {
        cell.metric: (cell.value if np.isfinite(cell.value) else 0.5) * (1 - 0.001 * seed)
        for cell in cells
        if cell.unit != "percent"
    }
    outcomes = None
    if shares:
        groups = template["outcomes"]["groups"] if template["outcomes"] else record.outcomes.groups
        hits = {name: hits for name, hits in record.outcomes.hits.items() if name in shares}
        outcomes = Outcomes(groups=groups, trials=record.outcomes.trials, hits=hits)
    curves = {name: [value * (1 + 0.01 * seed) for value in curve] for name, curve in template["curves"].items()}
    pretrained = {} if first.weights == "random" else {"pretrain": f"{paper.key}-{first.weights}-{scale}-{seed}"}
    fields = {name: template[name] for name in TAKEN} | {
        "scores": {name: score for name, score in record.scores.items() if name in shares} | others,
        "counts": record.counts | {f"correct_{name}": sum(right) for name, right in (outcomes.hits if outcomes else {}).items()},
        "outcomes": outcomes,
        "curves": curves,
        "stages": {kind: key for kind, key in template["stages"].items() if kind != "pretrain"} | pretrained,
        "pictures": [record.key().rpartition("/")[2].replace(".json", "__examples.png")] if template["pictures"] else [],
    }  # fmt: skip
    return record.model_copy(update=fields)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
