"""Opening what should be a file: only a regular one is ever read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from suite.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes, without waiting: opening a named pipe would wait for a writer, perhaps for ever.

    What was opened is asked, not the path before it, so nothing can take its place in between. Raises InputError, naming
    the path, if it is a named pipe, a socket or a device, and OSError as `open` does.
    """
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        if error.errno == errno.ENXIO:  # what Linux says of a socket
            raise _refusal(path, stat.S_IFSOCK) from None
        raise
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise _refusal(path, stat.S_IFMT(mode))
    return file


def _refusal(path: str | Path, kind: int) -> InputError:
    return InputError(f"{path}: is {_KINDS.get(kind, 'something else')}, not a regular file; put the file there")
