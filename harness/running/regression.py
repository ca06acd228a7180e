"""A paper's regression slice: a fixed part of the tiny scale, computed anew to be held against golden numbers."""

import os
import shutil
from pathlib import Path

from harness import plan
from harness.errors import UsageError
from harness.judging import golden
from harness.plan import Plan, Stage
from harness.running import door, executors, lock, machines, stage_folders


def results(paper: str, runs: Path) -> golden.Results:
    """A paper's regression slice, computed anew: numbers by kind and name. Raises UsageError and StageError."""
    found: golden.Results = {kind: {} for kind in golden.KINDS}
    for facts in _computed(paper, runs, (), (0,)).values():
        for kind, numbers in facts.items():
            found[kind] |= numbers
    return found


def spread(paper: str, runs: Path) -> dict[str, dict[str, float]]:
    """The slice's trained scores with two seeds under every instruction set: name -> setting -> score.

    Raises UsageError for a slice without trained scores.
    """
    if "trained" not in door.regression_slice(paper)[0]:
        raise UsageError(f"the slice of {paper} has no trained scores; leave --measure out")
    measured: dict[str, dict[str, float]] = {}
    for switch, value in golden.INSTRUCTION_SETS:
        before = os.environ.get(switch)
        # Read by the libraries when a stage's process starts.
        os.environ[switch] = value
        try:
            found = _computed(paper, runs, ("trained",), (0, 1))
        finally:
            os.environ.pop(switch)
            if before is not None:
                os.environ[switch] = before
        for (_, seed), facts in found.items():
            for name, number in facts["trained"].items():
                measured.setdefault(name, {})[f"seed {seed}, {switch}={value}"] = number["value"]
    return measured


def _computed(
    paper: str, runs: Path, parts: tuple[str, ...], seeds: tuple[int, ...]
) -> dict[tuple[str, int], golden.Results]:
    """Parts of a paper's slice (all if none is named), side by side where there are cores: (part, seed) -> numbers.

    Nothing of an earlier regression is used, since the code may have changed: its folder under `runs` is emptied first.
    """
    recipe, folder = door.load_recipe(paper, "tiny"), runs / "regression"
    settings = recipe.settings.model_dump(mode="json", exclude_unset=True)
    threads = recipe.settings.compute.threads
    costs, datasets = door.regression_slice(paper)
    versions = door.stage_versions()
    with lock.locked(folder):
        for earlier in folder.iterdir():
            if earlier.is_dir():
                shutil.rmtree(earlier)
        data = door.synthetic_data(list(datasets), recipe, folder)
        built, wanted = Plan(), {}
        inputs = {}
        for name, facts in data.facts.items():
            inputs[f"synthetic:{name}"] = built.add(plan.synthetic_stage(name, facts.synthetic or {}, versions))
        for part in parts or costs:
            for seed in seeds:
                config = {"paper": paper, "part": part, "seed": seed, "threads": threads, "settings": settings}
                stage = Stage("regression", versions["regression"], config, inputs, {}, "cpu", costs[part])
                wanted[part, seed] = built.stages[built.add(stage)]
        executors.execute(
            built, door.run_stage, data.roots, folder, machines.find("cpu", None, threads, False), lambda stage: None
        )
        return {key: stage_folders.read(stage.folder(folder))["result"]["facts"] for key, stage in wanted.items()}
