"""Signals that ask the run to end: Ctrl-C, the end of a terminal, a batch system that wants its machine back."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# What each is called in the one line about it.
ENDING: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminal closed"}


class Interrupted(BaseException):
    """A signal asked this process to end. Not KeyboardInterrupt, of which the option parser makes an exit code."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextmanager
def handled() -> Iterator[None]:
    """Within, a signal raises Interrupted; outside that is one line and exit code 128 + its number.

    A signal that the caller of this program ignores (nohup, a job in the background) stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    except Interrupted as error:
        ignore()
        # The terminal may be gone.
        with suppress(OSError, ValueError):
            print(f"error: {ENDING[error.number]}; run the same command again to go on", file=sys.stderr, flush=True)
        sys.exit(128 + error.number)


@contextmanager
def held() -> Iterator[None]:
    """Within, these signals wait. Processes started within begin so, and must call `release`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """Let the signals that were held come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def ignore() -> None:
    """Pass over these signals from now on."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)
