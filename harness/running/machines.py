"""What a run may use of this machine: devices, stages side by side, loader processes."""

import os
import re
import subprocess
from dataclasses import dataclass

from harness.errors import UsageError

# Loader processes of a stage, where nothing else is asked for.
MOST_WORKERS = 16


@dataclass(frozen=True)
class Machine:
    """What a run may use."""

    # "cpu", or one device for each GPU: ("cuda:0", "cuda:1")
    devices: tuple[str, ...]
    # stages side by side on the CPU, loader processes of each stage
    slots: int
    workers: int
    tensorboard: bool = False
    # threads of every stage; 0 leaves the number to torch
    threads: int = 0


def find(device: str, workers: int | None, threads: int, tensorboard: bool) -> Machine:
    """What a run may use. `device` is auto, cpu, cuda or cuda:N; auto picks CUDA where there is one.

    Raises UsageError for a device that is not there.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = _gpus() if device != "cpu" else 0
    if device in ("auto", "cuda"):
        devices = tuple(f"cuda:{index}" for index in range(count)) or ("cpu",)
        if device == "cuda" and not count:
            raise UsageError("--device cuda: no CUDA device here; use --device cpu")
    elif device == "cpu":
        devices = ("cpu",)
    elif re.fullmatch("cuda:[0-9]{1,3}", device) and int(device[5:]) < count:
        devices = (device,)
    else:
        raise UsageError(f"--device {device}: no such device; choose auto, cpu, cuda or one of {count} cuda:N")
    if devices == ("cpu",):
        # One-thread stages run side by side; a stage that takes all threads runs alone.
        return Machine(devices, max(cores // threads, 1) if threads else 1, workers or 0, tensorboard, threads)
    share = min(max(cores // len(devices) - 1, 0), MOST_WORKERS)
    return Machine(devices, cores, share if workers is None else workers, tensorboard, threads)


def _gpus() -> int:
    """Number of CUDA devices this process may use, asked of the driver's own tool: importing torch takes seconds."""
    try:
        # A driver that is stuck answers nothing.
        told = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    count = sum(line.startswith(b"GPU ") for line in told.stdout.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if visible is None else min(count, len([name for name in visible.split(",") if name.strip()]))
