"""Judging: printed numbers and records in, verdicts on cells and claims out. Reads records and tables, knows no page."""
