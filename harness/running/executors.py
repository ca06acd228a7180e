"""Runs the stages of a plan on this machine: side by side where a stage takes one thread, one to a GPU otherwise.

Every slot has a device and the one process that works on it: a process that is killed takes no other stage with it.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.running import environment, scheduling, signals, stage_folders, worker
from harness.running.machines import Machine
from harness.running.progress import Display
from harness.running.scheduling import Failure
from harness.running.worker import Bench, Run

# How long processes that are asked to end may take to write their checkpoints.
SECONDS_TO_STOP = 30.0
# How long processes without a stage may take to end.
SECONDS_TO_LEAVE = 5.0


def execute(
    plan: Plan, run: Run, roots: dict[str, Path], runs: Path, machine: Machine, finished: Callable[[Stage], None]
) -> None:
    """Run every stage that is not done yet, each after its inputs. A stage that fails holds up only those that need it.
    What is damaged is not done: it is set aside and said; what was made of it and is whole stays.

    Args:
        run: runs one stage; see worker.Run.
        roots: data root by dataset name.
        finished: told of each stage when it and its inputs are done, now or by earlier runs; may raise a failure of it.

    Raises:
        UsageError: bad data, raised when all that does not need them is done; or the disk is full, or too few files may be
            open: stages under way are asked to end.
        StageError: a stage failed; raised when all that does not need it is done.
        Finished stages are kept in all cases.
    """
    done = {key for key, stage in plan.stages.items() if stage_folders.settle(stage.folder(runs))}
    missing = [stage for stage in plan.stages.values() if stage.key not in done]
    commit = ("", False)
    if missing:
        commit = environment.commit(Path(__file__).parent)
        _check_space(runs)
    bench = Bench(
        run,
        roots,
        runs,
        device="",
        workers=machine.workers,
        checkers=machine.slots,
        threads=machine.threads,
        tensorboard=machine.tensorboard,
        commit=commit,
    )
    devices = machine.devices * (machine.slots if machine.devices == ("cpu",) else 1)
    with Display(missing) as display, _Processes(plan, devices, bench, display) as crew:
        scheduling.work_through(plan, done, crew, finished, display)


class _Processes:
    """The crew on this machine: a device and a process to each slot, joined to this one by a pipe."""

    def __init__(self, plan: Plan, devices: tuple[str, ...], bench: Bench, display: Display):
        self._plan, self._bench, self._display = plan, bench, display
        self._members = [_Member(replace(bench, device=device)) for device in devices]
        self._stages: dict[int, Stage] = {}
        self.slots = len(self._members)

    def __enter__(self) -> "_Processes":
        self._at_suspension = None
        if threading.current_thread() is threading.main_thread():
            self._at_suspension = signal.signal(signal.SIGTSTP, self._suspend)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self._stop()
            self._dismiss()
        finally:
            # Also when a second signal came while the processes were ending.
            with signals.held():
                for member in self._members:
                    member.kill()
            if self._at_suspension is not None:
                signal.signal(signal.SIGTSTP, self._at_suspension)

    def start(self, slot: int, stage: Stage) -> None:
        folders = {role: self._plan.stages[key].folder(self._bench.runs) for role, key in stage.inputs.items()}
        self._stages[slot] = stage
        self._members[slot].begin(stage, folders)

    def wait(self) -> list[tuple[int, Failure | None]]:
        while True:
            ended = []
            for slot in self._heard_of(None):
                stage = self._stages[slot]
                for what, *told in self._members[slot].messages():
                    if what == "progress":
                        self._display.moved(stage.key, *told)
                    else:
                        del self._stages[slot]
                        ended.append((slot, self._failure(slot, stage, *told)))
            if ended:
                return ended

    def _heard_of(self, seconds: float | None) -> list[int]:
        """Slots with a stage whose process said something or ended, or none after `seconds`."""
        slots = {slot: self._members[slot].sources() for slot in self._stages}
        heard = connection.wait([source for sources in slots.values() for source in sources], seconds)
        return sorted(slot for slot, sources in slots.items() if any(source in heard for source in sources))

    def _failure(self, slot: int, stage: Stage, failure: tuple[str, str] | None) -> Failure | None:
        """A stage's failure in one line. Raises UsageError for one that no stage would escape."""
        if failure is None:
            return None
        kind, message = failure
        if kind == "full":
            raise UsageError(
                f"{self._bench.runs}: the disk is full; free space and run again, finished stages are kept"
            )
        if kind == "files":
            raise UsageError(too_many_files())
        if kind == "input":
            return UsageError(message)
        if kind in ("killed", "stopped"):
            self._members[slot].kill()
        if kind == "killed":
            message = "its process was killed (out of memory?); run again to go on from its checkpoint"
        if kind == "stopped":
            message = "its process was terminated; run again to go on from its checkpoint"
        return StageError(f"{stage.label()}: {message}")

    def _stop(self) -> None:
        """Ask the processes with a stage to end, and give them time for a checkpoint."""
        # One that could not be started has none.
        self._stages = {slot: stage for slot, stage in self._stages.items() if self._members[slot].sources()}
        for slot in self._stages:
            self._members[slot].signal(signal.SIGTERM)
        until = time.monotonic() + SECONDS_TO_STOP
        while self._stages and (heard := self._heard_of(max(until - time.monotonic(), 0.0))):
            for slot in heard:
                if any(what == "ended" for what, *_ in self._members[slot].messages()):
                    del self._stages[slot]

    def _dismiss(self) -> None:
        """Let the processes without a stage end."""
        leaving = [member.dismiss() for slot, member in enumerate(self._members) if slot not in self._stages]
        until = time.monotonic() + SECONDS_TO_LEAVE
        for ended in filter(None, leaving):
            connection.wait([ended], max(until - time.monotonic(), 0.0))

    def _suspend(self, number: int, frame: object) -> None:
        """Ctrl-Z: the processes are in groups of their own, which the terminal does not stop."""
        for member in self._members:
            member.signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        for member in self._members:
            member.signal(signal.SIGCONT)


