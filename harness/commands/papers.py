"""Papers of one's own: files to start from, and whether papers are in order."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import commands, options, parsing
from harness.commands.shared import say
from harness.errors import UsageError
from harness.options import Places, RunsFolder
from harness.running import door, new_paper, validation
from harness.words import one_line


def write_new(
    key: Annotated[str, typer.Argument(metavar="KEY", help="What the paper is to be called, such as shuffle-learn.")],
    folder: Annotated[
        Path, typer.Option("--in", parser=parsing.folder, metavar="DIR", help="Folder of papers to write into.")
    ] = Path("papers"),
    places: Places = None,
) -> None:
    """Write a paper's files to start from; they run at the tiny scale at once."""
    there = {path.stem: path for path in commands.TABLES.glob("*.toml")} | door.elsewhere("tables.toml")
    for path in new_paper.write(key, folder, there):
        say(str(path))
    say(f"check them: python -m harness validate {folder}")
    say(f"run them:   python -m harness run {key} --papers {folder}")


def validate(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", parser=parsing.path, help="A folder of papers; without it, all that there are."
        ),
    ] = None,
    runs: RunsFolder = options.RUNS,
    places: Places = None,
) -> int:
    """Check tables, claims, recipes, tasks and datasets without running anything; exit 2 where there is a fault."""
    if folder is not None and folder.resolve() not in map(Path.resolve, places or ()):
        door.add_papers([folder])
    found = validation.check(commands.TABLES, runs, folder)
    if not found.checked:
        raise UsageError(
            f"{folder}: holds no paper and no dataset; `python -m harness new-paper KEY --in {folder}` starts one"
        )
    for note in found.notes:
        say(f"note: {note}")
    for fault in found.faults:
        print(f"error: {one_line(fault)}", file=sys.stderr)
    count, faults = len(found.checked), len(found.faults)
    print(f"{count} file{'s'[: count > 1]} checked, {faults or 'no'} fault{'s'[: faults != 1]}")
    return 2 if found.faults else 0
