"""Files that are whole after a power cut: flushed to the disk before they are renamed into place."""

import os
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
