"""How the suite is run and judged: tables, plans, runs, records, verdicts and reports."""

__version__ = "0.1.0"
