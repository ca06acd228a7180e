"""Runs the stages of a plan on this machine: side by side where a stage takes one thread, one to a GPU otherwise.

A stage writes into `<key>.partial` and is renamed into place when it is done, so that a folder under its key is always
whole. A stage that was killed goes on from its last checkpoint.
"""

import errno
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.managers import SyncManager
from pathlib import Path

from harness import environment
from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.progress import Display

# Stages that can go on from what they left behind; the others start anew.
RESUMABLE = ("pretrain", "finetune", "flow", "question-baseline", "video-qa")
# What an operating system says when a disk, a quota or a limit on file sizes is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What NumPy says of it, without an error number.
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


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


def execute(
    plan: Plan, run: Callable, roots: dict[str, Path], runs: Path, machine: Machine, finished: Callable[[Stage], None]
) -> None:
    """Run every stage that is not done yet, each after its inputs. A stage that fails holds up only those that need it.

    Args:
        run: called in a worker as run(kind, config, inputs, roots, folder, device, workers, threads, tensorboard,
            progress); returns the stage's result and what it says of its environment, both JSON-able.
        roots: data root by dataset name.
        finished: told of each stage that is done, those of earlier runs first; may raise UsageError, which ends the run.

    Raises:
        UsageError: bad data, or the disk is full; stages under way are ended.
        StageError: a stage failed; raised when all that does not need it is done.
        Finished stages are kept in both cases.
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
    devices = machine.devices * (machine.slots if machine.devices == ("cpu",) else 1)
    slots = [_Slot(device, context) for device in devices]
    free = list(slots)
    running: dict[Future, tuple[Stage, _Slot]] = {}
    failures: list[StageError] = []
    manager = SyncManager(ctx=context)
    manager.start(_end_with_parent)
    with manager, Display(list(waiting.values())) as display:
        messages = manager.Queue()
        listener = threading.Thread(target=_listen, args=(messages, display), daemon=True)
        listener.start()
        try:
            while True:
                for key in [key for key, stage in waiting.items() if _ready(stage, plan, runs)]:
                    if not free:
                        break
                    stage, slot = waiting.pop(key), free.pop()
                    inputs = {role: str(plan.stages[k].folder(runs)) for role, k in stage.inputs.items()}
                    task = (run, stage, inputs, roots, str(runs), slot.device, machine, commit, messages)
                    running[slot.submit(*task)] = (stage, slot)
                    display.started(stage.key)
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    stage, slot = running.pop(future)
                    free.append(slot)
                    try:
                        _settle(future, stage, runs)
                    except StageError as error:
                        failures.append(error)
                        display.ended(stage.key, failure=str(error))
                        continue
                    display.ended(stage.key)
                    finished(stage)
        except BaseException:
            for slot in slots:
                slot.terminate()
            raise
        finally:
            for slot in slots:
                slot.close()
            # The manager may have been killed together with the workers.
            with suppress(OSError, EOFError):
                messages.put(None)
            listener.join()
    if failures or waiting:
        raise StageError(_summary(failures, len(waiting)))


class _Slot:
    """A device and the one process that works on it: a process that is killed takes no other stage with it."""

    def __init__(self, device: str, context):
        self.device = device
        self._context = context
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, *task) -> Future:
        """Run `_work(*task)`, in a new process if the last one was killed."""
        if self._pool is not None:
            try:
                return self._pool.submit(_work, *task)
            except BrokenProcessPool:
                self._pool.shutdown()
        self._pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=_end_with_parent)
        return self._pool.submit(_work, *task)

    def terminate(self) -> None:
        """End the process and the stage in it."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()

    def close(self) -> None:
        """Let the process end when its stage has."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _summary(failures: list[StageError], left_out: int) -> str:
    """The first failure, how many more there were, and how many stages were not run."""
    if not failures:
        return f"{left_out} stages were left out: results that they need were removed meanwhile; run again"
    parts = [str(failures[0])]
    if len(failures) > 1:
        parts.append(f"stages that failed besides: {len(failures) - 1}")
    if left_out:
        parts.append(f"stages left out because they need a failed one: {left_out}")
    return "; ".join(parts)


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
    # A manager that was killed ends the display of progress, not the run.
    with suppress(OSError, EOFError):
        while (message := messages.get()) is not None:
            display.moved(*message)


def _end_with_parent() -> None:
    """End this process with its parent, even one that was killed: a worker would write beside the next run's worker."""

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
            machine.threads,
            machine.tensorboard,
            progress,
        )
        for name in ("seconds", "error.txt"):
            (partial / name).unlink(missing_ok=True)
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
        return ("full", str(error)) if _disk_is_full(error) else _failed(partial, error)
    except Exception as error:
        # The suite's own errors are named by class: this module does not import the suite.
        if type(error).__name__ == "InputError":
            return "input", str(error)
        if type(error).__name__ == "TrainingError":
            return "training", str(error)
        return _failed(partial, error)
    return None


def _disk_is_full(error: OSError) -> bool:
    return error.errno in DISK_FULL or (error.errno is None and SHORT_WRITE.search(str(error)) is not None)


def _failed(partial: Path, error: Exception) -> tuple[str, str]:
    """An unforeseen failure in one line; the traceback goes to a file, if it can be written."""
    message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    log = partial / "error.txt"
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as unwritten:
        # Some libraries report a full disk as an error of their own.
        return ("full", str(unwritten)) if _disk_is_full(unwritten) else ("other", message)
    return "other", f"{message}; details in {log}"


def _seconds_before(partial: Path) -> float:
    """Seconds that a killed run already spent on this stage."""
    try:
        return float((partial / "seconds").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def _write_seconds(partial: Path, seconds: float) -> None:
    (partial / "seconds").write_text(f"{seconds:.1f}", encoding="utf-8")
