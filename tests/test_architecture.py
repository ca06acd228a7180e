"""The direction of the data, read off the imports."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The rooms of the harness in the order of a number's way. Each knows those before it; the top folder's values are below
# them all, and the command line is above.
ROOMS = ("judging", "planning", "running", "reporting")
VALUES = ("tables", "plan", "records", "errors", "files", "durable", "words")
COMMANDS = ("cli", "options", "__main__", "__init__")

# The rooms of the suite, a folder or a file each, from the ground up: a room knows those before it. Videos are named
# before they are read; what a paper does stands on how anything is trained and evaluated.
SUITE = (
    *("errors", "seeding", "precision", "files", "elsewhere", "tasks", "processes", "datasets", "video", "backbones"),
    *("checkpoints", "settings", "loading", "training", "evaluation", "papers", "recipe", "stages", "regression"),
)


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


SUITE_FILES = sorted((ROOT / "suite").rglob("*.py"))


@pytest.mark.parametrize("path", SUITE_FILES, ids=lambda path: named(path))
def test_a_room_of_the_suite_imports_only_what_stands_below_it(path):
    here = level(named(path).split("/"))
    for name in imports(path):
        parts = name.split(".")
        # `from suite import recipe` names the package too, which stands at the bottom.
        if parts[0] == "suite" and len(parts) > 1:
            assert level(parts) <= here, f"{named(path)} imports {name}"


def test_every_room_of_the_suite_is_there():
    rooms = {
        path.stem for path in (ROOT / "suite").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(SUITE)


@pytest.mark.parametrize("path", SUITE_FILES, ids=lambda path: path.stem)
def test_the_suite_knows_nothing_of_the_harness(path):
    assert "harness" not in tops(path)
    assert "reference_tables" not in path.read_text(encoding="utf-8")


HARNESS = sorted((ROOT / "harness").rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def level(parts: list[str]) -> int:
    """How high a module of the suite stands, by its dotted name."""
    return SUITE.index(parts[1]) if parts[1] != "__init__" else 0


def place(parts: list[str]) -> int:
    """How high a module of the harness stands, by its dotted name: values 0, rooms 1 to 4, commands above."""
    if len(parts) == 1 or parts[1] in COMMANDS:
        return len(ROOMS) + 1
    if parts[1] in ROOMS:
        return 1 + ROOMS.index(parts[1])
    assert parts[1] in VALUES, f"{'.'.join(parts)} stands in no room"
    return 0


@pytest.mark.parametrize("path", HARNESS, ids=named)
def test_a_room_imports_only_what_stands_below_it(path):
    here = place(named(path).split("/"))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "harness" and len(parts) > 1 and (ROOT / "/".join(parts[:2])).with_suffix(".py").exists():
            assert place(parts) <= here, f"{named(path)} imports {name}"
        if parts[0] == "harness" and len(parts) > 1 and parts[1] in ROOMS:
            assert place(parts) <= here, f"{named(path)} imports {name}"


@pytest.mark.parametrize("path", HARNESS, ids=named)
def test_the_suite_has_one_door(path):
    assert ("suite" in tops(path)) == (named(path) == "harness/running/door")


@pytest.mark.parametrize("path", [path for path in HARNESS if path.parent.name != "running"], ids=named)
def test_what_runs_nothing_needs_no_torch(path):
    assert not {"torch", "torchvision", "av"} & tops(path)


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
