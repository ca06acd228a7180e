"""The task of MAS: regress motion and appearance statistics of a clip (Wang et al., CVPR 2019, Sec. 3). statistics_network.py has
samples and network, statistics.py the labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.mas.statistics_network import LabelledClips, StatisticsNetwork

NAME = "statistics"


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """The videos that a recipe's pretraining can use: those of at least one whole clip."""
    return [one for one in videos if frames[one.name] >= video["clip_length"]]


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "StatisticsNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.mas.statistics_network import StatisticsNetwork

    return StatisticsNetwork(
        backbone,
        labels=pretraining["labels"],
        clip_length=video["clip_length"],
        pixels=video["pixels"],
        scaled=pretraining["scaled"],
    )


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> "LabelledClips":
    """The clips of a recipe's pretraining. `data` holds frame counts and gives sources of resized frames and of flow."""
    from suite.papers.mas import statistics
    from suite.papers.mas.statistics_network import LabelledClips

    moving = set(statistics.SUBSETS[pretraining["labels"]]) & set(statistics.MOTION)
    return LabelledClips(
        data.source(video["resize"]),
        data.flow(video["resize"]) if moving else None,
        videos,
        data.frames,
        clip_length=video["clip_length"],
        crop=video["crop"],
        seed=seed,
        training=training,
    )
