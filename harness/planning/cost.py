"""What a network costs, a protocol like others: parameters and operations of the network that a row is about."""

from harness.planning.context import Context, Trial
from harness.planning.pretexts import others

# What a network is counted at, whatever the scale: its width, and the clips that tables do not name another size for.
COUNTED_WIDTH, COUNTED_CROP, COUNTED_FRAMES = 64, 112, 16


def cost(context: Context, trial: Trial) -> str:
    """The count of a network, with what its pretext task adds to the backbone."""
    asked, pretrainings = trial.cell.settings, context.suite.pretrainings
    clip_length = int(asked.get("clip_length", COUNTED_FRAMES))
    crop = int(asked.get("resolution", COUNTED_CROP))
    config = context.backbone(trial.backbone, COUNTED_WIDTH) | {
        "seed": trial.seed,
        "video": context.video() | {"clip_length": clip_length, "crop": crop},
    }
    if "clips" in asked:
        # Of a network that sees several clips of a video at a time.
        config["clips"] = int(asked["clips"])
    if pretraining := pretrainings.get(trial.weights):
        config["pretraining"] = pretraining.counted
        if pretraining.source:
            config["task_source"] = pretraining.source
        if needed := others(pretraining):
            config["networks"] = {role: pretrainings[name].counted for role, name in needed.items()}
    return context.stage("cost", config, {}, [trial.dataset])
