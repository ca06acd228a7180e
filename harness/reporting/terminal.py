"""What was printed, planned and measured, as plain tables for the terminal."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from harness.plan import Plan
from harness.planning.hours import Speed
from harness.records import Asked, Record
from harness.running import stage_folders
from harness.running.preparation import Prepared
from harness.tables import Cell, Table
from harness.words import printable

if TYPE_CHECKING:
    from harness.judging.compare import Judgement
    from harness.reporting.sections import Section

# Columns of a terminal that reports are read in.
WIDTH = 100
# Verdicts without a result of ours: listed only where they are asked for.
UNMEASURED = ("CITED", "NOT RUN")


def grid(rows: Iterable[Sequence[Any]], headers: list[str]) -> str:
    """A plain table; cells stand as they are given, each on one line."""
    from tabulate import tabulate

    rows = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    return str(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


def ours(one: "Judgement", unit: str) -> str:
    """Our number, ± the standard deviation over seeds."""
    if one.ours is None:
        return "–"
    value, spread = (".1f", ".1f") if unit == "percent" else (".4g", ".2g")
    return f"{one.ours:{value}}" if one.sd is None else f"{one.ours:{value}} ± {one.sd:{spread}}"


def printed(cell: Cell) -> str:
    """The paper's number as it is read; † where its text shows something else."""
    if math.isnan(cell.value):
        return "–" if cell.erratum is None else "–†"
    return f"{cell.value:.{cell.decimals}f}{'' if cell.erratum is None else '†'}"


def of_table(table: Table) -> str:
    """A table as printed, with its errata and notes; of a figure, which has no numbers, the names of its cells."""
    head = [*wrap(f"{table.id}: {table.title} ({table.where})", WIDTH)]
    if table.is_figure:
        for what, parts in (("rows", table.rows), ("columns", table.columns)):
            head += _indented(f"{what}: {', '.join(part.id for part in parts)}")
        return "\n".join([*head, *_notes(table)])
    rows = []
    errata: dict[str, list[str]] = {}
    for row in table.rows:
        cells = [table.cell(row.id, column.id) for column in table.columns]
        rows.append([row.id, row.label, row.source, *map(printed, cells)])
        for cell in cells:
            if cell.erratum is not None:
                errata.setdefault(cell.erratum, []).append(f'{cell.row} {cell.column} "{cell.printed}"')
    headers = ["row", "label", "source", *(column.label for column in table.columns)]
    lines = [*head, *([grid(rows, headers)] if rows else [])]
    for reason, shown in errata.items():
        lines += _indented(f"† {reason}: the text shows {', '.join(shown)}")
    return "\n".join([*lines, *_notes(table)])


def _notes(table: Table) -> list[str]:
    return [line for note in table.notes for line in _indented(f"note: {note}")]


def of_section(section: "Section", verdict: str | None = None) -> str:
    """One set of results cell by cell, table by table, as wide as a terminal; `verdict`: only the cells with that one."""
    data = ", ".join(section.fingerprints.values()) or "no results"
    counts = Counter(one.verdict for one in section.judgements.values())
    head = [section.title, *_indented(data), *_indented(_counted(counts))]
    for one in section.asked:
        head += _indented(f"asked for otherwise: {one.what}")
    if section.comparable:
        head += _indented("apart: ours − printed; within: the tolerance; p: that they differ by more than that")
    parts = ["\n".join(head)]
    for table in section.paper.tables_and_figures:
        judged = section.of_table(table)
        shown = [one for one in judged if (one.verdict == verdict if verdict else one.verdict not in UNMEASURED)]
        if shown:
            parts.append(_judged(section, table, shown))
    return "\n\n".join(parts)


def _judged(section: "Section", table: Table, judged: "list[Judgement]") -> str:
    compared = any(one.difference is not None for one in judged)
    headers = ["row", "column", "printed", "ours", *(["apart", "within", "p"] if compared else []), "verdict"]
    rows = []
    reasons: dict[str, list[str]] = {}
    for one in judged:
        cell = section.cells[one.table, one.row, one.column]
        row = [one.row, one.column, printed(cell), ours(one, cell.unit)]
        if compared:
            row.append("–" if one.difference is None else f"{one.difference:+.3g}")
            row.append("–" if math.isnan(one.tolerance) else f"{one.tolerance:.3g}")
            row.append("–" if one.p_different is None else f"{one.p_different:.2g}")
        rows.append([*row, one.verdict])
        # Where two numbers were compared, the line says it all, but for noise.
        if one.verdict not in UNMEASURED and (one.difference is None or one.verdict in ("NEAR", "INCOMPLETE")):
            reasons.setdefault(f"{one.verdict}: {one.reason}", []).append(f"{one.row} {one.column}")
    lines = [*wrap(f"{table.id}: {table.title}", WIDTH), grid(rows, headers)]
    for reason, cells in reasons.items():
        lines += _indented(reason if len(cells) == len(judged) else f"{reason} ({', '.join(cells)})")
    return "\n".join(lines)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _indented(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)


