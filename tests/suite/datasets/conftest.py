"""Generated datasets that the tests of suite.datasets share. They are read, never written to."""

from pathlib import Path

import pytest

from suite.datasets import synthetic


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory) -> Path:
    """Synthetic UCF101 and HMDB51, whole, at their default settings."""
    root = tmp_path_factory.mktemp("synthetic")
    for name in ("ucf101", "hmdb51"):
        synthetic.generate(name, root, {}, lambda done, total: None)
    return root


@pytest.fixture(scope="session")
def probes_root(tmp_path_factory) -> Path:
    """Synthetic Kinetics-400, ASLAN, YUPENN and ActivityNet-QA, whole, at their default settings."""
    root = tmp_path_factory.mktemp("probes")
    for name in ("kinetics400", "aslan", "yupenn", "activitynet-qa"):
        synthetic.generate(name, root, {}, lambda done, total: None)
    return root
