"""Verdicts: every one of them, what they must never do, and the numbers beside them."""

import dataclasses
import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judging import statistics
from harness.judging.compare import VERDICTS, judge
from harness.records import Outcomes, Record
from harness.tables import Paper

TOLERANCE = {"points": 2.0, "prior_sd": 1.5, "reason": "as in the tests"}
# Every score of two decimals is a share of so many.
COUNTED = {"listed": 10_000, "decoded": 10_000, "total": 10_000}
RANK = {"REPRODUCED": 0, "NEAR": 1, "BELOW": 2, "ABOVE": 2}


def paper(value=65.6, *, splits=(1,), unit="percent", better="high", rows=(), figure=False, **column) -> Paper:
    """One table with the column "accuracy" and the own row "c3d", and what else a test asks for."""
    column = {"id": "accuracy", "label": "Accuracy", "metric": "accuracy", "dataset": "ucf101"} | column
    table = {
        "id": "table4",
        "title": "Recognition",
        "where": "Table 4",
        "protocol": "recognition",
        "tolerance": TOLERANCE,
        "columns": [column | {"splits": list(splits), "unit": unit, "better": better}],
        "rows": [own("c3d", [value]), *rows],
    }
    if figure:
        table["rows"] = [{key: item for key, item in row.items() if key != "values"} for row in table["rows"]]
    both = {"tables": [] if figure else [table], "figures": [table] if figure else []}
    return Paper.model_validate({"key": "vcop", "title": "VCOP", "citation": "Xu et al."} | both)


def own(name: str, values: list[float]) -> dict:
    return {"id": name, "label": name, "source": "own", "backbone": "c3d", "weights": "vcop", "values": values}


def record(score=65.6, *, split=1, seed=0, metric="accuracy", **changes) -> Record:
    fields = {
        "paper": "vcop",
        "table": "table4",
        "row": "c3d",
        "columns": ["accuracy"],
        "dataset": "ucf101",
        "split": split,
        "seed": seed,
        "scale": "paper",
        "scope": "full",
        "fingerprint": "full-0123456789ab",
        "lists": {"testlist01.txt": "aa" * 32},
        "protocol": "recognition",
        "protocol_version": 1,
        "recipe_hash": "00c0ffee",
        "device_kind": "cuda",
        "scores": {metric: score},
        "counts": COUNTED,
        "settings": {},
        "environment": {},
        "commit": "c0ffee",
        "dirty": False,
        "created": "2026-01-01T00:00:00Z",
        "seconds": 1.0,
        "command": "python -m harness run vcop",
    }
    return Record(**fields | changes)


def scored(hits: list[int], *, trials=1, groups=None, **changes) -> Record:
    """A record with outcomes, and counts and score that agree with them."""
    total = trials * len(hits)
    groups = groups or [f"g{i // 2}" for i in range(len(hits))]
    agreeing = {
        "score": 100 * sum(hits) / total,
        "counts": {"listed": len(hits), "decoded": len(hits), "total": total, "correct": sum(hits)},
        "outcomes": Outcomes(groups=groups, trials=trials, hits={"accuracy": hits}),
    }
    return record(**agreeing | changes)


def only(records, of=None, **options):
    """The judgement of the one cell."""
    (judgement,) = judge(of or paper(), records, **{"scale": "paper"} | options)
    assert judgement.verdict in VERDICTS
    return judgement


def seeds(*scores: float, split=1, **changes) -> list[Record]:
    return [record(score, split=split, seed=seed, **changes) for seed, score in enumerate(scores)]


# ------------------------------------------------------------------------------------------------- numbers by hand


def test_ours_is_the_mean_over_splits_of_the_means_over_seeds():
    records = [*seeds(60, 62, 64), *seeds(66, 68, 70, split=2), *seeds(70, 71, 72, split=3)]
    judgement = only(records, paper(67.0, splits=(1, 2, 3)))
    assert judgement.per_split == {1: 62.0, 2: 68.0, 3: 71.0}
    assert judgement.ours == pytest.approx(67.0)
    # squares 8, 8 and 2 over 6 degrees of freedom
    assert judgement.sd == pytest.approx(math.sqrt(3))
    # t(0.975; 6) = 2.446912; nine runs in three splits
    assert judgement.half_width == pytest.approx(2.446912 * math.sqrt(3 / 9))
    assert judgement.difference == pytest.approx(0.0)
    assert (judgement.seeds, judgement.missing) == (3, ())
    # noise of our nine runs and of the printed three: sqrt(3/9 + 3/3) = 1.1547; t = 2 / 1.1547, 6 degrees of freedom
    assert judgement.p_equivalent == pytest.approx(scipy.stats.t.sf(2 / math.sqrt(4 / 3), 6))
    assert judgement.p_different == 1.0
    assert judgement.verdict == "REPRODUCED"
    assert judgement.records == tuple(sorted(one.key() for one in records))


