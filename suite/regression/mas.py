"""MAS's slice: its data, its 27 labels, flow, both probes with fixed weights, and first steps of the joint pretraining.

Flow that numbers are to rest on exactly is made here by a formula, in eighths of a pixel: OpenCV's moves by rounding, and a
label is a whole number that a near-tie may turn.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from suite import recipe
from suite.regression.generated import Given, Native, Painted, corner, identity
from suite.regression.numbers import FLOAT32, Exact, Near, digest, recipe_hashes, within
from suite.regression.pretexts import WEIGHTS, Pretext, fix_weights, parameters, pretext_steps, step_numbers

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from suite.backbones.c3d5 import C3D5
    from suite.papers.mas.statistics_network import StatisticsNetwork
    from suite.settings import Scale
    from suite.stages import Job

DATASETS = ("kinetics400", "aslan", "yupenn")
# The pretraining that is looked at: all labels, on the generated dataset that no other slice has.
PRETRAINING = "joint-kinetics"
# Seed of the weights that both probes are taken with: of three, the one whose SVMs decide most clearly. The margins of all
# decisions (5e-5 and more) are 100 times what they move by between processors.
PROBED = 11
# Mean size of optical flow: without AVX, brox moves by 3e-6 and dis by 1e-8.
FLOW = 1e-4
# Similarities are sums of a few numbers in float64, and move by the last bits if at all.
SIMILARITIES = 1e-12
# Clips and pairs that labels and similarities are taken of; pairs of frames from one flow clip to the next, so that no two
# labels are nearly tied.
CLIPS, PAIRS, APART = 4, 3, 45


class Waves:
    """Flow by a formula in whole eighths of a pixel, other in each pair of frames: float32 [N, 2, height, width].

    Blocks of 5 x 7 pixels move each on its own, so that boundaries have all sizes and directions.
    """

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width

    def flows(self, name: str, indices) -> Tensor:
        import torch

        pair = torch.as_tensor(indices)[:, None, None]
        row, column = torch.arange(self.height)[:, None] // 5, torch.arange(self.width) // 7
        right = (row * row * 11 + column * 5 + pair * (3 + column * column)) % 37 - 18
        down = (row * 13 + column * column * 7 + pair * pair * (2 + row)) % 41 - 20
        return torch.stack([right, down], dim=1).float() / 8


class PaintedFlow(Painted):
    """Flow that says where it is from: u is the column, v the row, the same in all pairs."""

    def flows(self, name: str, indices) -> Tensor:
        return self.frames(name, indices).float().movedim(-1, 1)[:, [2, 1]]


def _data(job: Job, settings: Scale) -> dict:
    """Datasets, networks, what every random draw comes to, labels of given clips, and flow of a generated video."""
    from suite.datasets import aslan

    exact = recipe_hashes("mas") | _networks(settings)
    found = {name: Native(job, name, settings) for name in DATASETS}
    for name, data in found.items():
        exact |= identity(name, data)
    exact["counts/kinetics400/missing"] = found["kinetics400"].dataset.missing
    folds = aslan.pairs(job.roots["aslan"])
    exact["counts/aslan/pairs-of-fold"] = [len(fold) for fold in folds]
    exact["pairs/aslan"] = digest(
        f"{number} {pair.first} {pair.second} {int(pair.same)}" for number, fold in enumerate(folds) for pair in fold
    )
    exact |= _drawn(found["kinetics400"], settings) | _labels(found["kinetics400"], settings)
    return {"exact": exact, "near": _flow(found["kinetics400"], settings) | _similarities()}


def _networks(settings: Scale) -> Exact:
    """Parameters of backbone, pretext network and classifier, and the feature's length, at the paper's size and here."""
    import torch

    from suite.evaluation import heads

    found: Exact = {}
    for scale, chosen in (("paper", recipe.load("mas", "paper").settings), ("tiny", settings)):
        # Sizes need no memory.
        with torch.device("meta"):
            backbone = _backbone(chosen)
            found[f"parameters/{scale}/c3d5"] = parameters(backbone)
            found[f"feature-size/{scale}/c3d5"] = backbone.feature_size
            for labels in ("pattern1", "global", "motion", "appearance", "joint"):
                network = Pretext(chosen, PRETRAINING, labels=labels).network(backbone)
                found[f"parameters/{scale}/{labels}"] = parameters(network)
            found[f"parameters/{scale}/classifier-of-101"] = parameters(heads.fully_connected(backbone, 101))
    return found


def _backbone(settings: Scale) -> C3D5:
    """C3D5 for the recipe's clips."""
    from suite import backbones

    video = settings.video
    return cast("C3D5", backbones.build("c3d5", settings.width, (video.clip_length, video.crop, video.crop)))


