"""The direction of the data, read off the imports."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Modules of the harness that answer without torch.
LIGHT = ("tables", "claims", "plan", "records", "compare", "report", "relations", "statistics", "figures", "pages")


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


@pytest.mark.parametrize("path", sorted((ROOT / "suite").rglob("*.py")), ids=lambda path: path.stem)
def test_the_suite_knows_nothing_of_the_harness(path):
    assert "harness" not in tops(path)
    assert "reference_tables" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "harness").glob("*.py")), ids=lambda path: path.stem)
def test_only_the_runner_knows_the_suite(path):
    assert ("suite" in tops(path)) == (path.stem == "runner")


@pytest.mark.parametrize("module", LIGHT)
def test_judging_needs_no_torch(module):
    assert not {"torch", "torchvision", "av"} & tops(ROOT / "harness" / f"{module}.py")


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
    papers = [f"reproduce-{path.stem}" for path in (ROOT / "suite" / "papers").glob("*.toml")]
    for name in ("shared", "lint", "tests", "bench", "regression", "report", *papers):
        assert f"[testenv:{name}]" in lines
