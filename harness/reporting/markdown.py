"""Words, numbers and tables as markdown that reads on a code host and in a terminal alike.

A missing number is "–", never 0; a negative one has a minus sign (−), not a hyphen.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from harness.words import printable

DASH = "–"
MINUS = "−"


# What would begin a heading, a list, a quotation, a rule, a fence or the target of a reference.
_OPENS = re.compile(r"#{1,6}(?=\s|$)|[-+](?=\s|$)|>|=+$|-+$|\[[^\]]*\]:|\d{1,9}(?=[.)](?:\s|$))")
# Underscores inside words, lone ampersands and brackets before anything but an address are harmless.
_MARKS = re.compile(r"[\\`*<|~$]|(?<!\w)_|_(?!\w)|_(?=_)|(?<=_)_|&(?=#?\w+;)|(?<=\])\(|!(?=\[)")


def text(words: str) -> str:
    """Words as markdown that shows exactly them, on one line, inside a paragraph, a list or a table cell."""
    marked = _MARKS.sub(lambda found: "\\" + found[0], printable(words))
    opens = _OPENS.match(marked)
    if opens is None:
        return marked
    # A digit cannot be escaped; what follows the number can.
    place = opens.end() if marked[0].isdigit() else 0
    return f"{marked[:place]}\\{marked[place:]}"


def inside(words: str) -> str:
    """Words as the text of a link or a picture: as `text`, and their own brackets end nothing."""
    return re.sub(r"(?<!\\)[\[\]]", lambda found: "\\" + found[0], text(words))


def code(words: str) -> str:
    """Words as code; where a code span cannot show exactly them in any place, as `text`."""
    shown = printable(words)
    if not shown or "|" in shown or "`" in shown:
        return text(words)
    return f"`{shown}`"


def address(path: str) -> str:
    """A relative path as the address of a link or a picture: whatever has a meaning there is written by its bytes."""
    return quote(os.fsencode(path), safe="/._-~+,=")


def number(value: float | None, decimals: int) -> str:
    """A number, or a dash for what is missing or not a number."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)


def signed(value: float | None, decimals: int) -> str:
    """As `number`, with its sign; never -0.0."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", MINUS)


def probability(value: float | None) -> str:
    """A p-value to three digits."""
    if value is None or not math.isfinite(value):
        return DASH
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def counted(found: Mapping[str, int], order: Sequence[str]) -> str:
    """Counts in the order given, those of zero left out: "30 REPRODUCED, 2 NEAR"; a dash for none."""
    return ", ".join(f"{found[name]} {name}" for name in order if found.get(name)) or DASH


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Iterable[int] = (0,)) -> str:
    """A table in the form that code hosts know, columns padded; `words` are the columns (from 0) aligned left, the others are numbers."""
    left = frozenset(words)
    lines = [[cell.strip() for cell in row] for row in rows]
    sides = [str.ljust if column in left else str.rjust for column in range(len(head))]
    # Two more than the head, so that a column of short values can still be told from its neighbours.
    widths = [max([len(name) + 2, *map(len, column)]) for name, *column in zip(head, *lines, strict=True)]
    rule = "|".join(
        f":{'-' * (width + 1)}" if column in left else f"{'-' * (width + 1)}:" for column, width in enumerate(widths)
    )
    shown = [
        " | ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True))
        for line in (head, *lines)
    ]
    return "\n".join([f"| {shown[0]} |", f"|{rule}|", *(f"| {line} |" for line in shown[1:])])


def anchor(heading: str) -> str:
    """The anchor that code hosts give a heading: lower case, no punctuation, a hyphen for every space."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
