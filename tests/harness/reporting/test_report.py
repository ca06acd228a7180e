"""Reports: what a page says of which results, that it never says more, and that it is the same every time.

After an intended change write the golden page again: python -m tests.harness.reporting.test_report
"""

import gc
import json
import math
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabulate import tabulate

from harness import tables
from harness.errors import UsageError
from harness.judging import certainty, claims
from harness.records import Store
from harness.reporting import markdown, pages, report
from harness.reporting.sections import sections
from tests.harness import results

GOLDEN = Path(__file__).parents[2] / "fixtures" / "reports" / "small.md"


@pytest.fixture
def paper(tmp_path):
    return results.small_paper(tmp_path)


@pytest.fixture
def said(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "small.toml").write_text(results.CLAIMS, encoding="utf-8")
    return claims.load(tmp_path / "claims")


def build(paper, records=(), said=None, recipes=(), folder=Path("reports"), store=Path("reports/records")):
    return report.build({paper.key: paper}, records, said or {}, recipes, folder=folder, store=store)


def page(paper, records=(), said=None, recipes=()):
    return build(paper, records, said, recipes).pages[f"{paper.key}.md"]


def section_of(text, heading):
    """The part of a page under one second-level heading."""
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def rows_of(text, first):
    """The cells of all table rows that start with `first`, stripped."""
    rows = (
        [cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if line.startswith("|")
    )
    return [row for row in rows if row[0] == first]


def golden_page(folder):
    paper = results.small_paper(folder)
    (folder / "claims").mkdir()
    (folder / "claims" / "small.toml").write_text(results.CLAIMS, encoding="utf-8")
    records = list(results.records(paper, seeds=3, offset=5.0))
    return page(paper, records, claims.load(folder / "claims"), [results.RECIPE])


def test_a_page_is_exactly_the_golden_one(tmp_path):
    assert golden_page(tmp_path) == GOLDEN.read_text(encoding="utf-8")


def test_same_records_in_any_order_give_the_same_bytes(tmp_path, paper, said):
    records = list(results.records(paper, seeds=3, scale="paper", scope="full"))
    shuffled = records[:]
    random.Random(1).shuffle(shuffled)
    for name, order in (("a", records), ("b", shuffled)):
        built = build(paper, order, said, [results.RECIPE], tmp_path / name, tmp_path / name / "records")
        report.write(built, tmp_path / name)
    first = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    second = {p.relative_to(tmp_path / "b"): p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert first == second
    assert any(path.suffix == ".svg" for path in first)


def test_nothing_run_shows_printed_values_not_run_and_the_command(paper, said):
    text = page(paper, said=said)
    assert "**Nothing has been run yet.**" in text
    assert "python -m harness run small --tables table1 --scale paper --data-root DATA" in text
    assert rows_of(text, "C3D")[0] == ["C3D", "NOT RUN", "12.5†", "29.0", "39.0"]
    assert rows_of(text, "Jigsaw [27]") == [["Jigsaw [27]", "CITED", "19.7", "28.5", "–"]]
    assert "printed “125”, read as 12.5: the decimal point is lost" in text
    assert "The text says 12; the table says 12.5." in text
    assert not re.search(r"\b0\.0\b", text)
    assert build(paper).charts == ()


def test_smaller_scales_are_never_set_against_print(paper):
    text = section_of(page(paper, results.records(paper, seeds=2, offset=20)), "Tiny scale, synthetic data")
    judged = [row for row in rows_of(text, "C3D") + rows_of(text, "C3D (random)") if row[-1] == "NOT COMPARABLE"]
    assert len(judged) == 10
    assert {row[4] for row in judged} == {"–"}
    assert "Not comparable with the printed numbers" in text
    assert "p differ" not in text
    assert "Jigsaw" not in text


def test_paper_scale_shows_the_difference_and_the_verdict(paper):
    records = list(results.records(paper, seeds=3, scale="paper", scope="full", spread=0.0, offset=1.0))
    text = section_of(page(paper, records), "Paper scale, the full data")
    row = next(row for row in rows_of(text, "C3D (random)") if row[1] == "Top1")
    assert row == ["C3D (random)", "Top1", "16.0", "17.0 ± 0.0", "+1.0", "3", "REPRODUCED"]
    assert ["Jigsaw [27]", "cited", "19.7", "28.5", "–"] in rows_of(text, "Jigsaw [27]")
    # 50 stands in for the printed value that the paper does not give.
    row = next(row for row in rows_of(text, "C3D (random)") if row[1] == "HMDB51")
    assert row[2:5] == ["–", "51.0 ± 0.0", "–"]


def test_splits_stand_beside_the_mean(paper):
    records = list(results.records(paper, seeds=1, tables=("table2",), datasets=("ucf101",)))
    scores = {r.split: r.scores["accuracy"] for r in records if r.row == "c3d_order"}
    text = page(paper, records)
    details = next(row for row in rows_of(text, "C3D") if len(row) == 6 and row[1] == "UCF101")
    assert details[2:4] == [f"{scores[1]:.1f}", f"{scores[2]:.1f}"]
    ours = next(row for row in rows_of(text, "C3D") if row[-1] == "NOT COMPARABLE")
    assert ours[3] == f"{(scores[1] + scores[2]) / 2:.1f}"
    assert "--tables table2 --scale tiny --datasets ucf101" in text


def test_gain_is_pretrained_minus_random_with_the_spread_of_both(paper):
    by_seed = {("c3d_random", 0): 20.0, ("c3d_random", 1): 22.0, ("c3d_order", 0): 30.0, ("c3d_order", 1): 36.0}
    records = []
    for record in results.records(paper, seeds=2, tables=("table1",)):
        top1 = by_seed[record.row, record.seed]
        records.append(
            record.model_copy(update={"scores": record.scores | {"top1": top1}, "outcomes": None, "counts": {}})
        )
    gains = page(paper, records).partition("### Pretrained against random")[2]
    # Means 21 and 33; standard deviations sqrt(2) and sqrt(18), together sqrt(20).
    assert rows_of(gains, "C3D")[0][1] == f"+12.0 ± {math.sqrt(20):.1f}"


def test_a_nan_is_invalid_and_a_dash(paper):
    records = []
    for record in results.records(paper, seeds=1, scale="paper", scope="full", tables=("table1",)):
        if record.row == "c3d_order":
            record = record.model_copy(update={"scores": record.scores | {"top5": math.nan}})
        records.append(record)
    text = section_of(page(paper, records), "Paper scale, the full data")
    row = next(row for row in rows_of(text, "C3D") if row[1] == "Top5")
    assert row == ["C3D", "Top5", "29.0", "–", "–", "–", "INVALID"]
    assert re.search(r"- INVALID: .*nan.* \(C3D, Top5\)", text)


def test_what_was_not_asked_for_is_a_line_not_a_table(paper):
    text = section_of(page(paper, results.records(paper, tables=("table1",))), "Tiny scale, synthetic data")
    assert "NOT RUN here: Table 2 (`table2`), Figure 1 (`figure1`)." in text
    assert "### Table 2" not in text


def test_results_of_different_data_and_recipes_are_never_mixed(paper):
    first = list(results.records(paper, seeds=1))
    other_data = [
        r.model_copy(update={"fingerprint": "synthetic-0123456789ab"}) for r in first if r.dataset == "ucf101"
    ]
    other_recipe = [r.model_copy(update={"recipe_hash": "cd" * 32}) for r in first]
    found = sections(paper, [*first, *other_recipe])
    assert [(s.scale, s.recipe_hash[:2], len(s.records)) for s in found if s.records] == [
        ("tiny", "ab", len(first)),
        ("tiny", "cd", len(first)),
    ]
    assert len({s.slug for s in found}) == len(found)
    found = [s for s in sections(paper, [*first, *other_data]) if s.records]
    assert sorted(len({r.fingerprint for r in s.records if r.dataset == "ucf101"}) for s in found) == [1, 1]


def test_a_pretraining_ties_the_datasets_of_a_run(paper):
    runs = []
    for letter in "ab":
        for record in results.records(paper, seeds=1):
            mark = f"synthetic-{letter * 11}{record.dataset[0]}"
            stages = {"pretrain": f"pretrain-{letter}"} if record.stages else {}
            runs.append(record.model_copy(update={"fingerprint": mark, "stages": stages}))
    found = [section.fingerprints for section in sections(paper, runs) if section.records]
    assert sorted(found, key=str) == [
        {"hmdb51": f"synthetic-{letter * 11}h", "ucf101": f"synthetic-{letter * 11}u"} for letter in "ab"
    ]


def test_comparable_results_come_first_and_stand_alone(paper):
    records = [*results.records(paper, seeds=1), *results.records(paper, seeds=1, scale="paper", scope="full")]
    titles = re.findall(r"^## (.* scale, .*)$", page(paper, records), re.M)
    assert titles == ["Paper scale, the full data", "Tiny scale, synthetic data"]


def test_departures_are_those_in_force(paper):
    text = page(paper, results.records(paper, seeds=1), recipes=[results.RECIPE])
    tiny = section_of(text, "Tiny scale, synthetic data")
    assert "- `tiny-networks`: Narrow networks. Why: Two CPU cores. Effect: 5 points of Top1.\n" in tiny
    assert "not-in-force" not in text


@pytest.mark.parametrize("ran", [True, False])
def test_what_was_decided_stands_under_three_headings(paper, ran):
    made = results.records(paper, seeds=1) if ran else []
    text = page(paper, made, recipes=[results.RECIPE | {"scale": scale} for scale in ("tiny", "paper")])
    assert "### Departures from the paper or its authors' code\n\n- `" in text
    assert "## Where the paper is silent\n\n- **Crop**: one for each clip (authors' code)\n" in text
    read = "- **Clips are 61 frames long.** Read as: sixteen frames. Why: Sec. 3 has 16.\n"
    assert f"## Where the paper is read otherwise\n\n{read}" in text


def test_a_list_of_nothing_says_so(paper):
    bare = results.RECIPE | {"scale": "paper", "departures": [], "decisions": [], "readings": []}
    text = page(paper, [], recipes=[bare])
    for heading in (
        "### Departures from the paper or its authors' code",
        "## Where the paper is silent",
        "## Where the paper is read otherwise",
    ):
        assert f"{heading}\n\nNone.\n" in text
    without = page(paper, [], recipes=[])
    assert not re.search("^##+ (Departures|Where the paper)", without, re.M)


def test_an_effect_that_was_not_measured_is_called_so(paper):
    first, *others = results.RECIPE["departures"]
    unmeasured = {name: value for name, value in first.items() if name != "effect"}
    text = page(
        paper, results.records(paper, seeds=1), recipes=[results.RECIPE | {"departures": [unmeasured, *others]}]
    )
    assert "Why: Two CPU cores. Effect: not measured.\n" in text


def test_an_older_recipe_is_called_so(paper):
    recipe = results.RECIPE | {"hash": "cd" * 32}
    assert "recipe `abababab`, not the present one (`cdcdcdcd`)" in page(
        paper, results.records(paper), recipes=[recipe]
    )


def test_claims_come_with_probability_and_numbers(paper, said):
    text = page(paper, results.records(paper, seeds=3, tables=("table1",)), said)
    tiny = section_of(text, "Tiny scale, synthetic data")
    assert re.search(r"- \*\*HOLDS\*\* `pretraining_helps`: .* \(Sec. 4; true of the paper's own tables; P [=>] ", tiny)
    assert "**FAILS** `pretraining_helps_top1`" in tiny
    assert "**contradicted by the paper's own tables**" in tiny
    assert "  - Note: 12.5 against 16.0." in tiny
    (numbers,) = re.findall(r"  - Numbers, .*:\n((?:    - .*\n)+)", tiny.partition("`pretraining_helps_top1`")[0])
    first, second = numbers.splitlines()
    assert re.fullmatch(r"    - table1\.c3d_order: top5 = [\d.]+ \[[\d.]+ to [\d.]+\] \(3 seeds\)", first)
    assert second.startswith("    - table1.c3d_random: top5 = ")
    assert "- **NOT MEASURED** here: `video_level`" in tiny


def test_data_and_environment_are_shown(paper):
    text = page(paper, results.records(paper, seeds=1))
    assert "decoded 40, listed 40, queries 40, total 400" in text
    digest = next(results.records(paper)).lists["testlist01.txt"][:16]
    assert f"`{digest}`" in text
    assert rows_of(text, "torch") == [["torch", "2.11.0"]]


def test_pictures_are_shown_where_they_exist(tmp_path, paper):
    record = next(results.records(paper)).model_copy(update={"pictures": ["there.png", "gone.png"]})
    store = tmp_path / "reports" / "records"
    path = store / record.key()
    path.parent.mkdir(parents=True)
    path.with_name("there.png").write_bytes(b"\x89PNG")
    built = build(paper, [record], folder=tmp_path / "reports", store=store)
    address = f"records/{Path(record.key()).with_name('there.png').as_posix()}"
    assert f"]({address})" in built.pages["small.md"]
    assert "gone.png" not in built.pages["small.md"]


def test_index_has_one_line_for_each_set_of_results(paper, said):
    records = [*results.records(paper, seeds=2), *results.records(paper, seeds=1, scope="subset", tables=("table1",))]
    index = build(paper, records, said).pages["README.md"]
    lines = rows_of(index, "[small](small.md)")
    titles = ["Tiny scale, a subset of the data", "Tiny scale, synthetic data", "Paper scale, the full data"]
    assert [line[1] for line in lines] == titles * 2
    assert lines[1][2:] == ["9 NOT COMPARABLE, 2 CITED", "2026-01-02", "0123456789ab"]
    assert lines[2][2:] == ["9 NOT RUN, 2 CITED", "–", "–"]
    assert lines[5][2:] == ["0", "0", "0", "3"]
    assert "1,000 bootstrap resamples" in index


def test_check_finds_what_is_stale_and_only_that(tmp_path, paper):
    records = list(results.records(paper, seeds=2))
    folder = tmp_path / "reports"
    built = build(paper, records)
    assert len(report.check(built, folder)) == 2 + len(built.charts)
    report.write(built, folder)
    assert report.check(built, folder) == []
    assert report.write(built, folder) == []

    name = built.charts[0].name
    (folder / "small.md").write_text(built.pages["small.md"].replace("Top1", "Top2"), encoding="utf-8")
    (folder / "figures" / name).unlink()
    assert report.check(built, folder) == [f"figures/{name}: not there", "small.md: not what the records give"]
    report.write(built, folder)

    fewer = build(paper, [r for r in records if r.table == "table1"])
    stale = report.check(fewer, folder)
    assert "small.md: not what the records give" in stale
    assert any(line.endswith(report.NOT_OURS) for line in stale)
    report.write(fewer, folder)
    assert report.check(fewer, folder) == []


def test_check_names_pages_and_figures_that_no_record_gives(tmp_path, paper):
    built = build(paper, results.records(paper), folder=tmp_path, store=tmp_path / "records")
    report.write(built, tmp_path)
    fine = [
        "records/small/tiny/notes.md",
        "records/small/a.png",
        "pictures/report.png",
        "reports.html",
        "figures/.keep",
    ]
    extra = ["gone.md", "figures/gone/tiny-slope.svg", "figures/small/by-hand.png"]
    for name in (*fine, *extra):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("by hand", encoding="utf-8")
    assert report.check(built, tmp_path) == sorted(f"{name}: {report.NOT_OURS}" for name in extra)
    # What the report did not write it does not delete either.
    assert report.write(built, tmp_path) == []
    assert all((tmp_path / name).exists() for name in extra)


def test_pages_and_figures_of_other_papers_are_left_alone(tmp_path, paper):
    report.write(build(paper, results.records(paper)), tmp_path)
    other = paper.model_copy(update={"key": "other"})
    report.write(build(other), tmp_path)
    assert (tmp_path / "small.md").exists()
    assert list((tmp_path / "figures" / "small").glob("*.svg"))


def test_a_moved_score_makes_page_and_figure_stale(tmp_path, paper):
    records = list(results.records(paper, seeds=2))
    report.write(build(paper, records), tmp_path)
    moved = [r.model_copy(update={"curves": {k: [v + 0.01 for v in c] for k, c in r.curves.items()}}) for r in records]
    stale = report.check(build(paper, moved), tmp_path)
    assert [line.rpartition(": ")[2] for line in stale] == ["drawn from other data"]


def test_without_drawing_figures_are_left_alone(tmp_path, paper):
    built = build(paper, results.records(paper))
    changed = report.write(built, tmp_path, draw=False)
    assert {path.name for path in changed} == {"README.md", "small.md"}
    assert not (tmp_path / "figures").exists()


def test_a_record_of_an_unknown_paper_is_named(paper):
    record = next(results.records(paper)).model_copy(update={"paper": "other"})
    with pytest.raises(UsageError, match=r"records/other/tiny/.*: no paper 'other'; papers: small"):
        build(paper, [record])


WORDS = st.text(alphabet="ab1 .–†−*µé0-", max_size=8)


@given(st.integers(1, 4), st.data())
def test_a_grid_is_what_tabulate_makes_of_it(columns, data):
    line = st.lists(WORDS, min_size=columns, max_size=columns)
    head, rows = data.draw(line), data.draw(st.lists(line, min_size=1, max_size=4))
    words = data.draw(st.sets(st.integers(0, columns - 1)))
    sides = ["left" if column in words else "right" for column in range(columns)]
    expected = tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=sides)
    assert markdown.table(head, rows, words) == expected


def test_nothing_stays_out_of_the_collectors_sight(paper):
    build(paper, results.records(paper))
    assert gc.get_freeze_count() == 0
    with pytest.raises(UsageError):
        build(paper, [next(results.records(paper)).model_copy(update={"paper": "other"})])
    assert gc.get_freeze_count() == 0


def test_records_of_rows_that_are_gone_are_named(paper):
    record = next(results.records(paper))
    text = page(paper, [record, record.model_copy(update={"row": "c3d_gone"})])
    assert "**Some records belong to no row of the tables** and are not shown: `table1.c3d_gone`." in text


def test_list_files_beyond_a_few_are_one_digest(paper):
    lists = {f"list{i:03d}.txt": "0" * 64 for i in range(153)}
    record = next(results.records(paper)).model_copy(update={"lists": lists})
    assert "all 153 list files" in page(paper, [record])


def test_dashes_and_signs():
    assert markdown.number(None, 1) == markdown.number(math.nan, 1) == markdown.number(math.inf, 1) == "–"
    assert markdown.signed(None, 1) == markdown.signed(math.nan, 1) == "–"
    assert markdown.signed(-0.04, 1) == "+0.0"
    assert markdown.signed(1.25, 1) == "+1.2"
    assert markdown.signed(-1.24, 1) == "−1.2"
    assert markdown.number(-1.24, 1) == "−1.2"
    assert markdown.number(-0.04, 1) == "0.0"
    assert markdown.probability(0.0004) == "<0.001"
    assert markdown.probability(None) == "–"


@given(st.text(alphabet="ab1 _*~`\\|<>[]()!&;#.-+\"'", max_size=30))
def test_text_shows_exactly_its_words(words):
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    shown = "".join(token.content for token in parser.parseInline(markdown.text(words))[0].children)
    assert shown == " ".join(words.split())


def test_text_keeps_table_cells_apart():
    from markdown_it import MarkdownIt

    html = (
        MarkdownIt("commonmark").enable("table").render(markdown.table(["a", "b"], [[markdown.text("x|y"), "1"]], ()))
    )
    assert '<td style="text-align:right">x|y</td>' in html


def test_verdict_counts_are_those_of_printed_numbers(paper):
    section = sections(paper, list(results.records(paper)))[0]
    counts = pages.verdict_counts(section)
    assert sum(counts.values()) == paper.numbers == 11


def test_pages_need_neither_torch_nor_matplotlib():
    code = (
        "import sys, json, harness.reporting.report, harness.reporting.html, harness.reporting.latex\n"
        "print(json.dumps([name for name in ('torch', 'matplotlib', 'pandas', 'markdown_it') if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=GOLDEN.parents[3]
    )
    assert json.loads(done.stdout) == []


# ---------------------------------------------------------------- what belongs to one protocol


@pytest.fixture(scope="module")
def reference():
    return tables.load(GOLDEN.parents[3] / "reference_tables")


def special(reference, key, table, **kinds):
    """Made-up records of one table of a real paper, with what its protocol adds."""
    made = results.records(reference[key], tables=(table,), **kinds)
    return [results.with_protocol_scores(record) for record in made]


def test_labels_below_the_constant_predictor_with_every_seed_are_told_from_the_others(reference):
    text = page(reference["mas"], special(reference, "mas", "statistics", seeds=2))
    shown = text.partition("below 1 with each of 2 seeds for ")[2].partition("```")[0]
    assert shown.startswith("3 of 5 labels.")
    missed, learnt = re.findall(r"^- .*$", shown, re.M)
    # Of two seeds 1.02 and 1.03; 0.8 and 1.1: one bad seed is enough.
    assert missed.startswith(
        "- Not below 1: `global_colour` 0.95 (0.80 to 1.10), `pattern1_u_location` 1.02 (1.02 to 1.03)"
    )
    assert re.findall(r"`(\w+)`", learnt) == ["pattern1_diverse_location", "global_u_frame", "pattern1_u_orientation"]
    assert "`motion`" not in shown
    assert "`joint`" not in shown


def test_a_label_without_a_number_was_not_learnt(reference):
    made = []
    for record in special(reference, "mas", "statistics", seeds=2):
        made.append(record.model_copy(update={"scores": record.scores | {"global_u_frame": math.nan}}))
    text = page(reference["mas"], made)
    assert "`global_u_frame` – (2 not a number)\n- Below 1: " in text


def test_aslan_shows_the_error_over_folds_and_the_area_under_the_curve(reference):
    text = page(reference["mas"], special(reference, "mas", "table5", seeds=2))
    row = next(row for row in rows_of(text, "C3D, self-supervised training") if len(row) == 5 and row[3] == "0.620")
    assert row[2:] == ["2.0", "0.620", "2"]


def test_pictures_stand_under_what_they_show_once_for_each_network(tmp_path, reference):
    made = special(reference, "mas", "statistics", seeds=2)
    store = Store(tmp_path / "records")
    for record in made:
        store.add(record).with_name(record.pictures[0]).write_bytes(b"\x89PNG")
    built = build(reference["mas"], made, folder=tmp_path, store=store.folder)
    text = built.pages["mas.md"].partition("### A clip and its labels\n")[2].partition("\n### ")[0]
    assert len(re.findall(r"\]\(records/mas/.*__seed0__.*clip\.png\)", text)) == len({tuple(r.columns) for r in made})
    assert "seed1" not in text
    assert "where the motion boundaries of u and v are strongest (red)" in text
    for record in made:
        (store.folder / record.key()).with_name(record.pictures[0]).unlink()
    assert (
        "A clip and its labels"
        not in build(reference["mas"], made, folder=tmp_path, store=store.folder).pages["mas.md"]
    )


ASKED = {"id": "set-video.crop", "option": "--set video.crop=56", "what": "video.crop = 56 instead of 112"}


def test_what_was_asked_for_otherwise_stands_apart_and_in_commands(paper, tmp_path):
    plain = list(results.records(paper, scale="paper", scope="full"))
    other = {"asked": [ASKED], "departures": [ASKED["id"]], "recipe_hash": "cd" * 32}
    made = list(results.records(paper, scale="paper", scope="full", **other))
    found = sections(paper, [*plain, *made])
    assert [section.comparable for section in found] == [True, False]
    assert [one.verdict for one in found[1].printed_cells() if one.ours is not None] == ["NOT COMPARABLE"] * 9
    text = section_of(page(paper, made), "Paper scale, the full data")
    assert "> **Not comparable with the printed numbers**" in text
    assert "> **Asked for otherwise**: video.crop = 56 instead of 112." in text
    assert "- `set-video.crop`: video.crop = 56 instead of 112 Why: Asked for: --set video.crop=56." in text
    commands = re.findall(r"```sh\n(.*)\n```", text)
    assert len(commands) == 3
    assert all(command.count(" --set video.crop=56") == 1 for command in commands)
    assert "--set" not in page(paper, plain)


def test_committed_pages_take_nothing_that_was_asked_for_otherwise(paper, tmp_path):
    plain, made = list(results.records(paper)), list(results.records(paper, asked=[ASKED]))
    report.refuse_otherwise(plain, tmp_path)
    with pytest.raises(
        UsageError, match=re.escape("(video.crop = 56 instead of 112); take it out, or write pages elsewhere")
    ):
        report.refuse_otherwise([*plain, made[0]], tmp_path)


def test_rows_that_a_scale_leaves_out_by_default_come_with_their_command(paper):
    recipe = results.RECIPE | {"settings": {"subset": {"table1": ["c3d_order"], "table2": ["c3d_random", "c3d_order"]}}}
    made = [
        r for r in results.records(paper, tables=("table1", "table2")) if (r.table, r.row) != ("table1", "c3d_random")
    ]
    text = section_of(page(paper, made, recipes=[recipe]), "Tiny scale, synthetic data")
    assert (
        "This run takes a subset of the rows by default; the rest: `--all`. "
        "NOT RUN for that reason: Table 1 (1 row), Figure 1 (1 row)." in text
    )
    assert "```sh\npython -m harness run small --scale tiny --all\n```" in text
    whole = page(paper, results.records(paper), recipes=[recipe])
    assert "--all" not in whole
    assert "--all" not in page(paper, made, recipes=[results.RECIPE])


def test_sections_come_from_the_papers_scale_and_full_data_down_and_from_many_results_to_few(paper):
    few = [r.model_copy(update={"recipe_hash": "00" * 32}) for r in results.records(paper, seeds=9, tables=("table1",))]
    kinds = [("tiny", "synthetic"), ("tiny", "full"), ("small", "subset"), ("tiny", "subset"), ("paper", "synthetic")]
    made = [record for scale, scope in kinds for record in results.records(paper, seeds=1, scale=scale, scope=scope)]
    found = [(s.scale, s.scope, s.recipe_hash[:2]) for s in sections(paper, [*few, *made])]
    assert found == [
        ("paper", "synthetic", "ab"),
        ("small", "subset", "ab"),
        ("tiny", "full", "ab"),
        ("tiny", "subset", "ab"),
        ("tiny", "synthetic", "ab"),
        ("tiny", "synthetic", "00"),
        ("paper", "full", ""),
    ]


def test_a_gain_of_single_seeds_has_no_spread(paper):
    gains = page(paper, results.records(paper, seeds=1, tables=("table1",))).partition("### Pretrained against random")[
        2
    ]
    values = rows_of(gains.partition("### ")[0], "C3D")[0][1:]
    assert all(re.fullmatch(r"[+−]\d+\.\d", value) for value in values)
    assert any(value[0] == "−" for value in values)


def test_an_undecided_claim_says_how_many_seeds_are_missing():
    def remark(needed, seeds, probability=0.5):
        fields = {"paper": "p", "id": "c", "statement": "s", "where": "w", "printed_holds": None, "note": ""}
        undecided = {"verdict": "UNDECIDED", "probability": probability, "seeds_needed": needed, "seeds": seeds}
        claim = certainty.ClaimResult(**fields, **undecided, evidence=[])
        return pages._claim(claim, with_numbers=True).partition("\n")[0]

    assert remark(5, 3).endswith("2 more seeds (5 in all) would decide)")
    assert "; 1 more seed (2 in all) would decide)" in remark(2, 1)
    assert "100 seeds would not decide" in remark(None, 3)
    assert "at least 2 seeds are needed" in remark(2, 1, probability=None)


def test_the_numbers_of_a_claim_are_a_line_for_each_row_with_intervals_and_minus_signs():
    evidence = [
        "t.a.x = 1.0 ± 2.5 (3 seeds)",
        "t.a.y = 20.0 ± 0.5 (3 seeds)",
        "t.b.x = -3.5 ± 0.25 (95 %, 2 seeds)",
        "t.b.y not measured (NOT RUN)",
        "t.b.z not measured (NOT RUN)",
        "quoted numbers are left out",
    ]
    assert pages._numbers(evidence) == [
        "t.a: x = 1.0 [−1.5 to 3.5], y = 20.0 [19.5 to 20.5] (3 seeds)",
        "t.b: x = −3.50 [−3.75 to −3.25] (2 seeds)",
        "t.b: y, z not measured (NOT RUN)",
        "quoted numbers are left out",
    ]


def test_wide_tables_are_cut(reference):
    text = page(reference["vcop-curriculum"])
    printed = text.partition("### Table VI:")[2].partition("```")[0]
    assert [len(row) for row in rows_of(printed, "Printed")] == [7, 7]
    assert max(len(line) for line in printed.splitlines() if line.startswith("|")) < 140


if __name__ == "__main__":
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(golden_page(Path(folder)), encoding="utf-8")


def test_a_page_prints_the_command_that_there_is(paper, reference, tmp_path):
    environment = "tox -e reproduce-vcop -- --tables table1 --scale paper --data-root DATA\n"
    assert environment in page(reference["vcop"])
    assert "```sh\npython -m harness run small --tables table1 --scale paper --data-root DATA\n" in page(paper)
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "tables.toml").write_text(results.SMALL, encoding="utf-8")
    outside = tables.load_paper(folder / "tables.toml", "small")
    text = page(outside)
    assert "```sh\npython -m harness run small --papers DIR --tables table1 --scale paper --data-root DATA\n" in text
    assert str(tmp_path) not in text
    assert "tox -e" not in text


def test_every_environment_that_pages_print_is_in_the_file_of_tox(reference):
    printed = {name for key in reference for name in re.findall(r"tox -e (\S+)", page(reference[key]))}
    assert printed == {f"reproduce-{key}" for key in reference}
    lines = (Path(__file__).parents[3] / "tox.ini").read_text(encoding="utf-8").splitlines()
    assert {f"[testenv:{name}]" for name in printed} <= set(lines)