def test_p_values_by_hand():
    # mean 60, s = 1, so the error of the difference is sqrt(1/3 + 1), with 2 degrees of freedom
    judgement = only(seeds(59, 60, 61), paper(65.0))
    error = math.sqrt(4 / 3)
    expected = scipy.stats.t.sf(3 / error, 2) + scipy.stats.t.sf(7 / error, 2)
    assert judgement.p_different == pytest.approx(expected)
    assert judgement.p_equivalent == pytest.approx(scipy.stats.t.cdf(3 / error, 2))
    assert judgement.verdict == "NEAR"


def test_one_seed_takes_the_prior_and_says_so():
    judgement = only([record(63.0)])
    assert judgement.flags == ("one seed: prior spread",)
    assert (judgement.sd, judgement.degrees) == (None, math.inf)
    assert judgement.half_width == pytest.approx(1.959964 * 1.5)
    error = 1.5 * math.sqrt(2)
    expected = scipy.stats.norm.sf(0.6 / error) + scipy.stats.norm.sf(4.6 / error)
    assert judgement.p_different == pytest.approx(expected)


def test_two_seeds_far_below_are_not_excused_by_two_degrees_too_few():
    judgement = only(seeds(45.0, 48.0))
    assert judgement.flags == ("few seeds: prior spread",)
    assert judgement.verdict == "BELOW"


def test_equal_seeds_do_not_make_a_number_certain():
    judgement = only(seeds(63.0, 63.0, 63.0))
    assert judgement.flags == ("all seeds give the same value", "equal seeds: prior spread")
    assert (judgement.sd, judgement.degrees) == (0.0, math.inf)
    assert judgement.half_width == pytest.approx(1.959964 * 1.5 / math.sqrt(3))
    error = 1.5 * math.sqrt(4 / 3)
    expected = scipy.stats.norm.sf(0.6 / error) + scipy.stats.norm.sf(4.6 / error)
    assert judgement.p_different == pytest.approx(expected)


@pytest.mark.parametrize(
    "change",
    [{"scale": "small"}, {"scale": "tiny"}, {"scope": "subset", "fingerprint": "subset-0123456789ab"}],
    ids=str,
)
def test_the_prior_speaks_of_the_papers_networks_and_data_alone(change):
    scale = change.get("scale", "paper")
    for scores in ([63.0], [63.0, 63.0, 63.0]):
        judgement = only(seeds(*scores, **change), scale=scale)
        assert (judgement.half_width, judgement.degrees) == (None, None)
        assert "prior" not in " ".join(judgement.flags)
    two = only(seeds(63.0, 64.0, **change), scale=scale)
    assert two.degrees == 1
    assert two.half_width == pytest.approx(12.706205 * math.sqrt(0.5) / math.sqrt(2))


def test_splits_that_share_a_pretraining_are_not_independent():
    # Every seed's pretraining lifts or lowers all three splits alike.
    def records(key):
        return [
            record(60 + 10 * split + lift, split=split, seed=seed, stages={"pretrain": key(split, seed), "test": "t"})
            for seed, lift in enumerate((-2.0, 0.0, 2.0))
            for split in (1, 2, 3)
        ]

    cell = paper(80.0, splits=(1, 2, 3))
    alone = only(records(lambda split, seed: f"{split}-{seed}"), cell)
    shared = only(records(lambda split, seed: f"{seed}"), cell)
    assert alone.half_width == pytest.approx(statistics.quantile(0.975, 6) * 2 / 3)
    assert shared.half_width == pytest.approx(statistics.quantile(0.975, 2) * 2 / math.sqrt(3))
    assert (alone.ours, alone.sd) == (shared.ours, shared.sd) == (80.0, 2.0)
    assert (alone.degrees, shared.degrees) == (6, 2)
    assert (alone.flags, shared.flags) == ((), ("splits share a pretraining",))
    assert shared.p_equivalent > alone.p_equivalent


