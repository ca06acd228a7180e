"""Printed numbers and results as flat tables, for other tools."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import UsageError
from harness.records import Record
from harness.tables import Paper

FORMATS = ("json", "csv", "parquet")


def cells(papers: dict[str, Paper]) -> list[dict[str, Any]]:
    """Every cell of every table as {paper, table, row, column, value, printed, source}; value is nan where none is printed."""
    return [
        {name: getattr(cell, name) for name in ("paper", "table", "row", "column", "value", "printed", "source")}
        for paper in papers.values()
        for cell in paper.cells()
    ]


def scores(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Every score of every record, one row a score, with what identifies it."""
    identity = ("paper", "table", "row", "dataset", "split", "seed", "scale", "scope", "fingerprint", "recipe_hash")
    return [
        {name: getattr(record, name) for name in identity}
        | {
            "metric": metric,
            "value": value,
            "device": record.device_kind,
            "commit": record.commit,
            "created": record.created,
        }
        for record in records
        for metric, value in record.scores.items()
    ]


def write(rows: list[dict[str, Any]], form: str, out: Path | None) -> None:
    """Write rows as json, csv or parquet. Raises UsageError for another form, parquet without a file, or a path that no
    file can be written to."""
    if form not in FORMATS:
        raise UsageError(f"--format {form}: choose one of {', '.join(FORMATS)}")
    if form == "parquet" and out is None:
        raise UsageError("--format parquet is binary: name a file with --out")
    if out is not None:
        files.writable(out, "--out")
    import pandas

    frame = pandas.DataFrame(rows)
    if form == "parquet":
        frame.to_parquet(out, index=False)
        return
    text = (
        frame.to_csv(index=False)
        if form == "csv"
        else frame.to_json(orient="records", indent=1, force_ascii=False, double_precision=15) + "\n"
    )
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
