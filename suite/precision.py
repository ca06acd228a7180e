"""How precisely, and by which algorithms, PyTorch computes: single precision as IEEE has it, for reported numbers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Single precision as IEEE has it: no TF32 or bf16 in float32 products, no autocast. The switches are put back."""
    # Their types know nothing of the switches for single operations.
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    switches = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv)
    before = [switch.fp32_precision for switch in switches]
    _set(switches, ["ieee"] * len(switches))
    # allow_tf32 is the older switch of cudnn.conv and cudnn.rnn; PyTorch refuses to read it unless all three agree.
    try:
        allowed = cudnn.allow_tf32
    except RuntimeError:
        allowed = True
    cudnn.allow_tf32 = False
    # The older switch moves the newer ones.
    _set(switches, ["ieee"] * len(switches))
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        cudnn.allow_tf32 = allowed
        _set(switches, before)


def _set(switches: Iterable, precisions: Iterable[str]) -> None:
    for switch, precision in zip(switches, precisions, strict=True):
        switch.fp32_precision = precision


@contextmanager
def cudnn_benchmark(on: bool) -> Iterator[None]:
    """Whether cuDNN times its algorithms for every new shape and takes the fastest; put back at the end.

    Worth it where one shape comes again and again; the algorithm, and so the rounding, may then differ between runs.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = on
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
