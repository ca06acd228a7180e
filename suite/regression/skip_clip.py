"""Skip-Clip's slice: what is drawn of a video, its two encoders, how fixed weights rank, and first steps with all losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from suite import recipe
from suite.regression.generated import Given, Native, Painted
from suite.regression.numbers import FLOAT32, FLOAT64, Exact, Near, recipe_hashes, within
from suite.regression.pretexts import WEIGHTS, Pretext, fix_weights, parameters, pretext_steps, step_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from suite.papers.skip_clip.ranking_network import SkipClipNetwork
    from suite.settings import Scale
    from suite.stages import Job

DATASETS = ("ucf101",)
# Of the test videos that fixed weights rank and recognise, every so many.
EVERY = 3
# Seed of the weights that rank: of three, the one that ranks most clearly. Scores of two targets differ by 3e-5 at least, 200
# times what they move by between processors.
RANKED = 9


def _data(job: Job, settings: Scale) -> dict:
    """Networks, where targets lie, losses of given scores, and what every random draw comes to."""
    data = Native(job, "ucf101", settings)
    exact = recipe_hashes("skip-clip") | {"fingerprint/ucf101": data.dataset.fingerprint()}
    exact |= _networks() | _layouts() | _drawn(data, settings)
    return {"exact": exact, "near": _losses()}


def _pretext(settings: Scale, weights: str = "skip-clip") -> Pretext:
    """Crops are not resized: see the package."""
    chosen: Any = settings.pretraining[weights]
    return Pretext(settings, weights, size=round(chosen.crop_scale * min(chosen.resize)))


def _networks() -> Exact:
    """Parameters of both encoders, with and without the rotation head, and the sizes of their last maps."""
    import torch

    from suite import backbones

    found: Exact = {}
    for scale in ("paper", "tiny"):
        settings = recipe.load("skip-clip", scale).settings
        # Sizes need neither memory nor time.
        with torch.device("meta"):
            backbone = backbones.build("resnet18-3d", settings.width).eval()
            found[f"parameters/{scale}/resnet18-3d"] = parameters(backbone)
            for weights in ("skip-clip", "rank", "skip-clip-long-targets"):
                pretext = Pretext(settings, weights)
                network = pretext.network(backbone).eval()
                found[f"parameters/{scale}/{weights}"] = parameters(network)
                side, target_length = (pretext.pretraining[key] for key in ("size", "target_length"))
                context = torch.empty(1, settings.video.clip_length, side, side, 3, dtype=torch.uint8)
                targets = torch.empty(2, target_length, side, side, 3, dtype=torch.uint8)
                found[f"maps/{scale}/{weights}"] = [
                    *network.context_map(context).shape[1:],
                    *network.target_maps(targets).shape[1:],
                ]
    return found


def _layouts() -> Exact:
    """Frames from the context's first to the last target's last, and first frames of the targets of a context from 10 on."""
    from suite.papers.skip_clip import ranking_network

    found: Exact = {}
    for scale in recipe.SCALES:
        settings = recipe.load("skip-clip", scale).settings
        for weights in ("skip-clip", "skip-clip-long-targets"):
            chosen: Any = settings.pretraining[weights]
            layout = ranking_network.Layout(
                settings.video.clip_length, chosen.targets, chosen.rate, chosen.target_length
            )
            context, targets = layout.indices(10)
            firsts = [target[0] for target in targets]
            found[f"layout/{scale}/{weights}"] = [layout.span(), context[-1], *firsts, targets[-1][-1]]
    return found


def _drawn(data: Native, settings: Scale) -> Exact:
    """Time, direction, crop and mirroring of samples as seed 0 draws them."""
    found: Exact = {}
    train = data.dataset.splits[1].train
    for weights in ("skip-clip", "skip-clip-long-targets"):
        pretext = _pretext(settings, weights)
        eligible = pretext.eligible(train, data.frames)
        found[f"counts/{weights}/long-enough"] = len(eligible)
        given = Given(data.frames, Painted(*pretext.pretraining["resize"]))
        for where, (context, targets) in pretext.drawn(given, eligible):
            # Frames of the context's ends and of each target's start, then top row, left and right column.
            frames = [*context[[0, -1], 0, 0, 0].tolist(), *targets[:, 0, 0, 0, 0].tolist()]
            crop = [*targets[-1, -1, 0, 0, 1:].tolist(), int(targets[-1, -1, 0, -1, 2])]
            found[f"samples/{weights}/{where}"] = frames + crop
    return found


def _losses() -> Near:
    """Both hinge losses of drawn maps, and their scores, in float64."""
    import numpy as np
    import torch

    from suite.papers.skip_clip import ranking_network

    draw = np.random.Generator(np.random.PCG64(WEIGHTS))
    context, targets = (torch.from_numpy(draw.random(shape)) for shape in ((3, 8, 2, 2), (3, 5, 8, 2, 2)))
    found = {}
    for score in ("grid", "vector"):
        cells = [ranking_network.unit_cells(maps, score) for maps in (context, targets)]
        scores, negatives = ranking_network.similarities(*cells).mean(2), ranking_network.negative_scores(*cells)
        found[f"losses/{score}/score"] = scores.mean().item()
        found[f"losses/{score}/negative-score"] = negatives.mean().item()
        found[f"losses/{score}/rank"] = ranking_network.rank_loss(scores, 0.05).item()
        found[f"losses/{score}/contrastive"] = ranking_network.contrastive_loss(scores, negatives, 0.05).item()
    return within(FLOAT64, found)


# ---------------------------------------------------------------------------------------------------- fixed weights


def _evaluation(job: Job, settings: Scale) -> dict:
    """Pairs of targets that fixed weights rank in their order, and test videos that they recognise by all windows."""
    import numpy as np
    from torch import nn

    from suite.evaluation import finetuning, recognition
    from suite.papers.skip_clip import ranking_network

    data = Native(job, "ucf101", settings)
    tested = data.dataset.splits[1].test[::EVERY]
    pretext = _pretext(settings)
    videos = pretext.eligible(tested, data.frames)
    samples = pretext.samples(Given(data.frames, data.source), videos, training=False)
    network = fix_weights(_network(settings), RANKED)
    ranked = ranking_network.ranking_accuracy(network, samples, pretext.optimisation.batch, "cpu")
    job.runtime.progress(1, 2)
    size: int = network.backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
    layer = nn.Linear(size, len(data.dataset.classes))
    logits = recognition.test(
        fix_weights(finetuning.RecognitionNetwork(network.backbone, layer), WEIGHTS),
        data.source,
        tested,
        data.frames,
        clip_length=settings.video.clip_length,
        clips="windows",
        crop=settings.video.crop,
    )
    return {
        "exact": {
            "evaluation/ranking/pairs-in-order": [int(hits) for hits in ranked.hits],
            "evaluation/ranking/pairs": len(ranked.hits) * ranked.pairs,
            "evaluation/recognition/right": sum(
                int(row.argmax() == video.label) for row, video in zip(logits, tested, strict=True)
            ),
            "evaluation/recognition/total": len(logits),
        },
        "near": within(
            FLOAT32,
            {
                "evaluation/ranking/score": float(ranked.scores.mean(dtype=np.float64)),
                "evaluation/recognition/logit-size": float(np.abs(logits).mean()),
            },
        ),
    }


def _network(settings: Scale) -> SkipClipNetwork:
    from suite import backbones

    return _pretext(settings).network(backbones.build("resnet18-3d", settings.width))


# ---------------------------------------------------------------------------------------------------- training


def _steps(job: Job, settings: Scale) -> dict:
    """First steps of the pretraining with all losses on."""
    pretext, data = _pretext(settings), Native(job, "ucf101", settings)
    videos = pretext.eligible(data.dataset.splits[1].train, data.frames)
    samples = pretext.samples(Given(data.frames, data.source), videos, training=True)
    first, steps = pretext_steps(lambda: _network(settings), samples, pretext.optimisation, _loss)
    numbers = {"all": first.loss.item()}
    numbers |= {name: part.item() for name, part in first.parts.items() if name.endswith("loss")}
    return {"near": step_numbers(numbers, steps)}


def _loss(network: SkipClipNetwork, context: Tensor, targets: Tensor) -> Tensor:
    """The sum of the three losses in float64; target i is turned i times."""
    import torch
    from torch.nn.functional import cross_entropy

    from suite.papers.skip_clip import ranking_network
    from suite.video import transforms

    assert network.rotation_head is not None  # all losses are on
    batch, count = targets.shape[:2]
    frames = targets.flatten(0, 1)
    turns = torch.arange(count).repeat(batch) % ranking_network.ROTATIONS
    both = transforms.to_network(torch.cat([frames, ranking_network.rotated(frames, turns)])).double()
    maps, turned = network.target_encoder(both.squeeze(2)).chunk(2)
    seen = network.backbone.conv5_map(transforms.to_network(context).double()).squeeze(2)
    cells = ranking_network.unit_cells(maps, network.score).unflatten(0, (batch, count))
    around = ranking_network.unit_cells(seen, network.score)
    scores = ranking_network.similarities(around, cells).mean(2)
    return (
        ranking_network.rank_loss(scores, network.rank_margin)
        + ranking_network.contrastive_loss(
            scores, ranking_network.negative_scores(around, cells), network.negative_margin
        )
        + cross_entropy(network.rotation_head(turned.mean((2, 3))), turns)
    )


PARTS = {
    "evaluation": (_evaluation, 60.0),
    "steps": (_steps, 60.0),
    "data": (_data, 10.0),
}
