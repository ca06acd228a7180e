"""Commands that show what is printed, measured and judged; nothing runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import commands, parsing
from harness import tables as reference
from harness.commands.shared import all_claims, existing, pages_of, paper_of, say
from harness.errors import UsageError
from harness.options import PaperKey, Places, Records, Scale
from harness.records import Store
from harness.reporting import exports, terminal
from harness.running import door, preparation


def list_papers(places: Places = None) -> None:
    """The papers: tables, printed numbers, and which can be run."""

    runnable = door.papers_with_recipe()
    papers, faults = preparation.papers_in_order(commands.TABLES)
    rows = [
        [key, len(paper.tables), paper.numbers, "yes" if key in runnable else "tables only", paper.short]
        for key, paper in papers.items()
    ]
    say(terminal.grid(rows, ["paper", "tables", "numbers", "recipe", "published"]))
    if faults:
        raise UsageError("; ".join(faults))


def show(
    paper: PaperKey,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    places: Places = None,
) -> None:
    """A paper's tables as printed; a number marked † is read otherwise than the text shows it."""
    found = paper_of(paper)
    for entry in [found.table(table)] if table else found.tables_and_figures:
        say(f"\n{terminal.of_table(entry)}")


def compare(
    paper: PaperKey,
    scale: Scale = "paper",
    records: Records = commands.REPORTS / "records",
    verdict: Annotated[str | None, typer.Option(help="Only cells with this verdict.")] = None,
    places: Places = None,
) -> None:
    """Judge the records of a paper cell by cell; ± is the standard deviation over seeds."""
    from harness.judging.compare import VERDICTS
    from harness.reporting import imported, sections

    if paper == imported.KEY:
        raise UsageError(f"{paper}: {imported.UNJUDGED}; `report --records {records} --out DIR` shows them on a page")
    found = paper_of(paper)
    wanted = verdict.upper() if verdict is not None else None
    if wanted is not None and wanted not in VERDICTS:
        raise UsageError(f"--verdict {verdict}: choose one of {', '.join(VERDICTS)}")
    door.load_recipe(paper, scale)
    records_of_paper = Store(existing(records)).read(paper)
    recipes, versions = preparation.recipes((paper,)), door.protocol_versions((paper,))
    results = sections.sections(found, records_of_paper, (), recipes, versions)
    for section in (one for one in results if one.scale == scale):
        say(f"\n{terminal.of_section(section, wanted)}")
    if not any(one.scale == scale for one in results):
        say(f"no results of {paper} at {scale} scale under {records}")


def write_report(
    records: Records = commands.REPORTS / "records",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=parsing.folder,
            metavar="DIR",
            help="Folder of the pages; by default reports, for the records in it alone.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a page is not what the records give.")
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help="markdown, html (one self-contained file) or latex (one table).")
    ] = "markdown",
    table: Annotated[str | None, typer.Option(help="With --format latex: paper.table, such as vcop.table2.")] = None,
    scale: Annotated[
        str, typer.Option(help="With --format latex: the scale whose results stand beside the printed ones.")
    ] = "paper",
    places: Places = None,
) -> int:
    """Write the report pages from records alone."""
    from harness.reporting import report

    if form not in ("markdown", "html", "latex"):
        raise UsageError(f"--format {form}: choose markdown, html or latex")
    committed = (out or commands.REPORTS).resolve() == commands.REPORTS.resolve()
    if committed and places and form != "latex":
        raise UsageError(
            f"--papers: {commands.REPORTS} shows the papers of the checkout alone; name the pages' folder by --out"
        )
    store = Store(existing(records))
    papers = reference.load(commands.TABLES) if committed and form != "latex" else preparation.papers(commands.TABLES)
    if form == "latex":
        print(_latex(papers, store, table, scale), end="")
        return 0
    if out is None and not check and records.resolve() != (commands.REPORTS / "records").resolve():
        raise UsageError(
            f"--records {records}: name the pages' folder by --out; {commands.REPORTS} shows {commands.REPORTS / 'records'}"
        )
    out = out or commands.REPORTS
    found = store.read()
    if committed:
        report.refuse_otherwise(found, store.folder)
    built = pages_of(papers, found, all_claims(), store, out)
    if check:
        stale = report.check(built, out)
        for line in stale:
            say(f"stale: {line}")
        say(
            f"{len(stale)} stale file{'s'[: len(stale) > 1]} under {out}"
            if stale
            else f"{out} is what the records give"
        )
        return 1 if stale else 0
    if lost := report.lost(built, out):
        raise UsageError(
            f"{lost[0]}: shows results, and {records} holds none of that paper; name the folder of all records by "
            "--records, or another --out, or delete the page"
        )
    changed = report.write(built, out)
    if form == "html":
        from harness.reporting import html

        page = out / "reports.html"
        page.write_text(html.render(built.pages, out), encoding="utf-8")
        changed.append(page)
    say("\n".join(str(path) for path in changed) or f"{out} was up to date")
    return 0


def export(
    what: Annotated[
        str, typer.Argument(metavar="cells|records", help="cells: every printed number; records: every result.")
    ] = "cells",
    form: Annotated[str, typer.Option("--format", help="json, csv or parquet.")] = "json",
    results: Annotated[bool, typer.Option("--records", help="Every result: the same as `export records`.")] = False,
    store: Annotated[
        Path, typer.Option("--from", parser=parsing.path, metavar="DIR", help="Folder of records.")
    ] = commands.REPORTS / "records",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=parsing.path, metavar="FILE", help="File to write; else standard output (not for parquet)."
        ),
    ] = None,
    places: Places = None,
) -> None:
    """Every printed number, or every result, as a flat table."""

    if what not in ("cells", "records"):
        raise UsageError(f"export {what}: choose cells or records")
    if results or what == "records":
        rows = exports.scores(Store(existing(store, "--from")).read())
    else:
        rows = exports.cells(preparation.papers(commands.TABLES))
    exports.write(rows, form, out)


def _latex(papers: dict[str, reference.Paper], store: Store, table: str | None, scale: str) -> str:
    from harness.reporting import latex, sections

    key, _, table_id = (table or "").partition(".")
    if key not in papers or not table_id:
        raise UsageError("--format latex needs --table PAPER.TABLE, such as vcop.table2")
    recipes, versions = preparation.recipes((key,)), door.protocol_versions((key,))
    found = sections.sections(papers[key], store.read(key), (), recipes, versions)
    page, note = latex.of_scale(found, table_id, scale)
    if note:
        print(note, file=sys.stderr)
    return page
