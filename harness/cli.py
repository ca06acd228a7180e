"""The command line. Each command gathers its inputs, calls one module, prints; nothing is decided here.

Exit codes: 0 fine; 1 a gating cell or a stage failed, or a committed report is stale; 2 usage, missing data, a bad table.
"""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import __version__, options, plan
from harness import tables as reference
from harness.errors import StageError, UsageError
from harness.judging import golden
from harness.options import (
    Changes,
    DataRoot,
    Device,
    Everything,
    Glove,
    Names,
    OwnRecords,
    PaperKey,
    Records,
    RunsFolder,
    Scale,
    Seeds,
    SkipUnreadable,
    Speed,
    Workers,
)
from harness.planning import costs
from harness.records import Store
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

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "reference_tables"
REPORTS = Path("reports")
RUNS = Path("runs")

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
        # Without any command the help is printed, and there is nothing to say.
        sys.exit(_complain(message, 2) if (message := error.format_message()) else 2)
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


def _asked(
    seeds: int,
    device: str,
    skip_unreadable: bool,
    changes: Changes,
    tables=None,
    rows=None,
    datasets=None,
    everything: bool = False,
) -> plan.Request:
    kind = preparation.device_kind(device)
    names = (tuple(one or ()) for one in (tables, rows, datasets))
    return plan.Request(seeds, *names, skip_unreadable, kind, everything, tuple(changes or ()))


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
def list_papers() -> None:
    """The papers: tables, printed numbers, and which can be run."""

    runnable = door.papers_with_recipe()
    rows = [
        [key, len(paper.tables), paper.numbers, "yes" if key in runnable else "tables only", paper.short]
        for key, paper in reference.load(TABLES).items()
    ]
    _say(summary.grid(rows, ["paper", "tables", "numbers", "recipe", "published"]))


@app.command()
def show(paper: PaperKey, table: Annotated[str | None, typer.Option(help="Only this table.")] = None) -> None:
    """A paper's tables as printed; a number marked † is read otherwise than the text shows it."""
    found = _paper(paper)
    for entry in [found.table(table)] if table else [*found.tables, *found.figures]:
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
def show_plan(
    paper: PaperKey,
    scale: Scale = "tiny",
    data_root: DataRoot = None,
    datasets: Names = None,
    tables: Names = None,
    rows: Names = None,
    everything: Everything = False,
    seeds: Seeds = 1,
    device: Device = "auto",
    runs: RunsFolder = RUNS,
    glove: Glove = None,
    skip_unreadable: SkipUnreadable = False,
    changes: Changes = None,
    tflops: Speed = None,
) -> None:
    """The stages behind a paper's tables: what is done, what is missing, and what it will cost."""

    asked = _asked(seeds, device, skip_unreadable, changes, tables, rows, datasets, everything)
    run = preparation.prepare(_paper(paper), scale, data_root, asked, runs, glove=glove, only_plan=True)
    settings = run.recipe.settings.model_dump(mode="json")
    kind = "cuda" if scale != "tiny" and device == "auto" else run.request.device_kind
    speed = costs.speed(stage_folders.results(runs, "pretrain"), settings, kind, tflops)
    lines, missing, damages = [], 0.0, []
    for stage in run.built.stages.values():
        done, damage, hours = (
            stage_folders.done(stage, runs),
            stage_folders.damage(stage.folder(runs)),
            speed.hours(stage),
        )
        missing += 0 if done else hours
        damages += [damage] if damage else []
        what, state = stage.label().removeprefix(stage.kind).strip(), "done" if done else "missing"
        lines.append([stage.kind, what, stage.key, "damaged" if damage else state, f"{hours:.3f}" if hours else "–"])
    _say(summary.grid(lines, ["stage", "what", "key", "state", speed.unit]))
    _say(
        f"\n{len(lines)} stages for {len(run.built.measurements)} results; what is missing costs about {missing:.2f} {speed.unit} "
        f"at {speed.tflops:.3g} TFLOP/s ({speed.origin})."
    )
    if otherwise := summary.otherwise(run.recipe.changes):
        _say(otherwise)
    for damage in damages:
        _say(f"damaged: {damage}; a run sets it aside and computes it again")
    if note := summary.space(run.built, runs):
        _say(note)
    if left_out := summary.not_planned(run.built):
        _say(left_out)
    for name, facts in run.data.facts.items():
        if facts.state and not facts.contents:
            _say(f"{name} changed since it was checked, or never was: all that needs it is shown as missing")
    preparation.refuse_faults(run.data)


