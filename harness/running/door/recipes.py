"""Recipes, and what the plan must know of their pretrainings."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness import plan
from harness.plan import Setting
from harness.running.door.faults import suite_errors

if TYPE_CHECKING:
    from suite.recipe import Recipe
    from suite.settings import Pretraining


def load_recipe(paper: str, scale: str, changes: Iterable[Setting] = ()) -> "Recipe":
    """The paper's recipe at a scale, with settings that are asked for otherwise. Raises UsageError."""
    from suite import recipe

    with suite_errors():
        return recipe.changed(recipe.load(paper, scale), dict(changes))


def add_papers(folders: Iterable[Path]) -> None:
    """Take papers, networks and datasets from these folders, too. Raises UsageError for one that is not there."""
    from suite import elsewhere

    with suite_errors():
        elsewhere.extend(folders)


def elsewhere(name: str) -> dict[str, Path]:
    """The file of that name of every paper outside the checkout, by the paper's key. Raises UsageError for a key of two."""
    from suite import elsewhere

    with suite_errors():
        return elsewhere.files(name)


def recipe_for(
    backbone: str, paper: str, scale: str, changes: Iterable[Setting], stated: Mapping[str, object]
) -> "Recipe":
    """The paper's recipe for a network that is measured under it: with the input that the network says it takes, then what is
    asked for otherwise, then the input that is stated for it (a table, as suite.video.inputs.NetworkInput has it).

    At tiny scale clips are as small as the recipe has them, whatever the network says, and that is said. Raises UsageError.
    """
    from suite import backbones, recipe
    from suite.video import inputs

    with suite_errors():
        own, asked = backbones.video_input(backbone), inputs.stated(stated, "the options")
        sizes = own.model_copy(update={"antialias": None, "pixels": None})
        if scale == "tiny" and sizes != inputs.NetworkInput():
            print(
                f"{backbone}: its sizes ({sizes.options()}) are not taken at tiny scale; give these options to have them",
                file=sys.stderr,
            )
        found = recipe.under(recipe.load(paper, scale), own.of_any_size() if scale == "tiny" else own)
        return recipe.under(recipe.changed(found, dict(changes)), asked)


def recipe_file(paper: str) -> Path:
    """The file of a paper's recipe. Raises UsageError where it has none."""
    from suite import recipe

    with suite_errors():
        return recipe.file(paper)


def paper_that_evaluates(protocol: str) -> str:
    """The paper whose recipe says that a protocol is measured with its settings. Raises UsageError where none does."""
    from suite import recipe

    with suite_errors():
        return recipe.that_evaluates(protocol)


def heavy(recipe: "Recipe") -> list[str]:
    """Faults of a recipe's tasks whose import takes what plans and pages must do without, such as torch."""
    from suite import tasks

    found = []
    for path in sorted({pretraining.pretext for pretraining in recipe.settings.pretraining.values()}):
        if names := tasks.heavy(path):
            found.append(f"{path}: {tasks.too_heavy(names)}")
    return found


def papers_with_recipe() -> list[str]:
    """Keys of the papers that can be run."""
    from suite import recipe

    return recipe.papers()


def scales() -> tuple[str, ...]:
    """Names of the scales, the paper's own first."""
    from suite import recipe

    return recipe.SCALES


def pretraining_facts(recipe: "Recipe") -> dict[str, plan.Pretraining]:
    """What the plan must know of a recipe's pretrainings, by name. Raises UsageError where a task cannot say it."""
    with suite_errors():
        return {name: _facts(settings) for name, settings in recipe.settings.pretraining.items()}


def _facts(settings: "Pretraining") -> plan.Pretraining:
    from suite import elsewhere, tasks
    from suite.settings import Pretraining

    def clips_of_sample(clips_of_video: float) -> float:
        with suite_errors():
            return tasks.told(settings, "clips_of_sample", float, clips_of_video)

    task, networks = tasks.find(settings.pretext), tasks.told(settings, "networks", dict)
    content, counted = (
        each.model_dump(mode="json", exclude_none=True, exclude={"start", *networks})
        for each in (settings, tasks.told(settings, "counted", Pretraining))
    )
    return plan.Pretraining(
        settings=content,
        counted=counted,
        version=task.VERSION,
        source="" if task.__name__.startswith("suite.") else elsewhere.source(task),
        dataset=settings.dataset,
        split=settings.split,
        networks=networks,
        flow=settings.flow,
        passes=tasks.told(settings, "passes", float),
        clips_of_sample=clips_of_sample,
        scores={protocol: version for protocol, (_, version) in task.SCORES.items()},
    )
