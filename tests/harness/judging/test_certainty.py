"""What our records make of claims."""

import math
import random
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import tables
from harness.judging import certainty, claims
from harness.judging.compare import Judgement, judge
from harness.records import Record

REFERENCE = Path(__file__).parents[3] / "reference_tables"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "claims"


# Arithmetic, and comparisons among what others printed: no run bears on them.
NOT_ABOUT_OURS = {
    ("vcop", "order_classes_below_120"),
    ("vcop", "retrieval_feature_size"),
    ("srop", "rtt_is_best_c3d_competitor"),
    ("mas", "label_counts"),
}


def test_what_reproductions_check_is_true_of_the_printed_numbers(all_claims, papers):
    """The printed numbers as results with next to no spread: every weaker relation holds, and so does what else is true."""
    results = certainty.evaluate(all_claims, papers, as_measured(papers, lambda cell: cell.value, half_width=1e-6))
    verdicts = {(one.paper, one.id): one.verdict for one in results}
    weaker = {(claim.paper, claim.id) for claim in all_claims if claim.reproduction}
    assert len(weaker) == 34
    # set against results of split 1, or against what is counted or drawn here: the papers do not print these
    beside_ours = {("vcop-curriculum", f"{what}_improves_recognition") for what in ("sample_based", "curriculum")}
    beside_ours |= {("srop", "flops_one_third"), ("srop", "sampling_error_beats_constant")}
    assert {verdicts[key] for key in weaker - beside_ours - NOT_ABOUT_OURS} == {"HOLDS"}
    assert {verdicts[key] for key in beside_ours} == {"NOT MEASURED"}
    ties = {("mas", "patterns_similar")}  # the printed range is the bound itself
    assert {verdicts[key] for key in NOT_ABOUT_OURS} == {"NOT MEASURED"}
    for claim in all_claims:
        expected = {True: "HOLDS", False: "FAILS", None: "NOT MEASURED"}[claim.printed_holds]
        if (claim.paper, claim.id) not in weaker | ties | NOT_ABOUT_OURS and "layer" not in claim.id:
            assert verdicts[claim.paper, claim.id] == expected, claim.id


def as_measured(papers, value, *, half_width=1.0, seeds=1, **changes) -> list[Judgement]:
    """A judgement of every own cell with a value, as the prior spread of one seed would give it."""
    judgements = []
    for paper in papers.values():
        for table in paper.tables_and_figures:
            for cell in table.cells():
                ours = value(cell)
                if cell.source == "own" and not math.isnan(ours):
                    fields = {
                        "ours": ours,
                        "half_width": half_width,
                        "seeds": seeds,
                        "per_split": dict.fromkeys(cell.splits, ours),
                        "verdict": "NOT COMPARABLE",
                        "flags": ("one seed: prior spread",),
                    }
                    place = (cell.paper, cell.table, cell.row, cell.column, cell.value)
                    judgements.append(Judgement(*place, **(fields | changes)))
    return judgements


def record(row: str, scores: dict[str, float], *, seed=0, split=1, table="table1", **changes) -> Record:
    fields = {
        "paper": "small",
        "table": table,
        "row": row,
        "columns": list(scores),
        "dataset": "ucf101",
        "split": split,
        "seed": seed,
        "scale": "paper",
        "scope": "full",
        "fingerprint": "full-0123456789ab",
        "lists": {},
        "protocol": {"table1": "clip-retrieval", "table2": "recognition", "figure1": "video-retrieval"}[table],
        "protocol_version": 1,
        "recipe_hash": "00c0ffee",
        "device_kind": "cpu",
        "scores": scores,
        "counts": {"listed": 1000, "decoded": 1000, "total": 1000},
        "settings": {},
        "environment": {},
        "commit": "0" * 40,
        "dirty": False,
        "created": "2026-01-01T00:00:00Z",
        "seconds": 1.0,
        "command": "python -m harness run small",
    }
    return Record(**(fields | changes))


def runs(row: str, *scores: tuple[float, ...]) -> list[Record]:
    """One record of table1 per seed, with (top1, top5, top10)."""
    names = ("top1", "top5", "top10")
    return [record(row, dict(zip(names, of_seed, strict=True)), seed=seed) for seed, of_seed in enumerate(scores)]


