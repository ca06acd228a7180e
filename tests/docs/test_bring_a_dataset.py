"""The page "bring a dataset" says what happens: its files are written, its videos made, and its commands run."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from suite import datasets, elsewhere
from suite.datasets import synthetic
from suite.datasets.synthetic.drawing import encode

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bring-a-dataset.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"```console\n\$ (.+?)\n(.*?)```", TEXT, flags=re.DOTALL)
FILES = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)```", TEXT, flags=re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the files of the page, and a video for each that its lists name."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    names = [
        f"gestures/{line.split()[0]}" for key, text in FILES.items() if "list01" in key for line in text.splitlines()
    ]
    names += [f"snippets/{line.split()[0]}" for line in FILES["data/snippets/list.txt"].splitlines()]
    for number, name in enumerate(names):
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, np.random.default_rng(number).integers(16, 235, (20, 48, 32), np.uint8))
    return folder


def test_the_page_has_its_files_and_commands():
    assert len(FILES) == 7
    assert {shlex.split(command)[3] for command, _ in COMMANDS} == {"check-data"}
    assert len(COMMANDS) == 3


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command[30:] for command, _ in COMMANDS])
def test_a_command_prints_what_the_page_shows(place, command, shown):
    python, *words = shlex.split(command)
    assert python == "python"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert doctest.OutputChecker().check_output(shown, done.stdout, doctest.ELLIPSIS), done.stdout


def test_what_the_page_says_of_generated_data(place, monkeypatch, tmp_path):
    monkeypatch.setenv(elsewhere.VARIABLE, str(place / "papers"))
    for kind in re.findall(r"`(\w+)`", TEXT[TEXT.index("`synthetic` names") :].partition("or a module")[0])[1:]:
        assert hasattr(elsewhere.module(kind, "suite.datasets.synthetic"), "plan")
    synthetic.generate("gestures", tmp_path, {"height": 32, "width": 32}, lambda done, total: None)
    assert len(datasets.load("gestures", tmp_path).classes) == 2


def test_every_path_on_the_page_is_there():
    named = re.findall(r"`((?:suite|harness|docs)/[^`\s]+)`", TEXT)
    assert len(named) == 5
    assert [name for name in named if not list(ROOT.glob(name))] == []
