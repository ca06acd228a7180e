"""What the papers printed: values (schema), and how they are read (reading)."""

from harness.tables.reading import find, load, load_paper
from harness.tables.schema import EXACT_UNITS, RANGES, Cell, Column, Figure, Paper, Row, Table, Tolerance

__all__ = [
    "EXACT_UNITS",
    "RANGES",
    "Cell",
    "Column",
    "Figure",
    "Paper",
    "Row",
    "Table",
    "Tolerance",
    "find",
    "load",
    "load_paper",
]
