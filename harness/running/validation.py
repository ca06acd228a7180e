"""What can be said of papers, their tasks and datasets without running anything: every fault, with its file."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from harness import tables
from harness.errors import UsageError
from harness.plan import Request
from harness.running import door, preparation
from harness.tables import Paper

Words = ParamSpec("Words")
Value = TypeVar("Value")


class Findings:
    """Faults, each once, in the order they were found; and notes on what is in order and yet worth knowing."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.checked: list[Path] = []

    def of(self, work: Callable[Words, Value], *words: Words.args, **named: Words.kwargs) -> Value | None:
        """What some work gives; None where it meets a fault, which is kept with all that came with it."""
        try:
            return work(*words, **named)
        except UsageError as error:
            for fault in (str(error), *error.more):
                if fault not in self.faults:
                    self.faults.append(fault)
            return None


def check(folder: Path, runs: Path, only: Path | None = None) -> Findings:
    """Check the papers of the reference tables in `folder` and those elsewhere, with all that they name, and the datasets.

    Args:
        runs: where the stages of a plan would lie; nothing is written there.
        only: a folder of papers; what lies in no such place is not checked, though relations may name it.
    """
    found = Findings()
    elsewhere = {name: found.of(door.elsewhere, f"{name}.toml") or {} for name in ("tables", "claims", "recipe")}
    files = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    claims = {path.stem: path for path in sorted((folder / "claims").glob("*.toml"))} | elsewhere["claims"]
    papers: dict[str, Paper] = {}
    for key, path in (files | elsewhere["tables"]).items():
        if key in files and key in elsewhere["tables"]:
            found.faults.append(f"{path}: the paper {key!r} is there already, in {files[key]}; give it another key")
        named = key if key in elsewhere["tables"] else None
        if (paper := found.of(tables.load_paper, path, named, door.dataset_names())) is not None:
            papers[key] = paper
        if _within(path, only):
            found.checked.append(path)
    for home in sorted({path.parent for name in ("claims", "recipe") for path in elsewhere[name].values()}):
        if not (home / "tables.toml").exists() and _within(home, only):
            found.faults.append(f"{home}: has no tables.toml, and is no paper without; write one, or remove the folder")
    for key, path in claims.items():
        if _within(path, only):
            found.checked.append(path)
            _check_claims(found, key, path, papers)
    for key in found.of(door.papers_with_recipe) or ():
        if _within(door.recipe_file(key), only):
            found.checked.append(door.recipe_file(key))
            _check_recipe(found, key, papers.get(key), runs)
    for name, path in door.dataset_files().items():
        if _within(path, only):
            found.checked.append(path)
            found.of(door.check_dataset, name)
    return found


def _within(path: Path, only: Path | None) -> bool:
    return only is None or path.resolve().is_relative_to(only.resolve())


def _check_claims(found: Findings, key: str, path: Path, papers: dict[str, Paper]) -> None:
    """The form of a paper's claims, the cells that they name, and whether the printed numbers bear them out as they say."""
    from harness.judging import claims

    written = found.of(claims.load_file, path, key)
    # Cells of tables that cannot be read are no fault of the claims.
    for claim in written if written and key in papers else ():
        holds = found.of(claims.holds_as_printed, claim, papers)
        if holds is not None and claim.printed_holds is not None and holds != claim.printed_holds:
            said, is_so = (str(value).lower() for value in (claim.printed_holds, holds))
            found.faults.append(
                f"{path}: claim {claim.id}: printed_holds is {said}, and by the printed numbers it is {is_so}; mend either"
            )


def _check_recipe(found: Findings, key: str, paper: Paper | None, runs: Path) -> None:
    """A recipe at every scale, its tasks, and a plan of all that its tables ask for."""
    recipes = {scale: found.of(door.load_recipe, key, scale) for scale in door.scales()}
    whole = [recipe for recipe in recipes.values() if recipe is not None]
    if whole:
        found.faults += [f"{door.recipe_file(key)}: {fault}" for fault in door.heavy(whole[0])]
    if paper is None or len(whole) < len(recipes):
        return
    for scale in recipes:
        planned = found.of(_planned, paper, scale, runs)
        for (table, row), reason in planned.built.left_out.items() if planned is not None else ():
            note = f"{key} {table} {row} cannot be run: {reason}"
            if note not in found.notes:
                found.notes.append(note)


def _planned(paper: Paper, scale: str, runs: Path) -> preparation.Prepared:
    return preparation.prepare(paper, scale, None, Request(everything=True), runs, only_plan=True)
