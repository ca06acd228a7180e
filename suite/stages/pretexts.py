"""Stages that ask how well a pretext task was learnt, on videos that it was not learnt from."""

import json
from dataclasses import replace

from suite import tasks
from suite.errors import InputError
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import pretext_network
from suite.stages.training import CURVES


def score(job: Job) -> dict:
    """A score that the task of the stage's pretraining has, by the protocol that the stage's kind names."""
    task = tasks.find(job.config["pretraining"]["pretext"])
    if job.kind not in task.SCORES:
        raise InputError(f"{task.NAME} has no score {job.kind!r}; it has {', '.join(task.SCORES) or 'none'}")
    function, _ = task.SCORES[job.kind]
    return function(_held_out(job, task))


def training_curve(job: Job) -> dict:
    """What a pretraining's validation accuracy (percent) comes to along the way (vcop-curriculum Fig. 4).

    The paper speaks of epochs 1, 10 and 200 of 300; in runs of another length the second and third are those after the
    same share of it.
    """
    curves = json.loads((job.inputs["pretrain"] / CURVES).read_text(encoding="utf-8"))
    accuracy = curves["validation_accuracy"]
    tenth, two_hundredth = (max(1, round(len(accuracy) * epoch / 300)) for epoch in (10, 200))
    return {
        "scores": {
            "max_val_acc": max(accuracy),
            "min_val_acc_10_epochs": min(accuracy[:tenth]),
            "val_acc_epoch_1": accuracy[0],
            "val_acc_epoch_200": accuracy[two_hundredth - 1],
        },
        "counts": {"epochs": len(accuracy)},
    }


def _held_out(job: Job, task) -> tasks.HeldOut:
    """A pretext network as its training left it, and one sample of every test video."""
    from suite import checkpoints

    pretraining, video = job.config["pretraining"], job.config["video"]
    data = Data(job, pretraining["dataset"])
    network = pretext_network(job)
    network.load_state_dict(checkpoints.load(job.inputs["pretrain"] / "best.safetensors"))
    split = data.dataset.splits[pretraining["split"]]
    decoded = data.readable(split.test)
    videos = task.eligible(decoded, data.frames, pretraining, video)
    if not videos:
        raise InputError(f"{data.root}: no test video is long enough for the task {task.NAME}")

    def untrained(*, trained_backbone: bool = False):
        # Without its input of trained weights the stage starts from fresh ones.
        fresh = replace(job, inputs={role: folder for role, folder in job.inputs.items() if role != "pretrain"})
        return pretext_network(job if trained_backbone else fresh)

    return tasks.HeldOut(
        network=network,
        # Seed 0 always: every run is asked about the same samples.
        samples=task.samples(data, videos, pretraining, video, seed=0, training=False),
        videos=videos,
        data=data,
        pretraining=pretraining,
        video=video,
        counts={"listed": len(split.test), "decoded": len(decoded)},
        untrained=untrained,
        training_videos=lambda: data.readable(split.train),
        folder=job.folder,
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
