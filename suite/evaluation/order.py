"""Order accuracy: how many held-out tuples a network puts in the right order (VCOP Table 1, vcop-curriculum Fig. 5)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn
from torch.utils.data import Dataset

from suite.evaluation.features import frozen
from suite.loading import batches_of


def test(
    network: nn.Module,
    tuples: Dataset,
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
    network.to(device)
    keys = [(0, index) for index in range(len(tuples))]
    batches = [keys[low : low + batch] for low in range(0, len(keys), batch)]
    right: list[bool] = []
    loss = 0.0
    with frozen(network):
        for clips, target in batches_of(tuples, batches, workers=workers):
            target = target.to(device)
            logits = network(clips.to(device))
            loss += float(nn.functional.cross_entropy(logits, target, reduction="sum"))
            right += (logits.argmax(1) == target).tolist()
            progress(len(right), len(tuples))
    return right, loss / len(right)


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