def evaluate(claim, small, records, *, with_records=True):
    scale = records[0].scale if records else "paper"
    judgements = judge(small["small"], records, scale=scale)
    (result,) = certainty.evaluate([claim], small, judgements, records if with_records else ())
    return result


def test_clear_results_hold_or_fail_with_the_numbers_beside_them(small, small_claims):
    good = runs("order", (10, 40, 60), (11, 42, 61), (12, 41, 59)) + runs(
        "random", (15, 20, 30), (16, 21, 31), (14, 22, 29)
    )
    result = evaluate(small_claims["order_helps"], small, good)
    assert (result.verdict, result.printed_holds, result.seeds_needed, result.remedy) == ("HOLDS", True, None, "")
    assert result.probability > 0.99
    # t(0.975, 2) * 1 / sqrt(3) = 2.48
    assert result.evidence == [
        "table1.order.top5 = 41.0 [38.5 to 43.5] (95 %, 3 seeds)",
        "table1.random.top5 = 21.0 [18.5 to 23.5] (95 %, 3 seeds)",
        "table1.order.top10 = 60.0 [57.5 to 62.5] (95 %, 3 seeds)",
        "table1.random.top10 = 30.0 [27.5 to 32.5] (95 %, 3 seeds)",
    ]
    bad = runs("order", (10, 20, 30), (11, 21, 31), (12, 22, 29)) + runs(
        "random", (15, 40, 60), (16, 42, 61), (14, 41, 59)
    )
    assert evaluate(small_claims["order_helps"], small, bad).verdict == "FAILS"


def test_quoted_numbers_are_not_set_against_smaller_scales_or_other_data(small, small_claims):
    at_paper_scale = runs("order", (18, 30, 40), (19, 31, 40), (18, 30, 41))
    assert evaluate(small_claims["below_jigsaw"], small, at_paper_scale).verdict == "HOLDS"
    changes = ({"scale": "tiny"}, {"scope": "subset", "fingerprint": "subset-0123456789ab"})
    for change in changes:
        moved = [one.model_copy(update=change) for one in at_paper_scale]
        result = evaluate(small_claims["below_jigsaw"], small, moved)
        assert (result.verdict, result.probability) == ("NOT MEASURED", None)
        assert "quoted numbers" in result.evidence[-1]


def test_a_reproduction_checks_its_own_relation(small, small_claims):
    """The literal claim names k=1, where these records contradict it; the weaker one does not."""
    records = runs("order", (10, 40, 60)) + runs("random", (30, 20, 30))
    result = evaluate(small_claims["order_helps_everywhere"], small, records)
    assert (result.verdict, result.printed_holds) == ("HOLDS", False)


def test_one_seed_takes_the_prior_spread_and_says_so(small, small_claims):
    result = evaluate(small_claims["below_jigsaw"], small, runs("order", (18, 30, 40)))
    assert result.evidence == [
        "table1.jigsaw.top1 = 20 (printed, cited)",
        "table1.order.top1 = 18.0 [15.1 to 20.9] (95 %, 1 seed, prior spread)",
    ]
    assert result.verdict == "UNDECIDED"
    assert result.probability == pytest.approx(NormalDist(0, 1.5).cdf(2), abs=0.02)


def test_the_probability_is_that_of_students_t(small, small_claims):
    scores = (16.0, 19.0, 20.5, 18.5)
    records = runs("order", *((score, 30, 40) for score in scores))
    result = evaluate(small_claims["below_jigsaw"], small, records)
    error = np.std(scores, ddof=1) / 2
    assert result.probability == pytest.approx(scipy.stats.t.cdf((20 - np.mean(scores)) / error, 3), abs=0.02)


