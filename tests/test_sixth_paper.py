"""A sixth paper by addition alone: a new task, a new network and a new dataset in a folder outside, and no line of the project.

tests/fixtures/toy_paper is copied to a folder of its own and runs through the command line, from generated videos to its page.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records import Store

ROOT = Path(__file__).parents[1]
TOY = ROOT / "tests" / "fixtures" / "toy_paper"
# One core: what runs beside it must not matter.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def call(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """A command in an empty folder outside the checkout that knows of the paper."""
    command = [sys.executable, "-m", "harness", *words, "--papers", "papers"]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder in which the paper lies and was run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(TOY, folder / "papers")
    done = call(folder, "run", "toy-arrow", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "7 NOT COMPARABLE" in done.stdout
    return folder


def test_it_is_in_order(ran):
    done = call(ran, "validate", "papers")
    assert (done.returncode, done.stdout) == (0, "4 files checked, no faults\n"), done.stderr


def test_the_variable_names_it_from_any_folder(ran):
    environment = ENVIRONMENT | {"VIDEO_SSL_PAPERS": "papers"}
    command = [sys.executable, "-m", "harness", "validate", "papers"]
    done = subprocess.run(command, cwd=ran, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "4 files checked, no faults\n"), done.stderr


def test_it_is_pretrained_fine_tuned_and_asked_for_order_neighbours_and_classes(ran):
    found = {(one.table, one.row): one for one in Store(ran / "runs/records").read("toy-arrow")}
    assert {place: one.columns for place, one in found.items()} == {
        ("table1", "arrow"): ["accuracy"],
        ("table2", "arrow"): ["top1", "top5"],
        ("table2", "random"): ["top1", "top5"],
        ("table3", "arrow"): ["accuracy"],
        ("table3", "random"): ["accuracy"],
    }
    assert all(set(one.columns) <= set(one.scores) for one in found.values())
    assert {one.protocol for one in found.values()} == {"order-accuracy", "clip-retrieval", "recognition"}
    # Twelve test videos, once each or by two clips.
    assert {place: one.counts["total"] for place, one in found.items() if place[0] != "table2"} == {
        ("table1", "arrow"): 12,
        ("table3", "arrow"): 12,
        ("table3", "random"): 12,
    }
    assert found["table2", "arrow"].counts["total"] == 24
    for one in found.values():
        assert (one.dataset, one.scope) == ("drops", "synthetic")
        assert one.lists.keys() == {"drops.csv"}
    assert "pretrain" in found["table3", "arrow"].stages
    assert "pretrain" not in found["table3", "random"].stages
    assert found["table1", "arrow"].stages["pretrain"] == found["table2", "arrow"].stages["pretrain"]


def test_the_network_learns(ran):
    (record,) = [one for one in Store(ran / "runs/records").read("toy-arrow") if one.table == "table1"]
    losses = record.curves["train_loss"]
    assert len(losses) == 60
    assert sum(losses[-5:]) < sum(losses[:5])


def test_its_page_has_tables_claims_departures_and_the_commands_there_are(ran):
    page = (ran / "runs/reports/toy-arrow.md").read_text(encoding="utf-8")
    for words in (
        "# toy-arrow: Which Way Does Time Go?",
        "### Table 1: Order of frames",
        "### Claims of the text",
        "`pretraining_helps`",
        "- `toy-networks`: Three layers. Why: A toy.",
        "python -m harness run toy-arrow --papers DIR --tables table2 --scale tiny\n",
    ):
        assert words in page
    assert "tox -e" not in page
    assert str(ran) not in page
    figures = sorted(path.name for path in (ran / "runs/reports/figures/toy-arrow").iterdir())
    assert any("slope" in name for name in figures)
    assert any("training" in name for name in figures)


def test_other_commands_know_it(ran):
    listed = call(ran, "list")
    assert any(line.split()[:4] == ["toy-arrow", "3", "7", "yes"] for line in listed.stdout.splitlines())
    compared = call(ran, "compare", "toy-arrow", "--scale", "tiny", "--records", "runs/records")
    assert "asked" not in compared.stdout
    assert compared.stdout.count("NOT COMPARABLE") >= 7
    cells = json.loads(call(ran, "export", "cells").stdout)
    assert sum(cell["paper"] == "toy-arrow" for cell in cells) == 7
    planned = call(ran, "plan", "toy-arrow")
    assert not re.search(r" missing  +", planned.stdout)
    other = call(ran, "plan", "toy-arrow", "--set", "pretraining.arrow.stride=2")
    assert "pretraining.arrow.stride = 2 instead of 1" in other.stdout
    assert re.search(r"pretrain .* missing  +", other.stdout)


def test_other_code_is_another_stage(ran):
    parts = ran / "papers/toy_arrow/parts.py"
    before = parts.read_text(encoding="utf-8")
    parts.write_text(
        before.replace("nn.functional.cross_entropy(", "2 * nn.functional.cross_entropy("), encoding="utf-8"
    )
    planned = call(ran, "plan", "toy-arrow")
    parts.write_text(before, encoding="utf-8")
    assert re.search(r"pretrain .* missing  +", planned.stdout), planned.stdout + planned.stderr
    assert re.search(r"check-data .* done  +", planned.stdout)


def test_nothing_of_the_project_knows_it():
    for folder in ("harness", "suite", "reference_tables", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                text = path.read_bytes()
                assert b"toy_arrow" not in text, path
                assert b"toy-arrow" not in text, path
