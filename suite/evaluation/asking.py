"""Asking a network about samples as it is: no gradient, no dropout, no statistics that move, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Literal, TypeVar

import torch
from torch import nn

from suite.loading import Samples, batches_of
from suite.precision import cudnn_benchmark, full_precision

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]


def ask(
    network: nn.Module,
    question: Callable[..., Answer],
    samples: Samples,
    batch: int,
    device: str,
    progress: Progress = lambda done, total: None,
    *,
    workers: int = 0,
    keys: Sequence[tuple[int, int]] | None = None,
) -> list[Answer]:
    """What `question` finds in each batch of samples, in their order; single precision, evaluation mode.

    Args:
        network: is moved to `device` and left in the mode it was in.
        question: takes the tensors of a batch, on the device.
        samples: items by (epoch, index).
        keys: the samples asked about; by default all of epoch 0.
        workers: loader processes; none of the numbers depends on it.
        progress: called with (samples done, samples in all).

    Raises:
        InputError: a video cannot be read.
    """
    network.to(device)
    keys = [(0, index) for index in range(len(samples))] if keys is None else keys
    batches = [keys[low : low + batch] for low in range(0, len(keys), batch)]
    answers = []
    with frozen(network):
        for tensors in batches_of(samples, batches, workers=workers):
            answers.append(question(*(tensor.to(device) for tensor in tensors)))
            progress(min(len(answers) * batch, len(keys)), len(keys))
    return answers


def one_progress(progress: Progress, *sizes: int) -> list[Progress]:
    """The progress of each of several askings, of so many samples each, as parts of one."""
    total = sum(sizes)

    def part(before: int) -> Progress:
        return lambda done, _: progress(before + done, total)

    return [part(before) for before in accumulate(sizes[:-1], initial=0)]


@contextmanager
def frozen(network: nn.Module, bn: Literal["running", "batch"] = "running") -> Iterator[None]:
    """Evaluate `network` without gradients, in full precision, by the algorithms that cuDNN takes without timing them.

    Every module's mode is as before at the end.

    Args:
        bn: normalise by stored statistics ("running") or by those of each batch ("batch"); the stored ones never change.
    """
    if bn not in ("running", "batch"):
        raise ValueError(f"bn is {bn!r}, not 'running' or 'batch'")
    modes = {module: module.training for module in network.modules()}
    norms = [module for module in modes if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tracking = [module.track_running_stats for module in norms]
    network.eval()
    if bn == "batch":
        for norm in norms:
            # In training mode without tracking, PyTorch uses the batch's statistics and updates nothing.
            norm.training, norm.track_running_stats = True, False
    try:
        with torch.no_grad(), full_precision(), cudnn_benchmark(False):
            yield
    finally:
        for norm, tracked in zip(norms, tracking, strict=True):
            norm.track_running_stats = tracked
        for module, mode in modes.items():
            module.training = mode
