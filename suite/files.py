"""Files: only a regular one is ever read, and one that takes the place of another is whole, or not there."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path

from suite.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path) -> BufferedReader:
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


@contextmanager
def replacing(path: Path) -> Iterator[BufferedWriter]:
    """A file to write, beside `path`, that takes its place at the end: `path` is the old file or the new one, never half.

    What is written is on the disk before it is renamed: a power cut, too, leaves one of the two. A process that is killed
    leaves a file that ends in `.writing`, which the next one to write `path` takes.
    """
    # A short name, whatever the path's is: that one may be as long as names can be.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    beside = path.with_name(f".{digest}.writing")
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _refusal(path: str | Path, kind: int) -> InputError:
    return InputError(f"{path}: is {_KINDS.get(kind, 'something else')}, not a regular file; put the file there")
