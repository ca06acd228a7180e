"""What a request asks of a paper: its tables, the cells that one evaluation fills, and the datasets behind them."""

import math
from collections.abc import Collection
from typing import Any

from harness.plan import Pretraining, Request
from harness.planning import protocols
from harness.tables import Cell, Paper, Table


def needed_datasets(
    paper: Paper, settings: dict[str, Any], pretrainings: dict[str, Pretraining], request: Request
) -> dict[str, bool]:
    """Datasets that the request touches, and whether something is measured on them or they are only trained on."""
    names: dict[str, bool] = {}
    for table in tables(paper, request):
        for cell in table.cells():
            if asked_for(cell, pretrainings, request) and not left_for_later(cell, table, settings, request):
                for name in datasets_of(cell, pretrainings):
                    measured = name in (dataset_of(cell, pretrainings), cell.settings.get("gallery"))
                    names[name] = names.get(name, False) or measured
    return dict(sorted(names.items()))


def tables(paper: Paper, request: Request) -> list[Table]:
    """The tables and figures asked for. Raises UsageError for one that the paper has not."""
    if request.tables:
        return [paper.table(name) for name in request.tables]
    return list(paper.tables_and_figures)


def asked_for(cell: Cell, pretrainings: dict[str, Pretraining], request: Request) -> bool:
    """Whether a cell is ours to measure, can be, and is among the rows and datasets asked for."""
    return (
        cell.source == "own"
        and protocols.known(cell.protocol, pretrainings)
        and (not request.rows or cell.row in request.rows)
        and (
            not request.datasets or {cell.dataset, cell.settings.get("gallery", cell.dataset)} <= set(request.datasets)
        )
    )


def left_for_later(cell: Cell, table: Table, settings: dict[str, Any], request: Request) -> bool:
    """Whether a row is left out because the scale runs a subset by default, and nothing else was asked for."""
    if request.everything or request.tables or request.rows or not settings["subset"]:
        return False
    return cell.row not in settings["subset"].get(table.id, ())


def measured_together(table: Table) -> Collection[list[Cell]]:
    """Cells of a row that one evaluation fills: the same dataset, splits, weights, protocol and settings.

    A table's cell without a printed value was not measured by the paper, and is not measured here.
    """
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in table.cells():
        if not table.is_figure and math.isnan(cell.value):
            continue
        same = (cell.row, cell.dataset, cell.splits, cell.weights, cell.protocol, tuple(sorted(cell.settings.items())))
        groups.setdefault(same, []).append(cell)
    return groups.values()


def datasets_of(cell: Cell, pretrainings: dict[str, Pretraining]) -> set[str]:
    """Datasets behind a cell: measured, searched, fine-tuned and pretrained on."""
    others = (str(cell.settings[key]) for key in ("gallery", "finetuned_on") if key in cell.settings)
    names = {dataset_of(cell, pretrainings), *others}
    todo = [str(cell.weights)]
    while todo:
        if pretraining := pretrainings.get(todo.pop()):
            names.add(pretraining.dataset)
            todo += pretraining.networks.values()
    return names


def dataset_of(cell: Cell, pretrainings: dict[str, Pretraining]) -> str:
    """The dataset that a cell is measured on; of a cost, the one that the network is, or would be, pretrained on."""
    return cell.dataset or pretrainings.get(str(cell.weights), next(iter(pretrainings.values()))).dataset
