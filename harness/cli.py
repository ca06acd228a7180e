"""The command line. Each command gathers its inputs, calls one module, prints; nothing is decided here.

Exit codes: 0 fine; 1 a gating cell or a stage failed, or a committed report is stale; 2 usage, missing data, a bad table.
"""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import __version__, options
from harness import tables as reference
from harness.errors import StageError, UsageError
from harness.judging import golden
from harness.options import (
    RUNS,
    DataRoot,
    Given,
    Input,
    Names,
    PaperKey,
    Places,
    Records,
    RunsFolder,
    Scale,
    SkipUnreadable,
    Speed,
)
from harness.plan import Request
from harness.planning import hours
from harness.records import Record, Store
from harness.reporting import exports, summary
from harness.running import (
    checks,
    door,
    evaluation,
    executors,
    preparation,
    recording,
    regression,
    runner,
    stage_folders,
    worker,
)
from harness.words import one_line, seen

if TYPE_CHECKING:
    from harness.judging.claims import Claim
    from harness.reporting.report import Report

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "reference_tables"
REPORTS = Path("reports")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Runs the protocols of self-supervised video papers and judges every cell of their tables.",
)


def main() -> None:
    """Run a command; an error a person can mend is one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever a terminal or a log cannot show is no reason to end.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with door.suite_errors():
            code = app(standalone_mode=False)
    except UsageError as error:
        sys.exit(_complain(str(error), 2))
    except StageError as error:
        sys.exit(_complain(str(error), 1))
    except BrokenPipeError:
        sys.exit(0)
    except typer.Abort:
        sys.exit(1)
    except OSError as error:
        sys.exit(_complain(_of_the_system(error), 2))
    except Exception as error:
        # Usage errors of the option parser: click is typer's own dependency.
        if not hasattr(error, "format_message"):
            raise
        # Without any command there is the help, and no message.
        sys.exit(_complain(error.format_message() or "no command; name one of those above", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _of_the_system(error: OSError) -> str:
    if error.errno in worker.TOO_MANY_FILES:
        return executors.too_many_files()
    if error.errno in worker.DISK_FULL:
        return f"{error.filename or 'output'}: the disk is full; free space and run again, finished stages are kept"
    if error.filename is None:
        return f"the system refuses: {error.strerror or error}; run the same command again to go on"
    return f"{error.filename}: {(error.strerror or str(error)).lower()}; check the path"


def _paper(key: str) -> reference.Paper:
    return preparation.paper_of(key, TABLES)


def _request(given: Given) -> Request:
    return given.request(preparation.device_kind(given.device))


def _say(words: str) -> None:
    """Print what may hold words of records and names of files: a terminal takes none of them for commands."""
    print(seen(words))


def _version(asked: bool) -> None:
    if asked:
        print(f"video-ssl-reproductions {__version__}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print name and version.")
    ] = False,
) -> None:
    """What holds for every command."""


@app.command("list")
def list_papers(places: Places = None) -> None:
    """The papers: tables, printed numbers, and which can be run."""

    runnable = door.papers_with_recipe()
    rows = [
        [key, len(paper.tables), paper.numbers, "yes" if key in runnable else "tables only", paper.short]
        for key, paper in preparation.papers(TABLES).items()
    ]
    _say(summary.grid(rows, ["paper", "tables", "numbers", "recipe", "published"]))


@app.command()
def show(
    paper: PaperKey,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    places: Places = None,
) -> None:
    """A paper's tables as printed; a number marked † is read otherwise than the text shows it."""
    found = _paper(paper)
    for entry in [found.table(table)] if table else found.tables_and_figures:
        _say(f"\n{summary.of_table(entry)}")