def _drawn(data: Native, settings: Scale) -> Exact:
    """Windows of a video, and clips with their flow as seed 0 cuts and mirrors them."""
    from suite.video import clips

    found: Exact = {}
    for frames, length, step in ((15, 16, 8), (16, 16, 8), (23, 16, 8), (24, 16, 8), (100, 16, 16), (37, 8, 4)):
        found[f"windows/{frames}-frames-by-{length}-step-{step}"] = clips.windows(frames, length, step)
    pretext, train = Pretext(settings, PRETRAINING), data.dataset.splits[1].train
    eligible = pretext.eligible(train, data.frames)
    found["counts/kinetics400/long-enough"] = len(eligible)
    given = Given(data.frames, Painted(*settings.video.resize), PaintedFlow(*settings.video.resize))
    found["counts/kinetics400/clips"] = len(pretext.samples(given, eligible, training=True))
    for where, (clip, flow) in pretext.drawn(given, eligible, indices=range(0, 20, 5)):
        # A mirrored clip's columns count down, and its flow to the right is to the left.
        right = [int(clip[0, 0, -1, 2]), *flow[0, :, 0, 0].int().tolist()]
        found[f"clips/{where}"] = [*corner(clip), *right]
    return found


def _labels(data: Native, settings: Scale) -> Exact:
    """Motion labels of flow by the formula, appearance labels of generated frames at the size of the files."""
    import torch

    from suite.papers.mas import statistics
    from suite.video import flow, transforms

    side, length = settings.video.crop, settings.video.clip_length
    waves = Waves(side, side)
    flows = torch.stack([waves.flows("", range(start, start + length - 1)) for start in range(0, APART * CLIPS, APART)])
    videos = [video for video in data.dataset.videos() if data.frames[video.name] >= length]
    chosen = videos[:: len(videos) // CLIPS][:CLIPS]
    clips = torch.stack(
        [transforms.centre_crop(data.source.frames(video.name, range(length)), side) for video in chosen]
    )
    values, steps = flow.quantise(flows[0].numpy())
    found: Exact = {"quantised-flow": hashlib.sha256(values.tobytes() + steps.tobytes()).hexdigest()}
    for kind, labels in (
        ("motion", statistics.motion_labels(flows)),
        ("appearance", statistics.appearance_labels(clips)),
    ):
        for index, row in enumerate(labels.int().tolist()):
            found[f"labels/{kind}/clip{index}"] = row
    return found


def _flow(data: Native, settings: Scale) -> Near:
    """Mean size of optical flow over a few pairs of frames of a generated video, at the size of the file."""
    from suite.video import flow

    length = settings.video.clip_length
    video = next(video for video in data.dataset.videos() if data.frames[video.name] >= length)
    frames = data.source.frames(video.name, range(length))
    assert settings.flow is not None  # the recipe has it
    chosen = settings.flow.model_dump(exclude_none=True, exclude={"store"})
    found: Near = {}
    for method, given in (("brox", chosen), ("dis", {"method": "dis"})):
        size = flow.flow(frames, given).double().square().sum(1).sqrt().mean().item()
        found |= within(FLOW, {f"flow-size/{method}": size})
    return found


def _similarities() -> Near:
    """The 12 similarities of pairs of drawn vectors, some of whose values are 0."""
    import numpy as np

    from suite.evaluation import similarity

    a, b = np.random.Generator(np.random.PCG64(WEIGHTS)).random((2, PAIRS, 64))
    rows = similarity.similarities(np.where(a < 0.2, 0, a), np.where(b < 0.2, 0, b))
    return within(
        SIMILARITIES,
        {f"similarity{n}/pair{index}": float(v) for index, row in enumerate(rows) for n, v in enumerate(row, start=1)},
    )


# ---------------------------------------------------------------------------------------------------- fixed weights


def _evaluation(job: Job, settings: Scale) -> dict:
    """Both probes on all generated videos, with fixed weights."""
    from suite.datasets import aslan
    from suite.evaluation import scenes, similarity

    exact: Exact = {}
    moving: Near = {}
    data = {name: Native(job, name, settings) for name in ("aslan", "yupenn")}
    probed = {name: _features(data[name], settings) for name in data}
    job.runtime.progress(1, 2)
    moving |= within(
        FLOAT32, {f"evaluation/feature-mean/{name}": float(probed[name].mean(dtype="f8")) for name in probed}
    )
    names = [video.name for video in data["aslan"].dataset.videos()]
    by_name = dict(zip(names, probed["aslan"], strict=True))
    judged = similarity.score(by_name, aslan.pairs(job.roots["aslan"]), settings.probes.floor, settings.probes.svm_c)
    exact["evaluation/aslan/right-of-fold"] = [int(right.sum()) for right in judged.right]
    dataset = data["yupenn"].dataset
    labels = [video.label for video in dataset.videos()]
    found = scenes.leave_one_out(probed["yupenn"], labels, dataset.classes, c=settings.probes.svm_c)
    exact["evaluation/yupenn/classes-found"] = found.predictions.tolist()
    exact["evaluation/yupenn/right"] = int((found.predictions == labels).sum())
    return {"exact": exact, "near": moving}


def _features(data: Native, settings: Scale) -> np.ndarray:
    """Features of all videos of a dataset by a network of fixed weights: float32 [V, D]."""
    from suite.evaluation import features

    video = settings.video
    return features.video_features(
        fix_weights(_backbone(settings), PROBED),
        data.source,
        data.dataset.videos(),
        data.frames,
        clip_length=video.clip_length,
        overlap=video.clip_length - settings.probes.step,
        crop=video.crop,
        pixels=video.pixels,
    )


def _waves(settings: Scale) -> Waves:
    """Flow at the size of the files."""
    return Waves(settings.synthetic.height, settings.synthetic.width)


def _network(settings: Scale) -> StatisticsNetwork:
    return Pretext(settings, PRETRAINING).network(_backbone(settings))


# ---------------------------------------------------------------------------------------------------- training


def _steps(job: Job, settings: Scale) -> dict:
    """First steps of the joint pretraining, and its errors."""
    pretext, data = Pretext(settings, PRETRAINING), Native(job, "kinetics400", settings)
    videos = pretext.eligible(data.dataset.splits[1].train, data.frames)
    samples = pretext.samples(Given(data.frames, data.source, _waves(settings)), videos, training=True)
    first, steps = pretext_steps(lambda: _network(settings), samples, pretext.optimisation, _loss)
    numbers = {"joint": first.loss.item()} | {name: part.item() for name, part in first.parts.items()}
    return {"near": _errors(data, settings) | step_numbers(numbers, steps)}


def _errors(data: Native, settings: Scale) -> Near:
    """Errors of both branches and of the constant predictor on clips of a few test videos, with fixed weights."""
    from suite.papers.mas import statistics_network

    pretext = Pretext(settings, PRETRAINING)
    split = data.dataset.splits[1]
    given = Given(data.frames, data.source, _waves(settings))
    learnt, tested = (
        pretext.samples(given, pretext.eligible(side[::12], data.frames), training=False)
        for side in (split.train, split.test)
    )
    network = fix_weights(_network(settings), WEIGHTS)
    found = statistics_network.errors(network, learnt, tested, batch=pretext.optimisation.batch, device="cpu")
    numbers = {
        f"{kind}/{name}": found[name][kind] for kind in ("network", "constant") for name in ("motion", "appearance")
    }
    return within(FLOAT32, {f"errors/{name}": value for name, value in numbers.items()})


def _loss(network: StatisticsNetwork, clips: Tensor, flow: Tensor) -> Tensor:
    """The sum of both branches' mean squared errors, in float64; pixels from 0 to 1, since the fixed weights are large."""
    from torch.nn.functional import mse_loss

    from suite.training import total_of
    from suite.video import transforms

    features = network.backbone(transforms.to_network(clips).double())
    targets = network.targets(clips, flow)
    return total_of(mse_loss(branch(features), targets[name].double()) for name, branch in network.branches.items())


PARTS = {
    "evaluation": (_evaluation, 100.0),
    "steps": (_steps, 30.0),
    "data": (_data, 20.0),
}
