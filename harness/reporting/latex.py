"""One judged table as LaTeX (booktabs), to be pasted into a paper."""

import re
from collections.abc import Sequence

from harness.errors import UsageError
from harness.reporting import charts, result_tables
from harness.reporting.markdown import DASH
from harness.reporting.sections import Section
from harness.tables import Row, Table
from harness.words import printable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "†": r"\textdagger{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
}


def escape(words: str) -> str:
    """Words with LaTeX's special characters made harmless; accented letters stay (UTF-8 is LaTeX's default)."""
    words = re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found.group()], printable(words))
    # After the \\ of the row before, a bracket would be read as its option.
    return "{[}" + words[1:] if words.startswith("[") else words


def most_complete(sections: Sequence[Section], table_id: str) -> tuple[Section, int]:
    """Of several sets of results the one with most cells of a table measured, and how many; of equals the one with most runs.

    Raises UsageError for an unknown table.
    """

    def measured(section: Section) -> tuple[int, int]:
        judged = section.of_table(section.paper.table(table_id))
        return sum(one.ours is not None for one in judged), len(section.of_tables.get(table_id, ()))

    best = max(sections, key=measured)
    return best, measured(best)[0]


def of_scale(sections: Sequence[Section], table_id: str, scale: str) -> tuple[str, str]:
    """A table of one scale's results, and which were taken where there are several; "" where there are not.

    Raises UsageError for a scale without results, and for an unknown table.
    """
    found = [section for section in sections if section.scale == scale]
    if not found:
        scales = ", ".join(dict.fromkeys(one.scale for one in sections))
        raise UsageError(f"no results of {sections[0].paper.key} at scale {scale!r}; scales: {scales}")
    chosen, cells = most_complete(found, table_id)
    others = "; ".join(one.title for one in found if one is not chosen)
    note = f"{chosen.paper.key} {table_id}: {chosen.title}, with {cells} cells measured; not {others}" if others else ""
    return render(chosen, table_id), note


def render(section: Section, table_id: str) -> str:
    """A `table` environment with our results, needing the package booktabs.

    Printed values and quoted rows stand beside ours only where the two may be compared, or where nothing was run.
    Raises UsageError for an unknown table.
    """
    table = section.paper.table(table_id)
    names = charts.row_names(table)
    ran = section.was_run(table)
    with_printed = section.comparable or not ran
    blocks: dict[str, list[str]] = {"cited": [], "own": []}
    for row in table.rows:
        if row.source == "cited" and with_printed:
            blocks["cited"].append(_line(names[row.id], "cited", _printed(section, table, row)))
        if row.source == "own":
            first = escape(names[row.id])
            if with_printed and not table.is_figure:
                blocks["own"].append(_line(names[row.id], "printed", _printed(section, table, row)))
                first = ""
            if ran:
                blocks["own"].append(f"    {first} & ours & {' & '.join(_ours(section, table, row))} \\\\")
    body = "\n    \\midrule\n".join("\n".join(lines) for lines in blocks.values() if lines)
    head = " & ".join(["Method", "", *(escape(column.label) for column in table.columns)])
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}[t]",
            r"  \centering",
            f"  \\caption{{{escape(_caption(section, table, ran))}}}",
            f"  \\label{{tab:{section.paper.key}-{table.id.replace('_', '-')}}}",
            f"  \\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"    \toprule",
            f"    {head} \\\\",
            r"    \midrule",
            *([body] if body else []),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _caption(section: Section, table: Table, ran: bool) -> str:
    what = f"{table.title} ({charts.name_of(table)} of {section.paper.citation})."
    if not ran:
        return f"{what} Printed values; not run."
    seeds = len({record.seed for record in section.records if record.table == table.id})
    spread = "mean ± standard deviation of one run" if seeds > 1 else "one run"
    how = f"{what} {section.title}, {seeds} seed{'s'[: seeds > 1]}: {spread}."
    return how if section.comparable else f"{how} Not comparable with the printed values."


def _line(name: str, source: str, values: list[str]) -> str:
    return f"    {escape(name)} & {source} & {' & '.join(values)} \\\\"


def _printed(section: Section, table: Table, row: Row) -> list[str]:
    judged = [section.judgements[table.id, row.id, column.id] for column in table.columns]
    return [escape(result_tables.printed(section, one).removesuffix("†")) for one in judged]


def _ours(section: Section, table: Table, row: Row) -> list[str]:
    digits = result_tables.decimals(section, table)
    judged = [section.judgements[table.id, row.id, column.id] for column in table.columns]
    values = [result_tables.ours(one, digits[one.column]) for one in judged]
    return ["--" if value == DASH else "$" + value.replace("±", r"\pm") + "$" for value in values]
