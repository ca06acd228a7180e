"""The sample-based curriculum (Xiao et al., TMM, Sec. III-D2, IV-A): clip order prediction that goes on from a converged network,
head and all, without the videos that this finds easy. hard_samples.py has what is recorded and what is left.

The task-based curriculum needs no task of its own: it is clip order prediction (suite/papers/vcop/clip_order.py) that starts
from the backbone of an easier one.
"""

from pathlib import Path
from typing import Any

from pydantic import model_validator

from suite import settings
from suite.papers.vcop import clip_order

# It is that task, on fewer videos.
NAME = clip_order.NAME
VERSION = 1
SCORES = clip_order.SCORES
eligible, network, samples = clip_order.eligible, clip_order.network, clip_order.samples


class Sample(settings.Settings):
    """Which videos are easy, and how long training goes on without them."""

    # Epochs whose training tuples are looked at, after those of `optimisation`.
    record_epochs: settings.Clips
    # A video is easy when its order was right, with a softmax above this, in all of them.
    threshold: settings.Share
    # Epochs of training after that.
    more_epochs: settings.Epochs


class Settings(clip_order.Settings):
    """Clip order prediction on the videos that are not easy for the network of `start`."""

    sample: Sample

    @model_validator(mode="after")
    def _goes_on(self) -> "Settings":
        if self.start is None:
            raise ValueError("sample needs start: the pretraining that it goes on from")
        return self

    def passes(self) -> float:
        """The epochs after those that are recorded, where nothing is learnt."""
        return self.sample.more_epochs + self.sample.record_epochs / 3

    def fault(self, scale: settings.Scale) -> str:
        """A network of another task has no order head to go on with."""
        if not isinstance(scale.pretraining[str(self.start)], clip_order.Settings):
            return f".start = {self.start!r}: a sample goes on from a pretraining of clip-order"
        return ""


def resume(
    network: Any,
    samples: Any,
    pretraining: dict,
    *,
    weights: Path,
    folder: Path,
    device: str,
    workers: int,
    progress: Any,
) -> tuple[Any, int, dict[str, int]]:
    """Load the converged network, and drop what it finds easy: the samples left, epochs of training, and counts."""
    from suite import checkpoints
    from suite.papers.vcop_curriculum.hard_samples import HardSamples, Recorded, record

    path = folder / "softmax.json"
    first, sample = pretraining["optimisation"]["epochs"], pretraining["sample"]
    network.load_state_dict(checkpoints.load(weights))
    asked = range(first, first + sample["record_epochs"])
    if not path.exists():
        batch = pretraining["optimisation"]["batch"]
        record(network, samples, asked, batch, device, progress, workers=workers).save(path)
    # Of a stage that was killed: the videos that it went on with.
    easy = Recorded.load(path).easy(sample["threshold"])
    left = HardSamples(samples, easy, asked.stop)
    return left, sample["more_epochs"], {"easy": len(samples) - len(left)}
