"""Charts that belong to one protocol: accuracy by class, validation accuracy by epoch, by layer, score by target.

`MAKERS` says which protocol has which. A chart is drawn of a table's records where they hold what it shows, whatever the paper.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from harness.records import Record
from harness.reporting.charts import (
    LINES,
    backbone_name,
    by_backbone,
    curve_line,
    describe,
    judged_line,
    name_of,
    rounded,
    row_names,
    with_unit,
)
from harness.reporting.drawing import Chart, Line, Panel
from harness.reporting.sections import Section
from harness.tables import Column, Row, Table
from harness.words import printable

MOST = 8
# Bars above each other in one panel; more classes go on in the next panel.
CLASSES = 34
# The first so many classes are drawn, as many as the largest dataset has and some more.
MOST_CLASSES = 12 * CLASSES
LONGEST_TUPLE = 20
# Panels beside each other.
PANELS = 3
# Settings that a row is one step of, and what the steps are called under the axis.
STEPS = {
    "layer": "layer whose features are compared",
    "finetune_from": "first stage that is fine-tuned",
    "segments": "segments of a clip",
    "max_rate": "highest sampling rate",
}


def of_section(section: Section) -> list[Chart]:
    """The protocols' own charts of a section, in the order of the tables; at most MOST."""
    # By file name: a table of several protocols may have the same chart by each of them.
    found: dict[str, Chart] = {}
    for table in section.paper.tables_and_figures:
        of_protocol: dict[str, list[Record]] = {}
        for record in section.of_tables.get(table.id, ()):
            of_protocol.setdefault(record.protocol, []).append(record)
        for name, mine in of_protocol.items():
            for make in MAKERS.get(name, ()):
                if chart := make(section, table, mine):
                    found.setdefault(chart.name, chart)
    return list(found.values())[:MOST]


def chance(record: Record, row: Row) -> float | None:
    """Accuracy in percent of guessing the order of the clips that the row's pretraining takes; None if that is not known."""
    found: object = record.settings
    # A record's settings are of whatever shape the suite had that wrote it.
    for name in ("pretraining", str(row.weights), "tuple_length"):
        found = found.get(name) if isinstance(found, dict) else None
    return 100 / math.factorial(found) if isinstance(found, int) and 1 <= found <= LONGEST_TUPLE else None


