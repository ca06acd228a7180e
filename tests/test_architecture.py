"""The direction of the data, read off the imports."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from suite import datasets
from tests.architecture import PICTURE, ROOT, STACKS, Room, arrows, draw, imports, modules, needed, reached, room

MODULES = [(name, path) for top in STACKS for name, path in modules(top)]


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def named(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_a_room_imports_only_what_stands_below_it(name, path):
    here = room(name)
    for imported in imports(path):
        there = room(imported)
        if here and there and here.top == there.top:
            assert there.level <= here.level, f"{name} imports {imported}"


def test_every_room_has_its_place():
    for top, order in STACKS.items():
        assert {found.name for name, _ in modules(top) if (found := room(name))} == set(order)
        assert len(order) == len(set(order))


SUITE_FILES = sorted((ROOT / "suite").rglob("*.py"))


@pytest.mark.parametrize("path", SUITE_FILES, ids=lambda path: path.stem)
def test_the_suite_knows_nothing_of_the_harness(path):
    assert "harness" not in tops(path)
    assert "reference_tables" not in path.read_text(encoding="utf-8")


HARNESS = sorted((ROOT / "harness").rglob("*.py"))


# Lines of a file; what goes on longer is several things.
LONGEST = 450


@pytest.mark.parametrize("path", [*SUITE_FILES, *HARNESS], ids=named)
def test_no_file_is_long(path):
    assert path.read_text(encoding="utf-8").count("\n") <= LONGEST


@pytest.mark.parametrize("path", HARNESS, ids=named)
def test_the_suite_has_one_door(path):
    assert "suite" not in tops(path) or named(path).startswith("harness/running/door/")


@pytest.mark.parametrize("path", HARNESS, ids=named)
def test_no_dataset_is_named(path):
    """Datasets are data. A protocol may have the name of the only one that it is about."""
    protocols = {about.protocol for about in map(datasets.describe, datasets.names())}
    constants = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    ]
    assert not {node.value for node in constants} & (set(datasets.names()) - protocols)


@pytest.mark.parametrize("path", [path for path in HARNESS if path.parts[len(ROOT.parts) + 1] != "running"], ids=named)
def test_what_runs_nothing_needs_no_torch(path):
    assert not {"torch", "torchvision", "av"} & tops(path)


def test_arrows_are_the_imports_that_a_line_by_line_reading_finds():
    found = set()
    for name, path in MODULES:
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r" *(?:from|import) ((?:suite|harness)[\w.]*)(?: import (\w+))?", line)
            for imported in filter(None, (match and match[1], match and match[2] and f"{match[1]}.{match[2]}")):
                if room(name) and room(imported) and room(name) != room(imported):
                    found.add((room(name), room(imported)))
    # Of `from suite import a, b` a line tells the first alone, and of several lines none but the first.
    assert found <= arrows()
    assert {
        (Room("suite", "video"), Room("suite", "datasets")),
        (Room("harness", "running"), Room("suite", "stages")),
    } <= found
    assert len(found) > 0.9 * len(arrows())


def test_what_the_picture_leaves_out_is_drawn_by_way_of_others():
    found = arrows()
    drawn = needed(found)
    assert drawn < found
    for start in {here for here, _ in found}:
        assert reached(start, drawn) == reached(start, found)
    for arrow in drawn:
        assert arrow[1] not in reached(arrow[0], drawn - {arrow})


def test_the_picture_is_what_the_imports_give():
    assert PICTURE.read_text(encoding="utf-8") == draw(), "draw it again: python -m tests.architecture"


def test_reference_tables_hold_no_code():
    assert not list((ROOT / "reference_tables").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "vcop"],
        ["plan", "vcop"],
        ["plan", "vcop", "--scale", "paper"],
        ["compare", "vcop", "--scale", "tiny"],
        ["report", "--check"],
        # A plan of its network from elsewhere would build it, to count what it costs.
        ["list", "--papers", "tests/fixtures/toy_paper"],
        ["show", "toy-arrow", "--papers", "tests/fixtures/toy_paper"],
    ],
    ids=" ".join,
)
def test_free_commands_import_no_torch(command, tmp_path):
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        f"sys.argv = ['harness', *{command!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    loaded = {'torch', 'torchvision', 'av', 'cv2', 'sklearn'} & set(sys.modules)\n"
        "    print('LOADED', sorted(loaded))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_requirement_is_pinned():
    names = [
        line.split(">")[0].strip()
        for file in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert not [name for name in names if name.lower() not in pinned]


def test_the_environments_that_the_readme_names_exist():
    lines = (ROOT / "tox.ini").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=3.11"
    papers = [
        f"reproduce-{path.parent.name.replace('_', '-')}" for path in (ROOT / "suite" / "papers").glob("*/recipe.toml")
    ]
    for name in ("shared", "lint", "types", "tests", "bench", "regression", "report", *papers):
        assert f"[testenv:{name}]" in lines


@pytest.mark.parametrize("path", [*HARNESS, *SUITE_FILES], ids=named)
def test_a_type_that_is_not_checked_says_which_and_why(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if "type: ignore" in line:
            assert re.search(r"# type: ignore\[[a-z-]+\]  # \w+", line), line
