"""A folder of runs serves one run at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError

# What flock says when another process holds the lock; anything else is a file system that cannot lock.
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextmanager
def locked(runs: Path) -> Iterator[None]:
    """Hold a runs folder alone. Raises UsageError when another run holds it, or when its file system has no locks.

    There is no other way to lock where flock does not work: Linux asks the same server for every kind of lock, and a file
    that stands for a lock outlives a run that is killed, on a machine that nobody else can ask whether it lives.
    """
    import fcntl

    runs.mkdir(parents=True, exist_ok=True)
    with open(runs / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:
                raise UsageError(
                    f"{runs}: its file system cannot lock files ({error.strerror}); give --runs a folder on another, such as a "
                    "local disk, or have it mounted with locks (NFS: with lockd; Lustre: -o flock)"
                ) from None
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UsageError(
                f"{runs}: another run (process {holder}) is using it; wait for it to end, or give --runs another folder"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
