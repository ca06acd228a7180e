"""Five classes in feature space: the silhouette by hand, a t-SNE that keeps blobs apart, and a picture that shows them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from suite.errors import InputError
from suite.evaluation import space

NAMES = [f"class {number}" for number in range(50)]


def blobs(spread: float, clips: int = 12, size: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features about five random directions, and the labels 0, 10, 20, 30, 40."""
    drawn = np.random.default_rng(seed)
    labels = np.repeat([0, 10, 20, 30, 40], clips)
    centres = drawn.standard_normal((5, size))
    return (centres[labels // 10] + spread * drawn.standard_normal((5 * clips, size))).astype(np.float32), labels


# ---------------------------------------------------------------- classes


def test_classes_are_the_papers_where_there_are_enough():
    assert space.five_classes(101) == space.five_classes(41) == [0, 10, 20, 30, 40]
    assert space.five_classes(40) == [0, 8, 16, 24, 32]
    assert space.five_classes(10) == [0, 2, 4, 6, 8]
    assert space.five_classes(6) == [0, 1, 2, 3, 4]
    assert space.five_classes(3) == [0, 1, 2]


@given(st.integers(1, 120))
def test_classes_exist_and_are_spread(classes):
    chosen = space.five_classes(classes)
    assert len(chosen) == min(5, classes)
    assert chosen[0] == 0
    assert chosen[-1] < classes
    steps = np.diff(chosen)
    assert all(steps >= 1)
    assert not len(steps) or steps.max() - steps.min() <= 1


# ---------------------------------------------------------------- silhouette


def test_silhouette_by_hand():
    # At 0 and 60 degrees, and at 90 and 180. Cosine distances are 0.5 and 1 within the classes; between them 1 and 2 from the
    # first clip, 1 - r and 1.5 from the second, with r = cos 30 degrees.
    r = math.sqrt(3) / 2
    features = np.array([[1, 0], [0.5, r], [0, 1], [-1, 0]])
    far = (2 - r + 0.5) / 2
    back = (1 + 1 - r) / 2
    wanted = [(1.5 - 0.5) / 1.5, (far - 0.5) / far, (back - 1) / 1, (1.75 - 1) / 1.75]
    assert space.silhouette(features, [3, 3, 8, 8]) == pytest.approx(np.mean(wanted))
    # Lengths do not count, not even those that scikit-learn takes for zero.
    lengths = np.array([[1e-18], [4], [1e6], [0.1]])
    assert space.silhouette(lengths * features, [3, 3, 8, 8]) == pytest.approx(np.mean(wanted))
    # Without the fourth the third is alone in its class and counts 0; the others are 1 and 1 - r away from it.
    lone = [(1 - 0.5) / 1, (1 - r - 0.5) / 0.5, 0.0]
    assert space.silhouette(features[:3], [0, 0, 1]) == pytest.approx(np.mean(lone))


def slow_silhouette(features, labels) -> float:
    """The definition, clip by clip."""
    unit = [row / math.sqrt(sum(row**2)) for row in np.asarray(features, np.float64)]
    values = []
    for i, row in enumerate(unit):
        means = {}
        for label in set(labels):
            others = [1 - sum(row * unit[j]) for j in range(len(unit)) if j != i and labels[j] == label]
            means[label] = sum(others) / len(others)
        own = means.pop(labels[i])
        nearest = min(means.values())
        values.append((nearest - own) / max(own, nearest))
    return sum(values) / len(values)


def test_silhouette_is_its_definition_and_falls_as_classes_mix():
    found = []
    for spread in (0.1, 0.5, 1.5, 20):
        features, labels = blobs(spread, clips=6)
        found.append(space.silhouette(features, labels))
        assert found[-1] == pytest.approx(slow_silhouette(features, labels.tolist()), abs=1e-9)
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    assert found[-1] < 0


def test_nearly_collinear_features_keep_their_silhouette():
    features, labels = blobs(0.3)
    # As of an untrained network: a common direction 10,000 times longer, in float32.
    rows = np.concatenate([features - features.mean(0), np.full((len(features), 1), 1e4)], 1).astype(np.float32)
    assert 0.5 < space.silhouette(rows, labels) < 1
    assert space.silhouette(rows, labels) == pytest.approx(slow_silhouette(rows, labels.tolist()), abs=1e-3)


def test_a_silhouette_needs_two_classes_and_a_pair():
    features = np.eye(3)
    for labels, message in (([1, 1, 1], "not 3 clips of 1"), ([0, 1, 2], "not 3 clips of 3")):
        with pytest.raises(InputError, match=f"needs two classes and more clips than classes, {message}"):
            space.silhouette(features, labels)
    with pytest.raises(InputError, match="needs two classes"):
        space.silhouette(np.zeros((0, 3)), [])
    with pytest.raises(ValueError, match="3 clips have 2 labels"):
        space.silhouette(features, [0, 1])
    # A network that collapsed: nothing is nearer than anything else.
    assert space.silhouette(np.ones((6, 4)), [0, 0, 0, 1, 1, 1]) == pytest.approx(0, abs=1e-9)
    assert space.silhouette(np.zeros((4, 4)), [0, 0, 1, 1]) == pytest.approx(0, abs=1e-9)


# ---------------------------------------------------------------- t-SNE


def nearest_share(points, labels) -> float:
    """Share of points whose nearest other point is of their class."""
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(1)] == labels).mean())


