"""Files that a person names: only regular ones are opened, since a pipe or a device never ends."""

import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import UsageError


def read(path: Path | str) -> bytes:
    """The bytes of a regular file. Raises UsageError that names it where it is none or cannot be read."""
    try:
        # Opening a pipe would wait for somebody to write to it.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        with open(number, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise UsageError(f"{path}: is no regular file")
            return file.read()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def toml(path: Path, number: Callable[[str], Any] = float) -> dict[str, Any]:
    """What a regular file of TOML holds; number: makes a number of its letters. Raises UsageError, one line, as `read` does and
    for what is no TOML."""
    try:
        return tomllib.loads(read(path).decode(), parse_float=number)
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    # Python itself refuses numbers of thousands of digits, and tables in tables without end.
    except (ValueError, RecursionError) as error:
        found = re.fullmatch(r"(?s)(.*) \(at (?:(line \d+), column \d+|(end of document))\)", str(error))
        what, line, end = found.groups() if found else (str(error), None, None)
        where = f"{line or 'end of file'}: " if line or end else ""
        raise UsageError(f"{path}: {where}not valid TOML: {what}") from None


def writable(path: Path, option: str) -> Path:
    """The path, where a file can be written to it. Raises UsageError for a folder, a pipe or a device, and without a folder
    to write in."""
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise UsageError(f"{option} {path}: is no regular file; name one, or leave {option} out for standard output")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: no such folder as {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{option} {path}: cannot be written to; check its permissions")
    return path
