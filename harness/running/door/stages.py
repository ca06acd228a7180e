"""Stages: their versions, and one of them run in this process."""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plan
from harness.errors import UsageError
from harness.running.door.faults import suite_errors
from harness.running.door.networks import network_facts
from harness.running.door.recipes import load_recipe, papers_with_recipe, pretraining_facts, scales

if TYPE_CHECKING:
    from suite.recipe import Recipe


def stage_versions() -> dict[str, int]:
    """Version of every stage kind, but for the scores of pretext tasks."""
    from suite import stages

    return dict(stages.VERSIONS)


def protocol_versions(papers: Collection[str] | None = None) -> dict[str, int]:
    """Version of every protocol: that of the stage that ends it, or what the tasks of these papers' recipes give it; None: all.

    Raises UsageError where two tasks disagree: a protocol is one thing, whoever learns by it.
    """
    found = stage_versions()
    of_tasks: dict[str, int] = {}
    for key in (key for key in papers_with_recipe() if papers is None or key in papers):
        for pretraining in pretraining_facts(load_recipe(key, scales()[0])).values():
            for protocol, version in pretraining.scores.items():
                if protocol in found or of_tasks.setdefault(protocol, version) != version:
                    task = pretraining.settings["pretext"]
                    raise UsageError(
                        f"{task}: its score {protocol!r} is another one elsewhere; give it a name of its own"
                    )
    return found | of_tasks


def suite_facts(recipe: "Recipe", elsewhere: Iterable[str] = ()) -> plan.Suite:
    """Stage versions, a recipe's pretrainings, and what is known of the networks: the suite's own, and those from elsewhere that
    are named, counted on the recipe's clips."""
    from suite import backbones, stages
    from suite.errors import InputError

    video = recipe.settings.video
    clip = (video.clip_length, video.crop, video.crop)
    networks, unusable = {}, {}
    for name in (*backbones.NAMES, *elsewhere):
        try:
            networks[name] = network_facts(name, clip)
        except InputError as error:
            unusable[name] = str(error)
    return plan.Suite(dict(stages.VERSIONS), networks, unusable, pretraining_facts(recipe))


def regression_slice(paper: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """The parts of a paper's regression slice, each with its cost in 1e9 multiply-accumulates, and the generated datasets
    that they need. Raises UsageError for a paper without a slice."""
    from suite import regression

    with suite_errors():
        return regression.parts(paper), regression.datasets(paper)


def run_stage(
    kind: str,
    config: dict[str, Any],
    inputs: dict[str, Path],
    roots: dict[str, Path],
    folder: Path,
    device: str,
    workers: int,
    threads: int,
    tensorboard: bool,
    progress: Callable[[int, int], None],
    *,
    checkpoint_seconds: float = 60.0,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Run one stage of the suite in this process; returns its result and what it says of the device."""
    import gc

    import torch

    from suite import stages

    cuda = device.startswith("cuda")
    if threads:
        torch.set_num_threads(threads)
    if cuda:
        torch.cuda.set_device(device)
    runtime = stages.Runtime(device, workers, progress, tensorboard, checkpoint_seconds)
    try:
        result = stages.run(stages.Job(kind, config, inputs, roots, folder, runtime))
    finally:
        if cuda:
            # The next stage of this device may run in another process.
            gc.collect()
            torch.cuda.empty_cache()
    used = {"threads": str(torch.get_num_threads()), "device": device.split(":")[0]}
    if cuda:
        used["gpu"] = torch.cuda.get_device_name(device)
        used["cuda"] = str(torch.version.cuda)
    return result, used
