"""The regression slice of a paper: numbers of the tiny scale on generated data that no change may move unnoticed.

There are three kinds, by how far they move between processors:

    exact    counts, digests, drawn frames and crops, evaluation with fixed weights: whole numbers and words, the same everywhere
    near     {"value", "tolerance"}: first training steps; float32 moves by rounding, float64 hardly at all
    trained  {"value", "chance"}: scores after a training, which moves by whole points; only floors can hold

torchvision's uint8 resize rounds 18 % of the pixels otherwise (by 1) without AVX2, so exact and near numbers are taken at
the size of the files. This module imports no torch until a part is computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from suite import recipe
from suite.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from suite.stages import Job

# What the slice is about: the networks and datasets of VCOP.
NETWORKS = ("c3d", "r3d", "r2plus1d")
DATASETS = ("ucf101", "hmdb51")
# Rounding of evaluation and of one training step in float32, and of a few steps in float64 (measured: 3e-7 and 2e-14).
FLOAT32, FLOAT64 = 1e-5, 1e-8
# Brightness and sharpness of resized frames: 1e-4 and 8e-4 between processors; sharpness moves by 0.1 without antialiasing.
RESIZED = 1e-2
# Length of the trained part; the other settings are those of the tiny recipe.
EPOCHS = 24
# Seed of the fixed weights, and of which videos the evaluation with them takes: every third.
WEIGHTS = 7
TAKEN = slice(None, None, 3)


def parts(paper: str) -> dict[str, float]:
    """The parts of a paper's slice, longest first, each with its rough cost in 1e9 multiply-accumulates.

    Raises InputError for a paper without a slice.
    """
    if paper not in _PARTS:
        raise InputError(f"no regression slice for paper {paper!r}; there are slices for: {', '.join(_PARTS)}")
    return {name: cost for name, (_, cost) in _PARTS[paper].items()}


def run(job: Job) -> dict:
    """Compute one part: config holds `paper`, `part`, `seed` and the tiny recipe's `settings`; roots the generated data.

    Returns, under "facts", the numbers by kind and name.
    """
    compute, _ = _PARTS[job.config["paper"]][job.config["part"]]
    return {"facts": compute(job, recipe.Scale(**job.config["settings"]))}


# ---------------------------------------------------------------------------------------------------- data


class _Native:
    """A generated dataset, checked, with its frames at the size of the files."""

    def __init__(self, job: Job, name: str, settings: recipe.Scale):
        from suite import datasets
        from suite.video import decode

        self.dataset = datasets.load(name, job.roots[name])
        self.report = json.loads((_checked(job, name) / "videos.json").read_text(encoding="utf-8"))
        self.frames: dict[str, int] = self.report["videos"]
        size = (settings.synthetic.height, settings.synthetic.width)
        self.source = decode.ResizedVideos(self.dataset.root, self.dataset.videos(), size)


def _stage(job: Job, kind: str, config: dict, inputs: dict[str, Path], name: str) -> tuple[Path, dict]:
    """Run a stage of the suite in a folder of its own: (folder, result)."""
    from suite import stages

    folder = job.folder / name
    folder.mkdir()
    return folder, stages.run(stages.Job(kind, config, inputs, job.roots, folder, job.runtime))


def _checked(job: Job, name: str) -> Path:
    return _stage(job, "check-data", {"dataset": name, "skip_unreadable": False}, {}, f"check-{name}")[0]


class _Painted:
    """A source whose pixels say where they are from: (frame, row, column). What a sample shows tells what was drawn."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width

    def frames(self, name: str, indices) -> Tensor:
        import torch

        painted = torch.empty(len(indices), self.height, self.width, 3, dtype=torch.uint8)
        painted[..., 0] = torch.as_tensor(indices)[:, None, None]
        painted[..., 1] = torch.arange(self.height)[:, None]
        painted[..., 2] = torch.arange(self.width)
        return painted


def _corner(clip: Tensor) -> list[int]:
    """First frame, top row and left column of a painted clip [T, H, W, 3]."""
    return clip[0, 0, 0].tolist()


