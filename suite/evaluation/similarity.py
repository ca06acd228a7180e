"""The action similarity probe on ASLAN: do two videos show the same action? (MAS Sec. 4.4, Table 5.)

Each pair becomes the 12 (dis)similarities of its two features that the benchmark's paper lists (Kliper-Gross et al.,
TPAMI 2012, Table 3), and a linear SVM learns same from not same on nine folds to judge the tenth.

Shapes: P pairs, D features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from suite.errors import InputError

# Bytes of one float64 array of pairs that are worked on at once: small enough for a cache, which halves the time.
PART_BYTES = 1 << 19
# What stands for a zero inside x log(x / 0), so that vectors without a common value are far apart, not undefined.
FLOOR = 1e-10

# A pair of videos by name, and whether they show the same action.
Pair = tuple[str, str, bool]


@dataclass(frozen=True)
class Scores:
    """The outcome of all folds. Accuracies and areas are fractions from 0 to 1."""

    # Mean of the folds' accuracies, and the standard error of that mean (over folds, n - 1 in the deviation).
    accuracy: float
    standard_error: float
    # Mean of the folds' areas under the ROC curve. Not one curve over all pairs: each fold has an SVM of its own, whose
    # decision values are on a scale of their own.
    auc: float
    fold_accuracies: list[float]
    fold_aucs: list[float]
    # Of each fold's pairs in the order given: whether it was judged rightly, and the SVM's value (above 0 means same).
    right: list[np.ndarray]
    decisions: list[np.ndarray]


def similarities(a: np.ndarray, b: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """The 12 (dis)similarities of each pair of rows: float64 [P, 12], the same whichever way round a pair is.

    1 sum ab; 2 sqrt(sum ab); 3 sqrt(sum sqrt(a) sqrt(b)); 4 sqrt(sum ab / (a+b)); 5 cosine; 6 sqrt(sum (a-b)^2 / (a+b));
    7 sum |a-b|; 8 sqrt(sum (sqrt(a) - sqrt(b))^2); then of the two vectors over their Euclidean lengths:
    9 sqrt(sum (a-b)^2); 10 (sum a log(a/b) + sum b log(b/a)) / 2; 11 sum sqrt(max(a,b)) / sqrt(a+b);
    12 sum min(a,b) / (sum a  sum b). 0 log 0 and 0/0 are 0; a zero that a logarithm is divided by counts as `floor`.

    Args:
        a, b: non-negative [P, D]; row p of both is one pair.

    Raises:
        InputError: a value is negative, NaN or infinite.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"pairs of rows need two arrays [P, D] of one shape, not {a.shape} and {b.shape}")
    result = np.empty((len(a), 12))
    rows = max(1, PART_BYTES // (8 * max(a.shape[1], 1)))
    for low in range(0, len(a), rows):
        here = slice(low, low + rows)
        result[here] = _part(_checked(a[here]), _checked(b[here]), floor)
    return result


def _checked(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    # NaN fails this comparison too.
    if not ((rows >= 0) & (rows < np.inf)).all():
        raise InputError("similarities need finite features of at least 0, as they are after a ReLU; check the weights")
    return rows


def _part(a: np.ndarray, b: np.ndarray, floor: float) -> np.ndarray:
    """`similarities` of a few pairs."""
    product, total, difference = a * b, a + b, a - b
    dot = product.sum(1)
    length_a, length_b = _length(a), _length(b)
    plain = [
        dot,
        np.sqrt(dot),
        np.sqrt((np.sqrt(a) * np.sqrt(b)).sum(1)),
        np.sqrt(_ratio(product, total).sum(1)),
        _ratio(dot, length_a * length_b),
        np.sqrt(_ratio(difference * difference, total).sum(1)),
        np.abs(difference).sum(1),
        _length(np.sqrt(a) - np.sqrt(b)),
    ]
    a, b = _ratio(a, length_a[:, None]), _ratio(b, length_b[:, None])
    difference = a - b
    larger = np.maximum(a, b)
    # a log(a/b) + b log(b/a) = (a - b)(log a - log b), whose terms vanish as they should where one or both are zero.
    logarithms = np.log(np.where(a > 0, a, floor)) - np.log(np.where(b > 0, b, floor))
    normalised = [
        _length(difference),
        (difference * logarithms).sum(1) / 2,
        _ratio(np.sqrt(larger), np.sqrt(a + b)).sum(1),
        _ratio(np.minimum(a, b).sum(1), a.sum(1) * b.sum(1)),
    ]
    return np.stack(plain + normalised, axis=1)


def _length(rows: np.ndarray) -> np.ndarray:
    """Euclidean lengths of rows [P, D]: [P]."""
    return np.sqrt((rows * rows).sum(1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where both are 0; nothing here is divided by 0 that is not 0 itself."""
    return above / np.where(below > 0, below, 1.0)


def score(
    features: Mapping[str, np.ndarray], folds: Sequence[Sequence[Pair]], floor: float = FLOOR, c: float = 1.0
) -> Scores:
    """Judge the pairs of each fold by an SVM trained on those of all others.

    Each of the 12 numbers is brought to mean 0 and deviation 1 by the training folds' statistics (one that does not
    vary there is only shifted); the SVM is scikit-learn's LinearSVC (squared hinge loss).

    Args:
        features: of each video by name, non-negative [D], as from `suite.evaluation.features.video_features`.
        folds: pairs of each fold (ASLAN's View 2: ten of 600, and no action is in two folds).
        floor: as in `similarities`.
        c: weight of the hinge losses against the margin (the papers name none; 1 is scikit-learn's).

    Raises:
        InputError: a pair names a video without a feature; a fold has not both kinds of pair; there are fewer than two
            folds; features are negative or not finite, or all are zero.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    _check_folds(features, folds)
    numbers = [_similarities_of(features, fold, floor) for fold in folds]
    same = [np.array([bool(pair[2]) for pair in fold]) for fold in folds]
    right, decisions, aucs = [], [], []
    for tested in range(len(folds)):
        others = [fold for fold in range(len(folds)) if fold != tested]
        training = np.concatenate([numbers[fold] for fold in others])
        scaler = StandardScaler().fit(training)
        machine = LinearSVC(C=c, dual="auto", random_state=0)
        machine.fit(scaler.transform(training), np.concatenate([same[fold] for fold in others]))
        values = machine.decision_function(scaler.transform(numbers[tested]))
        decisions.append(values)
        right.append((values > 0) == same[tested])
        aucs.append(float(roc_auc_score(same[tested], values)))
    accuracies = [float(outcomes.mean()) for outcomes in right]
    return Scores(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / np.sqrt(len(folds))),
        auc=float(np.mean(aucs)),
        fold_accuracies=accuracies,
        fold_aucs=aucs,
        right=right,
        decisions=decisions,
    )


def _check_folds(features: Mapping[str, np.ndarray], folds: Sequence[Sequence[Pair]]) -> None:
    """Raise InputError for pairs that cannot be trained on or judged."""
    if len(folds) < 2:
        raise InputError(f"{len(folds)} folds of pairs: one is judged by what the others teach, so there must be two")
    for number, fold in enumerate(folds, 1):
        unknown = next((name for pair in fold for name in pair[:2] if name not in features), None)
        if unknown is not None:
            raise InputError(
                f"{unknown}: a pair of fold {number} names this video, which has no feature; check the list"
            )
        if len({bool(pair[2]) for pair in fold}) < 2:
            raise InputError(f"fold {number} needs pairs of the same action and pairs of two actions; check the list")
    for name, feature in features.items():
        if not (np.isfinite(feature).all() and (feature >= 0).all()):
            raise InputError(f"{name}: the feature is negative, NaN or infinite; the probe takes one after a ReLU")
    if not any(feature.any() for feature in features.values()):
        raise InputError("every feature is zero: the network gives nothing; check the weights it was given")


def _similarities_of(features: Mapping[str, np.ndarray], fold: Sequence[Pair], floor: float) -> np.ndarray:
    """The 12 numbers of a fold's pairs [P, 12], from a few of their features at a time."""
    rows = max(1, PART_BYTES // (8 * len(features[fold[0][0]])))
    parts = [fold[low : low + rows] for low in range(0, len(fold), rows)]
    return np.concatenate(
        [
            similarities(
                np.stack([features[pair[0]] for pair in part]), np.stack([features[pair[1]] for pair in part]), floor
            )
            for part in parts
        ]
    )
