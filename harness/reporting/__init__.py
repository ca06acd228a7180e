"""Reporting: records and verdicts in, pages, figures and files out. Runs nothing."""
