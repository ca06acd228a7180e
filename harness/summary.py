"""What a run measured, as a few plain tables for the terminal."""

from collections import Counter

from harness.compare import Judgement, judge
from harness.preparation import Prepared
from harness.records import Record


def grid(rows: list, headers: list[str]) -> str:
    """A plain table; cells stand as they are given."""
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt="simple", disable_numparse=True)


def ours(one: Judgement) -> str:
    """Our number with the half width of its 95 % interval over seeds."""
    if one.ours is None:
        return "–"
    return f"{one.ours:.1f}" if one.half_width is None else f"{one.ours:.1f} ± {one.half_width:.1f}"


def of_run(run: Prepared, records: list[Record], versions: dict[str, int]) -> str:
    """The run's own records, table by table."""
    judged = judge(run.paper, records, scale=run.recipe.scale, protocol_versions=versions)
    asked = {(one.table, one.row) for one in run.built.measurements}
    parts = []
    for table in (*run.paper.tables, *run.paper.figures):
        cells = {(one.row, one.column): one for one in judged if one.table == table.id}
        rows = [
            [row.label, *(ours(cells[row.id, column.id]) for column in table.columns)]
            for row in table.rows
            if (table.id, row.id) in asked
        ]
        if rows:
            parts.append(f"{table.id}: {table.title}\n" + grid(rows, ["", *(column.label for column in table.columns)]))
    counts = Counter(one.verdict for one in judged if one.verdict != "CITED")
    scopes = sorted({facts.scope for facts in run.data.facts.values()})
    parts.append(
        f"{run.paper.key}, scale {run.recipe.scale}, {' and '.join(scopes)} data: "
        + ", ".join(f"{n} {v}" for v, n in counts.items())
    )
    return "\n\n".join(parts)
