"""The dynamic scene probe on YUPENN: leave one video out, linear SVMs on all others (MAS Sec. 4.5, Table 6).

A linear SVM sees features only through their inner products. The videos are therefore rotated once, from D features to
as many as there are videos, V: with K = X X' = U L U' (V x V), the rows of U sqrt(L) have the very inner products of the
rows of X, so every fit on them gives the decision values of the fit on X. LinearSVC's intercept is one more feature, 1
for every video, which adds 1 to every inner product before and after. This holds because no fold scales the features.
At 420 videos and 9,216 features a fit costs 10 to 20 times less.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from suite.errors import InputError

# The fits stop where the gradient is this small against that of zero weights. At scikit-learn's 1e-4 decision values are
# off by up to 1e-3, and by how much depends on the solver's path; here by 1e-7.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Scores:
    """The outcome of all fits; fractions are from 0 to 1."""

    # Index of the class found for each video, as `labels` has them.
    predictions: np.ndarray
    # Of the SVMs that did not see the video, one a class: float64 [V, classes]; the largest decides.
    decisions: np.ndarray
    accuracy: float
    # Fraction of each class's videos that were found, by the class's name.
    class_accuracies: dict[str, float]


def leave_one_out(
    features: np.ndarray,
    labels: Sequence[int],
    classes: Sequence[str],
    *,
    c: float = 1.0,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Classify each video by SVMs trained on all others: scikit-learn's LinearSVC, one class against the rest.

    Args:
        features: [V, D] of length 1, as from `suite.evaluation.features.video_features`.
        labels: the class of each video, as an index into `classes`.
        c: weight of the hinge losses against the margin (the papers name none; 1 is scikit-learn's).
        workers: threads, one fit each at a time; no number depends on how many.
        progress: called with (videos done, videos in all).

    Raises:
        InputError: a class has fewer than two videos, there are fewer than two classes, or the features are not finite
            or all zero.
    """
    from sklearn.svm import LinearSVC

    classed = np.asarray(labels)
    if features.ndim != 2 or classed.shape != (len(features),):
        raise ValueError(f"{classed.shape} labels for features {features.shape}: not [V] and [V, D]")
    counts = np.bincount(classed, minlength=len(classes))
    if len(classes) < 2:
        raise InputError(f"the scene probe needs two classes, not {len(classes)}; check the data root")
    if counts.min() < 2:
        name = classes[int(counts.argmin())]
        raise InputError(f"class {name} has {counts.min()} readable videos; leaving one out needs two, so add videos")
    rows = rotated(features)

    def decide(left_out: int) -> np.ndarray:
        kept = np.arange(len(rows)) != left_out
        # The primal solver draws no random numbers (the dual one does, from one generator for all threads), and its
        # time hardly depends on the features. It lets other threads run meanwhile.
        machine = LinearSVC(C=c, dual=False, tol=TOLERANCE).fit(rows[kept], classed[kept])
        values = machine.decision_function(rows[left_out : left_out + 1])[0]
        # Of two classes scikit-learn trains one SVM, for the second.
        return np.array([-values, values]) if len(classes) == 2 else values

    decisions = np.empty((len(rows), len(classes)))
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for index, values in enumerate(pool.map(decide, range(len(rows)))):
            decisions[index] = values
            progress(index + 1, len(rows))
    predictions = decisions.argmax(1)
    right = predictions == classed
    by_class = {name: float(right[classed == label].mean()) for label, name in enumerate(classes)}
    return Scores(predictions, decisions, float(right.mean()), by_class)


def rotated(features: np.ndarray) -> np.ndarray:
    """Rows with the inner products of those of `features` [V, D], in at most V dimensions: float64 [V, min(V, D)].

    Raises:
        InputError: a feature is NaN or infinite, or all are zero.
    """
    features = np.asarray(features, np.float64)
    if not np.isfinite(features).all():
        raise InputError("a feature is NaN or infinite; check the weights that the features were taken with")
    if not features.any():
        raise InputError("every feature is zero: the network gives nothing; check the weights it was given")
    if features.shape[1] <= len(features):
        return features
    values, vectors = np.linalg.eigh(features @ features.T)
    # Equal videos make eigenvalues of zero, which rounding may turn negative.
    return vectors * np.sqrt(np.maximum(values, 0.0))