@dataclass(frozen=True)
class _Running:
    """A process that works: its end of the pipe, and what is ready when it is dead."""

    process: SpawnProcess
    number: int
    channel: Connection
    dead: int


class _Member:
    """A slot's process, started when there is a stage for it, and anew when it was killed."""

    def __init__(self, bench: Bench):
        self._bench = bench
        self._running: _Running | None = None

    def begin(self, stage: Stage, inputs: dict[str, Path]) -> None:
        """Hand the process a stage."""
        if self._running is not None:
            try:
                self._running.channel.send((stage, inputs))
                return
            except OSError:
                self.kill()
        try:
            running = self._start()
        except OSError as error:
            if error.errno in worker.TOO_MANY_FILES:
                raise UsageError(too_many_files()) from None
            raise UsageError(f"no process can be started ({error.strerror}); look at ulimit -u and at memory") from None
        # One that is dead already is found dead later.
        with suppress(OSError):
            running.channel.send((stage, inputs))

    def _start(self) -> _Running:
        # Before signals are held: it lets them go.
        resource_tracker.ensure_running()
        with signals.held():
            ours, theirs = connection.Pipe()
            try:
                process = get_context("spawn").Process(target=worker.serve, args=(theirs, self._bench))
                process.start()
                assert process.pid is not None  # it was started
                self._running = _Running(process, process.pid, ours, _end_of(process))
            finally:
                theirs.close()
        return self._running

    def sources(self) -> "tuple[Connection | int, ...]":
        """What `connection.wait` is to look at; nothing without a process."""
        return () if self._running is None else (self._running.channel, self._running.dead)

    def messages(self) -> list[tuple[Any, ...]]:
        """What the process said; one that is dead without an end of its stage says ("ended", ("killed", ""))."""
        if self._running is None:
            return []
        dead, found = bool(connection.wait([self._running.dead], 0)), []
        try:
            while self._running.channel.poll():
                found.append(self._running.channel.recv())
        except (EOFError, OSError):
            dead = True
        if dead and not any(what == "ended" for what, *_ in found):
            found.append(("ended", ("killed", "")))
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the process; SIGSTOP and SIGCONT to all that it started, too."""
        if self._running is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGTERM:
                os.kill(self._running.number, number)
            else:
                os.killpg(self._running.number, number)

    def dismiss(self) -> int | None:
        """Let the process end; returns what is ready when it has."""
        if self._running is None:
            return None
        self._running.channel.close()
        return self._running.dead

    def kill(self) -> None:
        """End the process at once with all that it started."""
        if self._running is None:
            return
        for end in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                end(self._running.number, signal.SIGKILL)
        self._running.process.join(SECONDS_TO_LEAVE)
        self._running.channel.close()
        if self._running.dead != self._running.process.sentinel:
            os.close(self._running.dead)
        self._running = None


def _end_of(process: SpawnProcess) -> int:
    """A file descriptor that is ready when the process is dead.

    The sentinel of multiprocessing waits for all that hold its other end, such as the loader processes of a killed one.
    """
    try:
        return os.pidfd_open(process.pid or 0)
    except (AttributeError, OSError):  # no Linux, or an old one
        return process.sentinel


def _check_space(runs: Path) -> None:
    if shutil.disk_usage(runs).free < 64 * 2**20:
        raise UsageError(
            f"{runs}: the disk is full (less than 64 MiB free); free space and run again, finished stages are kept"
        )


def too_many_files() -> str:
    """What to say when no more files may be open."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"more files would be open than the limit of {limit} allows (ulimit -n); raise it, such as by ulimit -n 1024"
