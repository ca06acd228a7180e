"""Checks of data on disk: brought up to date before anything is planned on them, because keys hold the contents they find."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from harness.plan import DataFacts, Plan, Stage, check_stage
from harness.running import door, executors, lock, machines, stage_folders
from harness.running.door import Data

# Folder under the runs folder of what checks found file by file.
MEMOS = "checked-files"
# Videos with notes, and pairs of the same bytes, that are named; the others are counted.
MOST_NAMED = 10


def known(data: Data, runs: Path) -> Data:
    """The same with the contents of all data on disk whose check still holds."""
    facts = dict(data.facts)
    for name, stage in stages(data).items():
        if stage_folders.done(stage, runs):
            found = stage_folders.read(stage.folder(runs))["result"]["facts"]
            # What the system would not read may be there by now, without a trace on the file.
            facts[name] = replace(facts[name], contents="" if found["refused"] else found["sha256"])
    return replace(data, facts=facts)


def bring_up_to_date(data: Data, runs: Path, *, again: bool = False) -> Data:
    """Check all data on disk whose check does not hold any more, and return the data with their contents.

    Only files whose size, times or inode changed since the last check are read; `again` reads all. Raises UsageError where
    data cannot be checked. That videos are unreadable is found, not judged.
    """
    checks = stages(data)
    contents = {} if again else {name: facts.contents for name, facts in known(data, runs).facts.items()}
    if missing := {name: stage for name, stage in checks.items() if not contents.get(name)}:
        built = Plan()
        with lock.locked(runs):
            for name, stage in missing.items():
                built.add(stage)
                if stage_folders.done(stage, runs):
                    stage_folders.drop(stage.folder(runs))
                if again:
                    (_memos(data, name, stage, runs) / f"{name}.jsonl").unlink(missing_ok=True)
            one = next(iter(missing))
            roots = data.roots | {"memo": _memos(data, one, missing[one], runs)}
            executors.execute(
                built, door.run_stage, roots, runs, machines.find("cpu", None, 1, False), lambda stage: None
            )
    facts = dict(data.facts)
    for name, stage in checks.items():
        found = stage_folders.read(stage.folder(runs))["result"]["facts"]
        facts[name] = replace(facts[name], contents=found["sha256"])
    return replace(data, facts=facts)


def stages(data: Data) -> dict[str, Stage]:
    """The stages that check the data on disk, by dataset."""
    versions = door.stage_versions()
    return {name: check_stage(name, facts, versions, {}) for name, facts in data.facts.items() if facts.state}


def _memos(data: Data, name: str, stage: Stage, runs: Path) -> Path:
    """Where checks of this version keep what they found of the files below one data root: all datasets of a run share it."""
    root = hashlib.sha256(os.fsencode(data.roots[name].resolve())).hexdigest()[:12]
    return runs / MEMOS / f"{root}-v{stage.version}"


def describe(stage: Stage, runs: Path, facts: DataFacts) -> list[str]:
    """What a finished check found, a line each."""
    result = stage_folders.read(stage.folder(runs))["result"]
    name, counts, details = stage.config["dataset"], result["counts"], result["facts"]
    totals = ", ".join(f"{counts[what]} {what}" for what in ("listed", "decoded", "unreadable", "missing"))
    lines = [f"{name}: {facts.fingerprint} ({facts.scope}); videos: {totals}"]
    lines += [
        f"  split {split}: {sizes['train']} train, {sizes['test']} test" for split, sizes in details["listed"].items()
    ]
    lines.append(f"  sizes: {', '.join(f'{size} ({count})' for size, count in details['sizes'].items())}")
    lines.append(f"  sha256 over all files: {details['sha256']}")
    lines += [f"  unreadable: {video}: {reason}" for video, reason in details["unreadable"].items()]
    if counts["disagree"]:
        lines.append(f"  kept, with another number of frames than their headers give: {counts['disagree']}")
    noted = [f"  {video}: {'; '.join(notes)}" for video, notes in details["notes"].items()]
    lines += _first(noted, len(noted))
    if counts["duplicates"]:
        lines.append(f"  the same bytes under several names: {counts['duplicates']}")
        lines += _first([f"  {' = '.join(names)}" for names in details["duplicates"]], counts["duplicates"])
    for split, across in details["duplicates_across"].items():
        if across["count"]:
            lines.append(f"  split {split}: test videos with the bytes of a training video: {across['count']}")
            pairs = [f"  {test} (test) = {train} (train)" for test, train in across["first"]]
            lines += _first(pairs, across["count"])
    return lines


def _first(lines: list[str], count: int) -> list[str]:
    """The first of these lines, further in, and how many are not shown."""
    shown = [f"  {line}" for line in lines[:MOST_NAMED]]
    return shown + ([f"    and {count - len(shown)} more, in videos.json of the check"] if count > len(shown) else [])
