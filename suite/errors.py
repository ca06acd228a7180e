"""The one error a person can mend: bad input, named with its file and its remedy."""

from collections.abc import Iterable


class InputError(Exception):
    """Bad input. The message is one line that names the file and says what to do.

    `more`: further faults of the same file, a line each, for whoever lists them all.
    """

    def __init__(self, message: str, more: Iterable[str] = ()):
        super().__init__(message)
        self.more = tuple(more)


class DamagedError(InputError):
    """What a stage left behind when it was interrupted is not whole, so that it cannot go on from there but only start anew."""


class TrainingError(Exception):
    """Training cannot go on: a loss is not finite. The message names step, learning rate and batch."""


class WorkerError(Exception):
    """A worker process of a stage died or is silent. The message is one line: at what, why, and what to do."""


class SampleError(Exception):
    """Reading a sample raised something unforeseen. The message names the sample and the error."""
