"""Real avi files for the tests of suite.video: one generated action class."""

from pathlib import Path

import pytest

from suite import datasets
from suite.datasets import synthetic


@pytest.fixture(scope="session")
def one_action(tmp_path_factory) -> datasets.Dataset:
    """A UCF101-like dataset of one class, 38 videos of 6 to 72 frames."""
    root: Path = tmp_path_factory.mktemp("one-action")
    synthetic.generate("ucf101", root, {"classes": 1, "seed": 3}, lambda done, total: None)
    return datasets.load("ucf101", root)
