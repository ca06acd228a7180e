"""The printed numbers, and the schema that guards them."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.running import door
from harness.tables import Paper, Table, find, load, load_paper

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "tables"
TABLES = Path(__file__).resolve().parents[2] / "reference_tables"

# Counted in the papers: every number of every results table, parameters and FLOPs included, missing cells not.
NUMBERS = {
    "vcop": {"table1": 3, "table2": 45, "table3": 30, "table4": 26},
    "vcop-curriculum": {"table1": 19, "table2": 85, "table3": 65, "table4": 75, "table5": 48, "table6": 60},
    "skip-clip": {"table1": 3, "table2": 3, "table3": 10},
    "srop": {
        "table2": 12,
        "table3": 20,
        "table4": 20,
        "table5": 8,
        "table6": 10,
        "table7": 6,
        "table8": 18,
        "table9": 20,
        "table10": 84,
        "table11": 90,
        "table12": 0,
    },
    "mas": {"table1": 4, "table2": 4, "table3": 8, "table4": 19, "table5": 7, "table6": 6},
}

FAULTS = {
    "auc-above-1": "table1 row ours: hmdb51 is 1.28, out of range for auc (0 to 1)",
    "cited-with-weights": "table1 row other: a cited row is never run and has no weights",
    "count-not-whole": "table1 row ours: hmdb51 is 28.4; a count is a whole number",
    "count-of-0": "table1 row ours: hmdb51 is 0, out of range for count (1 or more)",
    "cut-off": "end of file: not valid TOML: Expected '=' after a key in a key/value pair",
    "empty-without-note": "table1 rows: none, and no note that says why",
    "erratum-for-unknown-column": (
        "table1 row ours: erratum names an unknown column 'top1'; the columns are ucf101, hmdb51"
    ),
    "erratum-without-printed": ("table1 row ours: hmdb51 has erratum without printed; say what the paper shows"),
    "figure-with-values": ("figure1 row ours: a figure has no printed numbers; leave out values, printed and erratum"),
    "id-with-a-dot": "table1 row ours.full: id is 'ours.full': letters, digits, - and _ only",
    "infinite-value": "table1 row ours: hmdb51 is inf, out of range for loss (0 or more)",
    "long-row": "table1 row other: 3 values for 2 columns",
    "malformed": "line 40: not valid TOML: Unclosed array",
    "missing-key": "table1: missing key 'where'",
    "missing-metric": "table1 column ucf101: missing key 'metric'",
    "name-differs": "paper key is 'vcop'; name the file vcop.toml or mend the key",
    "negative-millions": "table1 row ours: hmdb51 is -1, out of range for millions (0 or more)",
    "negative-tolerance": "table1 tolerance: points is -3.0: input should be greater than or equal to 0",
    "nested-settings": ("table1 row ours settings: rates is [1, 8]: a setting is one text, one number, true or false"),
    "no-paper": "no [paper] with key, title and citation",
    "no-protocol": "table1: protocol is 'Fine tuning': small letters, digits and - only",
    "no-tolerance": "table1 column ucf101: no tolerance, neither its own nor the table's",
    "own-without-backbone": "table1 row ours: an own row needs a backbone",
    "own-without-weights": (
        "table1 row ours: an own row needs weights: a pretraining of the recipe, 'random' or 'imported'"
    ),
    "percent-above-100": "table1 row ours: ucf101 is 656, out of range for percent (0 to 100)",
    "percent-below-0": "table1 row ours: hmdb51 is -28.4, out of range for percent (0 to 100)",
    "printed-for-unknown-column": (
        "table1 row ours: printed names an unknown column 'top1'; the columns are ucf101, hmdb51"
    ),
    "printed-without-erratum": "table1 row ours: hmdb51 has printed without erratum; say why it is read otherwise",
    "repeated-column": "table1 columns: the id 'ucf101' appears twice",
    "repeated-row": "table1 rows: the id 'ours' appears twice",
    "repeated-split": "table1 column hmdb51 splits [1, 2, 1] name one twice",
    "repeated-table": "tables: the id 'table1' appears twice",
    "settings-of-wrong-type": "table1 column ucf101: settings is 16: input should be a valid dictionary",
    "short-row": "table1 row ours: 1 value for 2 columns",
    "single-brackets": "write [[table]] with two brackets; there may be several",
    "split-of-0": "table1 column hmdb51: splits is 0: input should be greater than or equal to 1",
    "text-for-a-number": "table1 row ours: values is '28.4': input should be a valid number",
    "tolerance-without-reason": "table1 tolerance: missing key 'reason'",
    "unknown-better": "table1 column ucf101: unknown better 'higher'; choose one of high, low, none",
    "unknown-dataset": ("table1 column hmdb51: unknown dataset 'hmdb-51'; choose one of ucf101, hmdb51"),
    "unknown-key-in-column": "table1 column ucf101: unknown key 'metrics'",
    "unknown-key-in-file": "unknown key 'claim'; a file has [paper], [[table]] and [[figure]]",
    "unknown-key-in-paper": "paper: unknown key 'year'",
    "unknown-key-in-row": "table1 row ours: unknown key 'lable'",
    "unknown-key-in-shared": (
        "table1 shared: unknown key 'split'; "
        "choose from metric, dataset, splits, unit, better, protocol, settings, tolerance"
    ),
    "unknown-key-in-table": "table1: unknown key 'page'",
    "unknown-key-in-tolerance": "table1 tolerance: unknown key 'sd'",
    "unknown-source": "table1 row ours: unknown source 'ours'; choose one of own, cited",
    "unknown-unit": (
        "table1 column ucf101: unknown unit 'percents'; "
        "choose one of percent, millions, gmacs, loss, auc, error, count, samples, epochs, silhouette"
    ),
    "weights-for-some-columns": "table1 row ours: weights says nothing for column 'hmdb51'",
    "weights-for-unknown-column": (
        "table1 row ours: weights names an unknown column 'hmdb'; the columns are ucf101, hmdb51"
    ),
}


@pytest.fixture(scope="module")
def papers() -> dict[str, Paper]:
    return load(TABLES, datasets=door.dataset_names())


@pytest.fixture(scope="module")
def good() -> Table:
    return load_paper(FIXTURES / "good.toml").table("table1")


# ---------------------------------------------------------------------------------------------- the papers' numbers


def test_every_number_of_the_papers_that_were_counted_by_hand_is_there(papers):
    counts = {key: {table.id: table.numbers for table in paper.tables} for key, paper in papers.items()}
    assert {key: counts[key] for key in NUMBERS} == NUMBERS
    assert sum(papers[key].numbers for key in NUMBERS) == 808


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "value"),
    [
        ("vcop", "table1", "r21d", "accuracy", 64.2),
        ("vcop", "table2", "c3d_vcop", "top50", 66.9),
        ("vcop", "table3", "r21d_vcop", "top20", 45.8),
        ("vcop", "table4", "kinetics_pretrained", "hmdb51", 74.5),
        ("vcop-curriculum", "table1", "r3d_tl5", "accuracy_it16", 2.7),
        ("vcop-curriculum", "table2", "speednet", "top1", 13.0),
        ("vcop-curriculum", "table3", "r21d_16_8_5", "top50", 69.7),
        ("vcop-curriculum", "table4", "r3d_layer4", "top50", 69.6),
        ("vcop-curriculum", "table5", "r21d_16_8_4", "hmdb51", 37.3),
        ("vcop-curriculum", "table6", "r3d_pretrained", "temp_rel", 3.1),
        ("mas", "table3", "motion", "hmdb51", 29.95),
        ("mas", "table4", "drlim", "hmdb51", 13.4),
        ("mas", "table5", "hof", "accuracy", 56.68),
        ("mas", "table6", "feichtenhofer_bmvc13", "accuracy", 86.0),
    ],
)
def test_cells_picked_from_the_corners_of_the_tables(papers, paper, table, row, column, value):
    assert papers[paper].table(table).cell(row, column).value == value


def test_numbers_that_papers_print_twice_are_equal(papers):
    def values(paper, table, row):
        return papers[paper].table(table).row(row).values

    for network in ("c3d", "r3d", "r21d"):
        for ours, theirs in (("table2", "table2"), ("table3", "table3"), ("table4", "table5")):
            for row, again in ((f"{network}_random",) * 2, (f"{network}_vcop", f"{network}_16_8_3")):
                assert values("vcop", ours, row) == values("vcop-curriculum", theirs, again)
        accuracy = values("vcop", "table1", network)
        assert accuracy == values("vcop-curriculum", "table1", f"{network}_tl3")[:1]
        last = values("vcop-curriculum", "table4", f"{network}_layer5")
        assert last == values("vcop-curriculum", "table2", f"{network}_16_8_3")
    for row in ("jigsaw", "opn", "buchler"):
        assert values("vcop", "table2", row) == values("vcop-curriculum", "table2", row)
    for row in ("shuffle_learn", "opn", "jigsaw", "buchler", "imagenet_pretrained", "kinetics_pretrained"):
        assert values("vcop", "table4", row) == values("vcop-curriculum", "table5", row)
    assert values("mas", "table1", "random") == values("mas", "table2", "random")
    assert values("mas", "table2", "motion_all_global") == values("mas", "table3", "motion")[:1]
    assert values("mas", "table3", "joint") == values("mas", "table4", "ours_ucf101")


def test_curriculum_recognition_mixes_three_split_means_and_split_1(papers):
    splits = {
        cell.row: cell.splits for cell in papers["vcop-curriculum"].table("table5").cells() if cell.source == "own"
    }
    three = {row for row, of_row in splits.items() if of_row == (1, 2, 3)}
    assert three == {f"{network}_{setting}" for network in ("c3d", "r3d", "r21d") for setting in ("random", "16_8_3")}
    assert {of_row for row, of_row in splits.items() if row not in three} == {(1,)}
    assert len(splits) == 13


def test_weights_follow_the_interval_of_a_curriculum_column(papers):
    table = papers["vcop-curriculum"].table("table1")
    near, far = table.cell("r21d_tl4", "accuracy_it8"), table.cell("r21d_tl4", "accuracy_it16")
    assert (near.weights, near.settings["interval"]) == ("16-8-4", 8)
    assert (far.weights, far.settings["interval"]) == ("16-16-4", 16)
    assert near.settings["tuple_length"] == far.settings["tuple_length"] == 4
    assert math.isnan(table.cell("r3d_tl3_sample", "accuracy_it16").value)


@pytest.mark.parametrize("key", NUMBERS)
def test_every_own_cell_says_how_it_is_measured(papers, key):
    own = [
        cell for table in (*papers[key].tables, *papers[key].figures) for cell in table.cells() if cell.source == "own"
    ]
    assert own
    for cell in own:
        assert cell.backbone
        assert cell.weights or math.isnan(cell.value)
        assert cell.dataset or cell.protocol in ("cost", "pretext", "training-curve")
        assert cell.protocol not in ("clip-retrieval", "recognition") or cell.better == "high"


def test_vcop_figures_measure_what_the_paper_only_draws(papers):
    figure = papers["vcop"].table("figure5")
    assert [row.id for row in figure.rows] == [f"{n}_{w}" for n in ("c3d", "r3d", "r21d") for w in ("random", "vcop")]
    cell = figure.cell("r3d_vcop", "hmdb51_top20")
    assert (cell.protocol, cell.dataset, cell.metric, cell.weights) == ("video-retrieval", "hmdb51", "top20", "vcop")
    assert math.isnan(cell.value)
    assert cell.printed == ""
    sweep = papers["vcop"].table("sampling_rate_sweep")
    assert [dict(row.settings) for row in sweep.rows] == [{"clips": 5}, {"clips": 10}, {"clips": 20}, {"stride": 2}]


# ---------------------------------------------------------------------------------------------------- the schema


def test_row_wins_over_column_and_column_over_shared(good):
    plain = good.cell("ours", "ucf101")
    assert (plain.dataset, plain.splits, plain.metric, plain.protocol) == (
        "ucf101",
        (1, 2, 3),
        "accuracy",
        "recognition",
    )
    assert plain.settings == {"length": 16}
    assert (plain.tolerance.points, plain.tolerance.prior_sd, plain.tolerance.reason) == (3.0, 2.0, "because")
    longer = good.cell("longer", "hmdb51")
    assert (longer.dataset, longer.splits, longer.weights) == ("hmdb51", (1,), "good-hmdb")
    assert longer.settings == {"length": 32, "resolution": 112}
    size = good.cell("ours", "params")
    assert (size.metric, size.unit, size.better, size.protocol, size.weights) == (
        "parameters",
        "millions",
        "none",
        "cost",
        "good",
    )


def test_a_cell_keeps_what_the_paper_prints(good):
    assert (good.cell("ours", "ucf101").printed, good.cell("ours", "ucf101").decimals) == ("65.60", 2)
    assert (good.cell("longer", "ucf101").printed, good.cell("longer", "ucf101").decimals) == ("66", 0)
    read = good.cell("ours", "hmdb51")
    assert (read.value, read.printed, read.erratum) == (28.4, "284", "decimal point lost")
    missing = good.cell("other", "hmdb51")
    assert math.isnan(missing.value)
    assert (missing.printed, missing.weights, missing.backbone) == ("", None, None)
    assert good.numbers == 7


def test_cells_come_row_by_row_and_equal_the_single_look_up(good):
    cells = list(good.cells())
    assert [(cell.row, cell.column) for cell in cells] == [
        (row, column) for row in ("other", "ours", "longer") for column in ("ucf101", "hmdb51", "params")
    ]
    for cell in cells:
        again = good.cell(cell.row, cell.column)
        assert repr(again) == repr(cell)
        assert (cell.paper, cell.table) == ("good", "table1")


def test_figures_are_tables_without_numbers():
    paper = load_paper(FIXTURES / "good.toml")
    figure = paper.table("figure2")
    assert figure.is_figure
    assert not paper.table("table1").is_figure
    assert figure.numbers == 0
    assert math.isnan(figure.cell("ours", "top1").value)
    assert {cell.table for cell in paper.cells()} == {"table1"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_one_line(name):
    path = FIXTURES / f"{name}.toml"
    with pytest.raises(UsageError) as error:
        load_paper(path, datasets=("ucf101", "hmdb51"))
    assert str(error.value) == f"{path}: {FAULTS[name]}"


def test_every_faulty_fixture_has_its_message():
    assert {path.stem for path in FIXTURES.glob("*.toml")} == {*FAULTS, "good"}


def test_unknown_names_list_the_choices():
    paper = load_paper(FIXTURES / "good.toml")
    with pytest.raises(UsageError, match=r"^good has no table 'table9'; there are table1, figure2$"):
        paper.table("table9")
    with pytest.raises(UsageError, match=r"^good table1 has no row 'theirs'; there are other, ours, longer$"):
        paper.table("table1").cell("theirs", "ucf101")
    with pytest.raises(UsageError, match=r"^good table1 has no column 'top1'; there are ucf101, hmdb51, params$"):
        paper.table("table1").cell("ours", "top1")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(
        UsageError, match=r"no reference tables \(\*\.toml\) there; point to the reference_tables folder$"
    ):
        load(tmp_path)
    with pytest.raises(UsageError, match=r"absent\.toml: cannot be read: No such file or directory$"):
        load_paper(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'[paper]\nkey = "B\xfcchler"\n')
    with pytest.raises(UsageError, match=r"latin\.toml: not UTF-8 text$"):
        load_paper(tmp_path / "latin.toml")


def test_a_line_break_in_an_id_stays_on_one_line(tmp_path):
    broken = (FIXTURES / "good.toml").read_text().replace('id = "ours"', 'id = "ours\\nand more"', 1)
    (tmp_path / "good.toml").write_text(broken)
    with pytest.raises(UsageError) as error:
        load_paper(tmp_path / "good.toml")
    assert "\n" not in str(error.value)


def test_load_reads_a_folder_by_key(tmp_path):
    for key in ("second", "first"):
        text = (FIXTURES / "good.toml").read_text().replace('key = "good"', f'key = "{key}"')
        (tmp_path / f"{key}.toml").write_text(text)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "first.toml").write_text("not a table")
    papers = load(tmp_path)
    assert list(papers) == ["first", "second"]
    assert papers["second"].table("table1").cell("ours", "ucf101").paper == "second"


percents = st.decimals(min_value=0, max_value=100, places=2).map(str)


@given(st.lists(st.lists(percents | st.just("nan"), min_size=3, max_size=3), min_size=1, max_size=5))
def test_any_table_of_percents_comes_back_as_written(tmp_path_factory, written):
    rows = "\n".join(
        f'[[table.rows]]\nid = "r{i}"\nlabel = "r{i}"\nsource = "cited"\nvalues = [{", ".join(values)}]'
        for i, values in enumerate(written)
    )
    columns = "\n".join(f'[[table.columns]]\nid = "c{i}"\nlabel = "c{i}"\nmetric = "m{i}"' for i in range(3))
    path = tmp_path_factory.mktemp("written") / "p.toml"
    path.write_text(
        '[paper]\nkey = "p"\ntitle = "t"\ncitation = "c"\n'
        '[[table]]\nid = "table1"\ntitle = "t"\nwhere = "w"\nprotocol = "recognition"\n'
        'tolerance = { points = 1.0, prior_sd = 1.0, reason = "r" }\nshared = { unit = "percent", better = "high" }\n'
        f"{columns}\n{rows}\n"
    )
    table = load_paper(path).table("table1")
    shown = [cell.printed or "nan" for cell in table.cells()]
    assert shown == [text for values in written for text in values]
    assert table.numbers == sum(text != "nan" for text in shown)
    for cell, text in zip(table.cells(), shown, strict=True):
        assert cell.value == float(text) or (math.isnan(cell.value) and text == "nan")


@given(st.floats(allow_nan=False).filter(lambda value: not 0 <= value <= 100), st.booleans())
def test_no_percent_outside_its_range_gets_in(tmp_path_factory, value, first):
    values = f"[{value!r}, 1.0]" if first else f"[1.0, {value!r}]"
    text = (FIXTURES / "short-row.toml").read_text().replace("[65.6]", values).replace('"short-row"', '"p"')
    path = tmp_path_factory.mktemp("outside") / "p.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"row ours: (ucf101|hmdb51) is .*out of range for percent \(0 to 100\)$"):
        load_paper(path)


def test_the_module_needs_nothing_heavy():
    heavy = "{'torch', 'numpy', 'scipy', 'pandas', 'matplotlib', 'suite'}"
    command = f"import sys; import harness.tables; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", command], cwd=TABLES.parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_papers_elsewhere_come_last_and_are_known_as_such(tmp_path):
    path = tmp_path / "other_one" / "tables.toml"
    path.parent.mkdir()
    text = (FIXTURES / "good.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('key = "good"', 'key = "other-one"'), encoding="utf-8")
    found = load(TABLES, {"other-one": path})
    assert list(found)[-1] == "other-one"
    assert [paper.elsewhere for paper in found.values()] == [False] * (len(found) - 1) + [True]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"other_one/tables\.toml: paper key is 'good'; name the folder good"):
        load(TABLES, {"other-one": path})
    with pytest.raises(
        UsageError, match=r"other_one/tables\.toml: the paper 'vcop' is there already, in .*tables/vcop\.toml"
    ):
        load(TABLES, {"vcop": path})


def test_one_paper_is_read_without_the_others(tmp_path):
    shutil.copy(TABLES / "vcop.toml", tmp_path)
    (tmp_path / "broken.toml").write_text("[paper\n", encoding="utf-8")
    outside = tmp_path / "papers/other_one/tables.toml"
    assert list(find(tmp_path, {"other-one": outside})) == ["broken", "vcop", "other-one"]
    assert list(load(tmp_path, {"other-one": outside}, only=("vcop",))) == ["vcop"]
    with pytest.raises(UsageError, match=r"broken\.toml: ") as caught:
        load(tmp_path, only=("broken",))
    assert "validate" not in str(caught.value)
    outside.parent.mkdir(parents=True)
    outside.write_text("[paper\n", encoding="utf-8")
    with pytest.raises(UsageError, match=f"^{outside}: .*; `validate {tmp_path}/papers` lists every fault$"):
        load(tmp_path, {"other-one": outside}, only=("other-one",))