def _span(settings: recipe.Scale) -> dict[str, int]:
    pretraining = settings.pretraining["vcop"]
    return {
        "clip_length": settings.video.clip_length,
        "tuple_length": pretraining.tuple_length,
        "interval": pretraining.interval,
    }


def _head(settings: recipe.Scale) -> dict:
    pretraining = settings.pretraining["vcop"]
    return {"tuple_length": pretraining.tuple_length, "hidden": pretraining.hidden, "dropout": pretraining.dropout}


def _digest(lines) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _vcop_data(job: Job, settings: recipe.Scale) -> dict:
    """Lists, counts, decoded frames, and what every random draw comes to."""
    from suite import backbones
    from suite.video import clips

    exact: dict[str, int | str | list[int]] = {}
    near: dict[str, dict[str, float]] = {}
    for scale in recipe.SCALES:
        exact[f"recipe-hash/{scale}"] = recipe.load("vcop", scale).hash()
    for length, frames in ((16, 10), (16, 16), (16, 17), (16, 64), (16, 179), (16, 300), (8, 40), (8, 71)):
        exact[f"clip-starts/{frames}-frames-by-{length}"] = clips.evenly_spaced_starts(frames, length, 10)
    for name in NETWORKS:
        for width in (64, settings.width):
            network = backbones.build(name, width)
            exact[f"parameters/{name}-width-{width}"] = sum(tensor.numel() for tensor in network.parameters())
    for name in DATASETS:
        data = _Native(job, name, settings)
        job.runtime.progress(1, 2)
        exact |= _dataset(name, data) | _drawn(name, data, settings)
        near |= _resized(name, data, settings)
    return {"exact": exact, "near": near, "trained": {}}


def _dataset(name: str, data: _Native) -> dict[str, int | str | list[int]]:
    """Identity of a generated dataset: lists, videos, lengths, bytes, decoded pixels."""
    dataset = data.dataset
    found: dict[str, int | str | list[int]] = {f"lists/{name}/{file}": digest for file, digest in dataset.lists.items()}
    found[f"fingerprint/{name}"] = dataset.fingerprint()
    found[f"classes/{name}"] = _digest(dataset.classes)
    for number, split in dataset.splits.items():
        found[f"counts/{name}/split{number}-train"] = len(split.train)
        found[f"counts/{name}/split{number}-test"] = len(split.test)
        found[f"labels/{name}/split{number}"] = _digest(
            f"{v.name} {v.label} {v.group}" for v in (*split.train, *split.test)
        )
    found[f"counts/{name}/decoded"] = data.report["decoded"]
    found[f"counts/{name}/frames"] = sum(data.frames.values())
    found[f"video-bytes/{name}"] = data.report["sha256"]
    digest = hashlib.sha256()
    for video in dataset.videos()[::8]:
        digest.update(data.source.frames(video.name, range(6)).numpy().tobytes())
    found[f"decoded-pixels/{name}"] = digest.hexdigest()
    return found


def _resized(name: str, data: _Native, settings: recipe.Scale) -> dict[str, dict[str, float]]:
    """Brightness and sharpness of resized frames."""
    from suite.video import transforms

    frames = [data.source.frames(video.name, [0, 3]).numpy() for video in data.dataset.videos()[::8]]
    small = [transforms.resize(pair, settings.video.resize).double() for pair in frames]
    mean = sum(float(pair.mean()) for pair in small) / len(small)
    steps = sum(float(pair.diff(dim=2).square().mean()) for pair in small) / len(small)
    numbers = {f"resized/{name}/mean": mean, f"resized/{name}/sharpness": math.sqrt(steps)}
    return {key: {"value": value, "tolerance": RESIZED} for key, value in numbers.items()}


