"""VCOP's slice: its three networks on generated UCF101 and HMDB51, with a short training of R3D."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast

from suite.regression.generated import Given, Native, Painted, checked, corner, identity, stage
from suite.regression.numbers import FLOAT32, Exact, Near, digest, recipe_hashes, within
from suite.regression.pretexts import WEIGHTS, Pretext, fix_weights, parameters, pretext_steps, step_numbers

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from suite.settings import Scale
    from suite.stages import Job

NETWORKS = ("c3d", "r3d", "r2plus1d")
DATASETS = ("ucf101", "hmdb51")
# Length of the trained part; the other settings are those of the tiny recipe.
EPOCHS = 24
# Brightness and sharpness of resized frames: 1e-4 and 8e-4 between processors; sharpness moves by 0.1 without antialiasing.
RESIZED = 1e-2
# Which videos the evaluation with fixed weights takes: every third.
TAKEN = slice(None, None, 3)


def _data(job: Job, settings: Scale) -> dict:
    """Lists, counts, decoded frames, and what every random draw comes to."""
    from suite import backbones
    from suite.video import clips

    exact = recipe_hashes("vcop")
    moving: Near = {}
    for length, frames in ((16, 10), (16, 16), (16, 17), (16, 64), (16, 179), (16, 300), (8, 40), (8, 71)):
        exact[f"clip-starts/{frames}-frames-by-{length}"] = clips.evenly_spaced_starts(frames, length, 10)
    for name in NETWORKS:
        for width in (64, settings.width):
            exact[f"parameters/{name}-width-{width}"] = parameters(backbones.build(name, width))
    for name in DATASETS:
        data = Native(job, name, settings)
        job.runtime.progress(1, 2)
        exact |= identity(name, data) | _drawn(name, data, settings)
        moving |= _resized(name, data, settings)
    return {"exact": exact, "near": moving}


def _resized(name: str, data: Native, settings: Scale) -> Near:
    """Brightness and sharpness of resized frames."""
    from suite.video import transforms

    frames = [data.source.frames(video.name, [0, 3]).numpy() for video in data.dataset.videos()[::8]]
    small = [transforms.resize(pair, settings.video.resize).double() for pair in frames]
    mean = sum(float(pair.mean()) for pair in small) / len(small)
    steps = sum(float(pair.diff(dim=2).square().mean()) for pair in small) / len(small)
    numbers = {f"resized/{name}/mean": mean, f"resized/{name}/sharpness": math.sqrt(steps)}
    return within(RESIZED, numbers)


def _drawn(name: str, data: Native, settings: Scale) -> Exact:
    """Hold-out, tuples, clips, crops and the order of batches, as seed 0 draws them."""
    from suite.evaluation import finetuning
    from suite.training import EpochBatches

    found: Exact = {}
    train = data.dataset.splits[1].train
    painted = Painted(*settings.video.resize)
    held = round(len(train) * settings.holdout[name].videos / settings.holdout[name].of)
    learnt, validation = finetuning.hold_out(list(train), held, 0)
    found[f"hold-out/{name}"] = digest(video.name for video in validation)
    few = finetuning.few_per_class(learnt, settings.finetuning.videos_per_class, 0)
    found[f"few-per-class/{name}"] = digest(video.name for video in few)
    randoms = finetuning.ActionClips(
        painted,
        few,
        data.frames,
        clip_length=settings.video.clip_length,
        crop=settings.video.crop,
        seed=0,
        training=True,
    )
    for index in range(3):
        clip, label = cast("tuple[Tensor, int]", randoms[1, index])
        found[f"random-clips/{name}/sample{index}"] = [label, *corner(clip)]
    if name != settings.pretraining["vcop"].dataset:
        return found
    pretext = Pretext(settings, "vcop")
    eligible = pretext.eligible(train, data.frames)
    found[f"counts/{name}/long-enough"] = len(eligible)
    for where, sample in pretext.drawn(Given(data.frames, painted), eligible):
        found[f"tuples/{name}/{where}"] = shown(sample)
    batch = next(iter(EpochBatches(len(eligible), 16, 1, 0)))
    found[f"first-batch/{name}"] = [index for _, index in batch]
    return found


def shown(sample: tuple[Tensor, int]) -> list[int]:
    """The order that a painted tuple is presented in, and where each of its clips is from."""
    clips, target = sample
    return [int(target), *(number for clip in clips for number in corner(clip))]


# ---------------------------------------------------------------------------------------------------- fixed weights


def _evaluation(job: Job, settings: Scale) -> dict:
    """Every evaluation protocol on split 1 of UCF101 with fixed weights: what is right, and features to their rounding."""
    exact: Exact = {}
    moving: Near = {}
    data = Native(job, "ucf101", settings)
    for done, name in enumerate(NETWORKS):
        job.runtime.progress(done, len(NETWORKS))
        counted, numbers = _evaluated(name, data, settings)
        exact |= {f"evaluation/{key}/{name}": value for key, value in counted.items()}
        moving |= within(FLOAT32, {f"evaluation/{key}/{name}": value for key, value in numbers.items()})
    return {"exact": exact, "near": moving}


def _evaluated(name: str, data: Native, settings: Scale) -> tuple[dict[str, int], dict[str, float]]:
    """Counts of right answers, and means of features and logits, of one network."""
    import numpy as np
    from torch import nn

    from suite import backbones
    from suite.evaluation import features, finetuning, order, recognition

    video, retrieval = settings.video, settings.retrieval
    assert retrieval is not None  # the recipe has it
    split = data.dataset.splits[1]
    tested, trained = split.test[TAKEN], split.train[TAKEN]
    backbone = fix_weights(backbones.build(name, settings.width), WEIGHTS)
    clips: dict[str, Any] = {"clip_length": video.clip_length, "crop": video.crop}
    taken: dict[str, Any] = clips | {"clips": retrieval.clips, "stride": retrieval.stride, "pooling": retrieval.pooling}
    queries = features.extract(backbone, data.source, tested, data.frames, **taken)
    gallery = features.extract(backbone, data.source, trained, data.frames, **taken)
    sides, length = (tested, trained), queries.shape[-1]
    counted = retrieved("video", queries.mean(1), gallery.mean(1), sides, retrieval.top)
    counted |= retrieved("clip", queries.reshape(-1, length), gallery.reshape(-1, length), sides, retrieval.top)

    size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
    layer = nn.Linear(size, len(data.dataset.classes))
    classifier = fix_weights(finetuning.RecognitionNetwork(backbone, layer), WEIGHTS)
    logits = recognition.test(
        classifier, data.source, tested, data.frames, clips=settings.finetuning.test_clips, **clips
    )
    counted["recognition/right"] = sum(int(row.argmax() == v.label) for row, v in zip(logits, tested, strict=True))

    pretext = Pretext(settings, "vcop")
    network = fix_weights(pretext.network(backbone), WEIGHTS)
    videos = pretext.eligible(tested, data.frames)
    tuples = pretext.samples(Given(data.frames, data.source), videos, training=False)
    right, loss = order.test(network, tuples, pretext.optimisation.batch, "cpu", lambda done, total: None)
    counted |= {"order/right": sum(right), "order/total": len(right)}
    numbers = {
        "feature-size": float(np.abs(queries).mean(dtype=np.float64)),
        "logit-size": float(np.abs(logits).mean()),
    }
    return counted, numbers | {"order-loss": loss}


def retrieved(level: str, queries: np.ndarray, gallery: np.ndarray, sides, top: tuple[int, ...]) -> dict[str, int]:
    """Right answers among the first k at one level: a video of its mean feature, or each clip by itself."""
    import numpy as np

    from suite.evaluation import retrieval

    asked, searched = (
        np.repeat([video.label for video in side], len(rows) // len(side))
        for side, rows in zip(sides, (queries, gallery), strict=True)
    )
    hits = retrieval.score(retrieval.search(queries, gallery, max(top)), asked, searched, top)
    counted = {f"{level}-retrieval/top{k}": int(count) for k, count in zip(top, hits.sum(0), strict=True)}
    return counted | {f"{level}-retrieval/total": len(hits)}


# ---------------------------------------------------------------------------------------------------- training


def _steps(job: Job, settings: Scale) -> dict:
    """The first step of pretraining in float32, as training takes it, and a few in float64."""
    moving: Near = {}
    data = Native(job, "ucf101", settings)
    for done, name in enumerate(NETWORKS):
        job.runtime.progress(done, len(NETWORKS))
        moving |= order_steps(name, data, settings, "vcop")
    return {"near": moving}


def order_steps(name: str, data: Native, settings: Scale, weights: str) -> Near:
    """The steps of a network's pretraining by clip order that the recipe calls `weights`."""
    from suite import backbones

    pretext = Pretext(settings, weights)
    videos = pretext.eligible(data.dataset.splits[1].train, data.frames)
    first, steps = pretext_steps(
        lambda: pretext.network(backbones.build(name, settings.width)),
        pretext.samples(Given(data.frames, data.source), videos, training=True),
        pretext.optimisation,
        _order_loss,
    )
    named = {key.replace("/", f"/{name}/"): value for key, value in steps.items()}
    return step_numbers({name: first.loss.item()}, named)


