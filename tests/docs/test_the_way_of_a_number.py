"""The page "the way of a number" says what the code does: its paths are there, its commands print what it shows."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import records, tables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "the-way-of-a-number.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"```console\n\$ (.+?)\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_the_page_shows(command, shown, tmp_path):
    python, *words = shlex.split(command)
    assert python == "python"
    # Nothing has run yet, whatever lies in this checkout.
    words += ["--runs", str(tmp_path)] if "plan" in words else []
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"
    same = doctest.OutputChecker().check_output(shown, said, doctest.ELLIPSIS)
    assert same, f"{command} prints\n{said}"


def test_the_page_runs_the_commands_that_need_no_torch():
    assert [shlex.split(command)[3] for command, _ in COMMANDS] == ["show", "plan", "compare", "report"]


def test_every_path_on_the_page_is_there():
    named = [name for name in re.findall(r"`([^`\s]+)`", TEXT) if "/" in name or name.endswith((".py", ".toml", ".md"))]
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"\]\(([^)]+)\)", TEXT) if not (PAGE.parent / name).exists()] == []


def test_the_number_is_the_tables_the_records_and_the_pages():
    cell = tables.load_paper(ROOT / "reference_tables" / "vcop.toml").table("table1").cell("r3d", "accuracy")
    assert str(cell.value) == "68.4"
    name = re.search(r"`(reports/records/\S+\.json)`", TEXT)[1]
    record = records.load(ROOT / name)
    assert (record.table, record.row, record.columns) == ("table1", "r3d", ["accuracy"])
    row = next(line.strip() for line in TEXT.splitlines() if line.startswith("    | R3D"))
    assert row in (ROOT / "reports" / "vcop.md").read_text(encoding="utf-8").splitlines()
