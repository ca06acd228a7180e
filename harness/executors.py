"""Runs the stages of a plan on this machine: side by side where a stage takes one thread, one to a GPU otherwise.

A stage writes into `<key>.partial` and is renamed into place when it is done, so that a folder under its key is always
whole. A stage that was killed goes on from its last checkpoint.
"""

import errno
import json
import multiprocessing
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import environment
from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.progress import Display

# Stages that can go on from what they left behind; the others start anew.
RESUMABLE = ("pretrain", "finetune")
# What an operating system says when a disk, a quota or a limit on file sizes is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Machine:
    """What a run may use."""

    # "cpu", or one device for each GPU: ("cuda:0", "cuda:1")
    devices: tuple[str, ...]
    # stages side by side on the CPU, loader processes of each stage
    slots: int
    workers: int
    tensorboard: bool = False


@contextmanager
def locked(runs: Path) -> Iterator[None]:
    """Hold a runs folder alone. Raises UsageError when another run holds it."""
    import fcntl

    runs.mkdir(parents=True, exist_ok=True)
    with open(runs / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UsageError(
                f"{runs}: another run (process {holder}) is using it; wait for it to end, or give --runs another folder"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def execute(
    plan: Plan, run: Callable, roots: dict[str, Path], runs: Path, machine: Machine, finished: Callable[[Stage], None]
) -> None:
    """Run every stage that is not done yet, each after its inputs.

    Args:
        run: called in a worker as run(kind, config, inputs, roots, folder, device, workers, tensorboard, progress).
        roots: data root by dataset name.
        finished: told of each stage that is done, those of earlier runs first.

    Raises:
        UsageError: bad data, or the disk is full. StageError: a stage failed. Finished stages are kept in both cases.
    """
    waiting = {key: stage for key, stage in plan.stages.items() if not stage.done(runs)}
    for key, stage in plan.stages.items():
        if key not in waiting:
            finished(stage)
    if not waiting:
        return
    commit = environment.commit(Path(__file__).parent)
    _check_space(runs)
    context = multiprocessing.get_context("spawn")
    devices = list(machine.devices) * (machine.slots if machine.devices == ("cpu",) else 1)
    with context.Manager() as manager, Display(list(waiting.values())) as display:
        messages = manager.Queue()
        listener = threading.Thread(target=_listen, args=(messages, display), daemon=True)
        listener.start()
        pool = ProcessPoolExecutor(len(devices), mp_context=context, initializer=_worker_starts)
        running: dict[Future, tuple[Stage, str]] = {}
        try:
            while waiting or running:
                for key in [key for key, stage in waiting.items() if _ready(stage, plan, runs)]:
                    if not devices:
                        break
                    stage, device = waiting.pop(key), devices.pop()
                    inputs = {role: str(plan.stages[k].folder(runs)) for role, k in stage.inputs.items()}
                    task = (run, stage, inputs, roots, str(runs), device, machine, commit, messages)
                    running[pool.submit(_work, *task)] = (stage, device)
                    display.started(stage.key)
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    stage, device = running.pop(future)
                    devices.append(device)
                    _settle(future, stage, runs)
                    display.ended(stage.key)
                    finished(stage)
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            messages.put(None)
            listener.join()


def _ready(stage: Stage, plan: Plan, runs: Path) -> bool:
    return all(plan.stages[key].done(runs) for key in stage.inputs.values())


def _check_space(runs: Path) -> None:
    if shutil.disk_usage(runs).free < 64 * 2**20:
        raise UsageError(
            f"{runs}: the disk is full (less than 64 MiB free); free space and run again, finished stages are kept"
        )


def _settle(future: Future, stage: Stage, runs: Path) -> None:
    """Turn a worker's failure into one line."""
    try:
        failure = future.result()
    except BrokenProcessPool:
        raise StageError(
            f"{stage.label()}: its process was killed (out of memory?); run again to go on from its checkpoint"
        ) from None
    if failure is None:
        return
    kind, message = failure
    if kind == "input":
        raise UsageError(message)
    if kind == "full":
        raise UsageError(f"{runs}: the disk is full; free space and run again, finished stages are kept")
    raise StageError(f"{stage.label()}: {message}")


def _listen(messages, display: Display) -> None:
    while (message := messages.get()) is not None:
        display.moved(*message)


def _worker_starts() -> None:
    """A worker ends with its parent, even one that was killed: it would write beside the next run's worker."""

    def watch() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(
    run, stage: Stage, inputs, roots, runs: str, device: str, machine: Machine, commit, messages
) -> tuple[str, str] | None:
    """Run one stage in this process; returns None, or (kind of failure, message)."""
    folder = stage.folder(Path(runs))
    partial = folder.with_name(f"{folder.name}.partial")
    if stage.kind not in RESUMABLE:
        shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        before = _seconds_before(partial)
        started = time.monotonic()
        last_shown = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal last_shown
            now = time.monotonic()
            if now - last_shown > 0.5:
                last_shown = now
                messages.put((stage.key, done, total))
                _write_seconds(partial, before + now - started)

        workers = machine.slots if stage.kind == "check-data" else machine.workers
        result, used = run(
            stage.kind,
            stage.config,
            {r: Path(p) for r, p in inputs.items()},
            roots,
            partial,
            device,
            workers,
            machine.tensorboard,
            progress,
        )
        (partial / "seconds").unlink(missing_ok=True)
        content = {
            "kind": stage.kind,
            "key": stage.key,
            "version": stage.version,
            "config": stage.config,
            "inputs": stage.inputs,
            "data": stage.data,
            "device_kind": stage.device_kind,
            "gmacs": stage.gmacs,
            "seconds": round(before + time.monotonic() - started, 2),
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commit": commit[0],
            "dirty": commit[1],
            "environment": environment.describe() | used,
            "result": result,
        }
        (partial / "result.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, folder)
    except OSError as error:
        if error.errno in DISK_FULL:
            return "full", str(error)
        return _failed(partial, error)
    except Exception as error:
        # The suite's own errors are named by class: this module does not import the suite.
        if type(error).__name__ == "InputError":
            return "input", str(error)
        if type(error).__name__ == "TrainingError":
            return "training", str(error)
        return _failed(partial, error)
    return None


def _failed(partial: Path, error: Exception) -> tuple[str, str]:
    log = partial / "error.txt"
    log.write_text(traceback.format_exc(), encoding="utf-8")
    return (
        "other",
        f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}; details in {log}",
    )


def _seconds_before(partial: Path) -> float:
    """Seconds that a killed run already spent on this stage."""
    try:
        return float((partial / "seconds").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def _write_seconds(partial: Path, seconds: float) -> None:
    (partial / "seconds").write_text(f"{seconds:.1f}", encoding="utf-8")
