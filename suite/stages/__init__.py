"""The kinds of stage: what each one takes, and what it leaves in its folder.

A stage is a pure function of its configuration, the data it reads, and its inputs (folders of earlier stages). It writes
files into its own folder and returns a JSON-able result with some of these keys:

    scores    metric -> value (accuracies in percent)
    counts    what was listed, decoded, asked and right
    outcomes  per video: groups, hits of `trials` for each metric
    curves    name -> one number an epoch
    examples  retrieved neighbours, and `pictures`: PNG files in the folder
    facts     anything else that a reader of the record should see

A kind's version is raised whenever its results move. Beside these kinds each score of a pretext task is one, named by its
protocol; its function and version are the task's (suite/tasks.py). This module imports no torch until a stage runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

# kind -> the function that runs it, and its version.
KINDS = {
    "synthetic": ("suite.stages.data.synthetic", 1),
    "check-data": ("suite.stages.data.check_data", 2),
    "frames": ("suite.stages.data.frames", 1),
    "flow": ("suite.stages.data.flow", 1),
    "import": ("suite.stages.training.import_checkpoint", 2),
    "inflate": ("suite.stages.training.inflate", 1),
    "pretrain": ("suite.stages.training.pretrain", 1),
    "finetune": ("suite.stages.training.finetune", 1),
    "training-curve": ("suite.stages.pretexts.training_curve", 1),
    "recognition": ("suite.stages.recognition.recognition", 1),
    "finetuning-curve": ("suite.stages.recognition.finetuning_curve", 1),
    "features": ("suite.stages.retrieval.features", 1),
    "clip-retrieval": ("suite.stages.retrieval.clip_retrieval", 1),
    "video-retrieval": ("suite.stages.retrieval.video_retrieval", 1),
    "cross-retrieval": ("suite.stages.retrieval.cross_retrieval", 1),
    "feature-space": ("suite.stages.retrieval.feature_space", 1),
    "probe-features": ("suite.stages.probes.probe_features", 1),
    "aslan": ("suite.stages.probes.aslan", 1),
    "yupenn": ("suite.stages.probes.yupenn", 1),
    "question-baseline": ("suite.stages.question_answering.baseline", 1),
    "video-qa": ("suite.stages.question_answering.video_qa", 1),
    "cost": ("suite.stages.networks.cost", 1),
    "regression": ("suite.regression.run", 1),
}
# What runs a score of a pretext task.
SCORED = ("suite.stages.pretexts.score", None)
VERSIONS = {kind: version for kind, (_, version) in KINDS.items()}


@dataclass(frozen=True)
class Runtime:
    """How a stage is run; none of it may change a number on the same device."""

    device: str = "cpu"
    # Loader processes of a training or feature stage.
    workers: int = 0
    progress: Callable[[int, int], None] = lambda done, total: None
    tensorboard: bool = False
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Job:
    """One stage to run: `inputs` are folders by role, `roots` the data roots by dataset name.

    Of other places, too, where they are given: "glove", "checkpoint", "imagenet", and "memo", the folder of what earlier
    checks of data found.
    """

    kind: str
    config: dict
    inputs: dict[str, Path]
    roots: dict[str, Path]
    folder: Path
    runtime: Runtime


def run(job: Job) -> dict:
    """Run one stage and return its result. Raises InputError on bad data, TrainingError on a loss that is not finite."""
    where, _ = KINDS.get(job.kind, SCORED)
    module, function = where.rsplit(".", 1)
    return getattr(import_module(module), function)(job)