def _order_loss(network: nn.Module, clips: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over the orders, in float64."""
    import torch

    from suite.video import transforms

    features = network.backbone(transforms.to_network(clips.flatten(0, 1)).double())
    return torch.nn.functional.cross_entropy(network.head(features.unflatten(0, clips.shape[:2])), target)


def _trained(job: Job, settings: Scale) -> dict:
    """A short pretraining of R3D, its order accuracy, and video retrieval beside an untrained network."""
    pretraining = settings.pretraining["vcop"].model_dump(mode="json")
    pretraining["optimisation"]["epochs"] = EPOCHS
    name, seed = pretraining["dataset"], job.config["seed"]
    network = {"backbone": "r3d", "width": settings.width, "seed": seed}
    network |= {"video": settings.video.model_dump(mode="json"), "threads": settings.compute.threads}
    data = {f"check-data:{name}": checked(job, name)}
    stored = {"dataset": name, "resize": list(settings.video.resize)}
    data[f"frames:{name}"], _ = stage(job, "frames", stored, data, "frames")
    config = network | {"pretraining": pretraining, "holdout": settings.holdout[name].model_dump()}
    pretrained, _ = stage(job, "pretrain", config, data, "pretrain")
    _, order = stage(job, "order-accuracy", config, data | {"pretrain": pretrained}, "order-accuracy")
    top1 = {}
    for weights, inputs in (("vcop", {"pretrain": pretrained}), ("random", {})):
        retrieval = settings.retrieval
        assert retrieval is not None  # the recipe has it
        config = network | {"weights": weights, "dataset": name, "split": 1, "bn": "running"}
        config |= {"clips": retrieval.clips, "stride": retrieval.stride, "pooling": retrieval.pooling}
        features, _ = stage(job, "features", config, data | inputs, f"features-{weights}")
        config = stored | {"split": 1, "top": list(retrieval.top)}
        _, found = stage(job, "video-retrieval", config, data | {"features": features}, f"video-retrieval-{weights}")
        top1[weights] = found["scores"]["top1"]
    classes = len(json.loads((features / "test.json").read_text(encoding="utf-8"))["classes"])
    trained = {
        "order-accuracy/r3d": (order["scores"]["accuracy"], 100 / math.factorial(pretraining["tuple_length"])),
        "video-retrieval-top1/r3d": (top1["vcop"], 100 / classes),
        # Chance is no gain at all, so that a floor above it says that pretraining helps.
        "video-retrieval-gain/r3d": (top1["vcop"] - top1["random"], 0.0),
    }
    found = {key: {"value": value, "chance": chance} for key, (value, chance) in trained.items()}
    return {"trained": found}


PARTS = {
    "trained": (_trained, 2200.0),
    "evaluation": (_evaluation, 700.0),
    "steps": (_steps, 200.0),
    "data": (_data, 20.0),
}