def _classes(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """Order accuracy by action class, for tables about classes; the best first, by the table's first row."""
    if not any(column.metric.startswith("accuracy_") for column in table.columns):
        return None
    rows = _rows(table, records)
    scores = {row.id: _by_name(mine, r"accuracy_(.+)") for row, mine in rows}
    names = {name for found in scores.values() for name in found}
    if not names:
        return None
    first = scores[rows[0][0].id]
    order = sorted(names, key=lambda name: (-fmean(first.get(name, [-1])), name))[:MOST_CLASSES]
    size = -(-len(order) // -(-len(order) // CLASSES))
    labels = row_names(table)
    panels = []
    for start in range(0, len(order), size):
        shown = order[start : start + size]
        lines = tuple(
            _spread_line(labels[row.id], range(len(shown)), [scores[row.id].get(name, []) for name in shown], colour)
            for colour, (row, _) in enumerate(rows, 1)
        )
        title = f"{start + 1} to {start + len(shown)}" if len(shown) < len(order) else ""
        panels.append(Panel(title, "", "order accuracy (%)", lines, tuple(enumerate(map(printable, shown))), bars=True))
    guess = chance(rows[0][1][0], rows[0][0])
    what = "order accuracy by class" + (f" (chance {guess:.1f} %)" if guess else "")
    alt = "Order accuracy of each action class, from the highest down; bars show the range over seeds"
    return _chart(section, table, "classes", what, alt, (tuple(panels),))


def _validation(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """Validation accuracy by epoch, all rows on one pair of axes, with the chance level of their task."""
    labels = row_names(table)
    lines, last, guesses = [], 1.0, set()
    for colour, (row, mine) in enumerate(_rows(table, records), 1):
        if runs := [curve for record in mine if (curve := record.curves.get("validation_accuracy"))]:
            lines.append(curve_line(labels[row.id], runs, colour, with_range=True))
            last = max(last, lines[-1].x[-1])
            if guess := chance(mine[0], row):
                guesses.add(guess)
    if not lines:
        return None
    for guess in sorted(guesses):
        level = rounded(guess)
        lines.append(Line(f"chance ({guess:.1f} %)", (1, last), (level, level), colour=0, dashed=True))
    panel = Panel("", "epoch", "validation accuracy (%)", tuple(lines))
    alt = "Validation accuracy against the epoch, mean and range over seeds, and chance"
    return _chart(section, table, "validation", "validation accuracy by epoch", alt, ((panel,),))


def _steps(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """Scores by a setting that the rows go through, such as the layer: a panel for each column that differs in more than k
    from the ones before, a line for each network."""
    own = [row for row in table.rows if row.source == "own"]
    setting = next((name for name in STEPS if own and all(name in row.settings for row in own)), None)
    if setting is None:
        return None
    places = {value: place for place, value in enumerate(dict.fromkeys(row.settings[setting] for row in own))}
    ticks = tuple((place, str(value)) for value, place in places.items())
    panels = []
    for column in _telling(table):
        lines = []
        for colour, (backbone, rows) in enumerate(list(by_backbone(table).items())[:LINES], 1):
            judged = [section.judgements[table.id, row.id, column.id] for row in rows]
            if all(one.ours is None for one in judged):
                continue
            x = tuple(places[row.settings[setting]] for row in rows)
            lines.append(judged_line(backbone_name(backbone), x, judged, colour))
            if section.comparable and not table.is_figure:
                printed = tuple(None if math.isnan(one.printed) else one.printed for one in judged)
                lines.append(Line("hollow: printed", x, printed, colour=colour, points_only=True))
        if lines:
            panels.append(Panel("", STEPS[setting], with_unit(column), tuple(lines), ticks))
    if not panels:
        return None
    what = (
        f"{table.columns[0].label} by the {STEPS[setting]}" if len(panels) == 1 else f"scores by the {STEPS[setting]}"
    )
    alt = f"{what[0].upper()}{what[1:]}; bands show the spread of one run"
    grid = tuple(tuple(panels[low : low + PANELS]) for low in range(0, len(panels), PANELS))
    return _chart(section, table, setting.replace("_", "-"), what, alt, grid)


def _telling(table: Table) -> list[Column]:
    """The columns of a table, but of several top-k the first alone."""
    first: dict[str, Column] = {}
    for column in table.columns:
        first.setdefault(re.sub(r"^top\d+$", "top", column.metric), column)
    return list(first.values())


def _targets(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """Mean score of each target by its place in time, for tables about ranking: it should fall."""
    if not any(column.metric == "ranking_accuracy" for column in table.columns):
        return None
    labels = row_names(table)
    lines = []
    for colour, (row, mine) in enumerate(_rows(table, records), 1):
        if scores := {int(step): values for step, values in _by_name(mine, r"score_([0-9]{1,3})").items()}:
            steps = sorted(scores)
            lines.append(_spread_line(labels[row.id], steps, [scores[step] for step in steps], colour))
    if not lines:
        return None
    ticks = tuple((step, str(step)) for step in sorted({x for line in lines for x in line.x}))
    panel = Panel("", "target, counted from the context", "mean score", tuple(lines), ticks)
    alt = "Mean score of each target by its place after the context, mean and range over seeds; ranking asks that it falls"
    return _chart(section, table, "targets", "score by target", alt, ((panel,),))


def _sides(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """Bars for tables whose columns are the networks' weights, such as random beside pretrained: a group for each row."""
    rows = [row for row in table.rows if isinstance(row.weights, dict)]
    judged = {column.id: [section.judgements[table.id, row.id, column.id] for row in rows] for column in table.columns}
    shown = [place for place in range(len(rows)) if any(ours[place].ours is not None for ours in judged.values())]
    if not shown:
        return None
    labels = row_names(table)
    places = tuple(range(len(shown)))
    lines = tuple(
        judged_line(column.label, places, [judged[column.id][place] for place in shown], colour)
        for colour, column in enumerate(table.columns, 1)
    )
    ticks = tuple((at, labels[rows[place].id]) for at, place in enumerate(shown))
    # The columns are weights, and of one metric.
    first = table.columns[0]
    panel = Panel("", "", with_unit(first.model_copy(update={"label": first.metric})), lines, ticks, bars=True)
    alt = "A bar for each kind of weights; bars show the spread of one run"
    return _chart(section, table, "sides", "by weights", alt, ((panel,),))


# Parts of view synthesis' loss, and what tells how alike views look.
VIEW_CURVES = {
    "photometric": "photometric loss",
    "kl": "KL loss",
    "info_max": "info-max loss",
    "view_similarity": "cosine of features (info-min)",
}


def _views(section: Section, table: Table, records: Sequence[Record]) -> Chart | None:
    """The losses of view synthesis on held-out videos by epoch: info-max should fall, and so should similarity."""
    labels = row_names(table)
    panels = []
    for name, label in VIEW_CURVES.items():
        lines = [
            curve_line(labels[row.id], runs, colour, with_range=True)
            for colour, (row, mine) in enumerate(_rows(table, records), 1)
            if (runs := [curve for record in mine if (curve := record.curves.get(f"validation_{name}"))])
        ]
        if lines:
            panels.append(Panel("", "epoch", label, tuple(lines)))
    if not panels:
        return None
    alt = "Losses of view synthesis on validation videos against the epoch, mean and range over seeds"
    rows = tuple(tuple(panels[low : low + PANELS]) for low in range(0, len(panels), PANELS))
    return _chart(section, table, "views", "losses by epoch", alt, rows)


Maker = Callable[[Section, Table, Sequence[Record]], Chart | None]
MAKERS: Mapping[str, tuple[Maker, ...]] = {
    "order-accuracy": (_classes,),
    "training-curve": (_validation,),
    "finetuning-curve": (_validation,),
    "layer-retrieval": (_steps,),
    "segment-scores": (_steps,),
    "recognition": (_steps, _sides),
    "ranking-accuracy": (_targets,),
    "view-scores": (_views,),
}


def _rows(table: Table, records: Sequence[Record]) -> list[tuple[Row, list[Record]]]:
    """The rows that have records, with them, in the table's order; no more than there are colours."""
    found = [(row, [record for record in records if record.row == row.id]) for row in table.rows]
    return [(row, mine) for row, mine in found if mine][:LINES]


def _by_name(records: Sequence[Record], pattern: str) -> dict[str, list[float]]:
    """What the pattern's group finds in the names of scores -> the score in each record; not what is no number."""
    found: dict[str, list[float]] = {}
    for record in records:
        for name, score in record.scores.items():
            if (match := re.fullmatch(pattern, name)) and math.isfinite(score):
                found.setdefault(match[1], []).append(score)
    return found


def _spread_line(label: str, x: Sequence[int], values: Sequence[Sequence[float]], colour: int) -> Line:
    """Means of values, with their range where some have more than one."""
    spread = any(len(some) > 1 for some in values)
    return Line(
        label=label,
        x=tuple(x),
        y=tuple(rounded(fmean(some)) if some else None for some in values),
        low=tuple(rounded(min(some)) if some else None for some in values) if spread else (),
        high=tuple(rounded(max(some)) if some else None for some in values) if spread else (),
        colour=colour,
    )


def _chart(
    section: Section, table: Table, kind: str, what: str, alt: str, panels: tuple[tuple[Panel, ...], ...]
) -> Chart:
    where = name_of(table)
    # What is not numbered in the paper shares its place with others.
    if sum(name_of(other) == where for other in section.paper.tables_and_figures) > 1:
        where = f"{where} ({table.id})"
    title = f"{where}: {what} · {describe(section)}"
    name = f"{section.paper.key}/{section.slug}-{table.id}-{kind}.svg"
    return Chart(name=name, title=title, alt=f"{alt}. {title}.", panels=panels, share_y=False)
