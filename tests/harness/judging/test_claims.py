"""Claims: those of the papers, and how their files are read."""

from collections import Counter
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.judging import certainty, claims

REFERENCE = Path(__file__).parents[3] / "reference_tables"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "claims"


CONTRADICTED = {
    ("vcop", "order_classes_below_120"),
    ("vcop", "ucf_clip_beats_random_all_k"),
    ("vcop", "pretrained_r3d_r21d_above_c3d"),
    ("vcop-curriculum", "ucf_clip_beats_random_all_k"),
    ("vcop-curriculum", "hmdb_clip_beats_random_all_k"),
    ("vcop-curriculum", "pretrained_r3d_r21d_above_c3d"),
    ("vcop-curriculum", "qa_ss_optimal_every_type"),
    ("skip-clip", "behind_only_cubic_puzzles"),
    ("srop", "hmdb_gain_always_larger"),
    ("srop", "sampling_error_beats_constant"),
    ("srop", "order_only_beats_vcop_top1"),
    ("srop", "rtt_is_best_c3d_competitor"),
    ("mas", "aslan_random_near_chance"),
}


# Counted when the papers were read: all claims, and those that the printed tables bear out, contradict, and leave open.
COUNTED = {"vcop": 27, "vcop-curriculum": 35, "skip-clip": 13, "srop": 37, "mas": 19}
HOLD_AS_PRINTED = {True: 97, False: 13, None: 21}


def test_every_claim_of_the_papers_that_were_counted_is_there(all_claims):
    counted = [claim for claim in all_claims if claim.paper in COUNTED]
    assert Counter(claim.paper for claim in counted) == COUNTED
    assert Counter(claim.printed_holds for claim in counted) == HOLD_AS_PRINTED
    assert {(claim.paper, claim.id) for claim in counted if claim.printed_holds is False} == CONTRADICTED


def test_printed_tables_bear_out_what_the_files_say(all_claims, papers):
    wrong = {
        f"{claim.paper} {claim.id}": found
        for claim in all_claims
        if (found := claims.holds_as_printed(claim, papers)) is not claim.printed_holds
    }
    assert wrong == {}


def test_every_contradicted_claim_says_why(all_claims):
    assert [claim.id for claim in all_claims if claim.printed_holds is False and not claim.note] == []


def test_moving_one_printed_number_changes_the_claims_about_it(all_claims, papers):
    claim = next(claim for claim in all_claims if claim.id == "c3d_gain_4_0_5_2")
    vcop = papers["vcop"]
    table = vcop.table("table4")
    row = table.row("c3d_vcop")
    values = (row.values[0] + 0.2, *row.values[1:])
    rows = tuple(row.model_copy(update={"values": values}) if one is row else one for one in table.rows)
    changed = vcop.model_copy(
        update={"tables": tuple(one.model_copy(update={"rows": rows}) if one is table else one for one in vcop.tables)}
    )
    assert claims.holds_as_printed(claim, papers) is True
    assert claims.holds_as_printed(claim, {"vcop": changed}) is False


GOOD = (FIXTURES / "claims" / "small.toml").read_text(encoding="utf-8")


RELATION = "relation = 'factorial(3) == 5'"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (RELATION, "relation = '__import__(\"os\")'", "claim orders: unknown function '__import__'"),
        (RELATION, "relation = 'V.x == 1'", "claim orders: Attribute is not part of the language"),
        (RELATION, "relation = '2 ** 99 > 1'", "claim orders: Pow is not part of the language"),
        (RELATION, "relation = '1 < < 2'", "claim orders: syntax error at character"),
        (RELATION, "relation = 'speed > 2'", "claim orders: unknown name 'speed'"),
        (RELATION, "relation = 'M(\"figure1.order.top1\") > 2'", "claim orders: give printed_holds exactly"),
        (RELATION, "", "claim orders: missing key 'relation'"),
        (RELATION, "relation = ''", "claim orders: relation: "),
        (RELATION, RELATION + "\nreproduction = '__import__'", "claim orders: unknown name '__import__'"),
        (RELATION, RELATION + "\nreproducton = '1 < 2'", "claim orders: unknown key 'reproducton'"),
        ('id = "orders"', 'id = "gain_of_7"', "claim gain_of_7: the id appears twice"),
        ('id = "orders"', 'id = "Orders!"', "claim Orders!: id: "),
        ('id = "orders"\n', "", "claim number 7: missing key 'id'"),
        ('statement = "Three clips have five orders."\nwhere = "Sec. 3"\nkind = "quantitative"',
         'statement = "Three clips have five orders."\nwhere = "Sec. 3"\nkind = "guess"', "claim orders: kind: "),
        ("printed_holds = false\nnote", "printed_holds = 'no'\nnote", "claim order_helps_everywhere: printed_holds: "),
        ("printed_holds = false\nnote", "note", "claim order_helps_everywhere: give printed_holds exactly"),
        ('paper = "small"', 'paper = "other"', "paper is 'other', not 'small'; name the file"),
        ('paper = "small"', "", "missing key 'paper'"),
        ('paper = "small"', 'paper = "small"\nauthor = "x"', "unknown key 'author'"),
        ('ks = ["top1", "top5", "top10"]', "ks = []", "sets: ks: "),
        ('ks = ["top1", "top5", "top10"]', "ks = [1.5]", "sets: ks: "),
        ('ks = ["top1", "top5", "top10"]', "ks = [true]", "sets: ks: "),
        ('ks = ["top1", "top5", "top10"]', f"ks = {list(range(101))}", "sets: ks: "),
        ("[sets]", "[sets", "line 3: not valid TOML"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_one_clear_line(tmp_path, old, new, message):
    assert GOOD.count(old) == 1
    path = tmp_path / "small.toml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as error:
        claims.load(tmp_path)
    assert str(error.value).startswith(f"{path}: {message}"), error.value
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "small.toml").write_bytes(b'paper = "\xff"')
    with pytest.raises(UsageError, match=r"small\.toml: (not UTF-8|.*not valid TOML)"):
        claims.load(tmp_path)


