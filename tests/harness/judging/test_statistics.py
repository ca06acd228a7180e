"""The statistics of a comparison against hand-computed cases, scipy.stats, simulation and enumeration."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judging import statistics

FINITE = st.floats(-50, 50)
SPLITS = st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=5), min_size=1, max_size=4)


# ---------------------------------------------------------------------------------------------------------- spread


def test_pooled_variance_by_hand():
    # squares around the splits' means 2 and 12: 1 + 1 and 4 + 0 + 4, over 1 + 2 degrees of freedom
    assert statistics.pooled_variance([[1, 3], [10, 12, 14]]) == (pytest.approx(10 / 3), 3)


def test_one_seed_has_no_variance():
    variance, degrees = statistics.pooled_variance([[50.0], [60.0], [70.0]])
    assert math.isnan(variance)
    assert degrees == 0


@given(SPLITS, st.lists(FINITE, min_size=4, max_size=4))
@settings(deadline=None)
def test_pooled_variance_ignores_how_splits_differ(scores, shifts):
    variance, degrees = statistics.pooled_variance(scores)
    moved = [[score + shift for score in split] for split, shift in zip(scores, shifts, strict=False)]
    assert statistics.pooled_variance(moved) == (pytest.approx(variance, abs=1e-6, nan_ok=True), degrees)
    if degrees:
        reference = sum(np.var(split) * len(split) for split in scores) / degrees
        assert variance == pytest.approx(reference, abs=1e-9)


def test_spread_of_independent_splits_by_hand():
    spread = statistics.seed_spread([[1, 3], [10, 12, 14]], prior_sd=9.0)
    assert spread.run_variance == pytest.approx(10 / 3 / 2)
    assert spread.ours_variance == pytest.approx(10 / 3 / 4 * (1 / 2 + 1 / 3))
    assert (spread.degrees, spread.prior) == (3, False)


def test_spread_of_splits_that_share_a_pretraining_by_hand():
    # the seeds' means over splits scatter with variance 4; their number does not shrink with the number of splits
    spread = statistics.shared_seed_spread([60.0, 62.0, 64.0], prior_sd=9.0)
    assert (spread.run_variance, spread.degrees, spread.prior) == (4.0, 2, False)
    assert spread.ours_variance == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("scores", "variance"),
    [
        ([[60.0]], 2.25),  # no spread of our own
        ([[60.0, 60.1]], 2.25),  # two runs that happen to agree
        ([[60.0, 70.0]], 50.0),  # two runs that do not
    ],
)
def test_few_seeds_take_the_larger_of_prior_and_own_spread(scores, variance):
    spread = statistics.seed_spread(scores, prior_sd=1.5)
    assert spread.prior
    assert spread.degrees == math.inf
    assert spread.run_variance == pytest.approx(variance)
    assert spread.ours_variance == pytest.approx(variance / len(scores[0]))


def test_prior_of_a_three_split_mean():
    independent = statistics.seed_spread([[1.0], [2.0], [3.0]], prior_sd=1.5)
    assert (independent.run_variance, independent.ours_variance) == pytest.approx((0.75, 0.75))
    # what part of the prior the splits share is unknown: not averaged away
    shared = statistics.shared_seed_spread([2.0], prior_sd=1.5)
    assert (shared.run_variance, shared.ours_variance) == pytest.approx((2.25, 2.25))


def test_neither_seeds_nor_prior():
    assert statistics.seed_spread([[60.0]], None) is None
    assert statistics.shared_seed_spread([60.0], None) is None


def test_interval_by_hand():
    # 60, 62, 64: mean 62, s = 2, t(0.975; 2) = 4.302653
    spread = statistics.seed_spread([[60, 62, 64]], prior_sd=1.5)
    assert statistics.half_width(spread.ours_variance, spread.degrees) == pytest.approx(4.302653 * 2 / math.sqrt(3))
    low, high = scipy.stats.t.interval(0.95, 2, loc=62, scale=scipy.stats.sem([60, 62, 64]))
    assert (high - low) / 2 == pytest.approx(statistics.half_width(4 / 3, 2))


def test_interval_with_the_prior_is_normal():
    assert statistics.half_width(2.25, math.inf) == pytest.approx(1.959964 * 1.5)


# ----------------------------------------------------------------------------------------------------------- tests


def _against_one_run(ours, printed, shift, alternative):
    """scipy's two-sample t test of the seeds against the printed run, moved by a shift: an independent reference."""
    deviation = float(np.std(ours, ddof=1))
    return scipy.stats.ttest_ind_from_stats(
        np.mean(ours), deviation, len(ours), printed + shift, 0.0, 1, equal_var=True, alternative=alternative
    ).pvalue


