"""The network that a cell is about: untrained, imported, inflated, pretrained, or fine-tuned before it is looked at."""

from dataclasses import replace
from typing import Any

from harness.planning.context import TRAINING_PASSES, Context, Trial, given
from harness.planning.pretexts import pretrain


def before_labels(context: Context, trial: Trial) -> tuple[dict[str, Any], dict[str, str]]:
    """Configuration and inputs of the network before any training with labels."""
    config = context.backbone(trial.backbone) | {"weights": trial.weights, "seed": trial.seed}
    if trial.weights == "random":
        return config, {}
    if trial.weights == "imported":
        imported = context.backbone(trial.backbone) | {"sha256": trial.cell.settings["sha256"]}
        return config, {"pretrain": context.stage("import", imported, {}, [])}
    if trial.weights == "imagenet":
        return config, {"pretrain": context.stage("inflate", {}, {}, ["imagenet"])}
    return config, {"pretrain": pretrain(context, trial.backbone, trial.weights, trial.seed)}


def of_features(context: Context, trial: Trial) -> tuple[dict[str, Any], dict[str, str]]:
    """Configuration and inputs of the network whose features a cell is about."""
    if "finetuned_on" not in trial.cell.settings:
        return before_labels(context, trial)
    dataset = str(trial.cell.settings["finetuned_on"])
    key = finetune(context, replace(trial, dataset=dataset, split=1), context.settings["finetuning"]["freeze_below"])
    config = context.backbone(trial.backbone) | {"weights": trial.weights, "seed": trial.seed}
    return config | {"finetuned_on": dataset}, {"pretrain": key}


def finetune(context: Context, trial: Trial, freeze_below: str) -> str:
    """Training with the labels of the trial's dataset, of the stages from one on."""
    dataset, finetuning = trial.dataset, context.settings["finetuning"] | {"freeze_below": freeze_below}
    network, inputs = before_labels(context, trial)
    config = network | {
        "dataset": dataset,
        "split": trial.split,
        "video": context.video(),
        "finetuning": given(finetuning),
        "holdout": context.settings["holdout"].get(dataset),
        "threads": context.threads(),
    }
    trained = context.videos(dataset, trial.split)[0]
    if finetuning["videos_per_class"]:
        trained = min(trained, finetuning["videos_per_class"] * context.data[dataset].classes)
    clips = trained * (context.clips(dataset) if finetuning["clips"] == "all" else 1)
    passes = finetuning["optimisation"]["epochs"] * clips * TRAINING_PASSES
    inputs |= context.data_inputs(dataset)
    return context.stage("finetune", config, inputs, [dataset], context.gmacs(trial.backbone, passes))
