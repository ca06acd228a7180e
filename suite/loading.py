"""Batches of samples, read in this process or in loader processes: one home for training and evaluation.

What an exception says when it leaves a loader process is wrapped in a traceback of many lines. Bad input is therefore
carried to this process as if it were a batch, and raised here as it was.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from suite.errors import InputError


def batches_of(
    dataset: Dataset,
    batches: Iterable[list],
    *,
    workers: int,
    collate: Callable[[list], Any] = default_collate,
    pinned: bool = False,
) -> Iterator[Any]:
    """Read `batches`, lists of the dataset's keys, in their order; no number depends on `workers`.

    Args:
        workers: loader processes; 0 reads here.
        collate: makes a batch of a list of samples; by default their tensors are stacked and their numbers made a tensor.
        pinned: batches lie in page-locked memory, for copies to a GPU.

    Raises:
        InputError: as the dataset raised it, when the batch it belongs to is asked for.
    """
    loader = DataLoader(
        _Caught(dataset),
        batch_sampler=batches,
        collate_fn=partial(_collate, collate),
        num_workers=workers,
        pin_memory=pinned,
        # The loader draws a seed for its processes: from torch's own generator, a resumed run would draw once more.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class _Caught(Dataset):
    """A dataset's samples, or in the place of one the InputError that stopped it."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.dataset[key]
        except InputError as error:
            return error


def _collate(collate: Callable[[list], Any], samples: list) -> Any:
    """A batch of samples, or the first of their errors."""
    return next((sample for sample in samples if isinstance(sample, InputError)), None) or collate(samples)
