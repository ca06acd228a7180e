"""How the results of one table are shown in a page: markdown tables of printed values, ours, differences and verdicts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from harness.judging.compare import Judgement
from harness.records import Record
from harness.reporting import charts
from harness.reporting.markdown import DASH, code, number, probability, signed, text
from harness.reporting.markdown import table as grid
from harness.reporting.sections import Section
from harness.tables import EXACT_UNITS, Column, Row, Table

DECIMALS = {"percent": 1, "loss": 3, "auc": 3, "error": 3, "millions": 2, "gmacs": 2, "count": 0}
DECIMALS |= {"samples": 0, "epochs": 0, "silhouette": 1}
# Wider tables in the paper's shape are cut: by dataset, and then into as many columns at most.
WIDEST = 6
# What answers questions without the video: how its scores begin, and what it is called.
WITHOUT_VIDEO = {
    "question_only": "Question alone",
    "most_frequent": "Most frequent answer",
    "most_frequent_of_type": "Most frequent answer of the type",
}


def results(section: Section, table: Table) -> list[str]:
    """The table as it came out, as paragraphs: cells, then details, remarks and the rows that the paper quotes."""
    judged = section.of_table(table)
    own = [one for one in judged if one.verdict != "CITED"]
    if not judged:
        return ["Its numbers are not known; see the notes."] if not table.columns or not table.is_figure else []
    if all(one.ours is None and one.verdict in ("NOT RUN", "CITED") for one in judged):
        return _as_printed(section, table)
    if all(math.isnan(one.printed) for one in judged):
        return ["The paper prints no numbers here. Ours:", *_ours_alone(section, table), _remarks(own, table)]
    parts = [_cells(section, own, table), _details(section, own, table), _remarks(own, table)]
    if section.comparable and len(own) < len(judged):
        parts += ["Beside the rows that the paper quotes from others:", *_beside_cited(section, table)]
    return parts


def beneath(section: Section, table: Table) -> list[str]:
    """What records of some protocols hold beside the table's numbers, as paragraphs to stand under it."""
    parts = []
    by_protocol: dict[str, list[Record]] = {}
    for record in section.of_tables.get(table.id, ()):
        by_protocol.setdefault(record.protocol, []).append(record)
    for protocol, records in by_protocol.items():
        if protocol in _BENEATH:
            parts += _BENEATH[protocol](section, table, records)
    return parts


def _labels(section: Section, table: Table, records: Sequence[Record]) -> list[str]:
    """Statistics that were learnt and that were not, by network: those whose error is below the constant predictor's."""
    names = charts.row_names(table)
    columns = {column.id: column for column in table.columns}
    sums = {column.metric for column in table.columns}
    parts = []
    for row in table.rows:
        for measured in dict.fromkeys(tuple(r.columns) for r in records if r.row == row.id):
            mine = [r for r in records if r.row == row.id and tuple(r.columns) == measured]
            found = {name: [r.scores.get(name, math.nan) for r in mine] for r in mine for name in r.scores}
            ratios = {name: values for name, values in found.items() if name not in sums}
            if not ratios:
                continue
            # A score that is not a number is not below anything.
            learnt = {name: values for name, values in ratios.items() if all(value < 1 for value in values)}
            missed = {name: values for name, values in ratios.items() if name not in learnt}
            where = text(f"{names[row.id]}, {', '.join(columns[one].label for one in measured if one in columns)}")
            runs = "the only seed" if len(mine) == 1 else f"each of {len(mine)} seeds"
            parts.append(
                f"**{where}**: squared error by that of the constant predictor, below 1 with {runs} for "
                f"{len(learnt)} of {len(ratios)} labels.\n\n"
                f"- Not below 1: {_ratios(missed)}\n- Below 1: {_ratios(learnt)}"
            )
    return parts


def _ratios(found: Mapping[str, Sequence[float]]) -> str:
    """Labels with the mean of their ratios and, of several runs, the smallest and the largest: the lowest mean first."""
    shown = []
    for name, values in found.items():
        finite = [value for value in values if math.isfinite(value)]
        mean = fmean(finite) if finite else None
        spread = f" ({number(min(finite), 2)} to {number(max(finite), 2)})" if len(finite) > 1 else ""
        remark = f" ({len(values) - len(finite)} not a number)" if len(finite) < len(values) else ""
        shown.append((math.inf if mean is None else mean, f"{code(name)} {number(mean, 2)}{spread}{remark}"))
    return ", ".join(words for _, words in sorted(shown)) or "none"