def _drawn(name: str, data: _Native, settings: recipe.Scale) -> dict[str, int | str | list[int]]:
    """Hold-out, tuples, clips, crops and the order of batches, as seed 0 draws them."""
    from suite.evaluation import finetuning
    from suite.papers import vcop
    from suite.training import EpochBatches

    found: dict[str, int | str | list[int]] = {}
    train = data.dataset.splits[1].train
    painted = _Painted(*settings.video.resize)
    common = {"crop": settings.video.crop, "seed": 0}
    held = round(len(train) * settings.holdout[name].videos / settings.holdout[name].of)
    learnt, validation = finetuning.hold_out(list(train), held, 0)
    found[f"hold-out/{name}"] = _digest(video.name for video in validation)
    few = finetuning.few_per_class(learnt, settings.finetuning.videos_per_class, 0)
    found[f"few-per-class/{name}"] = _digest(video.name for video in few)
    randoms = finetuning.ActionClips(
        painted, few, data.frames, clip_length=settings.video.clip_length, training=True, **common
    )
    for index in range(3):
        clip, label = randoms[1, index]
        found[f"random-clips/{name}/sample{index}"] = [label, *_corner(clip)]
    if name != settings.pretraining["vcop"].dataset:
        return found
    eligible = vcop.long_enough(train, data.frames, **_span(settings))
    found[f"counts/{name}/long-enough"] = len(eligible)
    for epoch, training in ((0, True), (1, True), (0, False)):
        tuples = vcop.ClipTuples(painted, eligible, data.frames, training=training, **_span(settings), **common)
        for index in range(3):
            presented, target = tuples[epoch, index]
            where = f"epoch{epoch}" if training else "validation"
            found[f"tuples/{name}/{where}-sample{index}"] = [target, *(n for clip in presented for n in _corner(clip))]
    batch = next(iter(EpochBatches(len(eligible), 16, 1, 0)))
    found[f"first-batch/{name}"] = [index for _, index in batch]
    return found


# ---------------------------------------------------------------------------------------------------- fixed weights


def fix_weights(network: nn.Module, seed: int) -> nn.Module:
    """Overwrite every weight and statistic with numbers that no library's initialisation decides: uniform, by PCG64.

    Matrices and kernels are within ±sqrt(6 / fan-in) (He), scales and variances in 0.5 to 1.5, shifts and means within ±0.2.
    """
    import numpy as np
    import torch

    draw = np.random.Generator(np.random.PCG64(seed))
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        uniform = draw.random(tuple(tensor.shape))
        if tensor.ndim > 1:
            values = (2 * uniform - 1) * math.sqrt(6 / tensor[0].numel())
        elif name.endswith(("weight", "running_var")):
            values = 0.5 + uniform
        else:
            values = 0.4 * uniform - 0.2
        tensor.copy_(torch.from_numpy(values))
    return network


def _vcop_evaluation(job: Job, settings: recipe.Scale) -> dict:
    """Every evaluation protocol on split 1 of UCF101 with fixed weights: what is right, and features to their rounding."""
    exact: dict[str, int] = {}
    near: dict[str, dict[str, float]] = {}
    data = _Native(job, "ucf101", settings)
    for done, name in enumerate(NETWORKS):
        job.runtime.progress(done, len(NETWORKS))
        counted, numbers = _evaluated(name, data, settings)
        exact |= {f"evaluation/{key}/{name}": value for key, value in counted.items()}
        near |= {f"evaluation/{key}/{name}": {"value": v, "tolerance": FLOAT32} for key, v in numbers.items()}
    return {"exact": exact, "near": near, "trained": {}}


