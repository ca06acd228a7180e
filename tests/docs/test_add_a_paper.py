"""The page "add a paper" says what happens: its commands are run one after another, in a checkout that knows nothing of it."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records import Store
from harness.running import new_paper

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "add-a-paper.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"```console\n\$ (.+?)\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder in which every command of the page was run in its order: (folder, what each printed)."""
    folder = tmp_path_factory.mktemp("checkout")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = []
    for command, _ in COMMANDS:
        python, *words = shlex.split(command)
        assert python == "python"
        words += ["--device", "cpu"] if "run" in words else []
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said.append("\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n")
    return folder, said


def test_the_page_makes_checks_and_runs_a_paper():
    assert [shlex.split(command)[3] for command, _ in COMMANDS] == ["new-paper", "validate", "run"]


def test_every_command_prints_what_the_page_shows(followed):
    for (command, shown), said in zip(COMMANDS, followed[1], strict=True):
        assert doctest.OutputChecker().check_output(shown, said, doctest.ELLIPSIS), f"{command} prints\n{said}"


def test_the_files_are_those_of_the_page(followed):
    folder, _ = followed
    named = [line.split()[0].removeprefix("DIR/") for line in TEXT.splitlines() if line.startswith("    DIR/shuffle")]
    there = sorted(path.relative_to(folder / "papers").as_posix() for path in (folder / "papers").rglob("*.*"))
    assert [name for name in there if "__pycache__" not in name] == sorted(named)
    assert len(named) == len(new_paper.FILES)


def test_the_paper_was_run_and_has_a_page(followed):
    folder, _ = followed
    found = Store(folder / "runs/records").read("shuffle-learn")
    assert {(one.table, one.row) for one in found} == {
        ("table1", "speed"),
        ("table2", "random"),
        ("table2", "speed"),
        ("table3", "speed"),
    }
    assert all(one.counts["total"] > 50 for one in found)
    page = (folder / "runs/reports/shuffle-learn.md").read_text(encoding="utf-8")
    assert "`pretraining_helps`" in page
    assert "python -m harness run shuffle-learn --papers DIR --tables table1 --scale tiny\n" in page
    assert str(folder) not in page


def test_every_path_and_link_on_the_page_is_there():
    named = re.findall(r"`((?:suite|harness|docs|reference_tables)/[^`\s]+)`", TEXT)
    assert len(named) == 2
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"\]\(([^)]+)\)", TEXT) if not (PAGE.parent / name).exists()] == []