def _folds(section: Section, table: Table, records: Sequence[Record]) -> list[str]:
    """Accuracy with its standard error over the folds, and the area under the ROC curve: means over seeds."""
    names = charts.row_names(table)
    digits = {"accuracy": 1, "standard_error": 1, "auc": DECIMALS["auc"]}
    rows = []
    for row in table.rows:
        mine = [record for record in records if record.row == row.id]
        values = {name: [record.scores[name] for record in mine if name in record.scores] for name in digits}
        if values["standard_error"] or values["auc"]:
            means = [number(fmean(values[name]) if values[name] else None, digits[name]) for name in digits]
            rows.append([text(names[row.id]), *means, str(len({record.seed for record in mine}))])
    head = ["Over the folds", "accuracy (%)", "standard error (%)", "AUC", "seeds"]
    return [grid(head, rows)] if rows else []


def _intervals(section: Section, table: Table, records: Sequence[Record]) -> list[str]:
    """Both intervals of what was ranked on held-out videos: nothing is printed to compare it with, but chance."""
    names, digits = charts.row_names(table), decimals(section, table)
    rows = []
    for one in section.of_table(table):
        column = table.column(one.column)
        if one.ours is not None and section.cells[one.table, one.row, one.column].protocol == "ranking-accuracy":
            seeds = None if one.half_width is None else (one.ours - one.half_width, one.ours + one.half_width)
            shown = [_interval(ends, digits[one.column]) for ends in (seeds, one.video_interval)]
            rows.append([text(names[one.row]), text(column.label), number(one.ours, digits[one.column]), *shown])
    head = ["On held-out videos", "column", "ours", "95 % over seeds", "95 % over videos"]
    return [grid(head, rows, words=(0, 1))] if rows else []


def _types(section: Section, table: Table, records: Sequence[Record]) -> list[str]:
    """How many questions of each type were asked, and the right answers to them, with the video and without."""
    counts, names = records[0].counts, charts.row_names(table)
    if sum(f"asked_{column.metric}" in counts for column in table.columns) < 2:
        # A figure about all questions together.
        return []
    seeds = list({record.seed: record for record in records}.values())

    def right(share: float | None, asked: int) -> str:
        several = 1 if len(seeds) > 1 else 0
        return DASH if share is None else f"{number(share, 1)} ({number(share * asked / 100, several)})"

    parts = ["Right answers by type, in percent and in brackets their number: means over seeds."]
    for columns in _blocks(table):
        asked = [counts.get(f"asked_{column.metric}", 0) for column in columns]
        rows = [["Questions asked", *map(str, asked)]]
        for row in table.rows:
            judged = [section.judgements[table.id, row.id, column.id].ours for column in columns]
            if any(share is not None for share in judged):
                rows.append([text(names[row.id]), *map(right, judged, asked)])
        for name, label in WITHOUT_VIDEO.items():
            metrics = [f"{name}_{column.metric}" for column in columns]
            scores = [[r.scores[metric] for r in seeds if metric in r.scores] for metric in metrics]
            shares = [None if len(values) < len(seeds) else fmean(values) for values in scores]
            rows.append([label, *map(right, shares, asked)])
        parts.append(grid(["Right answers", *(text(column.label) for column in columns)], rows))
    if unanswerable := counts.get("unanswerable"):
        parts.append(f"None of the answers that can be given is right for {unanswerable} of the test questions.")
    return [part for part in (*parts, words_known(counts)) if part]


def words_known(counts: Mapping[str, int]) -> str:
    """What was known of the words of the training questions, in a sentence; "" for counts that do not say."""
    if "words" not in counts:
        return ""
    words, tokens = counts["words"], counts["tokens"]
    if "words_with_vector" not in counts:
        return (
            f"The {words} words of the training questions are learnt from random vectors: no file was given by --glove."
        )
    known, met = counts["words_with_vector"], counts["tokens_with_vector"]
    return (
        f"The file given by --glove has vectors for {known} of the {words} words of the training questions "
        f"({number(100 * known / max(words, 1), 1)} %), which make up {number(100 * met / max(tokens, 1), 1)} % of their text."
    )


