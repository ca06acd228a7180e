"""Commands that check data, plan, run and measure."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import commands, options, parsing
from harness.commands.shared import claims_of, pages_of, paper_of, say
from harness.errors import UsageError
from harness.judging import golden
from harness.options import (
    RUNS,
    Classes,
    DataRoot,
    Given,
    Input,
    Limit,
    Names,
    PaperKey,
    Places,
    RunsFolder,
    SkipUnreadable,
    Speed,
)
from harness.plan import Part, Request
from harness.planning import hours
from harness.planning.protocols import OF_WHOLE_VIDEOS
from harness.records import Store
from harness.reporting import terminal
from harness.running import checks, door, evaluation, preparation, recording, regression, runner, stage_folders


def check_data(
    data_root: DataRoot = None,
    datasets: Names = None,
    skip_unreadable: SkipUnreadable = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read every file, also those that have not changed since the last check.")
    ] = False,
    limit: Limit = None,
    classes: Classes = None,
    runs: RunsFolder = RUNS,
    places: Places = None,
) -> None:
    """Count, hash and decode every video that the list files name, before any time is spent on training."""

    if data_root is None:
        raise UsageError("check-data needs --data-root DIR (or SUITE_DATA): the folder that holds the datasets")
    part = Part(limit or 0, tuple(classes or ()))
    data = door.real_data(datasets or door.datasets_in(data_root), data_root, part)
    if data.without and not data.facts:
        raise UsageError("; ".join(data.without.values()))
    for reason in data.without.values():
        print(f"not checked: {reason}", file=sys.stderr)
    data = checks.bring_up_to_date(data, runs, again=again)
    for name, stage in checks.stages(data).items():
        try:
            if not skip_unreadable:
                recording.refuse_unreadable(stage, runs)
            say("\n".join(checks.describe(stage, runs, data.facts[name])))
        except UsageError as error:
            data.faults[name] = str(error)
    preparation.refuse_faults(data)


@options.shared(without=("workers", "records"))
def show_plan(paper: PaperKey, given: Given, tflops: Speed = None) -> None:
    """The stages behind a paper's tables: what is done, what is missing, and what it will cost."""

    asked = _request(given)
    prepared = preparation.prepare(
        paper_of(paper), given.scale, given.data_root, asked, given.runs, glove=given.glove, only_plan=True
    )
    settings = prepared.recipe.settings.model_dump(mode="json")
    kind = "cuda" if given.scale != "tiny" and given.device == "auto" else asked.device_kind
    speed = hours.speed(stage_folders.results(given.runs, "pretrain"), settings, kind, tflops)
    say(terminal.of_plan(prepared, given.runs, speed))
    preparation.refuse_faults(prepared.data)


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

    asked, found, runs = _request(given), paper_of(paper), given.runs
    prepared = preparation.prepare(found, given.scale, given.data_root, asked, runs, glove=given.glove)
    store = Store(given.records or runs / "records")
    machine = preparation.machine(prepared, given.device, given.workers, tensorboard)
    prepared = preparation.checked(prepared, runs)
    notes = (
        terminal.otherwise(prepared.otherwise),
        terminal.not_planned(prepared.built),
        terminal.space(prepared.built, runs),
    )
    for note in notes:
        if note:
            print(note, file=sys.stderr)
    measured, failure = runner.run(prepared, runs, store, machine)
    claims = {paper: claims_of(paper)}
    report.write(pages_of({paper: found}, store.read(paper), claims, store, runs / "reports"), runs / "reports")
    say(terminal.of_run(prepared, measured, door.protocol_versions((paper,))))
    say(f"\n{len(measured)} results in {store.folder}; report: {runs / 'reports' / f'{paper}.md'}")
    _end(prepared, failure)


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
    protocol: Annotated[str, typer.Option(help=f"One of {', '.join(OF_WHOLE_VIDEOS)}.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            parser=parsing.path,
            metavar="FILE",
            help="Weights: safetensors, or a torch file of tensors; ours, VCOP's release, torchvision's files, plain "
            "backbones. Without it: random ones.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Such as ucf101 or hmdb51; by default the protocol's own where it has one, else the one that the paper "
            "pretrains on."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            parser=parsing.name, metavar="NAME", help="What reports call it; by default the name of file or network."
        ),
    ] = None,
    splits: Annotated[str, typer.Option(help="Official splits, comma-separated.")] = "1",
    paper: Annotated[
        str | None,
        typer.Option(
            help="Whose settings: pixels, clips, crops, fine-tuning. By default the paper whose recipe says that it "
            "`evaluates` the protocol."
        ),
    ] = None,
    *,
    stated: Input,
    given: Given,
) -> None:
    """Measure a network from elsewhere, or a checkpoint of one, under a paper's protocol."""

    numbers, runs = parsing.splits(splits), given.runs
    paper = paper or evaluation.usual_paper(protocol)
    changes, said = given.changes or (), stated.stated()
    recipe = door.recipe_for(backbone, paper, given.scale, changes, said)
    table = evaluation.as_paper(checkpoint, backbone, protocol, dataset, numbers, recipe, name)
    prepared = preparation.work_out(table, recipe, given.data_root, _request(given), runs, glove=given.glove)
    if checkpoint is not None:
        evaluation.refuse_other_weights(checkpoint, backbone, recipe, changes, said)
        prepared.data.roots["checkpoint"] = checkpoint.resolve()
    store = Store(runs / "records")
    machine = preparation.machine(prepared, given.device, given.workers, False)
    prepared = preparation.checked(prepared, runs)
    if note := terminal.otherwise(prepared.otherwise):
        print(note, file=sys.stderr)
    measured, failure = runner.run(prepared, runs, store, machine)
    for line in (*evaluation.describe(prepared.built, runs), *terminal.inputs(measured)):
        say(line)
    say(terminal.of_evaluation(measured, [column.metric for column in table.figures[0].columns]))
    say(f"\nrecords: {store.folder / 'imported'}; `report --records {store.folder} --out DIR` shows them on a page")
    _end(prepared, failure)