def test_interval_over_videos_of_a_mean_over_seeds():
    generator = np.random.default_rng(3)
    hits = generator.integers(0, 11, (2, 60)).tolist()
    judgement = only([scored(hits[0], trials=10), scored(hits[1], trials=10, seed=1)])
    clusters = statistics.cluster([[f"g{i // 2}" for i in range(60)]])
    expected = statistics.video_interval(clusters, [np.mean(hits, axis=0)], [10])
    assert judgement.video_interval == expected
    assert expected[0] < judgement.ours < expected[1]
    # the same on both sides, so it takes no part in the tests
    bare = [one.model_copy(update={"outcomes": None}) for one in [scored(hits[0], trials=10)]]
    assert only(bare).p_different == only([scored(hits[0], trials=10)]).p_different


def test_no_interval_over_videos_where_a_seed_has_no_outcomes():
    assert only([scored([1, 0, 1, 1]), scored([1, 1, 1, 1], seed=1, outcomes=None)]).video_interval is None


# -------------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("scores", "better", "verdict"),
    [
        ((65.0, 65.5, 66.0), "high", "REPRODUCED"),
        ((62.5, 63.0, 63.5), "high", "NEAR"),
        ((55.0, 55.5, 56.0), "high", "BELOW"),
        ((75.0, 75.5, 76.0), "high", "ABOVE"),
        ((55.0, 55.5, 56.0), "low", "ABOVE"),
        ((75.0, 75.5, 76.0), "low", "BELOW"),
        ((75.0, 75.5, 76.0), "none", "ABOVE"),
        # within the tolerance, but the seeds scatter by more than the tolerance
        ((55.0, 65.0, 75.0), "high", "NEAR"),
    ],
)
def test_verdicts(scores, better, verdict):
    judgement = only(seeds(*scores), paper(better=better))
    assert judgement.verdict == verdict
    assert judgement.difference == pytest.approx(np.mean(scores) - 65.6)
    assert judgement.reason


def test_exactly_the_tolerance_is_within():
    # 65.6 - 63.6 is 1.9999999999999929 in binary, 67.6 - 65.6 is 2.0, 12.5 - 10.5 is 2
    for printed, score in ((65.6, 63.6), (65.6, 67.6), (12.5, 10.5), (0.3, 2.3)):
        assert only(seeds(score, score, score), paper(printed)).verdict == "REPRODUCED"
    # 66.9 - 63.9 is 3.0000000000000071
    of = paper(63.9, tolerance=TOLERANCE | {"points": 3.0})
    assert only(seeds(66.9, 66.9, 66.9), of).verdict == "REPRODUCED"
    assert only(seeds(66.91, 66.91, 66.91), of).verdict == "NEAR"


def test_equivalence_is_flagged():
    judgement = only(seeds(65.5, 65.6, 65.7))
    assert judgement.p_equivalent < 0.05
    assert "equivalence shown" in judgement.flags


def test_seeds_that_all_agree_are_flagged():
    assert "all seeds give the same value" in only(seeds(65.0, 65.0, 65.0)).flags


def test_uncommitted_changes_are_flagged():
    assert "uncommitted changes" in only([record(dirty=True)]).flags


def test_cited_rows_are_quoted():
    cited = {"id": "opn", "label": "OPN", "source": "cited", "values": [56.3]}
    judgement = judge(paper(rows=[cited]), [record()], scale="paper")[1]
    assert (judgement.row, judgement.printed, judgement.verdict) == ("opn", 56.3, "CITED")


def test_nothing_run():
    judgement = only([])
    assert (judgement.verdict, judgement.ours, judgement.tolerance) == ("NOT RUN", None, 2.0)


def test_other_scales_and_papers_do_not_count():
    assert only([record(scale="small"), record(paper="srop")]).verdict == "NOT RUN"


def test_missing_where_the_row_was_run_without_the_number():
    ours, other = judge(paper(rows=[own("r3d", [64.9])]), [record()], scale="paper")
    assert ours.verdict != "MISSING"
    # What was not asked for is not missing.
    assert (other.verdict, other.ours) == ("NOT RUN", None)
    empty = record().model_copy(update={"scores": {}})
    missing, _ = judge(paper(rows=[own("r3d", [64.9])]), [empty], scale="paper")
    assert (missing.verdict, missing.ours) == ("MISSING", None)


def test_a_value_that_the_paper_does_not_give_is_not_missing():
    _, other = judge(paper(rows=[own("r3d", [math.nan])]), [record()], scale="paper")
    assert other.verdict == "NOT RUN"
    judgement = only([record()], paper(math.nan))
    assert (judgement.verdict, judgement.ours, judgement.difference) == ("NOT COMPARABLE", 65.6, None)


