"""Generated datasets that the tests of suite.datasets share. They are read, never written to."""

from pathlib import Path

import pytest

from suite.datasets import synthetic


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory) -> Path:
    """Both synthetic datasets, whole, at their default settings."""
    root = tmp_path_factory.mktemp("synthetic")
    for name in ("ucf101", "hmdb51"):
        synthetic.generate(name, root, {}, lambda done, total: None)
    return root
