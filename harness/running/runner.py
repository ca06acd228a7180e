"""A prepared plan is run, and a record written for every measurement."""

import sys
from pathlib import Path

from harness.errors import StageError, UsageError
from harness.records import Record, Store
from harness.running import door, executors, lock
from harness.running.machines import Machine
from harness.running.preparation import Prepared
from harness.running.recording import Written
from harness.running.scheduling import Failure


def run(prepared: Prepared, runs: Path, store: Store, machine: Machine) -> tuple[list[Record], Failure | None]:
    """Run what is not done yet and write a record for every measurement.

    A record is written as soon as all that it is made of is done, so that a run that is stopped loses none.

    Returns the records in the plan's order, and the failure that others are missing for, which is for the caller to raise
    when it has shown the records; with no record at all it is raised here.
    """
    written = Written(prepared, runs, store, command_line())
    failure = None
    with lock.locked(runs):
        store.mend(prepared.paper.key)
        try:
            executors.execute(prepared.built, door.run_stage, prepared.data.roots, runs, machine, written.finished)
        except (UsageError, StageError) as error:
            failure = error
    records, failure = written.records(), failure or written.failure()
    if failure is not None and not records:
        raise failure
    return records, failure


def command_line() -> str:
    """How this process was asked, for the record; paths as they were given, bytes that are no UTF-8 as escapes."""
    words = " ".join(["python -m harness", *sys.argv[1:]])
    return words.encode("utf-8", "backslashreplace").decode("utf-8")
