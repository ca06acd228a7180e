"""Stages that test a fine-tuned network on the action classes."""

import json

from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import recognition_network
from suite.stages.training import CURVES

# A validation accuracy is on its plateau from this share of its highest on.
PLATEAU = 0.95


def recognition(job: Job) -> dict:
    """The class of every test video, by the mean over its clips."""
    from suite import checkpoints
    from suite.evaluation.recognition import test

    config, settings = job.config, job.config["finetuning"]
    data = Data(job, config["dataset"])
    network = recognition_network(job, len(data.dataset.classes))
    network.load_state_dict(checkpoints.load(job.inputs["finetune"] / "best.safetensors"))
    listed = data.dataset.splits[config["split"]].test
    videos = data.readable(listed)
    logits = test(
        network,
        data.source(config["video"]["resize"]),
        videos,
        data.frames,
        clip_length=config["video"]["clip_length"],
        clips=settings["test_clips"] or "windows",
        stride=settings["stride"],
        average=settings["test_average"],
        pixels=config["video"]["pixels"],
        crop=config["video"]["crop"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
    hits = [int(row.argmax() == video.label) for row, video in zip(logits, videos, strict=True)]
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits)},
        "counts": {"listed": len(listed), "decoded": len(videos), "total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }


def finetuning_curve(job: Job) -> dict:
    """Epochs of fine-tuning until the validation accuracy first reaches 95 % of its highest (srop Sec. IV-G; ours)."""
    curves = json.loads((job.inputs["finetune"] / CURVES).read_text(encoding="utf-8"))
    accuracy = curves["validation_accuracy"]
    reached = next(epoch for epoch, value in enumerate(accuracy, 1) if value >= PLATEAU * max(accuracy))
    return {
        "scores": {"epochs_to_plateau": reached, "max_val_acc": max(accuracy)},
        "counts": {"epochs": len(accuracy)},
    }
