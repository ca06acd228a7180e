"""Which charts a section of a report has, and the numbers in them: sections in, `drawing.Chart` out. Draws nothing.

Their number is bounded by design, whatever the number of records: per section at most TOPK top-k charts, TRAINING charts of
training curves, one slope chart, and those that are about one protocol (harness/reporting/protocol_charts.py).
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from harness.judging.compare import Judgement
from harness.records import Record
from harness.reporting.drawing import (
    GAP_X,
    LABELLED_PANEL_WIDTH,
    LEFT,
    PALETTE,
    WIDEST,
    Chart,
    Line,
    Panel,
    end_label_width,
)
from harness.reporting.sections import Section
from harness.tables import Column, Row, Table

TOPK, TRAINING, PANELS, SLOPES = 5, 2, 4, 6
LINES = len(PALETTE) - 1
# More epochs than this are thinned: the eye sees no more, and the file stays small.
POINTS = 30
# Protocols that have charts of their own instead of the usual ones.
WITH_OWN_CHART = ("layer-retrieval", "training-curve", "finetuning-curve", "view-scores")

BACKBONES = {
    "c3d": "C3D",
    "r3d": "R3D",
    "r2plus1d": "R(2+1)D",
    "s3dg": "S3D-G",
    "c3d5": "C3D (5 convolutions)",
    "resnet18-3d": "3D ResNet-18",
    "resnet18-2d": "2D ResNet-18",
}
UNITS = {"percent": "%", "millions": "millions", "gmacs": "GMACs"}
VERDICT_COLOURS = {"REPRODUCED": 3, "NEAR": 5, "BELOW": 2, "ABOVE": 4}


def of_section(section: Section) -> list[Chart]:
    """The usual charts of a section, in the order in which its page shows them."""
    if not section.records:
        return []
    slope = _printed_to_ours(section) if section.comparable else _random_to_pretrained(section)
    return [*([slope] if slope else []), *_topk(section), *_training(section)]


def name_of(table: Table) -> str:
    """How people call it: "Table 2", "Figure 5"; the place in the paper for what has no number."""
    if table.where.startswith("not in the paper"):
        return "Beyond the paper"
    return table.where.partition(",")[0]


def is_random(row: Row) -> bool:
    """Whether the row's networks start untrained."""
    return row.weights == "random" or (isinstance(row.weights, dict) and set(row.weights.values()) == {"random"})


def pairs(table: Table) -> list[tuple[Row, Row]]:
    """(random row, pretrained row) of the same network and settings, for every own pretrained row that has such a partner."""
    own = [row for row in table.rows if row.source == "own"]
    found = []
    for row in own:
        if is_random(row):
            continue
        partners = [other for other in own if is_random(other) and other.backbone == row.backbone]
        # One that was tuned with labels before it is measured is no baseline of one that was not.
        tuned = row.settings.get("finetuned_on")
        partners = [other for other in partners if other.settings.get("finetuned_on") == tuned]
        same = [other for other in partners if other.settings == row.settings]
        if partners := same or (partners if len(partners) == 1 else []):
            found.append((partners[0], row))
    return found


def describe(section: Section) -> str:
    """Scale, data and seeds for a chart's title."""
    seeds = len({record.seed for record in section.records})
    return f"{section.title.lower()} · {seeds} seed{'s'[: seeds > 1]}"


def _topk(section: Section) -> list[Chart]:
    found = []
    for table in section.paper.tables_and_figures:
        if table.protocol in WITH_OWN_CHART:
            continue
        for dataset, columns in _ranked(table).items():
            ticks = tuple((rank, str(rank)) for rank in columns.values())
            panels = []
            for backbone, rows in by_backbone(table).items():
                lines = _rank_lines(section, table, rows, columns)
                if lines:
                    x_label = "k nearest neighbours (log scale)"
                    panels.append(Panel(backbone_name(backbone), x_label, "accuracy (%)", lines, ticks, True))
            if not panels:
                continue
            which = f" · {dataset}" if len({column.dataset for column in table.columns}) > 1 else ""
            title = f"{name_of(table)}: {table.title}{which} · {describe(section)}"
            found.append(
                Chart(
                    name=f"{section.paper.key}/{section.slug}-{table.id}-{dataset}-topk.svg",
                    title=title,
                    alt=f"Accuracy against k, random and pretrained networks. {title}.",
                    panels=(tuple(panels[:PANELS]),),
                )
            )
    return found[:TOPK]


