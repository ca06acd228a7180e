"""Retrieval: nearest neighbours among features of clips, within a dataset, across two, or drawn as a map."""

from dataclasses import replace
from typing import Any

from harness.planning import networks
from harness.planning.context import Context, Trial


def retrieval(context: Context, trial: Trial) -> str:
    """Test clips, or test videos, that search the training list."""
    dataset, inputs = trial.dataset, {"features": features(context, trial)}
    config: dict[str, Any] = {
        "dataset": dataset,
        "split": trial.split,
        "top": list(context.settings["retrieval"]["top"]),
    }
    if trial.cell.protocol == "video-retrieval":
        config["resize"] = context.resize()
        inputs |= context.data_inputs(dataset)
    kind = "clip-retrieval" if trial.cell.protocol == "layer-retrieval" else trial.cell.protocol
    return context.stage(kind, config, inputs, [dataset])


def cross_retrieval(context: Context, trial: Trial) -> str:
    """Videos of one dataset that search another."""
    gallery = str(trial.cell.settings["gallery"])
    inputs = {
        "query": features(context, trial),
        "gallery": features(context, replace(trial, dataset=gallery)),
    }
    inputs |= context.data_inputs(trial.dataset) | context.data_inputs(gallery)
    config = {"query_dataset": trial.dataset, "gallery_dataset": gallery, "resize": context.resize()}
    return context.stage("cross-retrieval", config, inputs, [trial.dataset, gallery])


def feature_space(context: Context, trial: Trial) -> str:
    """A map of the features."""
    inputs = {"features": features(context, trial)}
    return context.stage("feature-space", {"dataset": trial.dataset}, inputs, [trial.dataset])


def features(context: Context, trial: Trial, *, clips: int | None = None, pooling: str | None = None) -> str:
    """Features of evenly spaced clips of all videos of a split, as many and pooled as in retrieval unless said otherwise."""
    retrieval, video, asked = context.settings["retrieval"], context.settings["video"], trial.cell.settings
    network, inputs = networks.of_features(context, trial)
    clips = clips or int(asked.get("clips", retrieval["clips"]))
    untrained = trial.weights == "random" and "finetuned_on" not in asked
    config = network | {
        "dataset": trial.dataset,
        "split": trial.split,
        "video": context.video(),
        "clips": clips,
        "stride": int(asked.get("stride", retrieval["stride"])),
        "pooling": pooling or _pooling(context, trial),
        "bn": retrieval["random_bn"] if untrained else "running",
        "threads": context.threads(),
    }
    videos = sum(context.videos(trial.dataset, trial.split))
    cost = context.gmacs(trial.backbone, videos * clips)
    # 9,216 numbers of 4 bytes at the paper's input.
    cells = max(video["clip_length"] // 8, 1) * max(video["crop"] // 32, 1) ** 2
    gigabytes = videos * clips * 8 * context.settings["width"] * cells * 4 / 1e9
    inputs |= context.data_inputs(trial.dataset)
    return context.stage("features", config, inputs, [trial.dataset], cost, gigabytes)


def _pooling(context: Context, trial: Trial) -> str:
    """What of the maps is the feature; that of the fifth layer is the usual one (vcop-curriculum Table IV)."""
    layer = trial.cell.settings.get("layer", 5)
    return str(context.settings["retrieval"]["pooling"]) if layer == 5 else f"layer{layer}"
