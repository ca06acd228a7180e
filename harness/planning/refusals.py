"""Why a row that a paper reports is not planned."""

from harness.planning import protocols, request
from harness.planning.context import Context
from harness.tables import Cell, Table


def reason(context: Context, table: Table, cell: Cell, unusable: dict[str, str]) -> str | None:
    """Why the cell is not planned: "" where it simply was not asked for, None where it is planned.

    unusable: why datasets that are there cannot be used, by name.
    """
    pretrainings = context.suite.pretrainings
    if not request.asked_for(cell, pretrainings, context.request):
        if cell.source == "own" and not protocols.known(cell.protocol, pretrainings):
            return f"protocol {cell.protocol} has no runner"
        return ""
    if request.left_for_later(cell, table, context.settings, context.request):
        return "not among the rows that this scale runs by default; --all runs it"
    if absent := sorted(request.datasets_of(cell, pretrainings) - context.data.keys()):
        refused = next((unusable[name] for name in absent if name in unusable), None)
        return refused or f"the data root does not hold {', '.join(absent)}"
    return _of_backbone(context, cell) or _of_weights(context, cell) or _of_pretext(context, cell) or None


def _of_backbone(context: Context, cell: Cell) -> str:
    """Why the backbone cannot be measured as the cell asks; empty if it can."""
    name = str(cell.backbone)
    if name in context.suite.unusable:
        return context.suite.unusable[name]
    network = context.suite.networks[name]
    layer, frozen = f"conv{cell.settings.get('layer', 5)}", _freezes_below(context, cell)
    if cell.protocol == "layer-retrieval" and not {layer, "conv5"} <= set(network.stages):
        stages = ", ".join(network.stages)
        return f"{name} has no stages {layer} and conv5, but {stages}; layers are not searched with it"
    if frozen not in ("conv1", *network.freezable):
        return f"{name} does not say what its stage {frozen} is made of (stage_modules); nothing is frozen below it"
    return ""


def _freezes_below(context: Context, cell: Cell) -> str:
    """The first stage that a cell's fine-tuning lets learn; the very first where there is none."""
    if cell.protocol not in ("recognition", "finetuning-curve") and "finetuned_on" not in cell.settings:
        return "conv1"
    return str(cell.settings.get("finetune_from", context.settings["finetuning"]["freeze_below"]))


def _of_weights(context: Context, cell: Cell) -> str:
    """Why the weights cannot be had; empty if they can."""
    if cell.weights == "imagenet" and context.settings["width"] != 64:
        return "ImageNet weights fit networks of the paper's width alone"
    if cell.weights == "imagenet" and "imagenet" not in context.data:
        return "the data root has no imagenet/resnet18-f37072fd.pth (torchvision's weights)"
    if cell.weights not in ("random", "imported", "imagenet", *context.suite.pretrainings):
        return f"the recipe has no pretraining {cell.weights!r}"
    return ""


def _of_pretext(context: Context, cell: Cell) -> str:
    """Why a cell about a pretext task cannot be run; empty if it can, or is about something else."""
    if not protocols.about_pretext(cell.protocol):
        return ""
    pretraining = context.suite.pretrainings.get(str(cell.weights))
    if pretraining is None:
        return f"{cell.protocol} asks a pretext network, and {cell.weights} weights have none"
    if cell.protocol not in (*pretraining.scores, "training-curve"):
        return f"the task of {cell.weights} has no score {cell.protocol}; it has {', '.join(pretraining.scores)}"
    if (cell.dataset, cell.splits) != (pretraining.dataset, (pretraining.split,)):
        return "a pretext task is tested on the test list of the pretraining split"
    return ""
