"""The task of Skip-Clip: rank a video's coming frames by a context clip (El-Nouby et al., 2019, Sec. 3). ranking_network.py has
samples and network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.skip_clip.ranking_network import ContextsAndTargets, Layout, SkipClipNetwork

NAME = "skip-clip"


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