def _evaluated(name: str, data: _Native, settings: recipe.Scale) -> tuple[dict[str, int], dict[str, float]]:
    """Counts of right answers, and means of features and logits, of one network."""
    import numpy as np
    from torch import nn

    from suite import backbones
    from suite.evaluation import features, finetuning, order, recognition
    from suite.papers import vcop

    video, retrieval = settings.video, settings.retrieval
    split = data.dataset.splits[1]
    tested, trained = split.test[TAKEN], split.train[TAKEN]
    backbone = fix_weights(backbones.build(name, settings.width), WEIGHTS)
    clips = {"clip_length": video.clip_length, "crop": video.crop}
    taken = clips | {"clips": retrieval.clips, "stride": retrieval.stride, "pooling": retrieval.pooling}
    queries = features.extract(backbone, data.source, tested, data.frames, **taken)
    gallery = features.extract(backbone, data.source, trained, data.frames, **taken)
    sides, flat = (tested, trained), [side.reshape(-1, side.shape[-1]) for side in (queries, gallery)]
    counted = _retrieved("video", queries.mean(1), gallery.mean(1), sides, retrieval.top)
    counted |= _retrieved("clip", *flat, sides, retrieval.top)

    layer = nn.Linear(backbone.feature_size, len(data.dataset.classes))
    classifier = fix_weights(finetuning.RecognitionNetwork(backbone, layer), WEIGHTS)
    logits = recognition.test(
        classifier, data.source, tested, data.frames, clips=settings.finetuning.test_clips, **clips
    )
    counted["recognition/right"] = sum(int(row.argmax() == v.label) for row, v in zip(logits, tested, strict=True))

    network = fix_weights(vcop.ClipOrderNetwork(backbone, **_head(settings)), WEIGHTS)
    videos = vcop.long_enough(tested, data.frames, **_span(settings))
    tuples = vcop.ClipTuples(
        data.source, videos, data.frames, crop=video.crop, seed=0, training=False, **_span(settings)
    )
    right, loss = order.test(
        network, tuples, settings.pretraining["vcop"].optimisation.batch, "cpu", lambda done, total: None
    )
    counted |= {"order/right": sum(right), "order/total": len(right)}
    numbers = {
        "feature-size": float(np.abs(queries).mean(dtype=np.float64)),
        "logit-size": float(np.abs(logits).mean()),
    }
    return counted, numbers | {"order-loss": loss}