def test_figures_are_judged_as_cells_without_a_printed_value():
    judgement = only([record(40.0)], paper(figure=True))
    assert (judgement.verdict, judgement.ours) == ("NOT COMPARABLE", 40.0)
    assert math.isnan(judgement.printed)


@pytest.mark.parametrize("missing", ["split", "seed"])
def test_incomplete(missing):
    records = [*seeds(65, 66), *seeds(65, 66, split=2)]
    del records[2 if missing == "seed" else slice(2, 4)]
    judgement = only(records, paper(splits=(1, 2)))
    assert judgement.verdict == "INCOMPLETE"
    assert judgement.missing == (("split 2 seed 0",) if missing == "seed" else ("split 2 seed 0", "split 2 seed 1"))
    assert judgement.p_different is None
    # without one of its splits ours is no longer the printed quantity
    assert (judgement.difference is None) == (missing == "split")


def test_a_record_without_the_score_leaves_a_hole():
    judgement = only([*seeds(65, 66), record(seed=2, metric="loss")])
    assert (judgement.verdict, judgement.missing) == ("INCOMPLETE", ("split 1 seed 2",))


ASKED = {"id": "set-video.crop", "option": "--set video.crop=56", "what": "video.crop = 56 instead of 112"}


@pytest.mark.parametrize(
    "change", [{"scale": "tiny"}, {"scope": "subset", "fingerprint": "subset-0123456789ab"}, {"asked": [ASKED]}]
)
def test_not_comparable_still_gives_our_numbers(change):
    judgement = only(seeds(20, 21, 22, **change), scale=change.get("scale", "paper"))
    assert (judgement.verdict, judgement.ours, judgement.sd) == ("NOT COMPARABLE", 21.0, 1.0)
    assert (judgement.difference, judgement.p_different) == (None, None)
    assert judgement.per_split == {1: 21.0}


def test_what_a_command_asked_for_otherwise_is_the_reason():
    records = [*seeds(65, 66, asked=[ASKED]), record(67.0, seed=2)]
    assert only(records).reason == "asked for otherwise: video.crop = 56 instead of 112"
    size = record(60.0, columns=["parameters"], scores={"parameters": 14.5}, asked=[ASKED])
    cell = paper(14.5, unit="millions", better="low", metric="parameters", id="parameters", protocol="cost")
    judgement = only([size], cell)
    assert (judgement.verdict, judgement.difference, judgement.ours) == ("NOT COMPARABLE", None, 14.5)


def test_unreadable_videos_that_the_run_did_without_make_it_a_subset():
    counts = {"listed": 1530, "decoded": 1528, "unreadable": 2, "total": 1528, "correct": 1000}
    judgement = only([record(100 * 1000 / 1528, counts=counts)])
    assert judgement.verdict == "NOT COMPARABLE"
    assert "2 of 1530" in judgement.reason
    assert "2 unreadable videos left out" in judgement.flags


@pytest.mark.parametrize(("across", "said"), [(1, "1 test video with"), (4, "4 test videos with"), (0, "")])
@pytest.mark.parametrize(
    ("scores", "counts", "verdict"),
    [
        ((65.5, 65.6, 65.7), {}, "REPRODUCED"),
        ((65.6,), {}, "NEAR"),
        ((20.0, 21.0, 22.0), {}, "BELOW"),
        ((65.5, 65.6, 65.7), {"decoded": 9_999}, "INVALID"),
    ],
)
def test_test_videos_with_the_bytes_of_training_videos_are_said_and_change_no_verdict(
    across, said, scores, counts, verdict
):
    plain = only(seeds(*scores, counts=COUNTED | counts))
    flagged = only(seeds(*scores, counts=COUNTED | counts | {"duplicates_across": across}))
    assert plain.verdict == verdict
    # A record that cannot be believed says why, and nothing else.
    flags = (f"{said} the bytes of a training video",) if said and verdict != "INVALID" else ()
    assert [flag for flag in flagged.flags if flag not in plain.flags] == list(flags)
    assert dataclasses.replace(flagged, flags=plain.flags, records=plain.records) == plain


COUNTS = {"listed": 4, "decoded": 4, "total": 4, "correct": 3}
OUTCOMES = {"groups": ["a", "a", "b", "b"], "trials": 1, "hits": {"accuracy": [1, 1, 1, 0]}}


def faulty(**changes) -> Record:
    return record(**{"score": 75.0, "counts": COUNTS, "outcomes": Outcomes(**OUTCOMES)} | changes)


