"""Signals that ask real runs to end: one line, a checkpoint, no process left, and the next run goes on as if never asked."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.running import executors
from tests.campaign import kills

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc, to find processes in")

# A training and its measurement.
ASKED = ("run", "vcop", "--tables", "table1", "--rows", "r3d", "--device", "cpu")
# Far more than anything here takes, in seconds.
PATIENCE = 120.0
# Exit code and line of each signal.
SAID = {
    signal.SIGINT: (130, "error: interrupted; run the same command again to go on"),
    signal.SIGTERM: (143, "error: terminated; run the same command again to go on"),
    signal.SIGHUP: (129, "error: terminal closed; run the same command again to go on"),
}


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """A short training that writes no checkpoint but when it is asked to end."""
    monkeypatch.setenv("BRIEFLY_EPOCHS", "1")
    monkeypatch.setenv("BRIEFLY_CHECKPOINT_SECONDS", "3600")


class Started:
    """A run under way, with what it says from now on."""

    def __init__(self, folder: Path, *words: str):
        self.log = folder / "log"
        self._before = self.log.stat().st_size if self.log.exists() else 0
        self.since = time.time_ns()
        self.run = kills.Run(folder, words)
        self.pid = self.run.main.pid

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_) -> None:
        self.run.end()
        shutil.rmtree(self.run.temporary, ignore_errors=True)

    def until(self, condition: Callable[[], object]) -> None:
        """Look until something is so; fails when the run ends before."""
        latest = time.monotonic() + PATIENCE
        while not condition():
            assert not self.run.over(0.01), self.said()
            assert time.monotonic() < latest, self.said()

    def written(self, pattern: str) -> list[Path]:
        """Files of the runs folder that were written since this run started."""
        found = (self.run.folder / "runs").glob(pattern)
        return [path for path in found if path.stat().st_mtime_ns > self.since]

    def ended(self) -> int:
        """The exit code of a run that leaves nothing behind."""
        assert self.run.over(PATIENCE), self.said()
        latest = time.monotonic() + PATIENCE
        # The tracker of resources ends when it has seen the others end.
        while left := self.run.processes():
            assert time.monotonic() < latest, left
        assert [path.name for path in self.run.temporary.glob("*") if not path.name.startswith("torchinductor")] == []
        return self.run.main.returncode

    def said(self) -> list[str]:
        """Lines of this run but for those about its way."""
        lines = self.log.read_bytes()[self._before :].decode().splitlines()
        return [line for line in lines if not re.match(r"\[\d+/\d+, |vcop at tiny scale", line)]


def training(folder: Path) -> Started:
    """A run that is in the middle of its training."""
    started = Started(folder, *ASKED)
    # Written when a step begins.
    started.until(lambda: started.written("pretrain/*.partial/seconds"))
    assert not started.written("pretrain/*.partial/training.pt")
    return started


def caught(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    text = Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.search(r"^SigCgt:\s*(\w+)", text, re.MULTILINE)[1], 16) >> (number - 1) & 1)


def test_a_training_that_is_asked_to_end_goes_on_as_if_never_asked(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "asked"
    kills.reference(whole, ASKED)
    for who, number in (
        ("group", signal.SIGINT),
        ("main", signal.SIGTERM),
        ("main", signal.SIGHUP),
        ("worker", signal.SIGTERM),
    ):
        with training(folder) as started:
            if who == "group":
                os.killpg(started.pid, number)
            else:
                (victim,) = started.run.victims(who)
                os.kill(victim, number)
            code = started.ended()
            assert len(started.written("pretrain/*.partial/training.pt")) == 1, (who, number)
            if who == "worker":
                assert code == 1
                (line,) = started.said()
                assert line.startswith(
                    "error: pretrain r3d vcop seed 0: its process was terminated; run again to go on"
                )
            else:
                assert (code, *started.said()) == SAID[number], who
    with training(folder) as started:
        (worker,) = started.run.victims("worker")
        # It cannot write its checkpoint: a run that is asked once waits for it.
        os.kill(worker, signal.SIGSTOP)
        before = time.monotonic()
        os.kill(started.pid, signal.SIGINT)
        while not started.run.over(1):
            os.kill(started.pid, signal.SIGINT)
        assert time.monotonic() - before < executors.SECONDS_TO_STOP
        assert (started.ended(), *started.said()) == SAID[signal.SIGINT]
    with Started(folder, *ASKED) as started:
        assert started.ended() == 0, started.said()
    tally = kills.Tally()
    assert kills.compare(folder, whole, tally) > 10
    assert tally.faults() == []


@pytest.mark.parametrize("number", SAID, ids=lambda number: number.name)
def test_asked_before_any_stage(tmp_path, number):
    with Started(tmp_path, *ASKED) as started:
        started.until(lambda: caught(started.pid, signal.SIGTERM) and caught(started.pid, signal.SIGHUP))
        os.kill(started.pid, number)
        assert (started.ended(), *started.said()) == SAID[number]
    assert not list((tmp_path / "runs").rglob("result.json"))