def _ranked(table: Table) -> dict[str, dict[str, int]]:
    """Dataset -> column id -> k, for columns of top-k accuracy, where there are enough for a curve."""
    found: dict[str, dict[str, int]] = {}
    for column in table.columns:
        if rank := re.fullmatch(r"top(\d+)", column.metric):
            found.setdefault(column.dataset or "", {})[column.id] = int(rank[1])
    return {dataset: columns for dataset, columns in found.items() if len(columns) >= 3}


def _rank_lines(section: Section, table: Table, rows: Sequence[Row], columns: dict[str, int]) -> tuple[Line, ...]:
    lines = []
    ranks, colours = tuple(columns.values()), _colours(table)
    for row in rows[: LINES + 1]:
        judged = [section.judgements[table.id, row.id, column] for column in columns]
        if all(one.ours is None for one in judged):
            continue
        label = _weights(row, rows)
        lines.append(judged_line(label, ranks, judged, colours[row.id]))
        printed = tuple(None if math.isnan(one.printed) else one.printed for one in judged)
        if section.comparable and any(value is not None for value in printed):
            lines.append(Line("hollow: printed", ranks, printed, colour=colours[row.id], points_only=True))
        for other, partner in _other_intervals(section, table, row):
            judged = [section.judgements[other.id, partner.id, column] for column in columns]
            if any(one.ours is not None for one in judged):
                lines.append(replace(judged_line(_weights(partner, []), ranks, judged, colours[row.id]), dashed=True))
    return tuple(lines)


def _other_intervals(section: Section, table: Table, row: Row) -> list[tuple[Table, Row]]:
    """Rows of tables with the same columns that differ from a chart's row in the interval between clips alone."""
    if not table.is_figure or "interval" not in row.settings:
        return []
    measured = {(column.id, column.metric, column.dataset) for column in table.columns}
    found = []
    for other in section.paper.tables:
        if other.protocol == table.protocol and measured <= {(c.id, c.metric, c.dataset) for c in other.columns}:
            found += [
                (other, partner)
                for partner in other.rows
                if partner.source == "own"
                and partner.backbone == row.backbone
                and partner.settings != row.settings
                and partner.settings | {"interval": row.settings["interval"]} == row.settings
            ]
    return found


def _colours(table: Table) -> dict[str, int]:
    """Row id -> colour: grey for random rows; rows of the same weights have the same colour in every panel."""
    colours: dict[str, int] = {}
    of_weights: dict[str, int] = {}
    for rows in by_backbone(table).values():
        for row in rows:
            label = _weights(row, rows)
            colours[row.id] = 0 if is_random(row) else of_weights.setdefault(label, len(of_weights) % LINES + 1)
    return colours


def _training(section: Section) -> list[Chart]:
    found: list[Chart] = []
    protocols: set[str] = set()
    for table in section.paper.tables_and_figures:
        mine = section.of_tables.get(table.id, ())
        records = [record for record in mine if record.curves and record.protocol not in WITH_OWN_CHART]
        if not records or records[0].protocol in protocols or len(found) == TRAINING:
            continue
        protocols.add(records[0].protocol)
        # One dataset, the first of the table: curves of different ones have nothing to share an axis for.
        measured = {record.dataset for record in records}
        dataset = next((c.dataset for c in table.columns if c.dataset in measured), records[0].dataset)
        records = [record for record in records if record.dataset == dataset]
        rows = []
        for ending, y_label in (("loss", "loss"), ("accuracy", "accuracy (%)")):
            panels = []
            for backbone, members in list(by_backbone(table).items())[:PANELS]:
                lines = _curves(table, members, records, ending)
                if lines:
                    panels.append(Panel(backbone_name(backbone), "epoch", y_label, lines))
            if panels:
                rows.append(tuple(panels))
        title = f"{name_of(table)}: training curves, {dataset} · {describe(section)}"
        found.append(
            Chart(
                name=f"{section.paper.key}/{section.slug}-{table.id}-training.svg",
                title=title,
                alt=f"Loss and accuracy against the epoch, mean and range over splits and seeds. {title}.",
                panels=tuple(rows),
            )
        )
    return [chart for chart in found if chart.panels]


