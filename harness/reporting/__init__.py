"""Reporting: records and verdicts in, pages, charts and files out. Runs nothing."""
