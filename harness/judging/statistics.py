"""The statistics of a comparison, as pure functions: spread of a run, tests against a margin, a bootstrap over videos.

Let a run be one training with one seed on each of S splits, and its result the mean over the splits. Splits are
official and fixed, so they are averaged and never counted as replicates; the seeds of one split are replicates.

independent runs
    Every split trains its own network. With s^2 the variance between the seeds of a split, pooled over the splits with
    sum(n_k - 1) degrees of freedom, a run's result has variance s^2 / S, and ours, with n_k seeds on split k, has
    s^2 / S^2 * (1/n_1 + ... + 1/n_S).
shared pretraining
    One pretraining serves all splits of a seed, which ties their scores. The replicates are then the seeds' means over
    splits: with s^2 their variance over n seeds, a run's result has variance s^2 and ours s^2 / n, with n - 1 degrees
    of freedom.

prior spread
    With fewer than two degrees of freedom the seeds hardly tell how far runs scatter: Student's t then asks for more than
    six standard errors, so that two bad runs would excuse any difference, and two that agree by chance would prove one.
    The larger of the prior spread, which the table states with its source, and the seeds' own stands in, as if it
    were known (normal quantiles). It stands in as well where all seeds give the same value, which does not show that
    the next would. It is a spread of runs on the paper's networks and data: elsewhere, and where the table states none,
    the spread of one seed, or of equal ones, is unknown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000


@dataclass(frozen=True)
class Spread:
    """Seed noise of a cell: what a comparison of two means needs."""

    run_variance: float  # of one run's result: the mean over splits with one seed each
    ours_variance: float  # of the mean over all our seeds
    degrees: float  # degrees of freedom; inf with the prior spread
    prior: bool  # whether the prior spread stands in


def pooled_variance(scores: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Variance between the seeds of a split, pooled over splits, and its degrees of freedom; nan and 0 with one seed.

    scores: for each split, the score of each seed.
    """
    degrees = sum(len(split) - 1 for split in scores)
    if degrees == 0:
        return math.nan, 0
    squares = 0.0
    for split in scores:
        if min(split) == max(split):
            continue  # the rounded mean of equal scores may be another number
        mean = math.fsum(split) / len(split)
        squares += math.fsum((score - mean) ** 2 for score in split)
    return squares / degrees, degrees


def seed_spread(scores: Sequence[Sequence[float]], prior_sd: float | None) -> Spread | None:
    """Seed noise where every split trains its own network; None without a prior where one seed or equal ones tell none.

    scores: as in pooled_variance.
    """
    variance, degrees, prior = _with_prior(*pooled_variance(scores), prior_sd)
    if math.isnan(variance):
        return None
    splits = len(scores)
    share = math.fsum(1 / len(split) for split in scores) / splits**2
    return Spread(variance / splits, variance * share, degrees, prior)


def shared_seed_spread(scores: Sequence[float], prior_sd: float | None) -> Spread | None:
    """Seed noise where the splits of a seed share a pretraining; scores: each seed's mean over splits.

    The prior is the spread of a run on one split. How much of that the splits share is unknown, so it is not divided
    by their number. None as in seed_spread.
    """
    variance, degrees, prior = _with_prior(*pooled_variance([scores]), prior_sd)
    if math.isnan(variance):
        return None
    return Spread(variance, variance / len(scores), degrees, prior)


def _with_prior(variance: float, degrees: int, prior_sd: float | None) -> tuple[float, float, bool]:
    if variance > 0 and (degrees >= 2 or prior_sd is None):
        return variance, degrees, False
    if prior_sd is None:
        return math.nan, 0, False
    return max(prior_sd**2, variance if degrees else 0.0), math.inf, True


def upper_tail(t: float, degrees: float) -> float:
    """P(T > t) of Student's t; of the normal distribution with infinite degrees of freedom."""
    if math.isinf(degrees):
        return 0.5 * math.erfc(t / math.sqrt(2))
    from scipy.special import stdtr  # a third of a second to import, for cells with seeds only

    return float(stdtr(degrees, -t))