def _curves(table: Table, rows: Sequence[Row], records: Iterable[Record], ending: str) -> tuple[Line, ...]:
    lines = []
    # Many bands over each other show nothing.
    with_range = len(rows) <= 2
    colours = _colours(table)
    for row in rows[: LINES + 1]:
        mine = [record for record in records if record.row == row.id]
        for kind, name in (("train", "training"), ("validation", "validation")):
            runs = [curve for record in mine if (curve := record.curves.get(f"{kind}_{ending}"))]
            if runs:
                label = f"{_weights(row, rows)}, {name}"
                line = curve_line(label, runs, colours[row.id], with_range)
                lines.append(replace(line, dashed=kind == "validation"))
    return tuple(lines)


def curve_line(label: str, runs: Sequence[Sequence[float]], colour: int, with_range: bool) -> Line:
    """The mean of runs by epoch, thinned, as long as the shortest; with_range: their smallest and largest as a band."""
    epochs = range(min(map(len, runs)))
    kept = sorted({*epochs[:: -(-len(epochs) // POINTS)], epochs[-1]})
    values = [[run[epoch] for run in runs if math.isfinite(run[epoch])] for epoch in kept]
    band = with_range and len(runs) > 1
    return Line(
        label=label,
        x=tuple(epoch + 1 for epoch in kept),
        y=tuple(rounded(fmean(v)) if v else None for v in values),
        low=tuple(rounded(min(v)) if v else None for v in values) if band else (),
        high=tuple(rounded(max(v)) if v else None for v in values) if band else (),
        colour=colour,
    )


def _printed_to_ours(section: Section) -> Chart | None:
    panels = []
    for table in section.paper.tables:
        # Of many columns, such as top-1 to top-50, the first one: top-k charts show the others.
        for column in table.columns if len(table.columns) <= 2 else table.columns[:1]:
            lines = []
            names = row_names(table)
            for row in table.rows:
                one = section.judgements[table.id, row.id, column.id]
                if one.difference is None:
                    continue
                colour = VERDICT_COLOURS.get(one.verdict, 0)
                label = one.verdict if one.verdict in VERDICT_COLOURS else "INCOMPLETE"
                lines.append(_slope(label, one.printed, None, one, colour, names[row.id], column))
            if lines:
                ticks = ((0, "printed"), (1, "ours"))
                y_label = with_unit(column)
                panels.append(Panel(name_of(table), "", y_label, tuple(lines), ticks))
    return _slopes(section, panels, "printed → ours", "Printed value on the left, ours on the right")


def _random_to_pretrained(section: Section) -> Chart | None:
    tables = [table for table in section.paper.tables_and_figures if pairs(table)]
    # Top-k tables have curves of their own, which show the same at every k.
    few = [table for table in tables if len(table.columns) <= 3]
    panels = []
    for table in few or tables[:1]:
        for column in table.columns[:3]:
            lines: list[Line] = []
            for random, row in pairs(table):
                before = section.judgements[table.id, random.id, column.id]
                after = section.judgements[table.id, row.id, column.id]
                if before.ours is not None and after.ours is not None and len(lines) < LINES:
                    name = backbone_name(row.backbone)
                    if sum(other.backbone == row.backbone for _, other in pairs(table)) > 1:
                        name = f"{name} {_weights(row, [])}"
                    lines.append(_slope("", before.ours, before.sd, after, len(lines) + 1, name, column))
            if lines:
                ticks = ((0, "random"), (1, "pretrained"))
                y_label = with_unit(column)
                panels.append(Panel(name_of(table), "", y_label, tuple(lines), ticks))
    return _slopes(section, panels, "random → pretrained", "Random initialisation on the left, pretrained on the right")


def _slopes(section: Section, panels: list[Panel], what: str, alt: str) -> Chart | None:
    if not panels:
        return None
    panels = panels[:SLOPES]
    # Long labels leave room for fewer panels side by side.
    labels = (line.end_label for panel in panels for line in panel.lines)
    beside = int((WIDEST - LEFT) / (LABELLED_PANEL_WIDTH + GAP_X + end_label_width(labels)))
    beside = min(max(beside, 1), 3)
    title = f"{section.paper.key}: {what} · {describe(section)}"
    return Chart(
        name=f"{section.paper.key}/{section.slug}-slope.svg",
        title=title,
        alt=f"{alt}; bars show the spread of one run. {title}.",
        panels=tuple(tuple(panels[start : start + beside]) for start in range(0, len(panels), beside)),
        share_y=False,
    )


def _slope(
    label: str, left: float, left_sd: float | None, right: Judgement, colour: int, name: str, column: Column
) -> Line:
    assert right.ours is not None  # slopes end in a result
    spreads = (left_sd, right.sd)
    digits = ".1f" if column.unit == "percent" else ".3g"
    y = (rounded(left), rounded(right.ours))
    return Line(
        label=label,
        x=(0, 1),
        y=y,
        low=tuple(None if sd is None else rounded(v - sd) for v, sd in zip(y, spreads, strict=True)),
        high=tuple(None if sd is None else rounded(v + sd) for v, sd in zip(y, spreads, strict=True)),
        colour=colour,
        end_label=f"{name} {right.ours:{digits}}",
    )


def judged_line(label: str, x: tuple[float, ...], judged: Sequence[Judgement], colour: int) -> Line:
    """What judgements say of ours, with the spread of one run as a band; grey lines are dashed."""
    spread = any(one.ours is not None and one.sd is not None for one in judged)
    return Line(
        label=label,
        x=x,
        y=tuple(None if one.ours is None else rounded(one.ours) for one in judged),
        low=tuple(None if one.ours is None else rounded(one.ours - (one.sd or 0)) for one in judged) if spread else (),
        high=tuple(None if one.ours is None else rounded(one.ours + (one.sd or 0)) for one in judged) if spread else (),
        colour=colour,
        dashed=colour == 0,
    )


def row_names(table: Table) -> dict[str, str]:
    """Row id -> a name that no other row of the table has: its label, with its settings or id where labels repeat."""
    names = {}
    labels = [row.label for row in table.rows]
    for row in table.rows:
        name = row.label
        if labels.count(name) > 1:
            settings = ", ".join(f"{key} {value}" for key, value in row.settings.items())
            others = [other.settings for other in table.rows if other.label == name]
            name = f"{name} ({settings})" if settings and others.count(row.settings) == 1 else f"{name} ({row.id})"
        names[row.id] = name
    return names


def by_backbone(table: Table) -> dict[str, list[Row]]:
    """Backbone -> the rows of ours that have one, in the table's order."""
    found: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.source == "own" and row.backbone:
            found.setdefault(row.backbone, []).append(row)
    return found


def backbone_name(name: str | None) -> str:
    """A backbone as papers write it."""
    return BACKBONES.get(name or "", name or "–")


def _weights(row: Row, among: Sequence[Row]) -> str:
    """The row's weights in a word or two; its label where other rows have the same ones."""
    if isinstance(row.weights, dict) or sum(other.weights == row.weights for other in among) > 1:
        return row.label
    return row.weights or "–"


def with_unit(column: Column) -> str:
    """A column's label with its unit, for an axis; what says its unit already stays as it is."""
    unit = UNITS.get(column.unit, column.unit)
    return column.label if unit in column.label.lower() else f"{column.label} ({unit})"


def rounded(value: float) -> float:
    """Four decimals: more would make charts stale over differences that nobody sees."""
    return round(value, 4)
