"""The records of one paper sorted into sections: results that belong together, judged and with their claims evaluated.

A section is one scale, one kind of data (full, subset, synthetic), one recipe and one fingerprint per dataset. Whatever differs
in one of these is never averaged, and never shown side by side as if it were the same experiment.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from harness.judging import certainty, compare
from harness.judging.certainty import ClaimResult
from harness.judging.claims import Cells, Claim
from harness.judging.compare import Judgement
from harness.records import Asked, Record
from harness.tables import Cell, Paper, Table

SCALES = ("paper", "small", "tiny")
SCOPES = ("full", "subset", "synthetic")


@dataclass(frozen=True)
class Section:
    """One set of results of a paper; without records, what would have to be run to compare with the paper."""

    paper: Paper
    scale: str
    scope: str
    recipe_hash: str  # "" without records
    fingerprints: dict[str, str]  # dataset -> fingerprint
    records: tuple[Record, ...]
    cells: Mapping[tuple[str, str, str], Cell]  # (table, row, column) -> the cell
    judgements: dict[tuple[str, str, str], Judgement]  # (table, row, column) -> its judgement
    claims: tuple[ClaimResult, ...]
    recipe: (
        Mapping[str, Any] | None
    )  # the recipe facts of this paper and scale as they are now; None where there is no recipe
    slug: str  # for file names, unique within the paper

    @cached_property
    def of_tables(self) -> dict[str, list[Record]]:
        """Table id -> its records, in the section's order."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.table, []).append(record)
        return found

    @cached_property
    def asked(self) -> list[Asked]:
        """What commands asked for otherwise than the recipe and the official lists have it."""
        return list({one.id: one for record in self.records for one in record.asked}.values())

    @property
    def comparable(self) -> bool:
        """Whether these results may be set against printed numbers."""
        return self.scale == "paper" and self.scope == "full" and not self.asked

    @property
    def title(self) -> str:
        """Scale and data in words."""
        data = {"full": "the full data", "subset": "a subset of the data", "synthetic": "synthetic data"}[self.scope]
        number = self.slug.removeprefix(f"{self.scale}-{self.scope}")
        return f"{self.scale.capitalize()} scale, {data}" + (f" ({number[1:]})" if number else "")

    def of_table(self, table: Table) -> list[Judgement]:
        """The judgements of one table, row by row."""
        return [self.judgements[table.id, row.id, column.id] for row in table.rows for column in table.columns]

    def cells_of(self, table: Table) -> list[Cell]:
        """The cells of one table, row by row."""
        return [self.cells[table.id, row.id, column.id] for row in table.rows for column in table.columns]

    def was_run(self, table: Table) -> bool:
        """Whether any record belongs to the table."""
        return table.id in self.of_tables

    def printed_cells(self) -> Iterator[Judgement]:
        """The judgements of all cells for which the paper prints a number."""
        for table in self.paper.tables:
            for judgement in self.of_table(table):
                if not math.isnan(judgement.printed):
                    yield judgement


def sections(
    paper: Paper,
    records: Iterable[Record],
    claims: Sequence[Claim] = (),
    recipes: Iterable[Mapping[str, Any]] = (),
    protocol_versions: dict[str, int] | None = None,
) -> list[Section]:
    """All sections of a paper, the most telling first: by scale and kind of data, then by how much was measured.

    There is always one at paper scale on the full data; without records it comes last.

    recipes: the recipe facts of any papers and scales. protocol_versions: as in `compare.judge`.
    """
    known = {(recipe["paper"], recipe["scale"]): recipe for recipe in recipes}
    kinds: dict[tuple[str, str, str], list[Record]] = {("paper", "full", ""): []}
    for record in records:
        if record.paper == paper.key:
            kinds.setdefault((record.scale, record.scope, record.recipe_hash), []).append(record)
    if any(kind[:2] == ("paper", "full") and found for kind, found in kinds.items()):
        del kinds["paper", "full", ""]
    cells = {(cell.table, cell.row, cell.column): cell for table in paper.tables_and_figures for cell in table.cells()}
    named = Cells({paper.key: paper})
    found = []
    for (scale, scope, recipe_hash), members in kinds.items():
        for chosen in _fingerprint_sets(members):
            used = tuple(r for r in members if chosen.get(r.dataset) == r.fingerprint)
            judged = compare.judge(
                paper,
                used,
                scale=scale,
                recipe_hash=recipe_hash or None,
                protocol_versions=protocol_versions,
                cells=cells.values(),
            )
            found.append(
                Section(
                    paper=paper,
                    scale=scale,
                    scope=scope,
                    recipe_hash=recipe_hash,
                    fingerprints=chosen,
                    records=used,
                    cells=cells,
                    judgements={(one.table, one.row, one.column): one for one in judged},
                    claims=tuple(certainty.evaluate(claims, named.papers, judged, used, named)),
                    recipe=known.get((paper.key, scale)),
                    slug=f"{scale}-{scope}",
                )
            )
    found.sort(key=_place)
    slugs = [section.slug for section in found]
    return [
        replace(section, slug=f"{section.slug}-{_short(section)}") if slugs.count(section.slug) > 1 else section
        for section in found
    ]


def _place(section: Section) -> tuple[bool, int, int, int, int, list[tuple[str, str]], str]:
    """From the paper's scale down, from the full data down, from many results down; what was not run comes last."""
    scale, scope = SCALES.index(section.scale), SCOPES.index(section.scope)
    measured = sum(one.ours is not None for one in section.judgements.values())
    data = sorted(section.fingerprints.items())
    return not section.records, scale, scope, -measured, -len(section.records), data, section.recipe_hash


def _short(section: Section) -> str:
    content = json.dumps([sorted(section.fingerprints.items()), section.recipe_hash])
    return hashlib.sha256(content.encode()).hexdigest()[:6]


def _fingerprint_sets(records: Sequence[Record]) -> list[dict[str, str]]:
    """Which fingerprints of different datasets belong together: those that some stage (a pretraining) ties to each other.

    Where each dataset has one fingerprint, they all do.
    """
    pairs = sorted({(record.dataset, record.fingerprint) for record in records})
    if len({dataset for dataset, _ in pairs}) == len(pairs):
        return [dict(pairs)]
    group = {pair: {pair} for pair in pairs}
    by_stage: dict[str, tuple[str, str]] = {}
    for record in records:
        pair = record.dataset, record.fingerprint
        for stage in record.stages.values():
            other = by_stage.setdefault(stage, pair)
            if group[other] is not group[pair]:
                merged = group[other] | group[pair]
                group.update(dict.fromkeys(merged, merged))
    found = []
    for members in {frozenset(member) for member in group.values()}:
        choices: dict[str, list[tuple[str, str]]] = {}
        for dataset, fingerprint in sorted(members):
            choices.setdefault(dataset, []).append((dataset, fingerprint))
        found += [dict(choice) for choice in product(*choices.values())]
    return found
