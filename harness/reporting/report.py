"""Reports: an index and one markdown page per paper, with charts. All that they say comes from records, tables and recipes.

`build` turns results into text and into the data of charts, `write` puts them into a folder, `check` says what in a folder is
not what the results give. The same records give the same bytes: dates and commits are those of the records, never of now.

What `check` compares: of a page every byte; of a chart the digest of its data, which `drawing.draw` wrote into the file,
and not the picture's bytes, since those may change with matplotlib's version while the picture shows the same numbers.
"""

import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.judging.claims import Claim
from harness.judging.compare import VERDICTS
from harness.records import Record
from harness.reporting import charts, drawing, imported, pages, protocol_charts
from harness.reporting.drawing import Chart
from harness.reporting.markdown import DASH, address, counted, text
from harness.reporting.markdown import table as grid
from harness.reporting.sections import Section, sections
from harness.tables import Paper

INDEX = "README.md"
NOT_OURS = "not part of the report; delete it or move it elsewhere"

VERDICT_TEXT = {
    "REPRODUCED": "ours is within the tolerance of the printed value, and known well enough for that to mean something",
    "NEAR": "neither reproduced nor shown to differ: the difference could be noise, or more seeds are needed",
    "BELOW": "worse than printed by more than the tolerance, beyond noise",
    "ABOVE": "better than printed by more than the tolerance, beyond noise: a finding too, which asks for an explanation",
    "INCOMPLETE": "some splits or seeds are missing; no judgement before they are there",
    "MISSING": "it was run, but this number was not obtained, or by an older recipe only",
    "INVALID": "the result contradicts itself (counts, protocol version, not a number); never counted as a number",
    "NOT COMPARABLE": "measured at a smaller scale or on other data than the paper's, or the paper prints no number",
    "NOT RUN": "nothing was run for it",
    "CITED": "quoted by the paper from other work; shown, never run",
}
CLAIM_TEXT = {
    "HOLDS": "the statement is true of our results with a probability of at least 0.95 over seeds",
    "FAILS": "the probability is at most 0.05",
    "UNDECIDED": "in between, within noise, or the spread is unknown; the page says how many seeds would decide",
    "NOT MEASURED": "an own number of it has no result, or it is about printed numbers alone",
}
METHOD = """\
*Ours.* A cell is the mean over the official splits of each split's mean over seeds. The S splits are fixed and averaged, never
counted as replicates; seeds are the replicates. Let s² be the variance between the seeds of a split, pooled over the splits,
with Σ(n_k − 1) degrees of freedom for n_k seeds on split k. One run on every split then has the variance s²/S, and ours
s²/S² · Σ 1/n_k. Where the splits share one pretraining, their scores are tied: s² is then the variance of the n seeds' means over
splits, with n − 1 degrees of freedom, a run has s², and ours s²/n.

*Against print.* The printed value is one run and is given the variance of one of ours, so d = ours − printed has the standard
error e = √(variance of ours + variance of a run). Two tests, each at 5 %, with Student's t distribution of these degrees of freedom
and δ the tolerance of the cell: *p differ*, for the null hypothesis that the true |d| is at most δ, is
P(T > (|d| − δ)/e) + P(T > (|d| + δ)/e); *p equal*, for the null hypothesis that it is at least δ (two one-sided tests), is
P(T > (δ − |d|)/e). BELOW and ABOVE: p differ < 0.05. REPRODUCED: |d| ≤ δ and e ≤ δ, so that agreement means something. NEAR: neither.

*Few seeds.* With fewer than two degrees of freedom, or seeds that are all equal, the prior spread that the table states, with its
source, takes the place of s if it is larger. It counts as known, so quantiles are those of the normal distribution, and the cell
is flagged. It belongs to runs at full size, and is used only at paper scale on the full data. Elsewhere one seed, or equal ones,
have no known spread, and decide no claim.

*Tolerances* are data, each with its reason, in `reference_tables/`; losses and AUC have their own, in their own unit. Parameters and
multiply-accumulates have no noise and must be equal at the printed precision.

*Videos.* The sampling of test videos does not enter, as both sides were measured on the same official list. It is shown apart as
a 95 % interval over videos, from 1,000 bootstrap resamples of whole groups (the videos of one UCF101 group come from one
recording; the ten clips of a video count as one).

*Claims.* A claim's probability is the share of 2,000 joint draws of its cells, from the t distributions of their means, in which
it is true. Cells of one row come from the same runs and are drawn together: by the deviations that each run has in all of them,
so that a difference of two is judged as by a paired t-test; with too few runs to know how they go together, both extremes are
drawn and the less decisive one counts. Different rows are drawn independently."""


