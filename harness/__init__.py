"""How the suite is run and judged: tables, plan, runner, records, verdicts and reports."""

__version__ = "0.1.0"
