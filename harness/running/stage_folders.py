"""The folder of a stage, `<kind>/<key>`: made, judged and read here alone.

A stage writes into `<key>.partial`. When it is done, `result.json` names all files with their sizes, everything is flushed
to the disk, and the folder gets its own name: a power cut leaves a folder that is whole, or none under that name. One that
is damaged all the same, by a disk or by hand, is not finished: it is set aside as `<key>.damaged-1` and never deleted.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import durable
from harness.errors import UsageError
from harness.plan import Stage

RESULT = "result.json"
# How the suite ends the names of files that it has not finished; they are dropped when the stage is done.
UNDER_WAY = ".writing"


def partial(folder: Path) -> Path:
    """Where a stage writes until it is done."""
    return folder.with_name(f"{folder.name}.partial")


def begin(folder: Path, *, resumes: bool) -> Path:
    """The folder for a stage to write into; empty unless the stage goes on from what it left behind."""
    unfinished = partial(folder)
    if not resumes:
        shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, exist_ok=True)
    return unfinished


def finish(folder: Path, content: dict[str, Any]) -> None:
    """Close a stage's folder with its result and move it into place; after this a power cut takes nothing of it."""
    unfinished, files = partial(folder), {}
    (unfinished / RESULT).unlink(missing_ok=True)
    for parent, _, names in os.walk(unfinished, topdown=False):
        for path in (Path(parent, name) for name in names):
            if path.name.endswith(UNDER_WAY):
                path.unlink()
                continue
            durable.flush(path)
            files[path.relative_to(unfinished).as_posix()] = path.stat().st_size
        durable.flush(Path(parent))
    text = json.dumps(content | {"files": dict(sorted(files.items()))}, indent=1)
    (unfinished / RESULT).write_text(f"{text}\n", encoding="utf-8")
    durable.flush(unfinished / RESULT)
    durable.flush(unfinished)
    os.replace(unfinished, folder)
    durable.flush(folder.parent)
    durable.flush(folder.parent.parent)


def drop(folder: Path) -> None:
    """Take back a finished stage that is to be computed anew, at once and whole."""
    if os.path.lexists(folder):
        shutil.rmtree(partial(folder), ignore_errors=True)
        os.replace(folder, partial(folder))
        shutil.rmtree(partial(folder))


def done(stage: Stage, runs: Path) -> bool:
    """Whether a stage's folder is in place and whole. Looks at every file: ask once, and remember."""
    return finished(stage.folder(runs))


def finished(folder: Path) -> bool:
    """Whether a stage is done and all that it left is there."""
    return os.path.lexists(folder) and damage(folder) is None


def damage(folder: Path) -> str | None:
    """What is wrong with the folder of a stage, with the file's name; None for one that is whole, or not there.

    Raises UsageError where that cannot be told: a file that may not be read is no damaged one.
    """
    if not os.path.lexists(folder):
        return None
    path = folder / RESULT
    size = _size(path)
    if size is None:
        return f"{path} is missing"
    if not size:
        return f"{path} is empty"
    try:
        content = _parsed(path)
    except ValueError as error:
        return f"{path} is {error}"
    # Results of earlier versions name no files.
    for name, expected in content.get("files", {}).items():
        size = _size(folder / name)
        if size is None:
            return f"{folder / name} is missing"
        if size != expected:
            return f"{folder / name} has {size} bytes, not {expected}"
    return None


def read(folder: Path) -> dict[str, Any]:
    """What a finished stage left as its result. Raises UsageError, naming the file, where it cannot be read."""
    path = folder / RESULT
    try:
        return _parsed(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: not there (any more); run again") from None
    except ValueError as error:
        raise UsageError(f"{path} is {error}; run again, it will be set aside and computed anew") from None


def results(runs: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Results of all finished stages of a kind, whatever plan they belong to; what cannot be read is left out."""
    for path in sorted(runs.glob(f"{kind}/*/{RESULT}")):
        # Neither `.partial` nor `.damaged-1`.
        if "." not in path.parent.name and _size(path):
            try:
                yield _parsed(path)
            except (OSError, ValueError):
                continue


def settle(folder: Path) -> bool:
    """Whether a stage is finished. What is damaged is set aside, which is said on stderr; only for the holder of the lock."""
    found = damage(folder)
    if found is not None:
        set_aside(folder, found)
        return False
    return folder.exists()


def set_aside(folder: Path, found: str) -> None:
    """Move a damaged folder out of the way of a new one, and say so."""
    durable.set_aside(folder, folder.name.removesuffix(".partial"), found, "and computed again")


def _parsed(path: Path) -> dict[str, Any]:
    """Raises ValueError with what the file is instead."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        raise ValueError("no whole JSON") from None
    if not isinstance(content, dict) or "result" not in content or not isinstance(content.get("files", {}), dict):
        raise ValueError("no result of a stage")
    return content


def _size(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be looked at ({error.strerror}); mend that, or give another --runs") from None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