SEEDS = st.lists(st.integers(0, 400), min_size=3, max_size=6).filter(lambda values: len(set(values)) > 1)


@given(SEEDS, st.integers(0, 400), st.integers(0, 80))
@settings(deadline=None)
def test_tests_equal_scipys(ours, printed, tolerance):
    ours, printed, tolerance = [value / 4 for value in ours], printed / 4, tolerance / 8
    spread = statistics.seed_spread([ours], prior_sd=1.0)
    difference = float(np.mean(ours)) - printed
    error = math.sqrt(spread.ours_variance + spread.run_variance)
    below = _against_one_run(ours, printed, -tolerance, "greater")
    above = _against_one_run(ours, printed, tolerance, "less")
    equivalent = statistics.p_equivalent(difference, error, spread.degrees, tolerance)
    assert equivalent == pytest.approx(max(below, above), rel=1e-9, abs=1e-12)
    different = statistics.p_different(difference, error, spread.degrees, tolerance)
    # as far out on the side of the difference, or as far out on the other side
    side, sign = ("greater", 1) if difference > 0 else ("less", -1)
    reference = sum(_against_one_run(ours, printed, sign * margin, side) for margin in (tolerance, -tolerance))
    assert different == pytest.approx(min(1, reference), rel=1e-7, abs=1e-12)


@given(SEEDS, st.integers(0, 400))
@settings(deadline=None)
def test_without_tolerance_the_test_is_the_two_sided_t_test(ours, printed):
    spread = statistics.seed_spread([ours], prior_sd=1.0)
    error = math.sqrt(spread.ours_variance + spread.run_variance)
    found = statistics.p_different(float(np.mean(ours)) - printed, error, spread.degrees, 0.0)
    assert found == pytest.approx(_against_one_run(ours, printed, 0.0, "two-sided"), rel=1e-9, abs=1e-12)


@given(FINITE, FINITE, st.floats(0, 5), st.sampled_from([2, 3, 7, math.inf]), st.floats(0, 5))
@settings(deadline=None)
def test_p_values_are_monotone_in_the_difference(one, other, error, degrees, tolerance):
    near, far = sorted((one, other), key=abs)
    p_near, p_far = (statistics.p_different(d, error, degrees, tolerance) for d in (near, far))
    assert 0 <= p_far <= p_near <= 1
    p_near, p_far = (statistics.p_equivalent(d, error, degrees, tolerance) for d in (near, far))
    assert 0 <= p_near <= p_far <= 1


def test_without_noise_the_answer_is_certain():
    assert statistics.p_different(2.1, 0.0, 2, 2.0) == 0.0
    assert statistics.p_equivalent(2.1, 0.0, 2, 2.0) == 1.0
    assert statistics.p_different(1.9, 0.0, 2, 2.0) == 1.0
    assert statistics.p_equivalent(1.9, 0.0, 2, 2.0) == 0.0
    assert statistics.p_different(2.0, 0.0, 2, 2.0) == 0.5


def test_normal_tail_and_quantile_equal_scipys():
    for t in (-3.0, 0.0, 1.0, 8.0):
        assert statistics.upper_tail(t, math.inf) == pytest.approx(scipy.stats.norm.sf(t), rel=1e-12)
        assert statistics.upper_tail(t, 4) == pytest.approx(scipy.stats.t.sf(t, 4), rel=1e-12)
    assert statistics.quantile(0.975, math.inf) == pytest.approx(scipy.stats.norm.ppf(0.975))
    assert statistics.quantile(0.975, 5) == pytest.approx(scipy.stats.t.ppf(0.975, 5))


@pytest.mark.parametrize("shift", [-2.0, 2.0])
def test_difference_on_the_margin_is_called_different_in_one_of_twenty(shift):
    """The whole chain on simulated runs: 3 splits, 3 seeds, one printed run, the truth exactly a tolerance apart."""
    generator = np.random.default_rng(5)
    trials, called = 4000, 0
    for _ in range(trials):
        ours = generator.normal([[50.0], [60.0], [70.0]], 1.5, (3, 3))
        printed = generator.normal([50.0 + shift, 60.0 + shift, 70.0 + shift], 1.5).mean()
        spread = statistics.seed_spread(ours.tolist(), prior_sd=9.0)
        error = math.sqrt(spread.ours_variance + spread.run_variance)
        called += statistics.p_different(ours.mean() - printed, error, spread.degrees, 2.0) < 0.05
    # four standard deviations of a binomial count
    assert abs(called / trials - 0.05) < 4 * math.sqrt(0.05 * 0.95 / trials)