def test_a_folder_without_claims(tmp_path):
    with pytest.raises(UsageError, match="no claims"):
        claims.load(tmp_path)


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        ('V("table9.order.top1") > 1', "small has no table 'table9'; there are table1"),
        ('V("table1.ordr.top1") > 1', "small table1 has no row 'ordr'"),
        ('V("table1.order.top2") > 1', "small table1 has no column 'top2'"),
        ('V("table1.order") > 1', "V takes \"table.row.column\", not 'table1.order'"),
        ('all(R("table1.order.top1") > 1)', "R takes \"table.row\", not 'table1.order.top1'"),
        ('V("figure1.order.top1") > 1', "'figure1.order.top1' is in a figure; use M"),
        ('all(R("figure1.order") > 1)', "'figure1.order' is in a figure; use M"),
        ('R("table1.order")', "does not come out as one true or false"),
    ],
)
def test_a_relation_that_does_not_fit_the_tables(tmp_path, small, relation, message):
    path = tmp_path / "small.toml"
    path.write_text(GOOD.replace(RELATION, f"relation = '{relation}'"), encoding="utf-8")
    claim = claims.load(tmp_path)["small"][-1]
    for run in (lambda: claims.holds_as_printed(claim, small), lambda: certainty.evaluate([claim], small, [])):
        with pytest.raises(UsageError) as error:
            run()
        assert str(error.value).startswith(f"{path}: claim orders: {message}")
        assert "\n" not in str(error.value)


def test_a_measurement_is_not_a_printed_cell(tmp_path, small):
    text = GOOD.replace('M("figure1.order.top1")', 'M("table1.order.top5")')
    (tmp_path / "small.toml").write_text(text, encoding="utf-8")
    claim = next(claim for claim in claims.load(tmp_path)["small"] if claim.id == "video_level")
    with pytest.raises(UsageError, match=r"claim video_level: 'table1\.order\.top5' is in a table; use V or R"):
        certainty.evaluate([claim], small, [])


def test_a_claim_of_a_paper_without_tables(small_claims):
    with pytest.raises(UsageError, match="claim order_helps: there are no reference tables of the paper 'small'"):
        certainty.evaluate([small_claims["order_helps"]], {}, [])


def test_a_number_that_the_paper_does_not_give(tmp_path, small):
    text = GOOD.replace(RELATION, "relation = 'V(\"table1.jigsaw.top10\") > 1'")
    (tmp_path / "small.toml").write_text(text, encoding="utf-8")
    claim = claims.load(tmp_path)["small"][-1]
    assert claims.holds_as_printed(claim, small) is None
    (result,) = certainty.evaluate([claim], small, [])
    assert (result.verdict, result.evidence) == ("NOT MEASURED", ["table1.jigsaw.top10 not measured"])


def test_claims_of_a_paper_elsewhere_stand_beside_the_others(tmp_path):
    path = tmp_path / "other" / "claims.toml"
    path.parent.mkdir()
    text = (FIXTURES / "claims/small.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('paper = "small"', 'paper = "other"'), encoding="utf-8")
    found = claims.load(FIXTURES / "claims", {"other": path})
    assert [one.id for one in found["other"]] == [one.id for one in found["small"]]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"other/claims\.toml: paper is 'small', not 'other'"):
        claims.load(FIXTURES / "claims", {"other": path})
    with pytest.raises(
        UsageError, match=r"other/claims\.toml: claims of 'small' are there already, in .*claims/small\.toml"
    ):
        claims.load(FIXTURES / "claims", {"small": path})
