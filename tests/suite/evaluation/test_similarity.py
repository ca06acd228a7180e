"""The ASLAN probe: twelve numbers by hand and by a plain loop, folds without leaks, faults by name."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from suite.errors import InputError
from suite.evaluation import similarity

# Vectors with zeros: some shared, some disjoint, one of zeros alone, two that are equal; and their 12 numbers in order.
BY_HAND = {
    "one value in common": (
        [4, 0, 1, 0],
        [1, 2, 0, 0],
        [
            4 * 1,
            sqrt(4),
            sqrt(2 * 1),
            sqrt(4 / 5),
            4 / (sqrt(17) * sqrt(5)),
            sqrt(3**2 / 5 + 2**2 / 2 + 1**2 / 1),
            3 + 2 + 1,
            sqrt((2 - 1) ** 2 + 2 + 1),
            sqrt((4 / sqrt(17) - 1 / sqrt(5)) ** 2 + 4 / 5 + 1 / 17),
            (
                4 / sqrt(17) * log(4 / sqrt(17) / (1 / sqrt(5)))
                + 1 / sqrt(17) * log(1 / sqrt(17) / 1e-10)
                + 1 / sqrt(5) * log(1 / sqrt(5) / (4 / sqrt(17)))
                + 2 / sqrt(5) * log(2 / sqrt(5) / 1e-10)
            )
            / 2,
            sqrt(4 / sqrt(17)) / sqrt(4 / sqrt(17) + 1 / sqrt(5)) + 1 + 1,
            1 / sqrt(5) / (5 / sqrt(17) * 3 / sqrt(5)),
        ],
    ),
    "nothing in common": (
        [3, 4, 0, 0],
        [0, 0, 0, 5],
        [
            *[0, 0, 0, 0, 0],
            sqrt(3**2 / 3 + 4**2 / 4 + 5**2 / 5),
            3 + 4 + 5,
            sqrt(3 + 4 + 5),
            sqrt(0.6**2 + 0.8**2 + 1),
            (0.6 * log(0.6 / 1e-10) + 0.8 * log(0.8 / 1e-10) + 1 * log(1 / 1e-10)) / 2,
            1 + 1 + 1,
            0,
        ],
    ),
    "a vector of zeros": (
        [0, 0, 0, 0],
        [0, 9, 16, 0],
        [
            *[0, 0, 0, 0, 0],
            sqrt(9**2 / 9 + 16**2 / 16),
            9 + 16,
            sqrt(9 + 16),
            1,
            (9 / sqrt(337) * log(9 / sqrt(337) / 1e-10) + 16 / sqrt(337) * log(16 / sqrt(337) / 1e-10)) / 2,
            1 + 1,
            0,
        ],
    ),
    "equal vectors": (
        [9, 16, 0, 0],
        [9, 16, 0, 0],
        [
            81 + 256,
            sqrt(337),
            sqrt(9 + 16),
            sqrt(81 / 18 + 256 / 32),
            337 / (sqrt(337) * sqrt(337)),
            *[0, 0, 0, 0, 0],
            sqrt(1 / 2) + sqrt(1 / 2),
            (9 + 16) / sqrt(337) / ((9 + 16) / sqrt(337)) ** 2,
        ],
    ),
}


def by_loop(a, b, floor: float) -> list[float]:
    """The 12 numbers of one pair, value by value as the formulas are printed."""

    def ratio(above, below):
        return 0.0 if below == 0 else above / below

    def x_log(x, y):
        return 0.0 if x == 0 else x * log(x / (y if y > 0 else floor))

    norm_a, norm_b = sqrt(sum(x * x for x in a)), sqrt(sum(y * y for y in b))
    pairs = list(zip(a, b, strict=True))
    unit = [(ratio(x, norm_a), ratio(y, norm_b)) for x, y in pairs]
    return [
        sum(x * y for x, y in pairs),
        sqrt(sum(x * y for x, y in pairs)),
        sqrt(sum(sqrt(x) * sqrt(y) for x, y in pairs)),
        sqrt(sum(ratio(x * y, x + y) for x, y in pairs)),
        ratio(sum(x * y for x, y in pairs), norm_a * norm_b),
        sqrt(sum(ratio((x - y) ** 2, x + y) for x, y in pairs)),
        sum(abs(x - y) for x, y in pairs),
        sqrt(sum((sqrt(x) - sqrt(y)) ** 2 for x, y in pairs)),
        sqrt(sum((x - y) ** 2 for x, y in unit)),
        (sum(x_log(x, y) for x, y in unit) + sum(x_log(y, x) for x, y in unit)) / 2,
        sum(ratio(sqrt(max(x, y)), sqrt(x + y)) for x, y in unit),
        ratio(sum(min(x, y) for x, y in unit), sum(x for x, _ in unit) * sum(y for _, y in unit)),
    ]


@pytest.mark.parametrize("name", BY_HAND)
def test_the_twelve_numbers_by_hand(name):
    a, b, expected = BY_HAND[name]
    found = similarity.similarities(np.array([a]), np.array([b]))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-12)


def test_the_floor_is_an_argument():
    found = similarity.similarities(np.eye(2)[:1], np.eye(2)[1:], floor=1e-3)
    assert found[0, 9] == pytest.approx(log(1000))


value = st.one_of(st.just(0.0), st.floats(1e-6, 1e4))
two_vectors = st.integers(1, 9).flatmap(lambda size: st.tuples(*[st.lists(value, min_size=size, max_size=size)] * 2))


@settings(max_examples=200, deadline=None)
@given(two_vectors, st.sampled_from([1e-10, 1e-4]))
def test_the_twelve_numbers_equal_a_plain_loop_and_do_not_mind_the_order(vectors, floor):
    a, b = (np.array([vector]) for vector in vectors)
    found = similarity.similarities(a, b, floor)
    np.testing.assert_allclose(found[0], by_loop(*vectors, floor), rtol=1e-6, atol=1e-6)
    assert np.array_equal(found, similarity.similarities(b, a, floor))


def test_pairs_do_not_depend_on_the_part_they_are_in(monkeypatch):
    drawn = np.random.default_rng(0)
    a, b = np.maximum(drawn.standard_normal((2, 7, 50), np.float32), 0)
    whole = similarity.similarities(a, b)
    monkeypatch.setattr(similarity, "PART_BYTES", 3 * 8 * 50)
    assert np.array_equal(similarity.similarities(a, b), whole)
    np.testing.assert_allclose(whole[6], by_loop(a[6].tolist(), b[6].tolist(), 1e-10), rtol=1e-9)


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf])
def test_values_that_no_relu_gives_are_refused(bad):
    good = np.ones((2, 3))
    wrong = good.copy()
    wrong[1, 2] = bad
    for pair in ((wrong, good), (good, wrong)):
        with pytest.raises(InputError, match="finite features of at least 0"):
            similarity.similarities(*pair)


def planted(folds: int = 4, pairs: int = 30, size: int = 20):
    """Pairs of videos of 3 actions a fold; a video's feature is that of its action, and noise."""
    drawn = np.random.default_rng(5)
    features, lists = {}, []
    for fold in range(folds):
        actions = drawn.random((3, size))
        names = []
        for video in range(12):
            names.append(f"{fold}-{video}")
            features[names[-1]] = (actions[video % 3] + 0.6 * drawn.random(size)).astype(np.float32)
        chosen = [drawn.choice(12, 2, replace=False) for _ in range(pairs)]
        lists.append([(names[i], names[j], int(i % 3 == j % 3)) for i, j in chosen])
    return features, lists


