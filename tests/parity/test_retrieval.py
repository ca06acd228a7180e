"""Video-level retrieval beside what VCOP's authors' code gives (vcop_retrieval.json)."""

import math

import numpy as np
import pytest

from suite.evaluation import retrieval
from tests.parity import reference

TOP = (1, 5, 10, 20, 50)


@pytest.fixture(scope="module")
def wanted():
    return reference.read("vcop_retrieval")


@pytest.fixture(scope="module")
def videos(wanted):
    """(features float64 [videos, 10, 48], classes) of the training videos, then of the test videos."""
    draw = np.random.RandomState(21)
    centres = draw.standard_normal((9, 48))
    classes = [draw.randint(1, 9, size=160), draw.randint(1, 9, size=64)]
    sides = []
    for y in classes:
        video = draw.standard_normal((len(y), 1, 48))
        clip = draw.standard_normal((len(y), 10, 48))
        raw = 0.28 * centres[y][:, None] + 0.7 * video + 0.5 * clip
        sides.append((np.floor(64 * np.maximum(0, raw)) / 64, y))
    for side, (features, y) in zip(("train", "test"), sides, strict=True):
        assert reference.sha256(features.astype(np.float32)) == wanted["input"][f"{side}_float32_sha256"]
        assert y.tolist() == wanted["input"][f"{side}_classes"]
    return sides


def distances(query: np.ndarray, gallery: np.ndarray) -> list[float]:
    """1 - cosine of a vector to each of others, one product after the other."""
    return [
        1 - math.fsum(query * row) / math.sqrt(math.fsum(query * query)) / math.sqrt(math.fsum(row * row))
        for row in gallery
    ]


def check(neighbours: np.ndarray, hits: list[int], wanted: dict) -> None:
    """Indices and hits are theirs, all of them."""
    assert neighbours.shape == (64, 50)
    assert neighbours[:5].tolist() == wanted["top50_of_the_first_five_queries"]
    assert neighbours.sum(1).tolist() == wanted["sum_of_all_top50_indices_by_query"]
    assert dict(zip(map(str, TOP), hits, strict=True)) == wanted["hits"]


def test_a_plain_restatement_gives_the_authors_numbers(videos, wanted):
    (gallery, gallery_classes), (queries, query_classes) = videos
    gallery, queries = gallery.mean(1), queries.mean(1)
    ranked, hits = [], [0] * len(TOP)
    for query, label in zip(queries, query_classes, strict=True):
        far = distances(query, gallery)
        order = sorted(range(len(far)), key=far.__getitem__)[:50]
        if not ranked:
            nearest = [far[item] for item in order[:10]]
            # Both sum 48 products in float64.
            assert reference.furthest(nearest, wanted["distances_of_the_ten_nearest_of_query_0"]) <= 1e-12
        ranked.append(order)
        for place, k in enumerate(TOP):
            hits[place] += label in gallery_classes[order[:k]]
    check(np.array(ranked), hits, wanted)


# float32 is what the stages average in: it moves distances by 1e-7, and no two neighbours are nearer than 1.1e-6.
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_search_ranks_as_the_authors_do(videos, wanted, precision):
    (gallery, gallery_classes), (queries, query_classes) = [(side.astype(precision), y) for side, y in videos]
    assert wanted["smallest_gap_between_neighbours_up_to_rank_51"] > 1e-6
    neighbours = retrieval.search(queries.mean(1), gallery.mean(1), 50)
    hits = retrieval.score(neighbours, query_classes, gallery_classes, TOP).sum(0).tolist()
    check(neighbours, hits, wanted)


def test_similarities_are_theirs(videos, wanted):
    (gallery, _), (queries, _) = videos
    nearest = np.sort(1 - retrieval.similarities(queries[0].mean(0), gallery.mean(1)))[:10]
    assert reference.furthest(nearest, wanted["distances_of_the_ten_nearest_of_query_0"]) <= 1e-12
