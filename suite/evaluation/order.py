"""Order accuracy: how many held-out tuples a network puts in the right order (VCOP Table 1, vcop-curriculum Fig. 5)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from suite.evaluation.asking import ask
from suite.loading import Samples


def test(
    network: nn.Module,
    tuples: Samples,
    batch: int,
    device: str,
    progress: Callable[[int, int], None],
    *,
    workers: int = 0,
) -> tuple[list[bool], float]:
    """Whether the order of each tuple was found, and the mean cross-entropy; single precision, evaluation mode.

    Args:
        tuples: items by (epoch, index), of which epoch 0 is asked; there must be one.
        workers: loader processes; none of the numbers depends on it.

    Raises:
        InputError: a video cannot be read.
    """

    def ordered(clips: Tensor, target: Tensor) -> tuple[list[bool], float]:
        logits = network(clips)
        loss = nn.functional.cross_entropy(logits, target, reduction="sum")
        return (logits.argmax(1) == target).tolist(), float(loss)

    right: list[bool] = []
    total = 0.0
    for hits, loss in ask(network, ordered, tuples, batch, device, progress, workers=workers):
        right += hits
        total += loss
    return right, total / len(right)


class Tally(NamedTuple):
    """How many tuples were asked about, and how many were put in the right order."""

    correct: int
    total: int


def per_class(right: Sequence[bool], labels: Sequence[int], classes: Sequence[str]) -> dict[str, Tally]:
    """Right orders of each action class's test videos (vcop-curriculum Fig. 5), in the order of `classes`.

    Args:
        right: whether the order of a video's tuple was found.
        labels: the action class of the same videos, an index into `classes`.

    A class without a video that is long enough is left out: it has no accuracy.
    """
    found: dict[int, list[bool]] = {}
    for hit, label in zip(right, labels, strict=True):
        found.setdefault(label, []).append(bool(hit))
    return {classes[label]: Tally(sum(hits), len(hits)) for label, hits in sorted(found.items())}