def reference_decisions(features, folds, tested: int) -> np.ndarray:
    """One fold, by the formulas and sums written out."""
    rows = [[by_loop(features[a].tolist(), features[b].tolist(), 1e-10) for a, b, _ in fold] for fold in folds]
    training = np.array([row for fold in range(len(folds)) if fold != tested for row in rows[fold]])
    target = [same for fold in range(len(folds)) if fold != tested for *_, same in folds[fold]]
    mean = training.sum(0) / len(training)
    deviation = np.sqrt(((training - mean) ** 2).sum(0) / len(training))
    machine = LinearSVC(C=1, dual="auto", random_state=0).fit((training - mean) / deviation, target)
    return ((np.array(rows[tested]) - mean) / deviation) @ machine.coef_[0] + machine.intercept_[0]


def test_folds_are_judged_by_the_others_alone():
    features, folds = planted()
    scores = similarity.score(features, folds)
    for tested, fold in enumerate(folds):
        expected = reference_decisions(features, folds, tested)
        np.testing.assert_allclose(scores.decisions[tested], expected, rtol=1e-5, atol=1e-6)
        same = np.array([bool(pair[2]) for pair in fold])
        assert np.array_equal(scores.right[tested], (expected > 0) == same)
        assert scores.fold_accuracies[tested] == pytest.approx(np.mean((expected > 0) == same))
        # The area is the fraction of (same, not same) couples in the right order.
        couples = [x > y for x in expected[same] for y in expected[~same]]
        assert scores.fold_aucs[tested] == pytest.approx(np.mean(couples))
    assert scores.accuracy == pytest.approx(sum(scores.fold_accuracies) / 4)
    deviations = [(accuracy - scores.accuracy) ** 2 for accuracy in scores.fold_accuracies]
    assert scores.standard_error == pytest.approx(sqrt(sum(deviations) / 3) / sqrt(4))
    assert scores.auc == pytest.approx(sum(scores.fold_aucs) / 4)
    assert scores.accuracy > 0.8
    assert scores.auc > 0.85


