"""From the words of a command to tables, recipe, data, plan and machine."""

import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import tables
from harness.errors import UsageError
from harness.plan import Plan, Request
from harness.planning import builder
from harness.planning.request import needed_datasets
from harness.records import Asked
from harness.running import checks, departures, door, machines
from harness.running.door import Data
from harness.running.machines import Machine
from harness.tables import Paper

if TYPE_CHECKING:
    from harness.running.door import Recipe


@dataclass(frozen=True)
class Prepared:
    """A request with everything that it was worked out to."""

    paper: Paper
    # at the scale asked for
    recipe: "Recipe"
    request: Request
    data: Data
    built: Plan

    @property
    def otherwise(self) -> list[Asked]:
        """What was asked for otherwise than the recipe and the official lists have it."""
        changes = [Asked(id=change.id, option=change.option, what=change.what) for change in self.recipe.changes]
        return [*changes, *departures.of_part(self.request.part)]


def papers(folder: Path) -> dict[str, Paper]:
    """The tables of the papers in a folder, and of those elsewhere."""
    return tables.load(folder, door.elsewhere("tables.toml"), door.dataset_names())


def papers_in_order(folder: Path) -> tuple[dict[str, Paper], list[str]]:
    """The tables of all papers that can be read, and what is wrong with the others."""
    found, faults = {}, []
    for key in tables.find(folder, door.elsewhere("tables.toml")):
        try:
            found[key] = paper_of(key, folder)
        except UsageError as error:
            faults.append(str(error))
    return found, faults


def paper_of(key: str, folder: Path) -> Paper:
    """The tables of one paper, whatever the others hold. Raises UsageError, listing the papers, for an unknown key."""
    elsewhere = door.elsewhere("tables.toml")
    if key not in (there := tables.find(folder, elsewhere)):
        raise UsageError(f"unknown paper {key!r}; papers: {', '.join(there)}")
    return tables.load(folder, elsewhere, door.dataset_names(), only=(key,))[key]


def prepare(
    paper: Paper,
    scale: str,
    data_root: Path | None,
    request: Request,
    runs: Path,
    *,
    glove: Path | None = None,
    only_plan: bool = False,
) -> Prepared:
    """Recipe, data and plan of a request for a paper. Raises UsageError for whatever does not fit together."""
    known = {cell.dataset for table in paper.tables_and_figures for cell in table.cells() if cell.dataset}
    for name in request.datasets:
        if name not in known:
            raise UsageError(
                f"{paper.key} measures nothing on dataset {name!r}; its datasets: {', '.join(sorted(known))}"
            )
    recipe = door.load_recipe(paper.key, scale, request.changes)
    _refuse_unknown_rows(paper, recipe)
    return work_out(paper, recipe, data_root, request, runs, glove=glove, only_plan=only_plan)


def _refuse_unknown_rows(paper: Paper, recipe: "Recipe") -> None:
    """Raise UsageError where the recipe's subset names a table or a row that the paper has not: nothing would be run for it."""
    there = {table.id: [row.id for row in table.rows] for table in paper.tables_and_figures}
    for table, rows in recipe.settings.subset.items():
        for name, known in ((table, there), *((row, there.get(table, ())) for row in rows)):
            if name not in known:
                raise UsageError(
                    f"the recipe of {paper.key}: subset.{table}: no {name!r}; there are {', '.join(known)}"
                )


