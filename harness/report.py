"""Reports: an index and one markdown page per paper, with figures. All that they say comes from records, tables and recipes.

`build` turns results into text and into the data of figures, `write` puts them into a folder, `check` says what in a folder is
not what the results give. The same records give the same bytes: dates and commits are those of the records, never of now.

What `check` compares: of a page every byte; of a figure the digest of its data, which `figures.draw` wrote into the file,
and not the picture's bytes, since those may change with matplotlib's version while the picture shows the same numbers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import charts, figures, pages
from harness.claims import Claim
from harness.compare import VERDICTS
from harness.errors import UsageError
from harness.figures import Figure
from harness.markdown import counted, text
from harness.markdown import table as grid
from harness.records import Record
from harness.sections import Section, sections
from harness.tables import Paper

INDEX = "README.md"

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
    "UNDECIDED": "in between, within noise; the page says how many seeds would decide",
    "NOT MEASURED": "some of its numbers have no result",
}
METHOD = """\
Every cell is a mean over the official splits of each split's mean over seeds. Splits are fixed and averaged, never counted as
replicates; seeds are the replicates, and their standard deviation is pooled within splits (over the seeds' means where splits
share one pretraining). The printed value is one run and is given the same spread, so the variance of the difference
d = ours − printed is that of our mean plus that of one run. With fewer than two degrees of freedom the prior spread that
the table states, with its source, stands in if it is larger, and the cell is flagged. Two tests with Student's t, each at 5 %:
*p differ*, for the null hypothesis that |d| is at most the tolerance of the cell, and *p equal*, for the null hypothesis that it is
at least that (two one-sided tests). REPRODUCED: |d| is within the tolerance and the standard error of d does not exceed it. BELOW
and ABOVE: p differ < 0.05. NEAR: neither. The sampling of test videos does not enter, as both sides were measured on the same
official list; it is shown apart as a 95 % interval over videos, from 1,000 bootstrap resamples of whole groups (the videos of one
UCF101 group come from one recording; the ten clips of a video count as one). Parameters and multiply-accumulates have no noise and
must be equal at the printed precision. Tolerances are data, each with its reason, in `reference_tables/`. A claim's
probability is the share of 2,000 joint draws of its cells, from the t distributions of their means, in which it is true."""


@dataclass(frozen=True)
class Report:
    """All pages and the data of all figures."""

    pages: dict[str, str]  # file name -> markdown; the index first
    figures: tuple[Figure, ...]


def build(
    papers: Mapping[str, Paper],
    records: Iterable[Record],
    claims: Mapping[str, Sequence[Claim]],
    recipes: Iterable[Mapping],
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
    of_paper: dict[str, list[Record]] = {key: [] for key in papers}
    for record in records:
        if record.paper not in of_paper:
            raise UsageError(f"{store / record.key()}: no paper {record.paper!r}; papers: {', '.join(papers)}")
        of_paper[record.paper].append(record)
    recipes = list(recipes)
    found = {
        key: sections(paper, of_paper[key], claims.get(key, ()), recipes, protocol_versions)
        for key, paper in papers.items()
    }

    def picture(record: Record, name: str) -> str | None:
        path = (store / record.key()).with_name(name)
        return Path(os.path.relpath(path, folder)).as_posix() if path.is_file() else None

    drawn = {key: [charts.figures(section) for section in parts] for key, parts in found.items()}
    written = {INDEX: index(found)}
    written |= {f"{key}.md": pages.page(parts, drawn[key], picture) for key, parts in found.items()}
    return Report(written, tuple(figure for of_sections in drawn.values() for some in of_sections for figure in some))


def index(found: Mapping[str, Sequence[Section]]) -> str:
    """The index page; found: paper key -> its sections."""
    rows = []
    for key, parts in found.items():
        for section in parts:
            records = section.records
            dates = sorted(record.created[:10] for record in records)
            commits = sorted({record.commit[:12] for record in records})
            dirty = " + changes" if any(record.dirty for record in records) else ""
            claims = pages.claim_counts(section)
            rows.append(
                [
                    f"[{key}]({key}.md)",
                    section.title,
                    counted(pages.verdict_counts(section), VERDICTS),
                    counted(claims, pages.CLAIM_VERDICTS),
                    dates[-1] if dates else "–",
                    (", ".join(commits) + dirty) if commits else "–",
                ]
            )
    numbers = sum(parts[0].paper.numbers for parts in found.values())
    return (
        "\n\n".join(
            [
                "# Do the papers reproduce?",
                pages.GENERATED,
                f"{len(found)} papers with {numbers} printed numbers. One line for each set of results: a scale, on one kind of data. "
                "Only paper scale on the full data is compared with print.",
                grid(["Paper", "results", "verdicts", "claims", "date", "commit"], rows, words=range(6)),
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
    """Write pages and figures and remove figures that no page shows any more; returns what changed, sorted.

    Pages and figures that are as they should be are not touched. draw=False leaves figures alone.
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
        changed += [folder / "figures" / one.name for one in report.figures if figures.draw(one, folder / "figures")]
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
    for figure in report.figures:
        digest = figures.drawn_digest(folder / "figures" / figure.name)
        if digest is None:
            stale.append(f"figures/{figure.name}: not there")
        elif digest != figure.digest():
            stale.append(f"figures/{figure.name}: drawn from other data")
    stale += [f"{path.relative_to(folder).as_posix()}: on no page" for path in _orphans(report, folder)]
    return sorted(stale)


def _orphans(report: Report, folder: Path) -> Iterator[Path]:
    """Drawn figures of the report's papers that no page shows any more, such as those of records that are gone."""
    wanted = {figure.name for figure in report.figures}
    for paper in sorted(Path(name).stem for name in report.pages):
        for path in sorted((folder / "figures" / paper).glob("*.svg")):
            if f"{paper}/{path.name}" not in wanted and figures.drawn_digest(path):
                yield path
