"""Files that are whole after a power cut, and what becomes of those that are not: nothing is ever deleted."""

import os
import sys
from contextlib import suppress
from pathlib import Path

# What the file under way is called, before it gets its own name.
UNDER_WAY = ".part"


def write(path: Path, content: bytes) -> None:
    """Write a file, all or nothing: `path` is the old file or the new one, never half, whatever ends the process or the
    machine. A file that holds the content already is left alone.
    """
    with suppress(OSError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    # A short name of its own: the path's name may be as long as a name can be.
    beside = path.with_name(f".{os.getpid()}{UNDER_WAY}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems flush no folders, and have no need to.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def set_aside(path: Path, name: str, what: str, then: str) -> None:
    """Move a damaged file or folder out of the way of a new one, as `<name>.damaged-1`, and say so on stderr.

    Args:
        what: what is wrong with it, with the file's name.
        then: what becomes of it.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{name}.damaged-{number}")):
        number += 1
    os.replace(path, aside)
    line = f"damaged: {what}; set aside as {aside.name}, {then}"
    # A name may hold bytes that are no text.
    print(line.encode(errors="backslashreplace").decode(), file=sys.stderr, flush=True)


def clear(folder: Path) -> None:
    """Remove the files that processes which were killed had under way below a folder."""
    for path in folder.rglob(f".*{UNDER_WAY}"):
        number = path.name.removeprefix(".").removesuffix(UNDER_WAY)
        if number.isdigit() and not _lives(int(number)):
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
