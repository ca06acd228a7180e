"""The task of srop's views: a clip's motion under another appearance (TCSVT 2021, Sec. III-G). view_network.py has the networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.papers.srop import segment_order

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.srop.segment_clips import SegmentClips
    from suite.papers.srop.view_network import ViewSynthesisNetwork

NAME = "view-synthesis"

# Whatever clips the pretext takes.
eligible = segment_order.eligible


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "ViewSynthesisNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.srop.view_network import ViewSynthesisNetwork

    keys = ("channels", "latent", "info_min")
    return ViewSynthesisNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> "SegmentClips":
    """The pretext's queries, which are what views will be made of; no second clip is read."""
    return segment_order.samples(
        data, videos, pretraining | {"contrastive_weight": 0}, video, seed=seed, training=training
    )