_BENEATH = {"statistics-errors": _labels, "aslan": _folds, "ranking-accuracy": _intervals, "video-qa": _types}


def gains(section: Section) -> list[str]:
    """Pretrained minus random for every pair of rows: a small table for each table; empty without results."""
    parts = []
    for table in section.paper.tables_and_figures:
        names, digits = charts.row_names(table), decimals(section, table)
        for block in _blocks(table):
            # Sizes and costs gain nothing.
            columns = [column for column in block if column.unit not in EXACT_UNITS]
            rows = []
            for random, row in charts.pairs(table) if columns else ():
                judged = [
                    (
                        section.judgements[table.id, random.id, column.id],
                        section.judgements[table.id, row.id, column.id],
                    )
                    for column in columns
                ]
                if all(before.ours is None or after.ours is None for before, after in judged):
                    continue
                name = text(names[row.id])
                rows.append([name, *(_gain(*pair, digits[pair[0].column]) for pair in judged)])
                if section.comparable and not table.is_figure:
                    values = [signed(after.printed - before.printed, digits[after.column]) for before, after in judged]
                    rows.append([f"{name}, printed", *values])
            if rows:
                title = f"**{charts.name_of(table)}: {text(table.title)}**"
                if title not in parts:
                    parts.append(title)
                parts.append(grid(["Pretrained − random", *(text(column.label) for column in columns)], rows))
    return parts


def decimals(section: Section, table: Table) -> dict[str, int]:
    """Column id -> digits after the point: at least the unit's usual ones, and as many as the column's printed values have."""
    found = {column.id: DECIMALS[column.unit] for column in table.columns}
    for cell in section.cells_of(table):
        found[cell.column] = max(found[cell.column], cell.decimals)
    return found


def ours(judgement: Judgement, digits: int) -> str:
    """Our value with the spread of one run: "13.1 ± 0.4"; without replicates the value alone."""
    value = number(judgement.ours, digits)
    return value if value == DASH or judgement.sd is None else f"{value} ± {number(judgement.sd, digits)}"


def printed(section: Section, judgement: Judgement) -> str:
    """The printed value at its own precision, marked where it is read otherwise than printed."""
    cell = section.cells[judgement.table, judgement.row, judgement.column]
    if math.isnan(judgement.printed):
        return DASH
    return number(judgement.printed, cell.decimals) + ("†" if cell.erratum else "")


def _gain(before: Judgement, after: Judgement, digits: int) -> str:
    if before.ours is None or after.ours is None:
        return DASH
    gain = signed(after.ours - before.ours, digits)
    if before.sd is None or after.sd is None:
        return gain
    return f"{gain} ± {number(math.hypot(before.sd, after.sd), digits)}"


def _cells(section: Section, judged: Sequence[Judgement], table: Table) -> str:
    names, digits_of = charts.row_names(table), decimals(section, table)
    labels = {column.id: text(column.label) for column in table.columns}
    rows = []
    for one in judged:
        digits = digits_of[one.column]
        difference, seeds = signed(one.difference, digits), str(one.seeds) if one.seeds else DASH
        values = [printed(section, one), ours(one, digits), difference, seeds, one.verdict]
        rows.append([text(names[one.row]), labels[one.column], *values])
    head = ["Row", "column", "printed", "ours", "difference", "seeds", "verdict"]
    return grid(head, rows, words=(0, 1, 6))