def _retrieved(level: str, queries: np.ndarray, gallery: np.ndarray, sides, top: tuple[int, ...]) -> dict[str, int]:
    """Right answers among the first k at one level: a video of its mean feature, or each clip by itself."""
    import numpy as np

    from suite.evaluation import retrieval

    asked, searched = ([video.label for video in side] for side in sides)
    asked, searched = np.repeat(asked, len(queries) // len(asked)), np.repeat(searched, len(gallery) // len(searched))
    hits = retrieval.score(retrieval.search(queries, gallery, max(top)), asked, searched, top)
    counted = {f"{level}-retrieval/top{k}": int(count) for k, count in zip(top, hits.sum(0), strict=True)}
    return counted | {f"{level}-retrieval/total": len(hits)}


# ---------------------------------------------------------------------------------------------------- training


def _vcop_steps(job: Job, settings: recipe.Scale) -> dict:
    """The first step of pretraining in float32, as training takes it, and a few in float64."""
    near: dict[str, dict[str, float]] = {}
    data = _Native(job, "ucf101", settings)
    for done, name in enumerate(NETWORKS):
        job.runtime.progress(done, len(NETWORKS))
        near[f"first-step-loss/{name}"] = {"value": _first_step(name, data, settings), "tolerance": FLOAT32}
        for key, value in _double_steps(name, data, settings).items():
            near[f"float64-{key}"] = {"value": value, "tolerance": FLOAT64}
    return {"exact": {}, "near": near, "trained": {}}


def _clip_order(name: str, data: _Native, settings: recipe.Scale):
    """The clip-order network as seed 0 initialises it, and the tuples it is trained on."""
    from suite import backbones
    from suite.papers import vcop
    from suite.seeding import seed_everything

    seed_everything(0)
    network = vcop.ClipOrderNetwork(backbones.build(name, settings.width), **_head(settings))
    videos = vcop.long_enough(data.dataset.splits[1].train, data.frames, **_span(settings))
    draws = {"crop": settings.video.crop, "seed": 0, "training": True}
    return network, vcop.ClipTuples(data.source, videos, data.frames, **_span(settings), **draws)


def _batch(tuples, epoch: int, size: int) -> tuple[Tensor, Tensor]:
    """One tuple of each of the first videos spread over the list: uint8 [B, N, T, H, W, 3] and targets [B]."""
    import torch

    items = [tuples[epoch, index * len(tuples) // size] for index in range(size)]
    return torch.stack([clips for clips, _ in items]), torch.tensor([target for _, target in items])


def _first_step(name: str, data: _Native, settings: recipe.Scale) -> float:
    """Loss of the first step of a pretraining, dropout included."""
    import torch

    network, tuples = _clip_order(name, data, settings)
    network.to(memory_format=torch.channels_last_3d).train()
    return network.outcome(*_batch(tuples, 0, settings.pretraining["vcop"].optimisation.batch)).loss.item()


def _double_steps(name: str, data: _Native, settings: recipe.Scale) -> dict[str, float]:
    """Losses and norms of the gradient over a few steps of SGD in float64, on small batches, from fixed weights."""
    import torch

    from suite.video import transforms

    network, tuples = _clip_order(name, data, settings)
    # torch's own initialisation differs in the last bit between processors with and without AVX2.
    fix_weights(network.double().train(), WEIGHTS)
    chosen = settings.pretraining["vcop"].optimisation
    optimiser = torch.optim.SGD(
        network.parameters(), chosen.learning_rate, momentum=chosen.momentum, weight_decay=chosen.weight_decay
    )
    found = {}
    for step in range(3):
        clips, target = _batch(tuples, step, 4)
        features = network.backbone(transforms.to_network(clips.flatten(0, 1)).double())
        loss = torch.nn.functional.cross_entropy(network.head(features.unflatten(0, clips.shape[:2])), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.stack([tensor.grad.norm() for tensor in network.parameters()]).norm()
        optimiser.step()
        found |= {f"loss/{name}/step{step}": loss.item(), f"gradient-norm/{name}/step{step}": norm.item()}
    return found


def _vcop_trained(job: Job, settings: recipe.Scale) -> dict:
    """A short pretraining of R3D, its order accuracy, and video retrieval beside an untrained network."""
    pretraining = settings.pretraining["vcop"].model_dump(mode="json")
    pretraining["optimisation"]["epochs"] = EPOCHS
    name, seed = pretraining["dataset"], job.config["seed"]
    network = {"backbone": "r3d", "width": settings.width, "seed": seed}
    network |= {"video": settings.video.model_dump(mode="json"), "threads": settings.compute.threads}
    data = {f"check-data:{name}": _checked(job, name)}
    stored = {"dataset": name, "resize": list(settings.video.resize)}
    data[f"frames:{name}"], _ = _stage(job, "frames", stored, data, "frames")
    config = network | {"pretraining": pretraining, "holdout": settings.holdout[name].model_dump()}
    pretrained, _ = _stage(job, "pretrain", config, data, "pretrain")
    _, order = _stage(job, "order-accuracy", config, data | {"pretrain": pretrained}, "order-accuracy")
    top1 = {}
    for weights, inputs in (("vcop", {"pretrain": pretrained}), ("random", {})):
        retrieval = settings.retrieval
        config = network | {"weights": weights, "dataset": name, "split": 1, "bn": "running"}
        config |= {"clips": retrieval.clips, "stride": retrieval.stride, "pooling": retrieval.pooling}
        features, _ = _stage(job, "features", config, data | inputs, f"features-{weights}")
        config = stored | {"split": 1, "top": list(retrieval.top)}
        _, found = _stage(job, "video-retrieval", config, data | {"features": features}, f"video-retrieval-{weights}")
        top1[weights] = found["scores"]["top1"]
    classes = len(json.loads((features / "test.json").read_text(encoding="utf-8"))["classes"])
    trained = {
        "order-accuracy/r3d": (order["scores"]["accuracy"], 100 / math.factorial(pretraining["tuple_length"])),
        "video-retrieval-top1/r3d": (top1["vcop"], 100 / classes),
        # Chance is no gain at all, so that a floor above it says that pretraining helps.
        "video-retrieval-gain/r3d": (top1["vcop"] - top1["random"], 0.0),
    }
    found = {key: {"value": value, "chance": chance} for key, (value, chance) in trained.items()}
    return {"exact": {}, "near": {}, "trained": found}


_PARTS = {
    "vcop": {
        "trained": (_vcop_trained, 2200.0),
        "evaluation": (_vcop_evaluation, 700.0),
        "steps": (_vcop_steps, 200.0),
        "data": (_vcop_data, 20.0),
    }
}
