"""Words of any origin, made fit for one line of a terminal or a page."""

# Letters of a message; of a longer one the middle is left out, since the start names the file and the end the remedy.
LONGEST = 1000


def printable(words: str) -> str:
    """Words on one line, in which everything is seen: what is invisible or turns the direction of reading stands as an escape.

    Blanks of any kind become single ones. Ordinary words, in any script, stay what they are.
    """
    flat = words if words.isprintable() and "  " not in words else " ".join(words.split())
    if flat.isprintable():
        return flat.strip()
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in flat)


def seen(words: str) -> str:
    """Words of several lines, their blanks as they are; what is invisible stands as an escape, as in `printable`."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in words)


def one_line(message: str) -> str:
    """A message on one line, of a length that can be read."""
    shown = printable(message)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"
