"""The one error a person can mend: bad input, named with its file and its remedy."""


class InputError(Exception):
    """Bad input. The message is one line that names the file and says what to do."""


class DamagedError(InputError):
    """What a stage left behind when it was interrupted is not whole, so that it cannot go on from there but only start anew."""


class TrainingError(Exception):
    """Training cannot go on: a loss is not finite. The message names step, learning rate and batch."""