def _details(section: Section, judged: Sequence[Judgement], table: Table) -> str:
    """Per-split values and intervals, and p-values where there are any; nothing where the first table has said it all."""
    splits = sorted({split for one in judged for split in one.per_split})
    if not section.comparable and len(splits) < 2:
        return ""
    names, digits_of = charts.row_names(table), decimals(section, table)
    head = ["Row", "column", *(f"split {split}" for split in splits), "95 % over seeds", "95 % over videos"]
    head += ["p differ", "p equal", "why"] if section.comparable else []
    rows = []
    for one in judged:
        if one.ours is None and not section.comparable:
            continue
        digits = digits_of[one.column]
        line = [text(names[one.row]), text(table.column(one.column).label)]
        line += [number(one.per_split.get(split), digits) for split in splits]
        seeds = None
        if one.ours is not None and one.half_width is not None:
            seeds = one.ours - one.half_width, one.ours + one.half_width
        line += [_interval(seeds, digits), _interval(one.video_interval, digits)]
        if section.comparable:
            line += [probability(one.p_different), probability(one.p_equivalent), text(one.reason)]
        rows.append(line)
    return grid(head, rows, words=(0, 1, len(head) - 1) if section.comparable else (0, 1)) if rows else ""


def _interval(ends: tuple[float, float] | None, digits: int) -> str:
    return DASH if ends is None else f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def _remarks(judged: Sequence[Judgement], table: Table) -> str:
    """Flags, and why cells could not be judged, each with the cells that it concerns."""
    names = charts.row_names(table)
    found: dict[str, list[Judgement]] = {}
    for one in judged:
        if one.verdict in ("INVALID", "MISSING", "INCOMPLETE"):
            found.setdefault(f"{one.verdict}: {one.reason}", []).append(one)
        for flag in one.flags:
            found.setdefault(flag, []).append(one)
    lines = []
    for remark, cells in found.items():
        where = "; ".join(text(f"{names[one.row]}, {table.column(one.column).label}") for one in cells[:3])
        if len(cells) == len(judged):
            where = "all cells"
        elif len(cells) > 3:
            where += f" and {len(cells) - 3} more"
        lines.append(f"- {text(remark)} ({where})")
    return "\n".join(lines)


def _as_printed(section: Section, table: Table) -> list[str]:
    names = charts.row_names(table)
    parts = []
    for columns, rows in _judged(section, table):
        lines = []
        for row, judged in rows:
            verdicts = dict.fromkeys(one.verdict for one in judged)
            lines.append([text(names[row.id]), ", ".join(verdicts), *(printed(section, one) for one in judged)])
        parts.append(grid(["Printed", "verdict", *(text(column.label) for column in columns)], lines, words=(0, 1)))
    return parts


def _ours_alone(section: Section, table: Table) -> list[str]:
    names, digits = charts.row_names(table), decimals(section, table)
    parts = []
    for columns, rows in _judged(section, table):
        lines = []
        for row, judged in rows:
            values = [ours(one, digits[one.column]) for one in judged]
            lines.append([text(names[row.id]), *values, str(max(one.seeds for one in judged) or DASH)])
        parts.append(grid(["Ours", *(text(column.label) for column in columns), "seeds"], lines))
    return parts


def _beside_cited(section: Section, table: Table) -> list[str]:
    names, digits = charts.row_names(table), decimals(section, table)
    parts = []
    for columns, rows in _judged(section, table):
        lines = []
        for row, judged in rows:
            if row.source == "cited":
                source, values = "cited", [printed(section, one) for one in judged]
            else:
                source = "ours"
                values = [ours(one, digits[one.column]) for one in judged]
            lines.append([text(names[row.id]), source, *values])
        parts.append(grid(["Row", "source", *(text(column.label) for column in columns)], lines, words=(0, 1)))
    return parts


def _judged(section: Section, table: Table) -> Iterator[tuple[list[Column], list[tuple[Row, list[Judgement]]]]]:
    """The blocks that a table's columns stand in, each with every row's judgements in them."""
    for columns in _blocks(table):
        judged = [(row, [section.judgements[table.id, row.id, column.id] for column in columns]) for row in table.rows]
        yield columns, judged


def _blocks(table: Table) -> Iterator[list[Column]]:
    """The columns all together; those of a wide table one dataset at a time, WIDEST or fewer of them."""
    if len(table.columns) <= WIDEST:
        yield list(table.columns)
        return
    for dataset in dict.fromkeys(column.dataset for column in table.columns):
        columns = [column for column in table.columns if column.dataset == dataset]
        size = math.ceil(len(columns) / math.ceil(len(columns) / WIDEST))
        yield from (columns[start : start + size] for start in range(0, len(columns), size))