def run_regression(
    paper: Annotated[str | None, typer.Argument(help="Only this paper; else all that have golden numbers.")] = None,
    runs: RunsFolder = RUNS,
) -> int:
    """Run a fixed slice of the tiny scale and hold it against the golden numbers; exit 1 where one does not hold."""

    if paper is not None:
        paper_of(paper)
    keys = golden.papers(commands.TABLES) if paper is None else [paper]
    expected = {key: golden.load(commands.TABLES / "golden" / f"{key}.toml") for key in keys}
    failed = 0
    for key, numbers in expected.items():
        verdicts = golden.judge(numbers, regression.results(key, runs))
        wrong = [verdict for verdict in verdicts if not verdict.holds]
        trained = [verdict for verdict in verdicts if verdict.holds and verdict.id.startswith("trained/")]
        say("\n".join(verdict.line() for verdict in [*trained, *wrong]))
        say(f"{key}: {len(verdicts) - len(wrong)} golden numbers hold, {len(wrong)} do not")
        failed += len(wrong)
    return 1 if failed else 0


def bless(
    paper: PaperKey,
    reason: Annotated[str, typer.Option(help="Why the numbers moved; a line in reference_tables/CHANGES.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Set the floors of trained scores anew, over seeds and instruction sets.")
    ] = False,
    runs: RunsFolder = RUNS,
) -> None:
    """Take the present results of the regression slice as golden numbers."""

    paper_of(paper)
    reason = golden.checked_reason(reason)
    results = regression.results(paper, runs)
    measured = regression.spread(paper, runs) if measure else None
    say("\n".join(golden.bless(commands.TABLES, paper, results, reason, measured)))


def _request(given: Given) -> Request:
    return given.request(preparation.device_kind(given.device))


def _end(prepared: preparation.Prepared, failure: Exception | None) -> None:
    """Raise what a run must end with, when all that could be measured was shown."""
    if failure is not None:
        raise failure
    preparation.refuse_faults(prepared.data)
