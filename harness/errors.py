"""The errors that a command ends with, and how they are said."""

import re

# Letters of a message; of a longer one the middle is left out, since the start names the file and the end the remedy.
LONGEST = 1000


class UsageError(Exception):
    """Bad usage, data or table. The message is one line that names the file and says what to do; exit code 2."""


class StageError(Exception):
    """A stage failed for a reason that is not the user's input. The message is one line; exit code 1."""


def one_line(message: str) -> str:
    """A message on one line that a terminal shows as it is, whatever a name in it holds."""
    flat = " ".join(message.split())
    shown = re.sub(r"[^ -~]", lambda found: found[0] if found[0].isprintable() else ascii(found[0])[1:-1], flat)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"