def of_plan(run: Prepared, runs: Path, speed: Speed) -> str:
    """The stages of a plan, what is missing and what that will cost, what is damaged, and what is not planned and why."""
    rows, missing, damages = [], 0.0, []
    for stage in run.built.stages.values():
        done, damage = stage_folders.done(stage, runs), stage_folders.damage(stage.folder(runs))
        hours = speed.hours(stage)
        missing += 0 if done else hours
        damages += [damage] if damage else []
        what, state = stage.label().removeprefix(stage.kind).strip(), "done" if done else "missing"
        rows.append([stage.kind, what, stage.key, "damaged" if damage else state, f"{hours:.3f}" if hours else "–"])
    lines = [
        grid(rows, ["stage", "what", "key", "state", speed.unit]),
        f"\n{len(rows)} stages for {len(run.built.measurements)} results; what is missing costs about {missing:.2f} {speed.unit} "
        f"at {speed.tflops:.3g} TFLOP/s ({speed.origin}).",
        *filter(None, [otherwise(run.otherwise)]),
        *(f"damaged: {damage}; a run sets it aside and computes it again" for damage in damages),
        *filter(None, (space(run.built, runs), not_planned(run.built))),
    ]
    for name, facts in run.data.facts.items():
        if facts.state and not facts.contents:
            lines.append(f"{name} changed since it was checked, or never was: all that needs it is shown as missing")
    return "\n".join(lines)


def of_run(run: Prepared, records: list[Record], versions: dict[str, int]) -> str:
    """The run's own records, table by table."""
    from harness.judging.compare import judge

    judged = judge(run.paper, records, scale=run.recipe.scale, protocol_versions=versions)
    asked = {(one.table, one.row) for one in run.built.measurements}
    parts = []
    for table in run.paper.tables_and_figures:
        cells = {(one.row, one.column): one for one in judged if one.table == table.id}
        rows = [
            [row.label, *(ours(cells[row.id, column.id], column.unit) for column in table.columns)]
            for row in table.rows
            if (table.id, row.id) in asked
        ]
        if rows:
            parts.append(f"{table.id}: {table.title}\n" + grid(rows, ["", *(column.label for column in table.columns)]))
    counts = Counter(one.verdict for one in judged if one.verdict != "CITED")
    # Weights and word vectors, which have no videos, are no data of the paper's.
    scopes = sorted({facts.scope for facts in run.data.facts.values() if facts.sizes})
    parts.append(
        f"{run.paper.key}, scale {run.recipe.scale}, {' and '.join(scopes)} data: {_counted(counts)}\n"
        "± is the standard deviation over seeds."
    )
    return "\n\n".join([*parts, *_words(records)])


def inputs(records: list[Record]) -> list[str]:
    """What the networks of `evaluate` were given to see, each said once."""
    seen = dict.fromkeys(record.checkpoint.input for record in records if record.checkpoint is not None)
    return [f"input: {words}" for words in seen]


def of_evaluation(records: list[Record], metrics: list[str]) -> str:
    """The scores of an imported checkpoint; of questions about videos beside those of what knows no video."""
    from harness.reporting.result_tables import WITHOUT_VIDEO

    def row(record: Record, what: str, prefix: str = "") -> list[Any]:
        found = [record.scores.get(f"{prefix}{metric}") for metric in metrics]
        shown = ("–" if score is None else f"{score:.2f}" for score in found)
        return [what, record.split, record.seed, *shown, record.counts["total"], record.scope]

    rows = [row(record, record.dataset) for record in records]
    for record in records:
        for prefix, what in WITHOUT_VIDEO.items():
            if any(f"{prefix}_{metric}" in record.scores for metric in metrics):
                rows.append(row(record, what.lower(), f"{prefix}_"))
    return "\n\n".join([grid(rows, ["dataset", "split", "seed", *metrics, "of", "data"]), *_words(records)])


def _words(records: list[Record]) -> list[str]:
    """What was known of the words of questions, once for all runs that share it."""
    from harness.reporting.result_tables import words_known

    return [words for words in dict.fromkeys(words_known(record.counts) for record in records) if words]


def space(built: Plan, runs: Path) -> str:
    """What the missing stages will leave on the disk, where that is much; "" where it is not."""
    gigabytes = sum(
        stage.gigabytes for stage in built.stages.values() if stage.gigabytes and not stage_folders.done(stage, runs)
    )
    return f"Features and optical flow will take {gigabytes:.1f} GB under {runs}." if gigabytes >= 0.1 else ""


def otherwise(asked: Iterable[Asked]) -> str:
    """What a run was asked for otherwise than its recipe and the lists have it; "" where there is nothing."""
    whats = "; ".join(one.what for one in asked)
    return f"asked for otherwise, and compared with no printed number: {whats}" if whats else ""


def not_planned(built: Plan) -> str:
    """Rows that are left out, a paragraph for each reason; "" where there are none."""
    rows: dict[str, list[str]] = {}
    for (table, row), reason in built.left_out.items():
        rows.setdefault(reason, []).append(f"{table} {row}")
    told = (f"not planned: {reason}: {', '.join(names)}" for reason, names in rows.items())
    return "\n".join(line for text in told for line in wrap(text, WIDTH, subsequent_indent="  "))
