"""The YUPENN probe: the rotation gives the plain fits, whatever the features and the number of workers."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from suite.errors import InputError
from suite.evaluation import scenes

CLASSES = ("beach", "fire", "river")
# Six videos of each class, in no order.
LABELS = np.array([0, 1, 2] * 6)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn_features(kind: str, size: int = 300) -> np.ndarray:
    drawn = np.random.default_rng(3)
    noise, of_class = drawn.standard_normal((18, size)), drawn.standard_normal((3, size))[LABELS]
    if kind == "collapsed":
        return unit(5 + 0.02 * noise + 0.02 * of_class)
    rows = np.maximum(noise + 0.3 * of_class, 0)
    if kind == "duplicates":
        # Two equal videos of one class, and two of different classes.
        rows[3], rows[4] = rows[0], rows[0]
    features = unit(rows)
    if kind == "a zero":
        features[7] = 0
    return features


def plain(features: np.ndarray, labels: np.ndarray, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Decision values and predictions of LinearSVC on the features as they are, one video left out at a time."""
    decisions, predictions = [], []
    for index in range(len(features)):
        kept = np.arange(len(features)) != index
        machine = LinearSVC(C=1, **settings).fit(features[kept].astype(np.float64), labels[kept])
        decisions.append(machine.decision_function(features[index : index + 1].astype(np.float64))[0])
        predictions.append(machine.predict(features[index : index + 1].astype(np.float64))[0])
    return np.array(decisions), np.array(predictions)


@pytest.mark.parametrize("kind", ["spread", "collapsed", "duplicates", "a zero"])
@pytest.mark.parametrize("dual", [True, False], ids=["dual", "primal"])
def test_the_rotation_gives_the_plain_fits(kind, dual):
    features = drawn_features(kind)
    scores = scenes.leave_one_out(features, LABELS, CLASSES)
    # Scikit-learn's two solvers, both to the end: what they agree on is the SVM, not the path to it.
    decisions, predictions = plain(features, LABELS, dual=dual, tol=1e-10, max_iter=1_000_000, random_state=0)
    np.testing.assert_allclose(scores.decisions, decisions, atol=1e-6)
    assert np.array_equal(scores.predictions, predictions)


def test_scikit_learns_defaults_predict_the_same():
    features = drawn_features("spread")
    scores = scenes.leave_one_out(features, LABELS, CLASSES)
    decisions, predictions = plain(features, LABELS, dual="auto", random_state=0)
    np.testing.assert_allclose(scores.decisions, decisions, atol=1e-3)
    assert np.array_equal(scores.predictions, predictions)


def test_two_classes_have_two_columns_that_mirror_each_other():
    features, labels = drawn_features("spread")[LABELS < 2], LABELS[LABELS < 2]
    scores = scenes.leave_one_out(features, labels, CLASSES[:2])
    decisions, predictions = plain(features, labels, dual=False, tol=1e-10)
    np.testing.assert_allclose(scores.decisions, np.stack([-decisions, decisions], axis=1), atol=1e-6)
    assert np.array_equal(scores.predictions, predictions)


def test_fewer_features_than_videos_stay_as_they_are():
    features = drawn_features("spread", size=10)
    assert np.array_equal(scenes.rotated(features), features)
    decisions, _ = plain(features, LABELS, dual=False, tol=1e-10)
    np.testing.assert_allclose(scenes.leave_one_out(features, LABELS, CLASSES).decisions, decisions, atol=1e-6)


@pytest.mark.parametrize("kind", ["spread", "collapsed", "duplicates", "a zero"])
def test_the_rotation_keeps_every_inner_product(kind):
    features = drawn_features(kind).astype(np.float64)
    rows = scenes.rotated(features)
    assert rows.shape == (18, 18)
    np.testing.assert_allclose(rows @ rows.T, features @ features.T, atol=1e-14)


def test_the_number_of_workers_changes_no_bit():
    features, seen = drawn_features("spread"), []
    alone = scenes.leave_one_out(features, LABELS, CLASSES, progress=lambda *at: seen.append(at))
    assert seen == [(done, 18) for done in range(1, 19)]
    for workers in (2, 5):
        assert np.array_equal(
            scenes.leave_one_out(features, LABELS, CLASSES, workers=workers).decisions, alone.decisions
        )


def test_accuracy_in_all_and_of_each_class():
    features = drawn_features("spread", size=300)
    scores = scenes.leave_one_out(features, LABELS, CLASSES)
    found = [sum(scores.predictions[i] == label for i in range(18) if LABELS[i] == label) for label in range(3)]
    assert scores.class_accuracies == {name: count / 6 for name, count in zip(CLASSES, found, strict=True)}
    assert scores.accuracy == sum(found) / 18
    # Not everything is right: a mean over classes or videos left in their own training set would show.
    assert 1 / 3 < scores.accuracy < 1


def test_a_video_does_not_train_the_svms_that_judge_it():
    # Only its own label sets this video apart: with it in the training set, it would be found.
    features = np.eye(18, 40, dtype=np.float32)
    scores = scenes.leave_one_out(features, LABELS, CLASSES)
    assert scores.accuracy == 0


@pytest.mark.parametrize(
    ("features", "labels", "classes", "message"),
    [
        (drawn_features("spread")[:16], [*LABELS[:15].tolist(), 3], (*CLASSES, "snow"), "class snow has 1 readable"),
        (drawn_features("spread"), LABELS, (*CLASSES, "snow"), "class snow has 0 readable"),
        (drawn_features("spread"), LABELS * 0, CLASSES[:1], "needs two classes, not 1"),
        (drawn_features("spread") * 0, LABELS, CLASSES, "every feature is zero"),
        (drawn_features("spread") * np.float32(np.nan), LABELS, CLASSES, "NaN or infinite"),
    ],
)
def test_bad_input_is_named(features, labels, classes, message):
    with pytest.raises(InputError, match=message) as caught:
        scenes.leave_one_out(features, labels, classes)
    assert "\n" not in str(caught.value)
