"""Action recognition: fine-tuning with labels, tested on the videos of the test list."""

from harness.planning.context import Context, Trial
from harness.planning.networks import finetune


def recognition(context: Context, trial: Trial) -> str:
    """Accuracy of a fine-tuned network."""
    frozen = str(trial.cell.settings.get("finetune_from", context.settings["finetuning"]["freeze_below"]))
    key = finetune(context, trial, frozen)
    inputs = context.data_inputs(trial.dataset) | {"finetune": key}
    clips = context.settings["finetuning"]["test_clips"] or context.clips(trial.dataset)
    cost = context.gmacs(trial.backbone, context.videos(trial.dataset, trial.split)[1] * clips)
    return context.stage("recognition", context.plan.stages[key].config, inputs, [trial.dataset], cost)


def finetuning_curve(context: Context, trial: Trial) -> str:
    """Validation accuracy by epoch of fine-tuning."""
    key = finetune(context, trial, context.settings["finetuning"]["freeze_below"])
    return context.stage("finetuning-curve", {}, {"finetune": key}, [trial.dataset])