def test_splits_are_averaged_and_seeds_pooled_within_them(small, claimed):
    claim = claimed("relation = 'V(\"table2.order.accuracy\") > 62'")
    scores = {1: (64.0, 61.0, 65.5), 2: (63.0, 60.0, 64.0)}
    records = [
        record("order", {"accuracy": score}, table="table2", split=split, seed=seed)
        for split, of_split in scores.items()
        for seed, score in enumerate(of_split)
    ]
    result = evaluate(claim, small, records)
    mean = np.mean([np.mean(of_split) for of_split in scores.values()])
    pooled = math.sqrt(np.mean([np.var(of_split, ddof=1) for of_split in scores.values()]))
    assert result.probability == pytest.approx(scipy.stats.t.cdf((mean - 62) / (pooled / math.sqrt(6)), 4), abs=0.02)
    half = 2.776445 * pooled / math.sqrt(6)
    interval = f"[{mean - half:.1f} to {mean + half:.1f}]"
    assert result.evidence == [f"table2.order.accuracy = {mean:.1f} {interval} (95 %, 3 seeds)"]


def test_cells_of_one_row_are_compared_run_by_run(small, claimed):
    """Seeds that move top5 and top10 together leave no doubt about their difference; unpaired they would."""
    claim = claimed('relation = \'V("table1.order.top10") - V("table1.order.top5") > 9.5\'')
    scores = [(5, 20.0, 30.1), (5, 32.0, 42.0), (5, 25.0, 34.8), (5, 40.0, 50.2)]
    gains = [top10 - top5 for _, top5, top10 in scores]
    error = np.std(gains, ddof=1) / 2
    paired = evaluate(claim, small, runs("order", *scores))
    expected = scipy.stats.t.cdf((np.mean(gains) - 9.5) / error, 3)
    assert paired.probability == pytest.approx(expected, abs=0.02)
    assert paired.verdict == "HOLDS"
    unpaired = evaluate(claim, small, runs("order", *scores), with_records=False)
    assert unpaired.verdict == "UNDECIDED"


def test_unknown_correlation_counts_for_the_doubt(small, claimed):
    """Two cells, each above its bound with probability 0.8: 0.64 if independent, 0.8 if they move together."""
    distance = 1.5 * NormalDist().inv_cdf(0.8)
    both = f'V("table1.order.top5") > {30 - distance} and V("table1.order.top10") > {40 - distance}'
    claim = claimed(f"relation = '{both}'")
    assert evaluate(claim, small, runs("order", (5, 30, 40))).probability == pytest.approx(0.64, abs=0.03)


def test_what_is_missing_is_named(small, small_claims):
    records = runs("order", (10, 40, 60))
    result = evaluate(small_claims["order_helps"], small, records)
    assert (result.verdict, result.probability, result.seeds_needed) == ("NOT MEASURED", None, None)
    assert result.evidence[0].startswith("table1.order.top5 = 40.0")
    assert result.evidence[1] == "table1.random.top5 not measured (NOT RUN)"
    assert (
        evaluate(small_claims["video_level"], small, records).evidence[0] == "figure1.order.top1 not measured (NOT RUN)"
    )
    assert certainty.evaluate([small_claims["video_level"]], small, [])[0].evidence == [
        "figure1.order.top1 not measured",
        "table1.order.top1 not measured",
    ]


def test_an_invalid_result_is_no_measurement(small, small_claims):
    records = runs("order", (math.nan, 40, 60))
    result = evaluate(small_claims["below_jigsaw"], small, records)
    assert result.verdict == "NOT MEASURED"
    assert result.evidence[1] == "table1.order.top1 not measured (INVALID)"


def test_a_missing_seed_or_split_is_flagged(small, claimed):
    claim = claimed("relation = 'V(\"table2.order.accuracy\") > 62'")
    result = evaluate(claim, small, [record("order", {"accuracy": 90.0}, table="table2")])
    assert result.verdict == "HOLDS"
    assert result.evidence == ["table2.order.accuracy = 90.0 [86.1 to 93.9] (95 %, 1 seed, prior spread, incomplete)"]


def test_one_seed_of_a_figure_without_a_spread_decides_nothing(small, small_claims):
    records = [*runs("order", (10, 40, 60)), record("order", {"top1": 90.0}, table="figure1")]
    result = evaluate(small_claims["video_level"], small, records)
    assert (result.verdict, result.probability, result.seeds_needed) == ("UNDECIDED", None, 2)
    assert result.evidence[0] == "figure1.order.top1 = 90.0 (1 seed, spread unknown)"


