"""The command line in this process, and generated videos, for the tests that run it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from suite.datasets import synthetic


@pytest.fixture
def harness(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process: (exit code, standard output, standard error)."""

    def call(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A data root with two classes of generated UCF101. It is read, never written to."""
    root = tmp_path_factory.mktemp("data")
    synthetic.generate("ucf101", root, {"height": 48, "width": 64, "seed": 1, "classes": 2}, lambda done, total: None)
    return root