@app.command("check-data")
def check_data(
    data_root: DataRoot = None,
    datasets: Names = None,
    skip_unreadable: SkipUnreadable = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read every file, also those that have not changed since the last check.")
    ] = False,
    runs: RunsFolder = RUNS,
    places: Places = None,
) -> None:
    """Count, hash and decode every video that the list files name, before any time is spent on training."""

    if data_root is None:
        raise UsageError("check-data needs --data-root DIR (or SUITE_DATA): the folder that holds the datasets")
    data = door.real_data(datasets or door.datasets_in(data_root), data_root)
    data = checks.bring_up_to_date(data, runs, again=again)
    for name, stage in checks.stages(data).items():
        try:
            if not skip_unreadable:
                recording.refuse_unreadable(stage, runs)
            _say("\n".join(checks.describe(stage, runs, data.facts[name])))
        except UsageError as error:
            data.faults[name] = str(error)
    preparation.refuse_faults(data)


@app.command("plan")
@options.shared(without=("workers", "records"))
def show_plan(paper: PaperKey, given: Given, tflops: Speed = None) -> None:
    """The stages behind a paper's tables: what is done, what is missing, and what it will cost."""

    asked = _request(given)
    run = preparation.prepare(
        _paper(paper), given.scale, given.data_root, asked, given.runs, glove=given.glove, only_plan=True
    )
    settings = run.recipe.settings.model_dump(mode="json")
    kind = "cuda" if given.scale != "tiny" and given.device == "auto" else asked.device_kind
    speed = hours.speed(stage_folders.results(given.runs, "pretrain"), settings, kind, tflops)
    _say(summary.of_plan(run, given.runs, speed))
    preparation.refuse_faults(run.data)


@app.command("run")
@options.shared(without=())
def run_paper(
    paper: PaperKey,
    given: Given,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard logs beside the checkpoints.")
    ] = False,
) -> None:
    """Run a paper's protocol, judge the results, and write a report page under the runs folder."""
    from harness.reporting import report

    asked, found, runs = _request(given), _paper(paper), given.runs
    run = preparation.prepare(found, given.scale, given.data_root, asked, runs, glove=given.glove)
    store = Store(given.records or runs / "records")
    machine = preparation.machine(run, given.device, given.workers, tensorboard)
    run = preparation.checked(run, runs)
    notes = summary.otherwise(run.recipe.changes), summary.not_planned(run.built), summary.space(run.built, runs)
    for note in notes:
        if note:
            print(note, file=sys.stderr)
    measured, failure = runner.run(run, runs, store, machine)
    claims = {paper: _claims().get(paper, [])}
    report.write(_pages({paper: found}, store.read(paper), claims, store, runs / "reports"), runs / "reports")
    _say(summary.of_run(run, measured, door.protocol_versions()))
    _say(f"\n{len(measured)} results in {store.folder}; report: {runs / 'reports' / f'{paper}.md'}")
    _end(run, failure)


@app.command()
def compare(
    paper: PaperKey,
    scale: Scale = "paper",
    records: Records = REPORTS / "records",
    verdict: Annotated[str | None, typer.Option(help="Only cells with this verdict.")] = None,
    places: Places = None,
) -> None:
    """Judge the records of a paper cell by cell; ± is the standard deviation over seeds."""
    from harness.judging.compare import VERDICTS
    from harness.reporting import imported, sections

    if paper == imported.KEY:
        raise UsageError(f"{paper}: {imported.UNJUDGED}; `report --records {records} --out DIR` shows them on a page")
    found = _paper(paper)
    wanted = verdict.upper() if verdict is not None else None
    if wanted is not None and wanted not in VERDICTS:
        raise UsageError(f"--verdict {verdict}: choose one of {', '.join(VERDICTS)}")
    door.load_recipe(paper, scale)
    records_of_paper = Store(_existing(records)).read(paper)
    results = sections.sections(found, records_of_paper, (), preparation.recipes(), door.protocol_versions())
    for section in (one for one in results if one.scale == scale):
        _say(f"\n{summary.of_section(section, wanted)}")
    if not any(one.scale == scale for one in results):
        _say(f"no results of {paper} at {scale} scale under {records}")


