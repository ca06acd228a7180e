"""Numbers of the slices by how far they move between processors."""

import hashlib
from collections.abc import Iterable

from suite import recipe

# Rounding of evaluation and of one training step in float32, and of a few steps in float64 (measured: 3e-7 and 2e-14).
FLOAT32, FLOAT64 = 1e-5, 1e-8

# Numbers of one kind by name; an exact one is a whole number, a word or a list of whole numbers.
Exact = dict[str, int | str | list[int]]
Near = dict[str, dict[str, float]]


def within(tolerance: float, numbers: dict[str, float]) -> Near:
    """Numbers that move by rounding, with the relative tolerance that they share."""
    return {name: {"value": value, "tolerance": tolerance} for name, value in numbers.items()}


def digest(lines: Iterable) -> str:
    """The sha256 of lines of text."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def recipe_hashes(paper: str) -> Exact:
    """The recipe's hash at each scale."""
    return {f"recipe-hash/{scale}": recipe.load(paper, scale).hash() for scale in recipe.SCALES}
