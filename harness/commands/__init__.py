"""The commands by families; harness/cli.py puts them into the command line."""

from pathlib import Path

# What the papers print, of the checkout's own papers.
TABLES = Path(__file__).resolve().parents[2] / "reference_tables"
# The committed pages, and the records they show.
REPORTS = Path("reports")
