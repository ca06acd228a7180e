"""A process that runs stages, one after another, and tells the run of them over a pipe.

A stage that was killed goes on from its last checkpoint; one that is asked to end (SIGTERM) writes one first.
"""

import errno
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from harness.plan import Stage
from harness.running import environment, signals, stage_folders

# Stages that can go on from what they left behind; the others start anew.
RESUMABLE = ("pretrain", "finetune", "flow", "question-baseline", "video-qa")
# What an operating system says when a disk, a quota or a limit on file sizes is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
# What NumPy says of a full disk, without an error number.
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
# Exit status of a process that ended because it was asked to.
STOPPED = 128 + signal.SIGTERM


class Run(Protocol):
    """Runs one stage; returns its result and what it says of its environment, both JSON-able."""

    def __call__(
        self,
        kind: str,
        config: dict[str, Any],
        inputs: dict[str, Path],
        roots: dict[str, Path],
        folder: Path,
        device: str,
        workers: int,
        threads: int,
        tensorboard: bool,
        progress: Callable[[int, int], None],
        /,
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """inputs: folders of earlier stages by role; folder: to write into; progress: told of what is done, and of how much."""


@dataclass(frozen=True)
class Bench:
    """What a process works with, whatever the stage."""

    run: Run
    roots: dict[str, Path]
    runs: Path
    device: str
    # Loader processes of a stage, and processes that check data.
    workers: int
    checkers: int
    threads: int
    tensorboard: bool
    # Of the working tree, and whether it held uncommitted changes.
    commit: tuple[str, bool]


def serve(channel: Connection, bench: Bench) -> None:
    """Run the stages that come through the pipe until its other end is closed.

    Takes (stage, folders of its inputs by role). Sends ("progress", done, total) on the way and ("ended", failure) at the
    end, where failure is None or (kind, message).
    """
    stop = _Stop()
    _set_up(stop)
    while not stop.asked:
        try:
            stage, inputs = channel.recv()
        except (EOFError, OSError):
            return
        stop.busy = True
        channel.send(("ended", _work(stage, inputs, bench, stop, channel)))
        stop.busy = False
    sys.exit(STOPPED)


class _Stop:
    """Whether this process was asked to end: it does at once between stages, and where a stage tells its progress within
    one."""

    def __init__(self) -> None:
        self.asked = self.busy = False

    def __call__(self, number: int, frame: object) -> None:
        self.asked = True
        # Loader processes may have been asked too and be gone: torch would make an error of that.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        if not self.busy:
            sys.exit(STOPPED)


def _set_up(stop: _Stop) -> None:
    # A group of its own: what this process starts can be ended with it, and Ctrl-C reaches the run alone.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signals.release()


def _end_with_parent() -> None:
    """End this group with the run, even one that was killed: it would write beside the next run's processes."""
    if (run := multiprocessing.parent_process()) is not None:
        multiprocessing.connection.wait([run.sentinel])
    os.killpg(0, signal.SIGKILL)


def _work(
    stage: Stage, inputs: dict[str, Path], bench: Bench, stop: _Stop, channel: Connection
) -> tuple[str, str] | None:
    """Run one stage in this process, anew where what it left behind is damaged; returns None, or (kind of failure, message)."""
    failure = _attempt(stage, inputs, bench, stop, channel)
    if failure is not None and failure[0] == "damaged":
        folder = stage.folder(bench.runs)
        try:
            stage_folders.set_aside(stage_folders.partial(folder), failure[1])
        except OSError as error:
            return _failed(stage_folders.partial(folder), error)
        failure = _attempt(stage, inputs, bench, stop, channel)
    return failure


def _attempt(
    stage: Stage, inputs: dict[str, Path], bench: Bench, stop: _Stop, channel: Connection
) -> tuple[str, str] | None:
    folder = stage.folder(bench.runs)
    partial = stage_folders.partial(folder)
    try:
        stage_folders.begin(folder, resumes=stage.kind in RESUMABLE)
        before = _seconds_before(partial)
        started = time.monotonic()
        last_shown = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal last_shown
            if stop.asked:
                # A training writes its checkpoint on the way out.
                sys.exit(STOPPED)
            now = time.monotonic()
            if now - last_shown > 0.5:
                last_shown = now
                # Neither a run that is gone nor a full disk ends a stage here.
                with suppress(OSError):
                    channel.send(("progress", done, total))
                    _write_seconds(partial, before + now - started)

        result, used = bench.run(
            stage.kind,
            stage.config,
            inputs,
            bench.roots,
            partial,
            bench.device,
            bench.checkers if stage.kind == "check-data" else bench.workers,
            bench.threads,
            bench.tensorboard,
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
            "commit": bench.commit[0],
            "dirty": bench.commit[1],
            "environment": environment.describe() | used,
            "result": result,
        }
        stage_folders.finish(folder, content)
    except SystemExit:
        return "stopped", ""
    except OSError as error:
        if error.errno in TOO_MANY_FILES:
            return "files", str(error)
        return ("full", str(error)) if _disk_is_full(error) else _failed(partial, error)
    except Exception as error:
        if stop.asked:
            return "stopped", ""
        # The suite's own errors are named by class: this module does not import the suite.
        if type(error).__name__ == "InputError":
            return "input", str(error)
        if type(error).__name__ == "DamagedError":
            return "damaged", str(error)
        if type(error).__name__ in ("TrainingError", "WorkerError"):
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