@app.command("report")
def write_report(
    records: Records = REPORTS / "records",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=options.folder,
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
    committed = (out or REPORTS).resolve() == REPORTS.resolve()
    if committed and places and form != "latex":
        raise UsageError(f"--papers: {REPORTS} shows the papers of the checkout alone; name the pages' folder by --out")
    store = Store(_existing(records))
    papers = reference.load(TABLES) if committed and form != "latex" else preparation.papers(TABLES)
    if form == "latex":
        print(_latex(papers, store, table, scale), end="")
        return 0
    if out is None and not check and records.resolve() != (REPORTS / "records").resolve():
        raise UsageError(f"--records {records}: name the pages' folder by --out; {REPORTS} shows {REPORTS / 'records'}")
    out = out or REPORTS
    found = store.read()
    if committed:
        report.refuse_otherwise(found, store.folder)
    built = _pages(papers, found, _claims(), store, out)
    if check:
        stale = report.check(built, out)
        for line in stale:
            _say(f"stale: {line}")
        _say(
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
    _say("\n".join(str(path) for path in changed) or f"{out} was up to date")
    return 0


@app.command()
@options.shared(without=("datasets", "tables", "rows", "everything", "records"), scale="paper", everything=True)
@options.shared(Input)
def evaluate(
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="c3d, r3d, r2plus1d, c3d5, resnet18-3d or s3dg; torchvision:r3d_18, mc3_18, r2plus1d_18 or s3d; or "
            "package.module:factory, a function that gives a network (docs/bring-a-network.md).",
        ),
    ],
    protocol: Annotated[
        str, typer.Option(help="clip-retrieval, video-retrieval, recognition, aslan, yupenn or video-qa.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            metavar="FILE",
            help="Weights: safetensors, or a torch file of tensors; ours, VCOP's release, torchvision's files, plain "
            "backbones. Without it: random ones.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Such as ucf101 or hmdb51; by default the one that the paper pretrains on. aslan, yupenn and video-qa "
            "bring their own."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            parser=options.name, metavar="NAME", help="What reports call it; by default the name of file or network."
        ),
    ] = None,
    splits: Annotated[str, typer.Option(help="Official splits, comma-separated.")] = "1",
    paper: Annotated[
        str | None,
        typer.Option(
            help="Whose settings: pixels, clips, crops, fine-tuning. By default mas for aslan and yupenn, "
            "vcop-curriculum for video-qa, else vcop."
        ),
    ] = None,
    *,
    stated: Input,
    given: Given,
) -> None:
    """Measure a network from elsewhere, or a checkpoint of one, under a paper's protocol."""

    numbers, runs = options.splits(splits), given.runs
    paper = paper or {"aslan": "mas", "yupenn": "mas", "video-qa": "vcop-curriculum"}.get(protocol, "vcop")
    changes, said = given.changes or (), stated.stated()
    recipe = door.recipe_for(backbone, paper, given.scale, changes, said)
    asked = evaluation.as_paper(checkpoint, backbone, protocol, dataset, numbers, recipe, name)
    run = preparation.work_out(asked, recipe, given.data_root, _request(given), runs, glove=given.glove)
    if checkpoint is not None:
        evaluation.refuse_other_weights(checkpoint, backbone, recipe, changes, said)
        run.data.roots["checkpoint"] = checkpoint.resolve()
    store = Store(runs / "records")
    machine = preparation.machine(run, given.device, given.workers, False)
    run = preparation.checked(run, runs)
    measured, failure = runner.run(run, runs, store, machine)
    for line in (*evaluation.describe(run.built, runs), *summary.inputs(measured)):
        _say(line)
    _say(summary.of_evaluation(measured, [column.metric for column in asked.figures[0].columns]))
    _say(f"\nrecords: {store.folder / 'imported'}; `report --records {store.folder} --out DIR` shows them on a page")
    _end(run, failure)


