"""Probes of frozen networks: similarity of actions (ASLAN), dynamic scenes (YUPENN)."""

from harness.planning import networks
from harness.planning.context import Context, Trial


def probe(context: Context, trial: Trial) -> str:
    """A classifier on features of windows that overlap."""
    network, inputs = networks.of_features(context, trial)
    dataset, probes = trial.dataset, context.settings["probes"]
    config = network | {
        "dataset": dataset,
        "video": context.video(),
        "step": probes["step"],
        "stride": probes["stride"],
        "threads": context.threads(),
    }
    videos = sum(context.videos(dataset, trial.split))
    # Windows overlap by half: twice as many as clips that follow each other.
    cost = context.gmacs(trial.backbone, videos * context.clips(dataset) * 2)
    inputs |= context.data_inputs(dataset)
    features = context.stage("probe-features", config, inputs, [dataset], cost)
    settings = {key: value for key, value in probes.items() if key not in ("step", "stride")}
    inputs = context.data_inputs(dataset) | {"features": features}
    return context.stage(trial.cell.protocol, {"dataset": dataset} | settings, inputs, [dataset])
