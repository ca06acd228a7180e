"""How the suite is run and judged: tables, plan, runner, records, verdicts and reports."""
