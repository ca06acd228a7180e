"""Fixtures that many tests share."""

import os
from pathlib import Path

import pytest

from suite import elsewhere

# Before tests are collected: they are about the papers of the checkout, and what they add themselves.
os.environ.pop(elsewhere.VARIABLE, None)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real videos and official lists beside the checkout; tests that need them skip by name where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared research videos (../shared/data) are not on this machine")
    return SHARED_DATA