def test_the_sound_one_of_the_faulty_records():
    assert only([faulty()], paper(75.0)).verdict == "NEAR"


@pytest.mark.parametrize(
    "change",
    [
        {"score": math.nan},
        {"score": math.inf},
        {"score": 100.5},
        {"score": -1.0},
        {"score": 50.0},
        {"counts": COUNTS | {"correct": 2}},
        {"counts": COUNTS | {"correct": 5}},
        {"counts": COUNTS | {"total": 0}},
        {"counts": COUNTS | {"total": 5}},
        {"counts": COUNTS | {"total": -4}},
        {"counts": {}},
        {"counts": {"listed": 4, "decoded": 4}},
        {"counts": {"listed": 4, "decoded": 4, "total": 4}, "outcomes": None, "score": 65.6},
        {"counts": {"listed": 4, "decoded": 4, "total": 6}, "outcomes": None, "score": 50.0},
        {"counts": {"listed": 0, "decoded": 0, "total": 4}, "outcomes": None},
        {"counts": COUNTS | {"listed": 2, "decoded": 2}},
        {"score": 75.1},
        {"counts": COUNTS | {"decoded": 3}},
        {"counts": COUNTS | {"decoded": 5}},
        {"counts": COUNTS | {"decoded": 2, "unreadable": 1}},
        {"counts": COUNTS | {"queries": 3}},
        {"outcomes": Outcomes(**OUTCOMES | {"groups": ["a", "b", "c"]})},
        {"outcomes": Outcomes(**OUTCOMES | {"trials": 2})},
        {"outcomes": Outcomes(**OUTCOMES | {"trials": 0})},
        {"outcomes": Outcomes(**OUTCOMES | {"hits": {"accuracy": [1, 1, 0, 0]}})},
        {"outcomes": Outcomes(**OUTCOMES | {"hits": {"accuracy": [2, 1, 0, 0]}})},
        {"outcomes": Outcomes(**OUTCOMES | {"hits": {"accuracy": [4, -1, 0, 0]}})},
        {"outcomes": Outcomes(**OUTCOMES | {"hits": {"accuracy": [1, 1, 1]}})},
        {"scope": "synthetic"},
        {"fingerprint": "synthetic-0123456789ab"},
        {"protocol": "clip-retrieval"},
    ],
    ids=str,
)
def test_a_record_that_cannot_be(change):
    judgement = only([faulty(**change)], paper(75.0))
    assert judgement.verdict == "INVALID"
    assert judgement.ours is None
    assert judgement.reason
    assert judgement.records


@pytest.mark.parametrize(
    "change",
    [
        {"score": math.nan},
        {"protocol_version": 2},
        {"recipe_hash": "deadbeef"},
        {"fingerprint": "full-ba9876543210"},
        {"lists": {"testlist01.txt": "bb" * 32}},
        {"counts": {"listed": 5000, "decoded": 5000, "total": 5000}},
        {"seed": 0},  # the same run again, with another score
    ],
    ids=str,
)
def test_records_that_do_not_belong_together(change):
    others = [*seeds(65.0, 65.5), record(65.2, seed=2)]
    assert only(others).verdict == "REPRODUCED"
    assert only([*seeds(65.0, 65.5), record(**{"score": 66.0, "seed": 2} | change)]).verdict == "INVALID"


def test_seeds_that_scored_different_videos():
    # Records of a subset need not say how many videos they counted.
    some = {"scope": "subset", "fingerprint": "subset-0123456789ab", "counts": {}}
    one = scored([1, 1, 0, 0], **some)
    for other in (
        scored([1, 1, 0, 0], groups=["g0", "g1", "g1", "g1"], seed=1, **some),
        scored([1, 1, 0, 0], trials=2, seed=1, **some),
    ):
        judgement = only([one, other])
        assert judgement.verdict == "INVALID"
        assert "seeds scored different" in judgement.reason


def test_the_caller_picks_one_of_several_data():
    full, subset = record(65.0), record(30.0, scope="subset", fingerprint="subset-0123456789ab")
    assert only([full, subset]).verdict == "INVALID"
    assert only([full, subset], fingerprint={"ucf101": "full-0123456789ab"}).ours == 65.0
    judgement = only([full, subset], fingerprint={"ucf101": "subset-0123456789ab"})
    assert (judgement.ours, judgement.verdict) == (30.0, "NOT COMPARABLE")
    assert only([full], fingerprint={"ucf101": "full-ba9876543210"}).verdict == "NOT RUN"


