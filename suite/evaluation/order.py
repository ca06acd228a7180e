"""Order accuracy: how many held-out tuples a network puts in the right order (VCOP Table 1)."""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import Dataset

from suite.evaluation.features import frozen


def test(
    network: nn.Module, tuples: Dataset, batch: int, device: str, progress: Callable[[int, int], None]
) -> tuple[list[bool], float]:
    """Whether the order of each tuple was found, and the mean cross-entropy; single precision, evaluation mode."""
    network.to(device)
    right: list[bool] = []
    loss = 0.0
    with frozen(network):
        for low in range(0, len(tuples), batch):
            items = [tuples[0, index] for index in range(low, min(low + batch, len(tuples)))]
            clips = torch.stack([clip for clip, _ in items]).to(device)
            target = torch.tensor([order for _, order in items], device=device)
            logits = network(clips)
            loss += float(nn.functional.cross_entropy(logits, target, reduction="sum"))
            right += (logits.argmax(1) == target).tolist()
            progress(len(right), len(tuples))
    return right, loss / len(right)
