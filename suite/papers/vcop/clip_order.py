"""The task of VCOP: predict the order of shuffled clips (Xu et al., CVPR 2019, Sec. 3). order_network.py has samples and network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from suite.settings import Channels, Gap, Pretraining, Share
from suite.tasks import HeldOut
from suite.video import clips as clip_indices

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.vcop.order_network import ClipOrderNetwork, ClipTuples

NAME = "clip-order"
VERSION = 1


class Settings(Pretraining):
    """Clip order prediction."""

    # Clips in a tuple, and frames between one clip's end and the next one's start.
    tuple_length: Annotated[int, Field(strict=True, ge=2, le=5)]
    interval: Gap
    # Width of the layer that sees a pair of clips, and dropout before the last layer.
    hidden: Channels
    dropout: Share

    def clips_of_sample(self, clips_of_video: float) -> float:
        """The clips of a tuple."""
        return self.tuple_length


def long_enough(
    videos: Sequence, frames: dict[str, int], *, clip_length: int, tuple_length: int, interval: int
) -> list:
    """The videos that a whole tuple fits into; the others are left out of the pretext task (authors' code)."""
    span = clip_indices.tuple_span(tuple_length, clip_length, interval)
    return [video for video in videos if frames[video.name] >= span]


def _span(pretraining: dict, video: dict) -> dict[str, int]:
    return {
        "clip_length": video["clip_length"],
        "tuple_length": pretraining["tuple_length"],
        "interval": pretraining["interval"],
    }


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """The videos that a recipe's pretraining can use."""
    return long_enough(videos, frames, **_span(pretraining, video))


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "ClipOrderNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.vcop.order_network import ClipOrderNetwork

    head = {key: pretraining[key] for key in ("tuple_length", "hidden", "dropout")}
    return ClipOrderNetwork(backbone, **head, pixels=video["pixels"])


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> "ClipTuples":
    """The tuples of a recipe's pretraining. `data` holds frame counts and gives a source of resized frames."""
    from suite.papers.vcop.order_network import ClipTuples

    source = data.source(video["resize"])
    common = {"crop": video["crop"], "seed": seed, "training": training}
    return ClipTuples(source, videos, data.frames, **_span(pretraining, video), **common)


def order_accuracy(test: HeldOut) -> dict:
    """How many test videos' clips are put in the right order."""
    from suite.evaluation import order

    right, loss = order.test(
        test.network,
        test.samples,
        test.pretraining["optimisation"]["batch"],
        test.device,
        test.progress,
        workers=test.workers,
    )
    hits = [int(value) for value in right]
    of_class = order.per_class(right, [video.label for video in test.videos], test.data.dataset.classes)
    scores = {f"accuracy_{name}": 100 * tally.correct / tally.total for name, tally in of_class.items()}
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits), "loss": loss} | scores,
        "facts": {"classes": {name: list(tally) for name, tally in of_class.items()}},
        "counts": test.counts | {"total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in test.videos], "trials": 1, "hits": {"accuracy": hits}},
    }


SCORES = {"order-accuracy": (order_accuracy, 1)}
