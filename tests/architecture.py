"""The rooms of the project and the arrows between them, read off the imports: what tests/test_architecture.py holds.

`python -m tests.architecture` draws them as docs/pictures/rooms.svg.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "rooms.svg"

# The rooms of the harness, from the ground up: in the middle those of a number's way, each knowing those before it; the top
# folder's values are below them all, and the command line is above.
VALUES = ("tables", "plan", "records", "errors", "files", "durable", "words")
COMMANDS = ("cli", "commands", "options", "parsing", "__main__")
HARNESS = ("values", "judging", "planning", "running", "reporting", "commands")
# The rooms of the suite, a folder or a file each, from the ground up: a room knows those before it. Videos are named
# before they are read; what a paper does stands on how anything is trained and evaluated.
SUITE = (
    *("errors", "seeding", "precision", "files", "elsewhere", "tasks", "processes", "datasets", "video", "backbones"),
    *("checkpoints", "settings", "loading", "training", "evaluation", "papers", "recipe", "stages", "regression"),
)
STACKS = {"harness": HARNESS, "suite": SUITE}


class Room(NamedTuple):
    """A room by the folder it belongs to and its name: ("suite", "video"), ("harness", "values")."""

    top: str
    name: str

    @property
    def level(self) -> int:
        """How high it stands, from 0; a room that is in no order is an error."""
        return STACKS[self.top].index(self.name)


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def modules(top: str) -> Iterator[tuple[str, Path]]:
    """Every module below a folder by its dotted name; a package is named as it is imported."""
    for path in sorted((ROOT / top).rglob("*.py")):
        yield path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"), path


def room(name: str) -> Room | None:
    """The room that a dotted name is in; None for the two tops themselves, what they hold, and everything else."""
    top, *rest = name.split(".")
    if top not in STACKS or not rest or not _is_module(f"{top}.{rest[0]}"):
        return None
    if top == "harness" and rest[0] in VALUES:
        return Room(top, "values")
    if top == "harness" and rest[0] in COMMANDS:
        return Room(top, "commands")
    return Room(top, rest[0])


@cache
def _is_module(name: str) -> bool:
    place = ROOT / name.replace(".", "/")
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def arrows() -> set[tuple[Room, Room]]:
    """(who imports, what) between different rooms."""
    return {
        (here, there)
        for top in STACKS
        for name, path in modules(top)
        for there in map(room, imports(path))
        if (here := room(name)) is not None and there is not None and there != here
    }


def reached(start: Room, among: set[tuple[Room, Room]]) -> set[Room]:
    """All rooms that arrows lead to from one, straight or through others."""
    found: set[Room] = set()
    ahead = [start]
    while ahead:
        here = ahead.pop()
        new = {there for by, there in among if by == here} - found
        found |= new
        ahead += new
    return found


def needed(among: set[tuple[Room, Room]]) -> set[tuple[Room, Room]]:
    """The arrows without those between rooms that others join already."""
    return {
        (here, there)
        for here, there in among
        if not any(there in reached(between, among) for by, between in among if by == here and between != there)
    }


# ---------------------------------------------------------------------------------------------------- the picture

# Pixels: a box's width, from box to box, around a text, from line to line, and between the stacks.
WIDTH, BETWEEN, AROUND, LINE, APART = 440, 24, 9, 15, 150
# Where arrows that go past boxes swing out to, and letters in a line of a box.
MARGIN, LETTERS = 110, 75
INK, PALE, LINES, DOOR = "#1f2933", "#5a6772", "#7b8794", "#c2410c"
FILL = {"harness": "#e8f1fb", "suite": "#eef7ec"}
HELD = {"values": VALUES, "commands": COMMANDS}


class Box(NamedTuple):
    """Where a room is drawn, and the lines in it."""

    left: int
    top: int
    height: int
    lines: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def middle(self) -> int:
        return self.top + self.height // 2


def about(of: Room) -> str:
    """What a room is for: the first sentence of its docstring; of the loose files, their names."""
    if of.top == "harness" and of.name in HELD:
        return ", ".join(f"{name}/" if (ROOT / of.top / name).is_dir() else f"{name}.py" for name in HELD[of.name])
    place = ROOT / of.top / of.name
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = " ".join(ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))).split())
    return re.split(r"(?<=\.)\s", text)[0]


def boxes(found: set[tuple[Room, Room]]) -> dict[Room, Box]:
    """Both stacks, highest room first, the harness on the left."""
    result = {}
    for top, left in (("harness", MARGIN), ("suite", MARGIN + WIDTH + APART)):
        height = 60
        for name in reversed(STACKS[top]):
            of = Room(top, name)
            lines = textwrap.wrap(about(of), LETTERS)
            names = [there.name for there in sorted({there for by, there in found if by == of and there.top == top})]
            known = textwrap.wrap(f"imports {', '.join(names)}", LETTERS) if names else []
            tall = 2 * AROUND + LINE * (1 + len(lines) + len(known))
            result[of] = Box(left, height, tall, tuple(lines), tuple(known))
            height += tall + BETWEEN
    return result


def draw() -> str:
    """The picture as SVG text: the same imports and docstrings give the same bytes."""
    found = arrows()
    placed = boxes(found)
    inner = needed({(here, there) for here, there in found if here.top == there.top})
    width = 2 * (MARGIN + WIDTH) + APART
    height = max(box.top + box.height for box in placed.values()) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Verdana, Arial, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        "<defs>",
        *(_head(name, colour) for name, colour in (("arrow", LINES), ("door", DOOR))),
        "</defs>",
    ]
    for top, place in (("harness/: what is run and judged", 0), ("suite/: what is reproduced", 1)):
        parts.append(_text(MARGIN + place * (WIDTH + APART), 38, top, 17, INK, bold=True))
    parts += [_box(of, box) for of, box in placed.items()]
    parts += [_inner(here, there, placed) for here, there in sorted(inner)]
    parts += [_through_the_door(here, there, placed) for here, there in sorted(found - _within(found))]
    door = placed[Room("harness", "running")]
    parts.append(_text(door.left + WIDTH - 58, door.top + 21, "door/", 12, DOOR))
    note = "An arrow is an import. Within a stack, arrows between rooms that others join already are left out."
    parts.append(_text(MARGIN, height - 18, note, 12, PALE))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _within(found: set[tuple[Room, Room]]) -> set[tuple[Room, Room]]:
    return {(here, there) for here, there in found if here.top == there.top}


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M 0 1 L 10 5 L 0 9 z" fill="{colour}"/></marker>'
    )


def _text(x: int, y: int, text: str, size: int, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'


def _box(of: Room, box: Box) -> str:
    shape = f'x="{box.left}" y="{box.top}" width="{WIDTH}" height="{box.height}" rx="6"'
    parts = [f'<rect {shape} fill="{FILL[of.top]}" stroke="{LINES}"/>']
    x, y = box.left + AROUND + 2, box.top + AROUND + 12
    parts.append(_text(x, y, of.name, 13, INK, bold=True))
    for line in box.lines:
        y += LINE
        parts.append(_text(x, y, line, 11, INK))
    for line in box.known:
        y += LINE
        parts.append(_text(x, y, line, 10, PALE))
    return "\n".join(parts)


def _path(here: Room, there: Room, way: str, name: str, colour: str) -> str:
    title = f"{here.top}/{here.name} imports {there.top}/{there.name}"
    return (
        f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.3" marker-end="url(#{name})">'
        f"<title>{title}</title></path>"
    )


def _inner(here: Room, there: Room, placed: dict[Room, Box]) -> str:
    """Straight down to the next room; past others outside, the farther the wider."""
    a, b = placed[here], placed[there]
    if here.level == there.level + 1:
        x = a.left + WIDTH // 2
        return _path(here, there, f"M {x} {a.top + a.height} L {x} {b.top}", "arrow", LINES)
    rooms = len(STACKS[here.top])
    swing = 24 + (MARGIN - 10) * (here.level - there.level) * 4 // (3 * rooms)
    side, outwards = (a.left, -1) if here.top == "harness" else (a.left + WIDTH, 1)
    x, start, end = side + outwards * swing, a.middle + 7, b.middle - 7
    return _path(here, there, f"M {side} {start} C {x} {start} {x} {end} {side} {end}", "arrow", LINES)


def _through_the_door(here: Room, there: Room, placed: dict[Room, Box]) -> str:
    a, b = placed[here], placed[there]
    start, end = a.left + WIDTH, b.left
    way = f"M {start} {a.middle} C {start + APART // 2} {a.middle} {end - APART // 2} {b.middle} {end} {b.middle}"
    return _path(here, there, way, "door", DOOR)


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(), encoding="utf-8", newline="\n")
    print(PICTURE.relative_to(ROOT))