def test_sizes_are_exact_once_they_are_measured(small, small_claims):
    (result,) = certainty.evaluate([small_claims["small_network"]], small, [])
    assert (result.verdict, result.probability) == ("NOT MEASURED", None)
    assert result.evidence == ["table2.order.parameters not measured"]
    for size, verdict, probability in ((27.7, "HOLDS", 1.0), (31.2, "FAILS", 0.0)):
        measured = as_measured(
            small, lambda cell, size=size: size if cell.column == "parameters" else math.nan, half_width=None
        )
        (result,) = certainty.evaluate([small_claims["small_network"]], small, measured)
        assert (result.verdict, result.probability) == (verdict, probability)
        assert result.evidence == [f"table2.order.parameters = {size} (1 seed)"]


def test_no_run_bears_on_arithmetic_or_on_what_others_printed(small, small_claims, claimed):
    others = claimed("relation = 'V(\"table1.jigsaw.top1\") > 1'")
    measured = as_measured(small, lambda cell: 50.0 if math.isnan(cell.value) else cell.value)
    for claim in (small_claims["orders"], others):
        for judgements in ([], measured):
            (result,) = certainty.evaluate([claim], small, judgements)
            assert (result.verdict, result.probability) == ("NOT MEASURED", None)
            assert result.evidence[-1] == "about printed numbers alone: no run of ours bears on it"
    assert result.evidence[0] == "table1.jigsaw.top1 = 20 (printed, cited)"


@pytest.mark.parametrize("paper", sorted(path.stem for path in (REFERENCE / "claims").glob("*.toml")))
def test_nothing_holds_or_fails_of_a_paper_that_never_ran(papers, all_claims, paper):
    of_paper = [claim for claim in all_claims if claim.paper == paper]
    results = certainty.evaluate(of_paper, papers, judge(papers[paper], [], scale="paper"))
    assert {result.verdict for result in results} == {"NOT MEASURED"}


def test_costs_at_a_smaller_scale_are_not_set_against_quoted_ones(papers, all_claims):
    claim = next(claim for claim in all_claims if claim.id == "flops_one_third")
    # As printed, whose VCOP is quoted.
    quoted = claim.model_copy()
    quoted._ours = claim._printed
    for scale, verdict in (("paper", "HOLDS"), ("tiny", "NOT MEASURED")):
        measured = as_measured(
            papers, lambda cell: cell.value, half_width=None, records=(f"srop/{scale}/full-0123456789ab/table8/x.json",)
        )
        (result,) = certainty.evaluate([quoted], papers, measured)
        assert result.verdict == verdict


@pytest.mark.parametrize(("clips", "verdict"), [(3, "HOLDS"), (2, "FAILS")])
def test_costs_counted_on_both_sides_are_compared_at_any_scale(papers, all_claims, clips, verdict):
    claim = next(claim for claim in all_claims if claim.id == "flops_one_third")
    costs = {"order": 20.0, "vcop": 20.0 * clips}
    measured = as_measured(
        papers,
        lambda cell: costs[cell.row.partition("_")[2]] if cell.table == "macs" else math.nan,
        half_width=None,
        records=("srop/tiny/synthetic-0123456789ab/macs/x.json",),
    )
    (result,) = certainty.evaluate([claim], papers, measured)
    assert result.verdict == verdict


@pytest.mark.parametrize(("error", "verdict"), [(0.2, "HOLDS"), (0.3, "FAILS")])
def test_an_error_of_rates_is_set_against_the_rates_that_were_drawn(papers, all_claims, error, verdict):
    claim = next(claim for claim in all_claims if claim.id == "sampling_error_beats_constant")

    def ours(cell):
        """At tiny scale the narrowest range is 1 to 2: its constant is 0.25, not the 1.25 of 1 to 4."""
        if cell.table != "pretext_scores" or cell.column not in ("rate", "constant"):
            return math.nan
        constant = 0.25 if cell.row == "p1_4" else 1.25
        return constant if cell.column == "constant" else error

    (result,) = certainty.evaluate([claim], papers, as_measured(papers, ours, half_width=1e-3))
    assert result.verdict == verdict