@dataclass(frozen=True)
class Report:
    """All pages and the data of all charts."""

    pages: dict[str, str]  # file name -> markdown; the index first
    charts: tuple[Chart, ...]


def build(
    papers: Mapping[str, Paper],
    records: Iterable[Record],
    claims: Mapping[str, Sequence[Claim]],
    recipes: Iterable[Mapping[str, Any]],
    *,
    folder: Path,
    store: Path,
    protocol_versions: dict[str, int] | None = None,
) -> Report:
    """Judge all records and lay out the report.

    recipes: recipe facts of any papers and scales. folder: where the pages are to be written. store: where the records
    are, and the pictures beside them. protocol_versions: as in `compare.judge`. Raises UsageError for a record of an
    unknown paper.
    """
    # Ten thousand records stay, whatever is made of them: the collector need not walk through them each time.
    gc.freeze()
    try:
        return _build(papers, records, claims, list(recipes), folder, store, protocol_versions)
    finally:
        gc.unfreeze()


def _build(
    papers: Mapping[str, Paper],
    records: Iterable[Record],
    claims: Mapping[str, Sequence[Claim]],
    recipes: Sequence[Mapping[str, Any]],
    folder: Path,
    store: Path,
    protocol_versions: dict[str, int] | None,
) -> Report:
    of_paper: dict[str, list[Record]] = {key: [] for key in (*papers, imported.KEY)}
    for record in records:
        if record.paper not in of_paper:
            raise UsageError(f"{store / record.key()}: no paper {record.paper!r}; papers: {', '.join(papers)}")
        of_paper[record.paper].append(record)
    found = {
        key: sections(paper, of_paper[key], claims.get(key, ()), recipes, protocol_versions)
        for key, paper in papers.items()
    }

    def picture(record: Record, name: str) -> str | None:
        path = (store / record.key()).with_name(name)
        return address(Path(os.path.relpath(path, folder)).as_posix()) if path.is_file() else None

    drawn = {
        key: [[*charts.of_section(section), *protocol_charts.of_section(section)] for section in parts]
        for key, parts in found.items()
    }
    written = {INDEX: index(found)}
    written |= {f"{key}.md": pages.page(parts, drawn[key], picture) for key, parts in found.items()}
    if checkpoints := of_paper[imported.KEY]:
        written[INDEX] += (
            f"\n## {imported.TITLE}\n\n[{len(checkpoints)} results]({imported.KEY}.md), judged against nothing.\n"
        )
        written[f"{imported.KEY}.md"] = imported.page(checkpoints)
    return Report(written, tuple(chart for of_sections in drawn.values() for some in of_sections for chart in some))