@lru_cache
def quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t; of the normal distribution with infinite degrees of freedom."""
    if math.isinf(degrees):
        return NormalDist().inv_cdf(probability)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def half_width(variance: float, degrees: float) -> float:
    """Half of the 95 % confidence interval of a mean of that variance."""
    return quantile(0.975, degrees) * math.sqrt(variance) if variance else 0.0


def p_different(difference: float, error: float, degrees: float, tolerance: float) -> float:
    """p-value of "the two differ by more than the tolerance": the null hypothesis is |true difference| <= tolerance.

    The chance of a difference this large or larger, on either side, if the truth lies on the margin (a minimum-effect
    test; with a tolerance of 0 the two-sided t test). error: standard error of the difference. It falls as
    |difference| grows.
    """
    size = abs(difference)
    return min(1.0, _tail(size - tolerance, error, degrees) + _tail(size + tolerance, error, degrees))


def p_equivalent(difference: float, error: float, degrees: float, tolerance: float) -> float:
    """p-value of "the two differ by less than the tolerance": two one-sided tests (TOST), the larger of the two.

    Arguments as in p_different. It rises with |difference|.
    """
    return _tail(tolerance - abs(difference), error, degrees)


def _tail(distance: float, error: float, degrees: float) -> float:
    if error == 0:
        return 0.5 if distance == 0 else float(distance < 0)
    return upper_tail(distance / error, degrees)


@dataclass(frozen=True)
class Clusters:
    """Which group each video of each split belongs to, as numbers."""

    number: int  # of groups in all splits together
    of_video: tuple[np.ndarray, ...]  # for each split, the group of each video: [videos]
    drawn: tuple[np.ndarray, ...]  # for each split, how many videos each resample draws: [RESAMPLES]


def cluster(groups: Sequence[Sequence[str]]) -> Clusters:
    """Number the groups; groups: for each split, the name of each video's group. A name in two splits is one group."""
    number = {name: i for i, name in enumerate(sorted(set(chain.from_iterable(groups))))}
    of_video = tuple(np.array([number[name] for name in split], dtype=np.intp) for split in groups)
    drawn = tuple(_draws(len(number)) @ np.bincount(of, minlength=len(number)) for of in of_video) if number else ()
    return Clusters(len(number), of_video, drawn)


def video_interval(clusters: Clusters, hits: Sequence[np.ndarray], trials: Sequence[int]) -> tuple[float, float] | None:
    """95 % percentile interval, in percent, of the mean accuracy over splits, had other groups of videos been drawn.

    hits: for each split, each video's right answers (a mean over seeds); trials: for each split, how many answers each
    video gave. None with fewer than two groups.
    """
    if clusters.number < 2:
        return None
    means = np.sort(resampled_means(clusters, hits, trials))
    return sorted_quantile(means, 0.025), sorted_quantile(means, 0.975)


def sorted_quantile(values: np.ndarray, probability: float) -> float:
    """What np.quantile gives for sorted values without nan, to the last bit, at a twentieth of its overhead."""
    place = (len(values) - 1) * probability
    below = math.floor(place)
    low, high = float(values[below]), float(values[min(below + 1, len(values) - 1)])
    share = place - below
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def resampled_means(clusters: Clusters, hits: Sequence[np.ndarray], trials: Sequence[int]) -> np.ndarray:
    """The mean accuracy over splits, in percent, in each bootstrap resample; arguments as in video_interval.

    Whole groups are drawn with replacement, so videos cut from one recording, and the clips of one video, stay
    together. A group that several splits hold is drawn for all of them at once. The draws depend on the number of
    groups alone: a report comes out the same each time, and two rows on the same videos meet the same resamples.
    """
    draws = _draws(clusters.number)
    means = np.zeros(RESAMPLES)
    for of_video, videos, right, clips in zip(clusters.of_video, clusters.drawn, hits, trials, strict=True):
        correct = draws @ np.bincount(of_video, weights=right, minlength=clusters.number)
        answers = videos * clips
        if videos.all():
            accuracy = correct / answers
        else:  # A resample may miss a small split altogether; it then says nothing about the mean.
            accuracy = np.divide(correct, answers, out=np.full(RESAMPLES, np.nan), where=answers > 0)
        means += 100 * accuracy / len(hits)
    return means[~np.isnan(means)]


@lru_cache(maxsize=16)
def _draws(groups: int) -> np.ndarray:
    """How often each group is drawn in each resample: float array [RESAMPLES, groups]."""
    # RandomState, because its stream is frozen for all versions of numpy: committed reports must not move.
    drawn = np.random.RandomState(groups).randint(groups, size=(RESAMPLES, groups), dtype=np.int64)
    drawn += groups * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=RESAMPLES * groups).reshape(RESAMPLES, groups).astype(float)