def test_records_of_another_recipe_are_counted_and_left_out():
    records = [record(65.0), record(20.0, seed=1, recipe_hash="deadbeef"), record(21.0, seed=2, recipe_hash="deadbeef")]
    judgement = only(records, recipe_hash="00c0ffee")
    assert (judgement.ours, judgement.seeds) == (65.0, 1)
    assert "2 records of another recipe left out" in judgement.flags
    judgement = only(records, recipe_hash="0badf00d")
    assert judgement.verdict == "MISSING"
    assert "3 records of another recipe left out" in judgement.flags


def test_an_older_protocol_counts_only_until_it_is_run_again():
    old, new = record(60.0), record(65.0, protocol_version=2)
    assert only([old], protocol_versions={"recognition": 2}).verdict == "INVALID"
    judgement = only([old, new], protocol_versions={"recognition": 2})
    assert judgement.ours == 65.0
    assert "1 of an older protocol version left out" in judgement.flags


def test_a_run_on_both_devices_counts_once():
    judgement = only([record(65.0), record(60.0, device_kind="cpu"), record(66.0, seed=1)])
    assert (judgement.ours, judgement.seeds, len(judgement.records)) == (65.5, 2, 2)
    assert "run on cpu and cuda: cuda counts" in judgement.flags


@pytest.mark.parametrize(
    ("printed", "ours", "better", "verdict"),
    [
        (33.4, 33.44, "none", "REPRODUCED"),
        (33.4, 33.45, "none", "REPRODUCED"),
        (33.4, 33.46, "none", "ABOVE"),
        (33.4, 14.36, "none", "BELOW"),
        (33.4, 14.36, "low", "ABOVE"),
    ],
)
def test_sizes_compare_at_printed_precision(printed, ours, better, verdict):
    # any record of the row gives a size, whatever it was tested on
    sizes = record(60.0, split=3, columns=["top1"], dataset="hmdb51", scores={"top1": 60.0, "parameters": ours})
    cell = paper(printed, unit="millions", better=better, metric="parameters", id="parameters", protocol="cost")
    judgement = only([sizes], cell)
    assert (judgement.verdict, judgement.ours, judgement.p_different) == (verdict, ours, None)
    assert judgement.tolerance == pytest.approx(0.05)
    tiny = sizes.model_copy(update={"scale": "tiny"})
    assert only([tiny], cell, scale="tiny").verdict == "NOT COMPARABLE"
    counted = tiny.model_copy(update={"protocol": "cost"})
    assert only([counted], cell, scale="tiny").verdict == verdict
    assert (
        only([sizes, sizes.model_copy(update={"seed": 1, "scores": {"parameters": ours + 1}})], cell).verdict
        == "INVALID"
    )


def shared(score: float, protocol: str, metric="accuracy", **changes) -> str:
    """The verdict on one record of a protocol at paper scale, on the full data, with a tolerance that forgives the score."""
    of = paper(score, metric=metric, protocol=protocol, tolerance=TOLERANCE | {"points": 50.0})
    return only([record(score, metric=metric, protocol=protocol, **changes)], of).verdict


def test_what_each_protocol_counts():
    # every clip of every test video is a query
    clips = {"listed": 3783, "decoded": 3783, "total": 37830, "correct_top1": 4729}
    for protocol in ("clip-retrieval", "layer-retrieval", "video-retrieval"):
        assert shared(100 * 4729 / 37830, protocol, "top1", counts=clips) == "REPRODUCED"
        assert shared(100 * 4729 / 37830, protocol, "top1", counts=clips | {"total": 37831}) == "INVALID"
    # ASLAN counts pairs: ten folds of 600
    pairs = {"listed": 6000, "decoded": 6000, "total": 6000, "correct": 3600}
    assert shared(60.0, "aslan", counts=pairs) == "REPRODUCED"
    assert shared(60.01, "aslan", counts=pairs) == "INVALID"
    assert shared(60.0, "aslan", counts=pairs | {"total": 600}) == "INVALID"
    # only videos long enough for the tuple are asked about, once each
    order = {"listed": 3783, "decoded": 3783, "total": 3776, "correct": 2587}
    assert shared(100 * 2587 / 3776, "order-accuracy", counts=order) == "REPRODUCED"
    assert shared(100 * 2587 / 3776, "order-accuracy", counts=order | {"correct": 2588}) == "INVALID"
    assert shared(100 * 2587 / 3776, "order-accuracy", counts=order | {"total": 3784}) == "INVALID"
    assert shared(68.5, "order-accuracy", counts={"total": 1000}) == "INVALID"
    # the accuracy of one class is a share of fewer
    both = {"accuracy": 100 * 2587 / 3776, "accuracy_HulaHoop": 100 * 5 / 31}
    assert shared(100 * 5 / 31, "order-accuracy", "accuracy_HulaHoop", counts=order, scores=both) == "REPRODUCED"
    # questions are asked one by one, those of a type among themselves
    asked = {"listed": 8000, "decoded": 8000, "total": 8000, "asked_motion": 800, "correct_motion": 20}
    assert shared(2.5, "video-qa", "motion", counts=asked) == "REPRODUCED"
    assert shared(2.5, "video-qa", "motion", counts=asked | {"correct_motion": 21}) == "INVALID"
    assert shared(2.5, "video-qa", "motion", counts=asked | {"asked_motion": 8000}) == "INVALID"
    assert shared(30.2, "video-qa", "all", counts={"total": 8000}) == "INVALID"
    # a number of a curve is no share of test videos
    assert shared(68.5, "training-curve", "max_val_acc", counts={"epochs": 300}) == "REPRODUCED"


