"""Batches of samples, read in this process or ahead of it in loader processes: one home for training and evaluation."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import default_collate

from suite.errors import InputError, SampleError
from suite.processes import Workers

# A sample takes milliseconds. A loader that says nothing for this long waits for a disk or a pipe that will not answer.
SILENCE_SECONDS = 600.0
# Batches made before they are asked for: one is copied to a GPU while the next is put together.
_READY = 2
# Samples that a message names.
_NAMED = 5


class Samples(Protocol):
    """What a network learns from or is asked about, item by item: tensors by (epoch, index), or by index alone.

    Those with a `name(index)` are called by it in messages.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class NamedSamples(Samples, Protocol):
    """Samples with names."""

    def name(self, index: int, /) -> str:
        """The video behind an item."""


def batches_of(
    dataset: Samples,
    batches: Iterable[Sequence],
    *,
    workers: int,
    collate: Callable[[list], Any] = default_collate,
    pinned: bool = False,
) -> Iterator[Any]:
    """Read `batches`, lists of the dataset's keys, in their order; no number depends on `workers`.

    Args:
        dataset: gives samples by key, an index or (epoch, index), named in messages by its `name(index)`.
        workers: loader processes; 0 reads here.
        collate: makes a batch of a list of samples; by default their tensors are stacked and their numbers made a tensor.
        pinned: batches, then lists of tensors, lie in page-locked memory, for copies to a GPU.

    Raises, when the batch it belongs to is asked for:
        InputError: as the dataset raised it, or no further process can be started.
        SampleError: the dataset raised anything else; names the sample.
        WorkerError: a loader process died or is silent.
    """
    finished = partial(_finished, collate, pinned)
    if workers:
        yield from _read_ahead(dataset, batches, workers, finished)
    else:
        for keys in batches:
            yield finished(_samples(dataset, keys))


def _read_ahead(dataset: Samples, batches: Iterable[Sequence], workers: int, finished: Callable) -> Iterator[Any]:
    """Batches whose samples come from loader processes, put together in a thread."""
    sizes: deque[int] = deque()

    def parts() -> Iterator[Sequence]:
        """Every batch in one part for each process: what waits is a few batches, however many processes there are."""
        for keys in batches:
            size = -(-len(keys) // workers)
            cut = [keys[low : low + size] for low in range(0, len(keys), size)]
            sizes.append(len(cut))
            yield from cut

    def whole(read: Iterator[list]) -> Iterator[Any]:
        for part in read:
            samples = part
            for _ in range(sizes.popleft() - 1):
                samples += next(read)
            yield finished(samples)

    with (
        Workers(
            partial(_samples, dataset),
            workers,
            describe=partial(_names, dataset),
            remedy="run again to go on; --workers 0 reads without loader processes",
            silence=SILENCE_SECONDS,
            reducers={Tensor: _through_numpy},
        ) as pool,
        ThreadPoolExecutor(1) as reader,
    ):
        made = whole(pool.map(parts()))
        end = object()
        try:
            ready = deque(reader.submit(next, made, end) for _ in range(_READY))
            while (batch := ready.popleft().result()) is not end:
                ready.append(reader.submit(next, made, end))
                yield batch
        finally:
            # The thread may wait for a child.
            pool.stop()


def _samples(dataset: Samples, keys: Sequence) -> list:
    """The samples of `keys`."""
    return [_sample(dataset, key) for key in keys]


def _sample(dataset: Samples, key: Any) -> Any:
    try:
        return dataset[key]
    except InputError:
        raise
    except Exception as error:
        raise SampleError(f"{_name(dataset, key)}: {type(error).__name__}: {error}") from error


def _name(dataset: Samples, key: Any) -> str:
    name = getattr(dataset, "name", "sample {}".format)
    return name(key[1] if isinstance(key, tuple) else key)


def _names(dataset: Samples, keys: Sequence) -> str:
    shown = ", ".join(_name(dataset, key) for key in keys[:_NAMED])
    return shown if len(keys) <= _NAMED else f"{shown} and {len(keys) - _NAMED} more"


def _finished(collate: Callable[[list], Any], pinned: bool, samples: list) -> Any:
    batch = collate(samples)
    return [tensor.pin_memory() for tensor in batch] if pinned else batch


def _through_numpy(tensor: Tensor) -> tuple:
    """How a tensor is pickled: NumPy's pickles leave the bytes where they lie, torch's copy them."""
    return torch.from_numpy, (tensor.contiguous().numpy(),)