def test_a_folds_own_labels_and_features_do_not_reach_its_svm():
    features, folds = planted()
    before = similarity.score(features, folds)
    flipped = [*folds[:3], [(a, b, 1 - same) for a, b, same in folds[3]]]
    after = similarity.score(features, flipped)
    assert np.array_equal(after.decisions[3], before.decisions[3])
    assert np.array_equal(after.right[3], ~before.right[3])
    # An outlier in fold 3 would move the scaling of all its pairs if the scaling saw them.
    moved = features | {folds[3][0][0]: features[folds[3][0][0]] * 100}
    untouched = [not {a, b} & {folds[3][0][0]} for a, b, _ in folds[3]]
    again = similarity.score(moved, folds)
    assert np.array_equal(again.decisions[3][untouched], before.decisions[3][untouched])
    assert not np.array_equal(again.decisions[0], before.decisions[0])


def test_numbers_that_do_not_vary_give_no_nan():
    features, folds = planted(size=1)
    # Of one value each: the cosine and everything about the normalised vectors are the same for all pairs.
    scores = similarity.score(features, folds)
    assert all(np.isfinite(values).all() for values in scores.decisions)
    # A number that varies in the tested fold alone: one video there is zero.
    lone = similarity.score(features | {folds[0][0][0]: np.zeros(1, np.float32)}, folds)
    assert all(np.isfinite(values).all() for values in lone.decisions)
    assert np.isfinite([lone.accuracy, lone.standard_error, lone.auc]).all()


def test_view_2_of_aslan_with_features_that_know_the_action(shared_data):
    lines = (shared_data / "official-lists" / "aslan" / "view2.txt").read_text().splitlines()
    rows = [[int(field) for field in line.split()] for line in lines]
    folds = [[(str(a), str(b), same) for a, b, same, *_ in rows[low : low + 600]] for low in range(0, 6000, 600)]
    drawn = np.random.default_rng(0)
    actions = drawn.random((433, 32))
    of_video = {str(video): action for a, b, _, x, y in rows for video, action in ((a, x), (b, y))}
    knowing = {video: actions[action] + 0.8 * drawn.random(32) for video, action in of_video.items()}
    blind = {video: drawn.random(32) for video in of_video}
    scores = similarity.score(knowing, folds)
    assert [len(outcomes) for outcomes in scores.right] == [600] * 10
    assert scores.accuracy > 0.75
    assert scores.accuracy == pytest.approx(np.concatenate(scores.right).mean())
    guessed = similarity.score(blind, folds)
    assert guessed.accuracy == pytest.approx(0.5, abs=0.03)
    assert guessed.auc == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda features, folds: (features, folds[:1]), "1 folds of pairs"),
        (lambda features, folds: (features, [*folds[:3], [("9", "0-1", 1)]]), "^9: a pair of fold 4 names this video"),
        (lambda features, folds: (features, [*folds[:3], [("0-1", "0-2", 1)]]), "^fold 4 needs pairs of the same"),
        (lambda features, folds: (features, [*folds[:3], []]), "^fold 4 needs pairs of the same"),
        (lambda features, folds: (features | {"1-3": -features["1-3"]}, folds), "^1-3: the feature is negative"),
        (lambda features, folds: (features | {"1-3": features["1-3"] * np.nan}, folds), "^1-3: .*NaN"),
        (lambda features, folds: ({name: 0 * row for name, row in features.items()}, folds), "every feature is zero"),
    ],
)
def test_bad_input_is_named(change, message):
    features, folds = change(*planted())
    with pytest.raises(InputError, match=message) as caught:
        similarity.score(features, folds)
    assert "\n" not in str(caught.value)
