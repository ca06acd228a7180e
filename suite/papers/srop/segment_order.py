"""The task of srop: order and sampling rates of a clip's segments, and contrast between videos (TCSVT 2021, Sec. III).
segment_clips.py has the samples, segment_network.py the network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from suite.papers.srop import segments, view_synthesis
from suite.settings import Channels, Name, Rate, Scale, Share, Videos, Weight
from suite.tasks import HeldOut

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.srop.segment_clips import SegmentClips
    from suite.papers.srop.segment_network import SegmentNetwork

NAME = "segment-order"
VERSION = 1
eligible = segments.eligible


class Settings(segments.Segments):
    """Order and sampling rates of a clip's segments, and contrast between videos. A weight of 0 is off."""

    order_weight: Weight
    rate_weight: Weight
    contrastive_weight: Weight
    rate_head: Literal["regression", "classification"]
    # Widths of the layer inside the order head and the projection, and of what the projection gives.
    hidden: Channels
    projection: Channels
    # Of queries and keys: cosine, or the distance of their best matched parts, by Algorithm 1 or exactly.
    similarity: Literal["cosine", "shuffle", "exact-shuffle"]
    temperature: Rate
    # Keys of earlier batches that a query is told apart from, and momentum of the encoder that makes keys.
    queue: Videos
    momentum: Share
    # The pretraining of the recipe that makes views of the queries, each the key half of the time.
    views: Name | None = None

    @model_validator(mode="after")
    def _learns(self) -> "Settings":
        if not self.order_weight + self.rate_weight + self.contrastive_weight:
            raise ValueError("all three weights are 0: nothing would be learnt")
        return self

    def networks(self) -> dict[str, str]:
        """What it starts from, and what makes views."""
        return super().networks() | ({} if self.views is None else {"views": self.views})

    def clips_of_sample(self, clips_of_video: float) -> float:
        """A second clip goes through an encoder that does not learn."""
        return 4 / 3 if self.contrastive_weight else 1

    def fault(self, scale: Scale) -> str:
        """Views that are none, clips that are too short, and a queue that is."""
        if self.views is not None and not isinstance(scale.pretraining[self.views], view_synthesis.Settings):
            return f".views = {self.views!r} makes no views: name a pretraining of view-synthesis"
        if self.optimisation.batch > self.queue:
            return f": a queue of {self.queue} keys is too short for batches of {self.optimisation.batch}"
        return super().fault(scale)


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "SegmentNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.srop.segment_network import SegmentNetwork

    keys = (
        *("segments", "max_rate", "order_weight", "rate_weight", "contrastive_weight", "rate_head", "hidden"),
        *("projection", "similarity", "temperature", "queue", "momentum"),
    )
    return SegmentNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(
    data: Any, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool
) -> "SegmentClips":
    """The clips of a recipe's pretraining. `data` holds frame counts and gives a source of resized frames."""
    pairs = pretraining["contrastive_weight"] > 0
    return segments.clips(data, videos, pretraining, video, pairs=pairs, seed=seed, training=training)


def attach(network: "SegmentNetwork", role: str, state: dict) -> None:
    """Of the network that makes views, the autoencoder, which does not learn any more."""
    from suite.papers.srop.view_network import Autoencoder

    prefix = "autoencoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    network.views = Autoencoder.from_state(own).eval().requires_grad_(False)


def segment_scores(test: HeldOut) -> dict:
    """Order, rates and contrast of test videos' segments, and how the same network did before its first step."""
    from statistics import fmean

    from suite.papers.srop import segment_network

    gallery = samples(test.data, test.training_videos(), test.pretraining, test.video, seed=0, training=False)
    batch = test.pretraining["optimisation"]["batch"]
    found, untrained = (
        segment_network.pretext_scores(
            asked, test.samples, gallery, batch, test.device, test.progress, workers=test.workers
        )
        for asked in (test.network, test.untrained())
    )
    scores, hits = {}, {}
    for prefix, asked in (("", found), ("untrained_", untrained)):
        for name, values, unit in (
            ("order_accuracy", asked.order_hits, 100),
            ("rate_error", asked.rate_errors, 1),
            ("contrastive_loss", asked.contrastive_losses, 1),
            ("positive_first", asked.positive_first, 100),
        ):
            if values is not None:
                scores[f"{prefix}{name}"] = unit * fmean(values)
    facts = {}
    if found.constant_rate is not None and found.constant_rate_errors is not None:
        scores["constant_rate_error"] = fmean(found.constant_rate_errors)
        facts["constant_rate"] = found.constant_rate
    if found.queue is not None:
        facts["queue"] = found.queue
    for name, right in (("order_accuracy", found.order_hits), ("positive_first", found.positive_first)):
        if right is not None:
            hits[name] = [int(one) for one in right]
    counts = test.counts | {"total": len(test.videos)} | {f"correct_{name}": sum(right) for name, right in hits.items()}
    outcomes = {"groups": [video.group for video in test.videos], "trials": 1, "hits": hits} if hits else None
    return {"scores": scores, "counts": counts, "outcomes": outcomes, "facts": facts}


SCORES = {"segment-scores": (segment_scores, 2)}