def work_out(
    paper: Paper,
    recipe: "Recipe",
    data_root: Path | None,
    request: Request,
    runs: Path,
    *,
    glove: Path | None = None,
    only_plan: bool = False,
) -> Prepared:
    """Data and plan of a request under a given recipe. Data on disk are known as far as a check still holds: see `checked`.

    only_plan: make do with the official lists' sizes.
    glove: a file of word vectors for video question answering.
    """
    settings = recipe.settings.model_dump(mode="json")
    names = needed_datasets(paper, settings, door.pretraining_facts(recipe), request)
    if data_root is not None:
        # Rows that only train on what is not there are left out; what is measured must be there.
        held = [name for name in names if door.holds(data_root, name)]
        absent = [name for name, measured in names.items() if measured and name not in held]
        if held and absent:
            raise UsageError(
                f"{data_root}: holds no {' and no '.join(absent)}; add it, or go on without it by --datasets {','.join(held)}"
            )
        there = [name for name, measured in names.items() if measured or name in held]
        data = checks.known(door.real_data(there, data_root, request.part), runs)
    elif recipe.scale == "tiny":
        data = door.synthetic_data(list(names), recipe, runs, request.part)
    elif only_plan:
        data = door.official_data(list(names), request.part)
    else:
        raise UsageError(
            f"--scale {recipe.scale} needs --data-root DIR (or SUITE_DATA): generated data are for the tiny scale"
        )
    if glove is not None:
        data = door.with_glove(data, glove, settings["question_answering"]["hidden"])
    built = _plan(paper, recipe, data, request)
    if built.left_out and not built.measurements:
        (table, row), reason = next(iter(built.left_out.items()))
        raise UsageError(f"nothing of what was asked for can be run; {table} {row}: {reason}")
    return Prepared(paper, recipe, request, data, built)


def checked(run: Prepared, runs: Path) -> Prepared:
    """The same with all data on disk checked, and planned by their contents. Raises UsageError where they cannot be checked."""
    data = checks.bring_up_to_date(run.data, runs)
    return replace(run, data=data, built=_plan(run.paper, run.recipe, data, run.request))


def refuse_faults(data: Data) -> None:
    """Raise UsageError if datasets that were asked for cannot be used; for the end, when all that does not need them is done."""
    if data.faults:
        raise UsageError("; ".join(data.faults.values()))


def _plan(paper: Paper, recipe: "Recipe", data: Data, request: Request) -> Plan:
    settings = recipe.settings.model_dump(mode="json")
    rows = [row for table in paper.tables_and_figures for row in table.rows if row.source == "own"]
    elsewhere = sorted({row.backbone for row in rows if row.backbone and door.from_elsewhere(row.backbone)})
    unusable = data.faults | data.without
    return builder.build(paper, settings, data.facts, door.suite_facts(recipe, elsewhere), request, unusable)


def device_kind(device: str) -> str:
    """ "cpu" or "cuda", for what --device says. Raises UsageError for a device that is not there."""
    return "cpu" if machines.find(device, None, 1, False).devices == ("cpu",) else "cuda"


def machine(run: Prepared, device: str, workers: int | None, tensorboard: bool) -> Machine:
    """What the run may use, said on stderr. Raises UsageError where a large scale would start on a CPU unasked."""
    found = machines.find(device, workers, run.recipe.settings.compute.threads, tensorboard)
    if device == "auto" and found.devices == ("cpu",) and run.recipe.scale != "tiny":
        raise UsageError(
            f"--scale {run.recipe.scale}: no GPU was found (nvidia-smi); give --device cpu to run it on the CPU"
        )
    print(f"{run.paper.key} at {run.recipe.scale} scale on {', '.join(found.devices)}", file=sys.stderr)
    return found


def recipes(papers: Collection[str]) -> list[dict[str, Any]]:
    """Facts of the recipes of these papers at every scale, for reports; a paper may have none."""
    there = [key for key in door.papers_with_recipe() if key in papers]
    return [_facts(door.load_recipe(key, scale)) for key in there for scale in door.scales()]


def _facts(recipe: "Recipe") -> dict[str, Any]:
    """What a report says of a recipe: settings, decisions, readings, departures."""
    own = [departure.model_dump(mode="json") for departure in recipe.departures]
    return {
        "paper": recipe.paper,
        "scale": recipe.scale,
        "hash": recipe.hash(),
        "settings": recipe.settings.model_dump(mode="json"),
        "decisions": [decision.model_dump(mode="json") for decision in recipe.decisions],
        "readings": [reading.model_dump(mode="json") for reading in recipe.readings],
        "departures": [*own, *departures.OF_RUNS],
    }
