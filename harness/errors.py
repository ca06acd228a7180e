"""The errors that a command ends with."""

from collections.abc import Iterable


class UsageError(Exception):
    """Bad usage, data or table. The message is one line that names the file and says what to do; exit code 2.

    `more`: further faults of the same file, a line each, for whoever lists them all.
    """

    def __init__(self, message: str, more: Iterable[str] = ()):
        super().__init__(message)
        self.more = tuple(more)


class StageError(Exception):
    """A stage failed for a reason that is not the user's input. The message is one line; exit code 1."""