def test_without_a_prior_one_seed_or_equal_ones_decide_nothing(small, small_claims):
    tiny = {"scale": "tiny", "scope": "synthetic", "fingerprint": "synthetic-0123456789ab"}
    clear = runs("order", (10, 90, 95)) + runs("random", (10, 20, 30))
    result = evaluate(small_claims["order_helps"], small, [one.model_copy(update=tiny) for one in clear])
    assert (result.verdict, result.probability, result.seeds_needed) == ("UNDECIDED", None, 2)
    assert result.evidence[0] == "table1.order.top5 = 90.0 (1 seed, spread unknown)"
    assert result.remedy == "at least 2 seeds are needed to know the spread"
    equal = runs("order", *[(10, 90, 95)] * 3) + runs("random", (10, 20, 30), (11, 21, 31), (12, 22, 32))
    result = evaluate(small_claims["order_helps"], small, [one.model_copy(update=tiny) for one in equal])
    assert (result.verdict, result.probability, result.seeds_needed) == ("UNDECIDED", None, 4)


def test_the_seeds_that_would_decide(small, small_claims):
    """One inequality against a constant: Student's t says for which number of seeds its probability passes 0.95."""
    scores = (17.0, 21.5, 18.0)
    result = evaluate(small_claims["below_jigsaw"], small, runs("order", *((score, 30, 40) for score in scores)))
    assert result.verdict == "UNDECIDED"
    sd, gap = np.std(scores, ddof=1), 20 - np.mean(scores)
    needed = next(n for n in range(3, 101) if scipy.stats.t.cdf(gap / (sd / math.sqrt(n)), n - 1) >= 0.95)
    assert result.seeds_needed == pytest.approx(needed, rel=0.25)
    assert result.seeds_needed > 3
    assert result.seeds == 3
    assert result.remedy == f"{result.seeds_needed - 3} more seeds ({result.seeds_needed} in all) would decide"


def test_no_number_of_seeds_decides_a_tie(small, small_claims):
    result = evaluate(small_claims["below_jigsaw"], small, runs("order", (20, 30, 40)))
    assert (result.verdict, result.seeds_needed) == ("UNDECIDED", None)
    assert result.probability == pytest.approx(0.5, abs=0.03)
    assert result.remedy == "100 seeds would not decide"


def test_verdicts_do_not_depend_on_order_or_company(all_claims, papers):
    judgements = as_measured(papers, lambda cell: 50.0 if math.isnan(cell.value) else cell.value, half_width=2.0)
    results = {(one.paper, one.id): one for one in certainty.evaluate(all_claims, papers, judgements)}
    assert {one.verdict for one in results.values()} == {"HOLDS", "FAILS", "UNDECIDED", "NOT MEASURED"}
    some = random.Random(1).sample(all_claims, 20)
    random.Random(2).shuffle(judgements)
    for result in certainty.evaluate(some, papers, judgements):
        assert result == results[result.paper, result.id]


@settings(max_examples=40)
@given(gap=st.floats(-8, 8), more=st.floats(0, 8), half_width=st.floats(0.1, 6))
def test_a_larger_lead_is_never_less_likely(gap, more, half_width):
    small = tables.load(FIXTURES / "tables")
    claim = next(claim for claim in claims.load(FIXTURES / "claims")["small"] if claim.id == "order_helps")
    probabilities = []
    for lead in (gap, gap + more):
        judgements = as_measured(
            small, lambda cell, lead=lead: 30 + lead * (cell.row == "order"), half_width=half_width
        )
        (result,) = certainty.evaluate([claim], small, judgements)
        probabilities.append(result.probability)
        assert (result.verdict == "UNDECIDED") == (0.05 < result.probability < 0.95)
        assert result.seeds_needed is None or result.verdict == "UNDECIDED"
    assert probabilities[0] <= probabilities[1]


def test_cells_looked_up_for_other_results_change_nothing(papers, all_claims):
    judgements = [as_measured(papers, lambda cell, shift=shift: cell.value + shift) for shift in (0.0, 1.0)]
    shared = claims.Cells(papers)
    for judged in judgements:
        assert certainty.evaluate(all_claims, papers, judged, (), shared) == certainty.evaluate(
            all_claims, papers, judged
        )