@app.command()
def export(
    what: Annotated[
        str, typer.Argument(metavar="cells|records", help="cells: every printed number; records: every result.")
    ] = "cells",
    form: Annotated[str, typer.Option("--format", help="json, csv or parquet.")] = "json",
    results: Annotated[bool, typer.Option("--records", help="Every result: the same as `export records`.")] = False,
    store: Annotated[
        Path, typer.Option("--from", parser=options.path, metavar="DIR", help="Folder of records.")
    ] = REPORTS / "records",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=options.path, metavar="FILE", help="File to write; else standard output (not for parquet)."
        ),
    ] = None,
    places: Places = None,
) -> None:
    """Every printed number, or every result, as a flat table."""

    if what not in ("cells", "records"):
        raise UsageError(f"export {what}: choose cells or records")
    if results or what == "records":
        rows = exports.scores(Store(_existing(store, "--from")).read())
    else:
        rows = exports.cells(preparation.papers(TABLES))
    exports.write(rows, form, out)


@app.command("regression")
def run_regression(
    paper: Annotated[str | None, typer.Argument(help="Only this paper; else all that have golden numbers.")] = None,
    runs: RunsFolder = RUNS,
) -> int:
    """Run a fixed slice of the tiny scale and hold it against the golden numbers; exit 1 where one does not hold."""

    if paper is not None:
        _paper(paper)
    keys = golden.papers(TABLES) if paper is None else [paper]
    expected = {key: golden.load(TABLES / "golden" / f"{key}.toml") for key in keys}
    failed = 0
    for key, numbers in expected.items():
        verdicts = golden.judge(numbers, regression.results(key, runs))
        wrong = [verdict for verdict in verdicts if not verdict.holds]
        trained = [verdict for verdict in verdicts if verdict.holds and verdict.id.startswith("trained/")]
        _say("\n".join(verdict.line() for verdict in [*trained, *wrong]))
        _say(f"{key}: {len(verdicts) - len(wrong)} golden numbers hold, {len(wrong)} do not")
        failed += len(wrong)
    return 1 if failed else 0


@app.command()
def bless(
    paper: PaperKey,
    reason: Annotated[str, typer.Option(help="Why the numbers moved; a line in reference_tables/CHANGES.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Set the floors of trained scores anew, over seeds and instruction sets.")
    ] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Take the present results of the regression slice as golden numbers."""

    _paper(paper)
    reason = golden.checked_reason(reason)
    results = regression.results(paper, runs)
    measured = regression.spread(paper, runs) if measure else None
    _say("\n".join(golden.bless(TABLES, paper, results, reason, measured)))


def _claims() -> "dict[str, list[Claim]]":
    from harness.judging import claims

    return claims.load(TABLES / "claims", door.elsewhere("claims.toml"))


def _pages(
    papers: dict[str, reference.Paper],
    records: list[Record],
    claims: "dict[str, list[Claim]]",
    store: Store,
    folder: Path,
) -> "Report":
    """The pages of these records, which are all of the papers' that the store has."""
    from harness.reporting import report

    return report.build(
        papers,
        records,
        claims,
        preparation.recipes(),
        folder=folder,
        store=store.folder,
        protocol_versions=door.protocol_versions(),
    )


def _end(run: preparation.Prepared, failure: Exception | None) -> None:
    """Raise what a run must end with, when all that could be measured was shown."""
    if failure is not None:
        raise failure
    preparation.refuse_faults(run.data)


def _existing(records: Path, option: str = "--records") -> Path:
    if not records.is_dir():
        raise UsageError(f"{records}: no such folder of records; run a paper first, or give {option}")
    return records


def _latex(papers: dict[str, reference.Paper], store: Store, table: str | None, scale: str) -> str:
    from harness.reporting import latex, sections

    key, _, table_id = (table or "").partition(".")
    if key not in papers or not table_id:
        raise UsageError("--format latex needs --table PAPER.TABLE, such as vcop.table2")
    recipes = preparation.recipes()
    found = sections.sections(papers[key], store.read(key), (), recipes, door.protocol_versions())
    page, note = latex.of_scale(found, table_id, scale)
    if note:
        print(note, file=sys.stderr)
    return page