# ------------------------------------------------------------------------------------------------------- bootstrap


def _means(groups, hits, trials):
    clusters = statistics.cluster(groups)
    return statistics.resampled_means(clusters, [np.array(split, dtype=float) for split in hits], trials)


def test_bootstrap_against_every_possible_resample():
    groups, hits = ["a", "a", "b", "c", "c", "c"], [1, 0, 1, 0, 0, 1]
    right, size = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 3}
    every = [
        100 * sum(right[name] for name in drawn) / sum(size[name] for name in drawn)
        for drawn in itertools.product("abc", repeat=3)
    ]
    found = _means([groups], [hits], [1])
    values, counts = np.unique(np.round(every, 9), return_counts=True)
    np.testing.assert_allclose(np.unique(np.round(found, 9)), values)
    for value, share in zip(values, counts / 27, strict=True):
        # five standard deviations of a share among 1,000
        assert np.mean(np.isclose(found, value)) == pytest.approx(share, abs=5 * math.sqrt(share / 1000))


def test_bootstrap_variance_of_equal_groups_is_analytic():
    generator = np.random.default_rng(0)
    rates = generator.uniform(0.2, 0.8, 60)
    hits = (generator.uniform(size=(60, 7)) < rates[:, None]).astype(int)
    groups = np.repeat([f"g{i:02d}" for i in range(60)], 7).tolist()
    of_groups = 100 * hits.mean(axis=1)
    assert np.var(_means([groups], [hits.ravel()], [1])) == pytest.approx(np.var(of_groups) / 60, rel=0.2)


def test_bootstrap_against_a_slow_loop():
    groups = [["a", "b", "b", "c", "d"], ["d", "e", "e", "f", "f", "f"]]  # "d" is in both splits
    hits, trials = [[3, 0, 10, 4, 10], [1, 0, 1, 1, 0, 0]], [10, 1]
    names = sorted({name for split in groups for name in split})
    slow = []
    for counts in statistics._draws(len(names)):
        drawn = [name for name, count in zip(names, counts, strict=True) for _ in range(int(count))]
        of_splits = []
        for split, right, clips in zip(groups, hits, trials, strict=True):
            answers = [(hit, clips) for name in drawn for other, hit in zip(split, right, strict=True) if other == name]
            if answers:
                of_splits.append(100 * sum(hit for hit, _ in answers) / sum(clips for _, clips in answers))
        if len(of_splits) == 2:
            slow.append(sum(of_splits) / 2)
    assert 0 < len(slow) <= statistics.RESAMPLES
    np.testing.assert_allclose(_means(groups, hits, trials), slow, rtol=1e-12)


def test_each_group_is_drawn_as_often_as_any_other():
    draws = statistics._draws(25)
    assert draws.shape == (statistics.RESAMPLES, 25)
    assert (draws.sum(axis=1) == 25).all()
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=5 / math.sqrt(statistics.RESAMPLES))


def test_draws_never_move():
    # Committed reports hold intervals made from these.
    assert statistics._draws(3)[:4].tolist() == [[1, 1, 1], [3, 0, 0], [0, 2, 1], [0, 2, 1]]


def test_ten_clips_of_a_video_are_not_ten_samples():
    generator = np.random.default_rng(1)
    groups = [f"g{i}" for i in range(40)]
    hits = generator.integers(0, 2, 40)
    clusters = statistics.cluster([groups])
    once = statistics.video_interval(clusters, [hits.astype(float)], [1])
    assert statistics.video_interval(clusters, [10.0 * hits], [10]) == pytest.approx(once)
    assert once[1] - once[0] == pytest.approx(2 * 1.96 * 100 * math.sqrt(np.var(hits) / 40), rel=0.25)


def test_videos_of_one_recording_are_not_independent():
    hits = np.repeat([1.0, 0.0] * 10, 7)
    recordings = statistics.cluster([[f"g{i // 7}" for i in range(140)]])
    clustered = statistics.video_interval(recordings, [hits], [1])
    alone = statistics.video_interval(statistics.cluster([[str(i) for i in range(140)]]), [hits], [1])
    assert clustered[1] - clustered[0] > 2 * (alone[1] - alone[0])
    assert clustered[0] < 50 < clustered[1]


def test_one_group_says_nothing():
    assert statistics.video_interval(statistics.cluster([["a", "a"]]), [np.array([1.0, 0.0])], [1]) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0, 1))
def test_sorted_quantile_equals_numpys_to_the_last_bit(values, probability):
    ordered = np.sort(values)
    assert statistics.sorted_quantile(ordered, probability) == np.quantile(ordered, probability)