@app.command("run")
def run_paper(
    paper: PaperKey,
    scale: Scale = "tiny",
    data_root: DataRoot = None,
    datasets: Names = None,
    tables: Names = None,
    rows: Names = None,
    everything: Everything = False,
    seeds: Seeds = 1,
    device: Device = "auto",
    workers: Workers = None,
    runs: RunsFolder = RUNS,
    records: OwnRecords = None,
    glove: Glove = None,
    skip_unreadable: SkipUnreadable = False,
    changes: Changes = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard logs beside the checkpoints.")
    ] = False,
) -> None:
    """Run a paper's protocol, judge the results, and write a report page under the runs folder."""
    from harness.reporting import report

    asked = _asked(seeds, device, skip_unreadable, changes, tables, rows, datasets, everything)
    run = preparation.prepare(_paper(paper), scale, data_root, asked, runs, glove=glove)
    store = Store(records or runs / "records")
    machine = preparation.machine(run, device, workers, tensorboard)
    run = preparation.checked(run, runs)
    notes = summary.otherwise(run.recipe.changes), summary.not_planned(run.built), summary.space(run.built, runs)
    for note in notes:
        if note:
            print(note, file=sys.stderr)
    command = runner.command_line()
    measured, failure = runner.run(run, runs, store, machine, command)
    facts, versions = preparation.recipes(), door.protocol_versions()
    claims = {paper: _claims().get(paper, [])}
    built = report.build(
        {paper: run.paper},
        store.read(paper),
        claims,
        facts,
        folder=runs / "reports",
        store=store.folder,
        protocol_versions=versions,
    )
    report.write(built, runs / "reports")
    _say(summary.of_run(run, measured, versions))
    _say(f"\n{len(measured)} results in {store.folder}; report: {runs / 'reports' / f'{paper}.md'}")
    if failure is not None:
        raise failure
    preparation.refuse_faults(run.data)


