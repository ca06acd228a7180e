"""Tables x recipe x scale -> stages: what has to run, and in which order.

Pure: data facts, stage versions and facts of networks and pretrainings come in as values.
"""

from typing import Any

from harness.errors import UsageError
from harness.plan import DataFacts, Measurement, Plan, Request, Suite
from harness.planning import protocols, refusals, request
from harness.planning.context import Context, Trial
from harness.tables import Cell, Paper, Table


def build(
    paper: Paper,
    settings: dict[str, Any],
    data: dict[str, DataFacts],
    suite: Suite,
    asked: Request,
    unusable: dict[str, str] | None = None,
) -> Plan:
    """The stages behind every own row that the request asks for.

    Args:
        unusable: why datasets that are there cannot be used, by name; rows that need them are left out.

    Raises UsageError for an unknown table or row.
    """
    _refuse_unknown(paper, suite, asked)
    plan = Plan()
    for table in request.tables(paper, asked):
        for cells in request.measured_together(table):
            context = Context(_of_cell(settings, cells[0]), data, suite, asked, plan)
            _add(context, table, cells, unusable or {})
    return plan


def _refuse_unknown(paper: Paper, suite: Suite, asked: Request) -> None:
    """Raise UsageError for a row that is asked for and not there, and for a backbone or a protocol that nobody knows."""
    known_rows = {row.id for table in paper.tables_and_figures for row in table.rows}
    for name in asked.rows:
        if name not in known_rows:
            raise UsageError(f"{paper.key} has no row {name!r}; rows: {', '.join(sorted(known_rows))}")
    for table in paper.tables_and_figures:
        for row in table.rows:
            if row.source == "own" and row.backbone not in {**suite.networks, **suite.unusable}:
                raise UsageError(
                    f"{paper.key} {table.id} row {row.id}: unknown backbone {row.backbone!r}; "
                    f"choose one of {', '.join(suite.networks)}"
                )
        for cell in table.cells():
            if cell.source == "own" and cell.protocol not in (protocols.TOLD, *protocols.all_of(suite.pretrainings)):
                raise UsageError(
                    f"{paper.key} {table.id} column {cell.column}: unknown protocol {cell.protocol!r}; choose one of "
                    f"{', '.join(protocols.all_of(suite.pretrainings))}, or name a pretraining's task that has such a score"
                )


def _of_cell(settings: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """A scale's settings as a cell sees them: a row may be about clips of another size."""
    asked = (cell.settings.get("resolution"), cell.settings.get("clip_length"))
    own = settings["inputs"].get(f"{asked[0]}x{asked[1]}")
    return settings if own is None else settings | {"video": settings["video"] | own}


def _add(context: Context, table: Table, cells: list[Cell], unusable: dict[str, str]) -> None:
    """Plan what one evaluation fills: a measurement of each split and seed, or the reason why there is none."""
    first, plan = cells[0], context.plan
    reason = refusals.reason(context, table, first, unusable)
    if reason is not None:
        if reason:
            plan.left_out[table.id, first.row] = reason
        return
    measure = protocols.planner(first.protocol)
    columns = tuple(cell.column for cell in cells)
    dataset = request.dataset_of(first, context.suite.pretrainings)
    for split in first.splits:
        if split not in context.data[dataset].sizes:
            plan.left_out[table.id, first.row] = f"the data root has no lists of split {split} of {dataset}"
            continue
        for seed in range(_seeds(context, first)):
            key = measure(context, Trial(first, str(first.backbone), str(first.weights), dataset, split, seed))
            behind = _behind(plan, key)
            needs = frozenset([*behind.values(), *context.generated(dataset).values()])
            plan.measurements.append(
                Measurement(table.id, first.row, columns, dataset, split, seed, first.protocol, key, behind, needs)
            )


def _seeds(context: Context, cell: Cell) -> int:
    """Runs of a cell: untrained networks are measured more often, fixed weights in a search only once."""
    if cell.protocol == "cost":
        return 1
    trains = cell.protocol in protocols.TRAINING or "finetuned_on" in cell.settings
    if cell.weights == "imported" and not trains:
        return 1
    if cell.weights == "random" and not trains:
        return max(context.request.seeds, int(context.settings["compute"]["baseline_seeds"]))
    return context.request.seeds


def _behind(plan: Plan, key: str) -> dict[str, str]:
    """The stages behind a result by their roles, but for frame stores, which play no part in it.

    Of a curriculum the last pretraining has the plain role; what it starts from is told apart by its name.
    """
    behind: dict[str, str] = {}
    for stage in (plan.stages[name] for name in dict.fromkeys([*_before(plan, key), key])):
        if stage.kind == "frames":
            continue
        if earlier := behind.get(stage.role()):
            behind[f"{stage.role()}:{plan.stages[earlier].config['weights']}"] = earlier
        behind[stage.role()] = stage.key
    return behind


def _before(plan: Plan, key: str) -> list[str]:
    found: list[str] = []
    for earlier in plan.stages[key].inputs.values():
        found += [*_before(plan, earlier), earlier]
    return found
