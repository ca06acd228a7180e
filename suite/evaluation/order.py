"""Order accuracy: how many held-out tuples a network puts in the right order (VCOP Table 1)."""

from collections.abc import Callable

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