def test_blobs_stay_apart_and_noise_stays_mixed():
    shares = {}
    for spread in (0.2, 20):
        features, labels = blobs(spread)
        points = space.embedding(features, 0)
        assert points.shape == (60, 2)
        assert points.dtype == np.float32
        assert np.isfinite(points).all()
        shares[spread] = nearest_share(points, labels)
    assert shares[0.2] == 1
    assert shares[20] < 0.5


def test_an_embedding_follows_its_seed_and_no_length():
    features, _ = blobs(0.5, clips=5)
    first = space.embedding(features, 3)
    assert np.array_equal(space.embedding(features, 3), first)
    # Powers of two change no digit.
    assert np.array_equal(space.embedding(features * np.float32(2.0**-60), 3), first)


@pytest.mark.parametrize("count", [4, 5, 7])
def test_few_clips_are_embedded(count):
    points = space.embedding(blobs(0.5)[0][:: 60 // count][:count], 0)
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_features_that_are_all_alike_lie_at_one_place():
    # Rows are normalised in float64, and their mean is rounded: neither may look like a difference.
    for row in (np.ones(5), np.zeros(5), np.random.default_rng(0).standard_normal(512)):
        assert (space.embedding(np.tile(row.astype(np.float32), (30, 1)), 0) == 0).all()
    # Two clips of many are another matter.
    features = np.ones((12, 5))
    features[:2] += 0.1 * np.random.default_rng(1).standard_normal((2, 5))
    assert np.isfinite(space.embedding(features, 0)).all()


def test_too_little_or_broken_input_is_named():
    with pytest.raises(InputError, match="t-SNE needs 4 clips and 2 features, not 3 and 8; give more videos"):
        space.embedding(np.ones((3, 8)), 0)
    with pytest.raises(InputError, match="not 9 and 1"):
        space.embedding(np.ones((9, 1)), 0)
    for value in (np.nan, np.inf):
        broken = np.ones((6, 4))
        broken[2, 1] = value
        with pytest.raises(InputError, match="NaN or infinite"):
            space.embedding(broken, 0)
        with pytest.raises(InputError, match="NaN or infinite"):
            space.silhouette(broken, [0, 0, 0, 1, 1, 1])


# ---------------------------------------------------------------- picture


def coloured(path, colour: str) -> int:
    """Pixels of exactly this colour."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return int((pixels == ImageColor.getrgb(colour)).all(-1).sum())


def test_a_picture_shows_every_class_once(tmp_path):
    points = np.array([[0, 0], [30, 0], [0, 20], [30, 20], [15, 10]], float)
    path = tmp_path / "space.png"
    space.space_picture(points, [0, 10, 20, 30, 40], NAMES, path)
    picture = Image.open(path)
    assert (picture.format, picture.size) == ("PNG", (900, 700))
    counts = [coloured(path, colour) for colour in space.COLOURS]
    # A point and its mark in the legend, of some 25 to 60 pixels each.
    assert all(30 < count < 200 for count in counts), counts
    # Three more points of the second class, and it alone has more.
    more = np.concatenate([points, [[10, 0], [20, 0], [25, 5]]])
    space.space_picture(more, [0, 10, 20, 30, 40, 10, 10, 10], NAMES, tmp_path / "more.png")
    grown = [coloured(tmp_path / "more.png", colour) for colour in space.COLOURS]
    assert grown[1] > 1.8 * counts[1]
    assert all(abs(grown[i] - counts[i]) <= 12 for i in (0, 2, 3, 4))


def test_the_same_points_give_the_same_bytes_whatever_the_users_settings(tmp_path):
    import matplotlib

    features, labels = blobs(0.5)
    points = space.embedding(features, 0)
    space.space_picture(points, labels, NAMES, tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 40}):
        space.space_picture(points, labels, NAMES, tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size < 60_000
    space.space_picture(points[::-1], labels, NAMES, tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_one_place_for_all_points_and_few_classes_can_be_drawn(tmp_path):
    space.space_picture(np.zeros((4, 2)), [7, 7, 9, 9], NAMES, tmp_path / "one.png")
    assert Image.open(tmp_path / "one.png").size == (900, 700)
    with pytest.raises(ValueError, match="6 classes are too many"):
        space.space_picture(np.zeros((6, 2)), range(6), NAMES, tmp_path / "many.png")
