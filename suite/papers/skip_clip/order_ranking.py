"""The task of Skip-Clip: rank a video's coming frames by a context clip (El-Nouby et al., 2019, Sec. 3). ranking_network.py has
samples and network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from suite.settings import Length, Margin, Positive, Pretraining, Side, Size, Switch
from suite.tasks import HeldOut

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.skip_clip.ranking_network import ContextsAndTargets, Layout, SkipClipNetwork

NAME = "skip-clip"
VERSION = 1


class Settings(Pretraining):
    """Ranking of coming frames by a context clip. The context is `video.clip_length` frames."""

    # Frames as they are read, (height, width) in pixels; the side of the random square taken of them, as a share of their
    # shorter side; and the side that the networks see.
    resize: Size
    crop_scale: Positive
    size: Side
    # Target clips after the context, frames from each one's start to the next one's, and frames of each.
    targets: Annotated[int, Field(strict=True, ge=2, le=1000)]
    rate: Length
    target_length: Annotated[int, Field(strict=True, ge=1, le=16)]
    # Similarity of context and target: mean over aligned cells of their maps, or of the maps' means.
    score: Literal["grid", "vector"]
    # Of the two hinge losses; the second, against the other videos of a batch, and the rotation loss can be off.
    rank_margin: Margin
    negatives: Switch
    negative_margin: Margin
    rotation: Switch

    def clips_of_sample(self, clips_of_video: float) -> float:
        """A context at 224 x 224, and its targets upright and turned (counted: 32.9, 1.81 a frame; 8.31 a clip at 112)."""
        frames = self.targets * (2 if self.rotation else 1)
        return (32.9 + 1.81 * frames) / 8.31


def _layout(pretraining: dict, video: dict) -> "Layout":
    from suite.papers.skip_clip.ranking_network import Layout

    return Layout(video["clip_length"], *(pretraining[key] for key in ("targets", "rate", "target_length")))


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """The videos that context and targets fit into."""
    span = _layout(pretraining, video).span()
    return [each for each in videos if frames[each.name] >= span]


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "SkipClipNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.skip_clip.ranking_network import SkipClipNetwork

    keys = ("target_length", "score", "rank_margin", "negatives", "negative_margin", "rotation")
    return SkipClipNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(
    data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool
) -> "ContextsAndTargets":
    """The samples of a recipe's pretraining. `data` holds frame counts and gives a source of resized frames."""
    from suite.papers.skip_clip.ranking_network import ContextsAndTargets

    return ContextsAndTargets(
        data.source(pretraining["resize"]),
        videos,
        data.frames,
        layout=_layout(pretraining, video),
        crop_scale=pretraining["crop_scale"],
        size=pretraining["size"],
        seed=seed,
        training=training,
    )


def ranking_accuracy(test: HeldOut) -> dict:
    """Pairs of coming frames of test videos that are ranked in their order, and similarity maps of four classes.

    Also before the first step, where chance is 50 %; in how many videos every score is below the one before; and how many
    turned targets are recognised, where the network has learnt that.
    """
    import torch
    from PIL import Image

    from suite.evaluation.asking import frozen
    from suite.papers.skip_clip import ranking_network

    samples, videos, batch = test.samples, test.videos, test.pretraining["optimisation"]["batch"]
    ranked, untrained = (
        ranking_network.ranking_accuracy(asked, samples, batch, test.device, test.progress, workers=test.workers)
        for asked in (test.network, test.untrained())
    )
    # The first video of each class, as far as there is room.
    chosen = sorted({video.label: index for index, video in reversed(list(enumerate(videos)))}.values())[:4]
    context, targets = (torch.stack(frames) for frames in zip(*(samples[0, index] for index in chosen), strict=True))
    with frozen(test.network):
        maps = test.network(context.to(test.device), targets.to(test.device)).cpu()
    picture = Image.fromarray(ranking_network.similarity_picture(context, targets, maps))
    # Frames of 112 pixels are enough to look at.
    picture.reduce(max(1, context.shape[2] // 112)).save(test.folder / "similarity.png", optimize=True)
    hits = {
        "ranking_accuracy": [int(right) for right in ranked.hits],
        # A video counts with all of its pairs or with none.
        "monotone": [ranked.pairs * falls for falls in ranked.monotone()],
        "untrained_ranking_accuracy": [int(right) for right in untrained.hits],
    }
    total = len(videos) * ranked.pairs
    scores = {name: 100 * sum(right) / total for name, right in hits.items()}
    if ranked.rotations is not None:
        scores["rotation_accuracy"] = 100 * sum(ranked.rotations) / ranked.scores.size
    # Mean score of each target, from the nearest on: it should fall.
    scores |= {f"score_{step}": float(score) for step, score in enumerate(ranked.scores.mean(0), start=1)}
    return {
        "pictures": ["similarity.png"],
        "scores": scores,
        "counts": test.counts | {"total": total} | {f"correct_{name}": sum(right) for name, right in hits.items()},
        "outcomes": {"groups": [video.group for video in videos], "trials": ranked.pairs, "hits": hits},
        "facts": {"picture": ", ".join(videos[index].name for index in chosen)},
    }


SCORES = {"ranking-accuracy": (ranking_accuracy, 2)}