def index(found: Mapping[str, Sequence[Section]]) -> str:
    """The index page; found: paper key -> its sections."""
    rows, claims = [], []
    for key, parts in found.items():
        for section in parts:
            records = section.records
            dates = sorted(record.created[:10] for record in records)
            commits = sorted({record.commit[:12] for record in records})
            dirty = " + changes" if any(record.dirty for record in records) else ""
            which = [f"[{key}]({key}.md)", section.title]
            verdicts = counted(pages.verdict_counts(section), VERDICTS)
            rows.append([*which, verdicts, dates[-1] if dates else DASH, (", ".join(commits) + dirty) or DASH])
            if section.claims:
                count = pages.claim_counts(section)
                claims.append([*which, *(str(count[name]) for name in pages.CLAIM_VERDICTS)])
    numbers = sum(parts[0].paper.numbers for parts in found.values())
    return (
        "\n\n".join(
            [
                "# Do the papers reproduce?",
                pages.GENERATED,
                f"{len(found)} papers with {numbers} printed numbers. One line for each set of results: a scale, on one kind of data. "
                "Only paper scale on the full data is compared with print.",
                grid(["Paper", "results", "verdicts", "date", "commit"], rows, words=range(5)),
                "Claims of their texts, checked on the same results:",
                grid(["Paper", "results", *pages.CLAIM_VERDICTS], claims, words=(0, 1)),
                "## Verdicts",
                grid(["Verdict", "meaning"], VERDICT_TEXT.items(), words=(0, 1)),
                "Claims are sentences of the papers about their results, checked at every scale on that scale's results:",
                grid(["Claim", "meaning"], CLAIM_TEXT.items(), words=(0, 1)),
                "## Method",
                METHOD,
                "## Papers",
                "\n".join(f"- [{key}]({key}.md): {text(parts[0].paper.citation)}" for key, parts in found.items()),
            ]
        )
        + "\n"
    )


def write(report: Report, folder: Path, draw: bool = True) -> list[Path]:
    """Write pages and charts and remove charts that no page shows any more; returns what changed, sorted.

    Pages and charts that are as they should be are not touched. draw=False leaves charts alone.
    """
    changed = []
    for name, content in report.pages.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content.encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(path.name + ".part")
            unfinished.write_bytes(content.encode())
            unfinished.replace(path)
            changed.append(path)
    if draw:
        changed += [folder / "figures" / one.name for one in report.charts if drawing.draw(one, folder / "figures")]
        for path in _orphans(report, folder):
            path.unlink()
            changed.append(path)
    return sorted(changed)


def check(report: Report, folder: Path) -> list[str]:
    """What in the folder is not what the results give, a line for each file; empty where all is as it should be."""
    stale = []
    for name, content in report.pages.items():
        path = folder / name
        if not path.is_file():
            stale.append(f"{name}: not there")
        elif path.read_bytes() != content.encode():
            stale.append(f"{name}: not what the records give")
    for chart in report.charts:
        digest = drawing.drawn_digest(folder / "figures" / chart.name)
        if digest is None:
            stale.append(f"figures/{chart.name}: not there")
        elif digest != chart.digest():
            stale.append(f"figures/{chart.name}: drawn from other data")
    stale += [f"{path.relative_to(folder).as_posix()}: {NOT_OURS}" for path in _extra(report, folder)]
    return sorted(stale)


def lost(report: Report, folder: Path) -> list[Path]:
    """Pages of the folder that show results of a paper of which this report has none: of other records, or of more."""
    found = [folder / name for name, content in report.pages.items() if pages.NOTHING_RUN in content]
    return [path for path in found if path.is_file() and pages.NOTHING_RUN.encode() not in path.read_bytes()]


def refuse_otherwise(records: Iterable[Record], store: Path) -> None:
    """Raise UsageError for a record of what a command asked for otherwise: committed pages show the papers' protocols alone."""
    for record in records:
        if record.asked:
            raise UsageError(
                f"{store / record.key()}: measured otherwise than the recipe or the lists have it "
                f"({record.asked[0].what}); take it out, or write pages elsewhere by --out"
            )


def _extra(report: Report, folder: Path) -> Iterator[Path]:
    """Pages, and files among the charts, that the results do not give. Other folders, such as the records', are not looked into."""
    pictures = {chart.name for chart in report.charts}
    for path in sorted(folder.glob("*.md")):
        if path.name not in report.pages:
            yield path
    for path in sorted((folder / "figures").rglob("*")):
        name = path.relative_to(folder / "figures").as_posix()
        if path.is_file() and name not in pictures and not path.name.startswith("."):
            yield path


def _orphans(report: Report, folder: Path) -> Iterator[Path]:
    """Drawn charts of the report's papers that no page shows any more, such as those of records that are gone."""
    wanted = {chart.name for chart in report.charts}
    for paper in sorted(Path(name).stem for name in report.pages):
        for path in sorted((folder / "figures" / paper).glob("*.svg")):
            if f"{paper}/{path.name}" not in wanted and drawing.drawn_digest(path):
                yield path
