"""What the suite refuses, as the harness says it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.errors import UsageError

if TYPE_CHECKING:
    pass


@contextmanager
def suite_errors() -> Iterator[None]:
    """The suite's InputError as the harness's UsageError; a command runs within, so that none leaves this process."""
    from suite.errors import InputError

    try:
        yield
    except InputError as error:
        raise UsageError(str(error), error.more) from None