def test_a_video_that_cannot_be_read_takes_its_pairs_and_questions_with_it():
    lost = {"listed": 6000, "decoded": 5990, "unreadable": 1, "total": 5990, "correct": 3590}
    # the mean over folds of unlike sizes, no share of the pairs that are left
    assert shared(59.97, "aslan", counts=lost) == "NOT COMPARABLE"
    assert shared(59.97, "aslan", counts=lost | {"unreadable": 0}) == "INVALID"
    assert shared(59.97, "recognition", counts=lost) == "INVALID"
    right = {"correct": 3594}
    assert shared(60.0, "video-qa", counts=lost | right) == "NOT COMPARABLE"
    assert shared(60.0, "video-qa", counts=lost | right | {"unreadable": 0}) == "INVALID"


@pytest.mark.parametrize("unit", ["samples", "epochs"])
def test_what_is_counted_along_a_run_differs_between_seeds(unit):
    of = paper(unit=unit, better="low", figure=True, tolerance=TOLERANCE)
    judgement = only(seeds(1560, 1571, 1568), of)
    assert (judgement.verdict, judgement.ours, judgement.degrees) == ("NOT COMPARABLE", 4699 / 3, 2)
    assert only(seeds(1560, 1571), paper(unit="count", figure=True)).verdict == "INVALID"


def test_losses_are_judged_by_their_own_tolerance():
    cell = paper(0.693, unit="loss", better="low", tolerance={"points": 0.02, "prior_sd": 0.01, "reason": "r"})
    assert only([record(0.70)], cell).verdict == "REPRODUCED"
    assert only([record(0.90)], cell).verdict == "BELOW"
    assert only([record(0.40)], cell).verdict == "ABOVE"
    assert only([record(-0.1)], cell).verdict == "INVALID"


def test_columns_of_a_row_with_other_weights_are_other_records():
    columns = [{"id": name, "label": name, "metric": "accuracy"} for name in ("random", "vcop")]
    table = {
        "id": "table2",
        "title": "Gain",
        "where": "Table II",
        "protocol": "recognition",
        "tolerance": TOLERANCE,
        "shared": {"dataset": "ucf101", "unit": "percent", "better": "high"},
        "columns": columns,
        "rows": [own("c3d", [61.5, 75.9]) | {"weights": {"random": "random", "vcop": "vcop"}}],
    }
    both = Paper.model_validate({"key": "vcop", "title": "VCOP", "citation": "Xu et al.", "tables": [table]})
    records = [record(61.0, table="table2", columns=["random"]), record(76.0, table="table2", columns=["vcop"])]
    assert len({one.key() for one in records}) == 2
    assert [one.ours for one in judge(both, records, scale="paper")] == [61.0, 76.0]


# ------------------------------------------------------------------------------------------------------ properties

SCORES = st.integers(1000, 9000).map(lambda hundredths: hundredths / 100)
RUNS = st.lists(SCORES, min_size=1, max_size=4)


