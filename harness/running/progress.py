"""Shows a run: one bar for the whole with the time left and one for each stage under way; plain lines without a terminal."""

import functools
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec

from harness.plan import Stage

if TYPE_CHECKING:
    from rich import progress

# A stage without a network counts as this many GMAC, so that the whole bar moves at a steady pace.
BASE_GMACS = 20.0
SECONDS_BETWEEN_LINES = 20.0


_Words = ParamSpec("_Words")


def _shown(method: Callable[_Words, None]) -> Callable[_Words, None]:
    """What a display does, without its errors: a terminal that is gone ends no work."""

    @functools.wraps(method)
    def quietly(*args: _Words.args, **kwargs: _Words.kwargs) -> None:
        with suppress(OSError, ValueError):
            method(*args, **kwargs)

    return quietly


class Display:
    """Progress of a run's stages on stderr."""

    def __init__(self, stages: list[Stage]):
        self._stages = {stage.key: stage for stage in stages}
        self._weight = {stage.key: BASE_GMACS + stage.gmacs for stage in stages}
        self._share = dict.fromkeys(self._weight, 0.0)
        self._over: set[str] = set()
        self._started = time.monotonic()
        self._last_line = self._started
        self._tasks: dict[str, progress.TaskID] = {}
        self._bars: progress.Progress | None = None
        if stages and sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._whole = self._bars.add_task(f"{len(stages)} stages", total=1.0, left="")

    def __enter__(self) -> "Display":
        self._begin()
        return self

    @_shown
    def _begin(self) -> None:
        if self._bars:
            self._bars.start()

    @_shown
    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    @_shown
    def started(self, key: str) -> None:
        """A stage begins."""
        if self._bars:
            self._tasks[key] = self._bars.add_task(self._stages[key].label(), total=1.0, left="")

    @_shown
    def moved(self, key: str, done: int, total: int) -> None:
        """A stage is at `done` of `total`; a message that comes after its end is passed over."""
        if key in self._over:
            return
        self._share[key] = min(done / total, 1.0) if total else 0.0
        if self._bars and key in self._tasks:
            self._bars.update(self._tasks[key], completed=self._share[key])
            self._bars.update(self._whole, completed=self._done(), left=self._left())
        elif not self._bars and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._line(f"{self._stages[key].label()} at {100 * self._share[key]:.0f} %")

    @_shown
    def ended(self, key: str, failure: str = "") -> None:
        """A stage is over: done, or failed with a message that names it."""
        self._share[key] = 1.0
        self._over.add(key)
        if not self._bars:
            self._line(failure or f"{self._stages[key].label()} done")
            return
        if key in self._tasks:
            self._bars.remove_task(self._tasks.pop(key))
        self._bars.update(self._whole, completed=self._done(), left=self._left())
        if failure:
            self._bars.console.print(failure, markup=False, highlight=False, soft_wrap=True)

    def _done(self) -> float:
        return sum(self._weight[key] * share for key, share in self._share.items()) / sum(self._weight.values())

    def _left(self) -> str:
        done = self._done()
        if done < 0.01:
            return ""
        seconds = (time.monotonic() - self._started) * (1 - done) / done
        return (
            f"{seconds / 3600:.1f} h left"
            if seconds > 7200
            else f"{seconds / 60:.0f} min left"
            if seconds > 90
            else f"{seconds:.0f} s left"
        )

    def _line(self, what: str) -> None:
        self._last_line = time.monotonic()
        print(
            f"[{len(self._over)}/{len(self._share)}, {100 * self._done():.0f} %, {self._left()}] {what}",
            file=sys.stderr,
            flush=True,
        )
