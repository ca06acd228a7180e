"""The task of srop: order and sampling rates of a clip's segments, and contrast between videos (TCSVT 2021, Sec. III).
segment_clips.py has the samples, segment_network.py the network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.srop.segment_clips import SegmentClips
    from suite.papers.srop.segment_network import SegmentNetwork

NAME = "segment-order"


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """All videos with a frame: rates shrink to what fits, and a video shorter than a clip repeats."""
    return [each for each in videos if frames[each.name] >= 1]


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "SegmentNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.srop.segment_network import SegmentNetwork

    keys = ("segments", "max_rate", "order_weight", "rate_weight", "contrastive_weight", "rate_head", "hidden")
    keys += ("projection", "similarity", "temperature", "queue", "momentum")
    return SegmentNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> "SegmentClips":
    """The clips of a recipe's pretraining. `data` holds frame counts and gives a source of resized frames."""
    from suite.papers.srop.segment_clips import SegmentClips

    layout = {key: pretraining[key] for key in ("segments", "shortest", "max_rate")}
    return SegmentClips(
        data.source(video["resize"]),
        videos,
        data.frames,
        layout=layout | {"clip_length": video["clip_length"]},
        pairs=pretraining["contrastive_weight"] > 0,
        crop=video["crop"],
        flip=pretraining["flip"],
        jitter=pretraining["jitter"],
        seed=seed,
        training=training,
    )