@app.command()
def compare(
    paper: PaperKey,
    scale: Scale = "paper",
    records: Records = REPORTS / "records",
    verdict: Annotated[str | None, typer.Option(help="Only cells with this verdict.")] = None,
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
) -> int:
    """Write the report pages from records alone."""
    from harness.reporting import report

    if form not in ("markdown", "html", "latex"):
        raise UsageError(f"--format {form}: choose markdown, html or latex")
    papers, store = reference.load(TABLES), Store(_existing(records))
    if form == "latex":
        print(_latex(papers, store, table, scale), end="")
        return 0
    if out is None and not check and records.resolve() != (REPORTS / "records").resolve():
        raise UsageError(f"--records {records}: name the pages' folder by --out; {REPORTS} shows {REPORTS / 'records'}")
    out = out or REPORTS
    found = store.read()
    if out.resolve() == REPORTS.resolve():
        report.refuse_otherwise(found, store.folder)
    built = report.build(
        papers,
        found,
        _claims(),
        preparation.recipes(),
        folder=out,
        store=store.folder,
        protocol_versions=door.protocol_versions(),
    )
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
def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Option(
            parser=options.path,
            metavar="FILE",
            help="safetensors, or a torch file of tensors; ours, a plain backbone, or VCOP's release.",
        ),
    ],
    backbone: Annotated[str, typer.Option(help="c3d, r3d, r2plus1d, c3d5, resnet18-3d or s3dg.")],
    protocol: Annotated[
        str, typer.Option(help="clip-retrieval, video-retrieval, recognition, aslan, yupenn or video-qa.")
    ],
    dataset: Annotated[
        str, typer.Option(help="ucf101 or hmdb51; aslan, yupenn and video-qa bring their own.")
    ] = "ucf101",
    name: Annotated[
        str | None,
        typer.Option(parser=options.name, metavar="NAME", help="What reports call it; by default the file's name."),
    ] = None,
    splits: Annotated[str, typer.Option(help="Official splits, comma-separated.")] = "1",
    paper: Annotated[
        str | None,
        typer.Option(
            help="Whose settings: pixels, clips, crops, fine-tuning. By default mas for aslan and yupenn, "
            "vcop-curriculum for video-qa, else vcop."
        ),
    ] = None,
    scale: Scale = "paper",
    data_root: DataRoot = None,
    seeds: Seeds = 1,
    device: Device = "auto",
    workers: Workers = None,
    runs: RunsFolder = RUNS,
    glove: Glove = None,
    skip_unreadable: SkipUnreadable = False,
    changes: Changes = None,
) -> None:
    """Measure a checkpoint of another code base under a paper's protocol."""

    numbers = options.splits(splits)
    paper = paper or {"aslan": "mas", "yupenn": "mas", "video-qa": "vcop-curriculum"}.get(protocol, "vcop")
    recipe = door.load_recipe(paper, scale, changes or ())
    asked = evaluation.as_paper(checkpoint, backbone, protocol, dataset, numbers, recipe, name)
    request = _asked(seeds, device, skip_unreadable, changes, everything=True)
    run = preparation.work_out(asked, recipe, data_root, request, runs, glove=glove)
    run.data.roots["checkpoint"] = checkpoint.resolve()
    store = Store(runs / "records")
    machine = preparation.machine(run, device, workers, False)
    run = preparation.checked(run, runs)
    command = runner.command_line()
    found, failure = runner.run(run, runs, store, machine, command)
    for line in evaluation.describe(run.built, runs):
        _say(line)
    names = [column.metric for column in asked.figures[0].columns]
    _say(summary.of_evaluation(found, names))
    _say(f"\nrecords: {store.folder / 'imported'}; `report --records {store.folder} --out DIR` shows them on a page")
    if failure is not None:
        raise failure
    preparation.refuse_faults(run.data)


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
) -> None:
    """Every printed number, or every result, as a flat table."""

    if what not in ("cells", "records"):
        raise UsageError(f"export {what}: choose cells or records")
    if results or what == "records":
        rows = exports.scores(Store(_existing(store, "--from")).read())
    else:
        rows = exports.cells(reference.load(TABLES))
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


def _claims() -> dict:
    from harness.judging import claims

    return claims.load(TABLES / "claims")


def _existing(records: Path, option: str = "--records") -> Path:
    if not records.is_dir():
        raise UsageError(f"{records}: no such folder of records; run a paper first, or give {option}")
    return records


def _latex(papers: dict, store, table: str | None, scale: str) -> str:
    from harness.reporting import latex, sections

    key, _, table_id = (table or "").partition(".")
    if key not in papers or not table_id:
        raise UsageError("--format latex needs --table PAPER.TABLE, such as vcop.table2")
    recipes = preparation.recipes()
    found = sections.sections(papers[key], store.read(key), (), recipes, door.protocol_versions())
    of_scale = [section for section in found if section.scale == scale]
    if not of_scale:
        scales = ", ".join(dict.fromkeys(one.scale for one in found))
        raise UsageError(f"no results of {key} at scale {scale!r}; scales: {scales}")
    chosen, cells = latex.most_complete(of_scale, table_id)
    if len(of_scale) > 1:
        others = "; ".join(one.title for one in of_scale if one is not chosen)
        print(f"{key} {table_id}: {chosen.title}, with {cells} cells measured; not {others}", file=sys.stderr)
    return latex.render(chosen, table_id)
