"""The errors that a command ends with."""


class UsageError(Exception):
    """Bad usage, data or table. The message is one line that names the file and says what to do; exit code 2."""


class StageError(Exception):
    """A stage failed for a reason that is not the user's input. The message is one line; exit code 1."""
