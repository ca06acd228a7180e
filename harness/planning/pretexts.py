"""Pretext tasks: their training, what they need for it, and what asks how well they were learnt."""

from typing import Any

from harness.plan import Pretraining
from harness.planning.context import TRAINING_PASSES, Context, Trial, given


def score(context: Context, trial: Trial) -> str:
    """How well a network learnt its task, on videos held out."""
    pretraining = context.suite.pretrainings[trial.weights]
    key = pretrain(context, trial.backbone, trial.weights, trial.seed)
    clips = context.videos(pretraining.dataset, trial.split)[1] * _clips_of_sample(context, pretraining)
    inputs = _inputs(context, pretraining, trial.backbone, trial.seed) | {"pretrain": key}
    protocol, config = trial.cell.protocol, context.plan.stages[key].config
    version, cost = pretraining.scores[protocol], context.gmacs(trial.backbone, clips)
    return context.stage(protocol, config, inputs, [pretraining.dataset], cost, version=version)


def training_curve(context: Context, trial: Trial) -> str:
    """Losses by epoch of pretraining."""
    key = pretrain(context, trial.backbone, trial.weights, trial.seed)
    return context.stage("training-curve", {}, {"pretrain": key}, [trial.dataset])


def pretrain(context: Context, backbone: str, weights: str, seed: int) -> str:
    """The training of a pretext task, after those whose networks it needs."""
    pretraining = context.suite.pretrainings[weights]
    dataset = pretraining.dataset
    inputs = _inputs(context, pretraining, backbone, seed)
    if start := pretraining.networks.get("pretrain"):
        inputs["pretrain"] = pretrain(context, backbone, start, seed)
    config = context.backbone(backbone) | {
        "weights": weights,
        "seed": seed,
        "video": context.video(),
        "pretraining": pretraining.settings,
        "task_version": pretraining.version,
        "holdout": context.settings["holdout"].get(dataset),
        "threads": context.threads(),
    }
    if pretraining.source:
        config["task_source"] = pretraining.source
    if pretraining.flow:
        config["flow"] = _flow(context)
    clips = context.videos(dataset, pretraining.split)[0] * _clips_of_sample(context, pretraining)
    passes = pretraining.passes * clips * TRAINING_PASSES
    return context.stage("pretrain", config, inputs, [dataset], context.gmacs(backbone, passes))


def others(pretraining: Pretraining) -> dict[str, str]:
    """The networks that a pretraining needs, but for the one it starts from: role -> name of their pretraining."""
    return {role: name for role, name in pretraining.networks.items() if role != "pretrain"}


def _inputs(context: Context, pretraining: Pretraining, backbone: str, seed: int) -> dict[str, str]:
    """The data of a pretext task, with optical flow, and the networks that it needs but for the one it starts from."""
    dataset = pretraining.dataset
    inputs = context.data_inputs(dataset)
    if pretraining.flow and context.settings["flow"]["store"]:
        config = {"dataset": dataset, "split": pretraining.split, "flow": _flow(context), "resize": context.resize()}
        config |= context.plainly_resized()
        height, width = context.resize()
        frames = sum(context.videos(dataset, pretraining.split)) * context.data[dataset].frames
        gigabytes = frames * 2 * height * width / 1e9
        inputs[f"flow:{dataset}"] = context.stage("flow", config, dict(inputs), [dataset], 0.0, gigabytes)
    for role, name in others(pretraining).items():
        inputs[role] = pretrain(context, backbone, name, seed)
    return inputs


def _flow(context: Context) -> dict[str, Any]:
    """The settings of optical flow that can change it; all but the method are those of "brox"."""
    flow = given(context.settings["flow"])
    return {key: flow[key] for key in flow if key != "store" and (key == "method" or flow["method"] == "brox")}


def _clips_of_sample(context: Context, pretraining: Pretraining) -> float:
    """Clips at the size of `video` that cost as much as what goes through the networks for a video and epoch."""
    return pretraining.clips_of_sample(context.clips(pretraining.dataset))
