"""Reads the reference numbers beside the checkout (../shared/reference/parity), and makes inputs and weights by their recipes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "parity"


def read(name: str) -> dict[str, Any]:
    """The values of one file of numbers; the test skips by name where they are absent."""
    file = FOLDER / f"{name}.json"
    if not file.is_file():
        pytest.skip(f"the reference numbers (../shared/reference/parity/{name}.json) are not on this machine")
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["values"]
    return values


def sha256(array: np.ndarray) -> str:
    """Hex digest of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def weights(shapes: Mapping[str, Sequence[int]], first_seed: int) -> dict[str, np.ndarray]:
    """Parameters by the recipe of VCOP's files, by name: normal numbers whose seed counts up along the sorted names.

    Scaled by sqrt(2 / fan-in) where there is more than one dimension, 1 + 0.05 z for scales, 0.05 z for biases.
    """
    drawn = {}
    for number, name in enumerate(sorted(shapes)):
        shape = tuple(shapes[name])
        z = np.random.RandomState(first_seed + number).standard_normal(shape)
        if len(shape) > 1:
            drawn[name] = z * np.sqrt(2 / np.prod(shape[1:]))
        else:
            drawn[name] = 1 + 0.05 * z if name.endswith("weight") else 0.05 * z
    return drawn


def furthest(found: Any, wanted: Any) -> float:
    """The largest absolute difference of two arrays of one shape."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    assert found.size
    return float(np.abs(found - wanted).max())