@given(RUNS, st.integers(1, 3), SCORES, SCORES, st.floats(0, 8), st.floats(0.1, 5))
@settings(max_examples=200, deadline=None)
def test_a_verdict_never_improves_when_the_difference_grows(scores, splits, one, other, points, prior):
    records = [record(score, split=k, seed=s) for k in range(1, splits + 1) for s, score in enumerate(scores)]
    tolerance = {"points": points, "prior_sd": prior, "reason": "r"}

    def judged(printed):
        return only(records, paper(printed, splits=range(1, splits + 1), tolerance=tolerance))

    near, far = sorted((judged(one), judged(other)), key=lambda judgement: abs(judgement.difference))
    assert RANK[near.verdict] <= RANK[far.verdict]
    assert near.p_different >= far.p_different
    assert near.p_equivalent <= far.p_equivalent + 1e-12
    for judgement in (near, far):
        assert judgement.p_equivalent >= 0.05 or judgement.verdict == "REPRODUCED"
        assert (judgement.p_different < 0.05) == (judgement.verdict in ("BELOW", "ABOVE"))
        if judgement.verdict in ("BELOW", "ABOVE"):
            assert (judgement.verdict == "ABOVE") == (judgement.difference > 0)


@given(RUNS, RUNS, SCORES)
@settings(deadline=None)
def test_more_seeds_never_lose_a_cell(first, more, printed):
    of = paper(printed)
    judgement = only(seeds(*first), of)
    later = only(seeds(*first, *more), of)
    assert judgement.verdict in RANK
    assert later.verdict in RANK
    assert later.seeds == len(first) + len(more)


@given(
    st.lists(st.lists(SCORES, min_size=3, max_size=3), min_size=3, max_size=3),
    st.sampled_from(["nan", "inf", "counts", "seed", "split", "version", "scope"]),
    st.sampled_from(
        [
            {},
            {"listed": 10_000, "decoded": 10_000},
            {"total": 10_000},
            COUNTED | {"decoded": 9_999},
            COUNTED | {"listed": 10_001},
            COUNTED | {"total": 3_000},
            COUNTED | {"total": 15_000},
            COUNTED | {"total": 0},
            COUNTED | {"correct": 10_001},
            {"listed": 10, "decoded": 10, "total": 10},
        ]
    ),
    st.integers(0, 8),
)
@settings(deadline=None)
def test_what_is_broken_is_never_reproduced(scores, fault, counts, place):
    of = paper(float(np.mean(scores)), splits=(1, 2, 3), tolerance=TOLERANCE | {"points": 50.0})
    records = [one for k, split in enumerate(scores, 1) for one in seeds(*split, split=k)]
    assert only(records, of).verdict == "REPRODUCED"
    broken = records[place]
    changes = {
        "nan": {"scores": {"accuracy": math.nan}},
        "inf": {"scores": {"accuracy": -math.inf}},
        "counts": {"counts": counts},
        "version": {"protocol_version": 3},
        "scope": {"scope": "synthetic"},
    }
    if fault == "seed":
        del records[place]
    elif fault == "split":
        records = [one for one in records if one.split != broken.split]
    else:
        records[place] = broken.model_copy(update=changes[fault])
    judgement = only(records, of)
    assert judgement.verdict == ("INCOMPLETE" if fault in ("seed", "split") else "INVALID")


@given(st.lists(st.lists(st.integers(0, 10), min_size=6, max_size=6), min_size=1, max_size=9), st.randoms())
@settings(deadline=None)
def test_the_order_of_the_records_does_not_matter(hits, generator: random.Random):
    of = paper(50.0, splits=(1, 2, 3))
    records = [scored(one, trials=10, split=i % 3 + 1, seed=i // 3) for i, one in enumerate(hits)]
    # two runs under one key, a broken one, a stale one: whatever is said of them must not depend on the order either
    pool = [
        records[0].model_copy(update={"device_kind": "cpu"}),
        records[0].model_copy(update={"scores": {"accuracy": 1.0}}),
        records[-1].model_copy(update={"recipe_hash": "deadbeef"}),
        records[-1].model_copy(update={"protocol_version": 2}),
    ]
    records += generator.sample(pool, generator.randint(0, len(pool)))
    shuffled = generator.sample(records, len(records))
    assert judge(of, shuffled, scale="paper") == judge(of, records, scale="paper")


@given(st.integers(1, 5), st.integers(2, 9), st.sampled_from([1, 10, 255, 256, 70_000]), st.randoms())
@settings(deadline=None)
def test_right_answers_are_averaged_over_seeds_whatever_their_number(runs, videos, trials, generator: random.Random):
    hits = [[generator.randint(0, trials) for _ in range(videos)] for _ in range(runs)]
    groups = [f"g{video}" for video in range(videos)]
    found = only([scored(one, trials=trials, groups=groups, seed=seed) for seed, one in enumerate(hits)])
    mean = np.mean(hits, axis=0)
    assert found.video_interval == statistics.video_interval(statistics.cluster([groups]), [mean], [trials])
