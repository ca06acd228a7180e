"""The task of srop's views: a clip's motion under another appearance (TCSVT 2021, Sec. III-G). view_network.py has the networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from suite.papers.srop import segments
from suite.settings import Channels
from suite.tasks import HeldOut

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.srop.segment_clips import SegmentClips
    from suite.papers.srop.view_network import ViewSynthesisNetwork

NAME = "view-synthesis"
VERSION = 1
eligible = segments.eligible


class Settings(segments.Segments):
    """An autoencoder that keeps a clip's motion and changes its appearance, and a flow estimator. The network that `start`
    names tells how alike two clips look."""

    # Channels of the first layer of either network, and of the latent map.
    channels: Channels
    latent: Channels
    # The cosine of a clip's and its view's features is minimised, as the text has it, or maximised, as printed.
    info_min: Literal["words", "printed"]

    @model_validator(mode="after")
    def _looks(self) -> "Settings":
        if self.start is None:
            raise ValueError("view-synthesis needs start: the pretraining whose network compares clips and views")
        return self

    def clips_of_sample(self, clips_of_video: float) -> float:
        """A view goes through an extractor that only passes gradients on."""
        return 4 / 3

    def counted(self) -> "Settings":
        """At the paper scale's channels."""
        return self.model_copy(update={"channels": 32, "latent": 16})


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "ViewSynthesisNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.srop.view_network import ViewSynthesisNetwork

    keys = ("channels", "latent", "info_min")
    return ViewSynthesisNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(
    data: Any, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool
) -> "SegmentClips":
    """The queries of segment-order, which are what views will be made of; no second clip is read."""
    return segments.clips(data, videos, pretraining, video, pairs=False, seed=seed, training=training)


def view_scores(test: HeldOut) -> dict:
    """What synthesised views of test videos' clips keep of their motion and of their looks, and a picture of one.

    Each also before training, and of a view of one grey: what carries nothing at all.
    """
    from suite.papers.srop import view_network

    batch = test.pretraining["optimisation"]["batch"]
    scores: dict[str, float] = {}
    for prefix, asked in (("", test.network), ("untrained_", test.untrained(trained_backbone=True))):
        found = view_network.view_scores(asked, test.samples, batch, test.device, test.progress, workers=test.workers)
        scores |= {f"{prefix}{name}": value for name, value in found.items()}
    view_network.show_view(test.network, test.samples, 0, test.device, test.folder / "view.png")
    return {
        "scores": scores,
        "counts": test.counts | {"total": len(test.videos)},
        "pictures": ["view.png"],
        "facts": {"picture": test.videos[0].name},
    }


SCORES = {"view-scores": (view_scores, 1)}
