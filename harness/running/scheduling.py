"""Which stage of a plan runs when, and what comes of it. Knows nothing of processes.

What is told and raised follows from the plan and from what each stage does, never from the order in which stages end.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.running.progress import Display

Failure = UsageError | StageError


class Crew(Protocol):
    """Who works on stages: slots by number, each with one stage at a time."""

    slots: int

    def start(self, slot: int, stage: Stage) -> None:
        """Begin a stage in a slot that has none."""

    def wait(self) -> list[tuple[int, Failure | None]]:
        """Wait until a stage ends; the slots whose stages have ended, each with its failure."""


def work_through(
    plan: Plan, done: Collection[str], crew: Crew, finished: Callable[[Stage], None], display: Display
) -> None:
    """Run every stage that is not done yet, each after its inputs. A failure holds up only the stages that need it.

    Args:
        done: keys of the stages that earlier runs have done.
        finished: told of each stage when it and its inputs are done, now or by earlier runs; may raise a failure of it.

    Raises:
        UsageError, StageError: the failure of the first stage in the plan's order that has one, with the number of other
            failures and of stages held up; raised when all that does not need a failed stage is done.
    """
    failures: dict[str, Failure] = {}
    passed: set[str] = set()

    def settle(stage: Stage, failure: Failure | None = None) -> None:
        if failure is None:
            try:
                finished(stage)
            except (UsageError, StageError) as error:
                failure = error
        if failure is None:
            passed.add(stage.key)
        else:
            failures[stage.key] = failure

    waiting = dict(plan.stages)
    # The first slot and the first stage in the plan's order come first.
    free = list(range(crew.slots))
    running: dict[int, Stage] = {}
    while True:
        ready = [stage for stage in waiting.values() if passed.issuperset(stage.inputs.values())]
        if there := [stage for stage in ready if stage.key in done]:
            for stage in there:
                settle(waiting.pop(stage.key))
            continue
        for stage in ready[: len(free)]:
            slot = free.pop(0)
            running[slot] = waiting.pop(stage.key)
            display.started(stage.key)
            crew.start(slot, stage)
        if not running:
            break
        for slot, failure in crew.wait():
            stage = running.pop(slot)
            free = sorted([*free, slot])
            settle(stage, failure)
            display.ended(stage.key, failure=str(failures.get(stage.key, "")))
    if failures:
        raise _reported([failures[key] for key in plan.stages if key in failures], len(waiting))


def _reported(failures: list[Failure], held_up: int) -> Failure:
    """The first failure, with how many more there are, and how many stages were not run."""
    parts = [str(failures[0])]
    if len(failures) > 1:
        parts.append(f"stages that failed besides: {len(failures) - 1}")
    if held_up:
        parts.append(f"stages left out because they need a failed one: {held_up}")
    return type(failures[0])("; ".join(parts))
