"""Shuffle similarity is Algorithm 1: by hand, against plain loops and SciPy's assignment, and smooth enough to learn by."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from suite import recipe
from suite.papers.srop.shuffle_similarity import paired_similarity, shuffle_similarity
from suite.seeding import generator

PARTS = st.integers(2, 5)
SIZES = st.integers(1, 40)
MATCHINGS = ("greedy", "exact")


def vectors(count: int, size: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(count, size, generator=generator(seed), dtype=dtype)


def distance_matrix(query, key, parts: int) -> np.ndarray:
    """Of every part of a query to every part of a key, in float64: [parts, parts]."""
    divided = []
    for vector in (query, key):
        values = np.asarray(vector, np.float64)
        values = values / np.sqrt((values**2).sum())
        size = math.ceil(len(values) / parts)
        values = np.concatenate([values, np.zeros(size * parts - len(values))])
        divided.append([values[i * size : (i + 1) * size] for i in range(parts)])
    return np.array([[math.sqrt(((a - b) ** 2).sum()) for b in divided[1]] for a in divided[0]])


def algorithm_1(distances: np.ndarray) -> float:
    """The paper's loop, as printed: the smallest distance of the rows not in M and the columns not in N, until none is left."""
    parts = len(distances)
    rows_used, columns_used, total = set(), set(), 0.0
    while len(rows_used) < parts:
        smallest = None
        for row in range(parts):
            for column in range(parts):
                free = row not in rows_used and column not in columns_used
                if free and (smallest is None or distances[row, column] < distances[smallest]):
                    smallest = (row, column)
        total += distances[smallest]
        rows_used.add(smallest[0])
        columns_used.add(smallest[1])
    return total


def by_loop(queries: torch.Tensor, keys: torch.Tensor, parts: int) -> np.ndarray:
    return np.array([[-algorithm_1(distance_matrix(q, k, parts)) for k in keys] for q in queries])


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize(
    ("query", "key", "parts", "distance"),
    [
        # One part is a plain distance of unit vectors, whatever their lengths were.
        ((3.0, 0.0), (0.0, 7.0), 1, math.sqrt(2)),
        # [[0.4, 0.2], [0.6, 0.8]]: 0.2, then 0.6.
        ((1.0, 0.0), (3.0, 4.0), 2, 0.8),
        # The same parts in another order.
        ((3.0, 4.0, 0.0), (0.0, 3.0, 4.0), 3, 0.0),
        # Three values in two parts: (1, 0), (0, 0) and (0, 1), (0, 0), with a zero behind.
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 2, math.sqrt(2)),
        # (1, 0), (0, 0) and (0, 0), (1, 0): the zero makes the parts alike.
        ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), 2, 0.0),
        # As far as it goes: no part of one is near any of the other.
        ((1.0, 1.0), (-1.0, -1.0), 2, 2 * math.sqrt(2)),
    ],
)
def test_distances_by_hand(query, key, parts, distance, matching):
    found = shuffle_similarity(torch.tensor([query]), torch.tensor([key]), parts, matching=matching)
    assert found.shape == (1, 1)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(-distance, abs=1e-6)


def test_of_equal_distances_the_first_is_taken_and_the_best_sum_is_another():
    # Both parts of the key are as far from the query's first: greedy takes the key's first, which the second part misses.
    query, key = torch.tensor([[0.0, 0.0, 0.6, 0.8]]), torch.tensor([[1.0, 0.0, -1.0, 0.0]])
    half = math.sqrt(0.5)
    near, far = math.hypot(0.6 - half, 0.8), math.hypot(0.6 + half, 0.8)
    assert near < far
    assert float(shuffle_similarity(query, key, 2, matching="greedy")) == pytest.approx(-(half + far), abs=1e-6)
    assert float(shuffle_similarity(query, key, 2, matching="exact")) == pytest.approx(-(half + near), abs=1e-6)
    # The other way round they are in one column, and the query's first part is the first again.
    assert float(shuffle_similarity(key, query, 2, matching="greedy")) == pytest.approx(-(half + far), abs=1e-6)


# ---------------------------------------------------------------- against slow references


@settings(max_examples=40, deadline=None)
@given(queries=st.integers(1, 3), keys=st.integers(1, 4), size=SIZES, parts=PARTS, seed=st.integers(0, 2**20))
def test_greedy_is_algorithm_1(queries, keys, size, parts, seed):
    left, right = vectors(queries, size, seed), vectors(keys, size, seed + 1)
    found = shuffle_similarity(left, right, parts, matching="greedy")
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), by_loop(left, right, parts), atol=1e-12)


def test_a_queue_of_more_than_a_thousand_keys_is_algorithm_1_for_each():
    left, right = vectors(2, 128, 20, torch.float32), vectors(1100, 128, 21, torch.float32)
    found = shuffle_similarity(left, right, 3, matching="greedy")
    assert found.shape == (2, 1100)
    np.testing.assert_allclose(found.numpy(), by_loop(left, right, 3), atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(size=SIZES, parts=PARTS, seed=st.integers(0, 2**20))
def test_exact_is_the_best_assignment_and_no_worse_than_greedy(size, parts, seed):
    left, right = vectors(2, size, seed), vectors(3, size, seed + 1)
    exact = shuffle_similarity(left, right, parts, matching="exact")
    wanted = []
    for query in left:
        for key in right:
            distances = distance_matrix(query, key, parts)
            wanted.append(-distances[linear_sum_assignment(distances)].sum())
    np.testing.assert_allclose(exact.flatten().numpy(), wanted, atol=1e-12)
    greedy = shuffle_similarity(left, right, parts, matching="greedy")
    assert (exact >= greedy - 1e-12).all()
    assert (greedy >= -2 * math.sqrt(parts) - 1e-12).all()


def test_exact_and_greedy_differ_on_ordinary_vectors():
    left, right = vectors(16, 128, 0), vectors(64, 128, 1)
    greedy = shuffle_similarity(left, right, 3, matching="greedy")
    better = shuffle_similarity(left, right, 3, matching="exact") > greedy + 1e-6
    assert 0.1 < float(better.double().mean()) < 0.9


@pytest.mark.parametrize("parts", [2, 3, 4, 5])
def test_float32_is_near_to_float64_at_the_papers_size(parts):
    left, right = vectors(8, 128, 2), vectors(24, 128, 3)
    # Some keys are nearly their query, where rounding would show most.
    right[:8] = left + 1e-5 * vectors(8, 128, 4)
    for matching in MATCHINGS:
        single = shuffle_similarity(left.float(), right.float(), parts, matching=matching)
        double = shuffle_similarity(left.float().double(), right.float().double(), parts, matching=matching)
        np.testing.assert_allclose(single.numpy(), double.numpy(), atol=1e-6)
    assert float(double[0, 0]) < -1e-6


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize(("size", "parts"), [(6, 3), (20, 4), (20, 5), (128, 2)])
def test_the_order_of_parts_does_not_matter(size, parts, matching):
    left, right = vectors(3, size, 5), vectors(4, size, 6)
    plain = shuffle_similarity(left, right, parts, matching=matching)
    order = torch.randperm(parts, generator=generator(7))
    shuffled = right.unflatten(1, (parts, -1))[:, order].flatten(1)
    torch.testing.assert_close(shuffle_similarity(left, shuffled, parts, matching=matching), plain)
    # Values within a part may not move.
    assert not torch.allclose(shuffle_similarity(left, right.flip(1), parts, matching=matching), plain)


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
def test_pairs_are_the_diagonal(parts, matching):
    left, right = vectors(6, 32, 8, torch.float32), vectors(6, 32, 9, torch.float32)
    found = paired_similarity(left, right, parts, matching=matching)
    whole = shuffle_similarity(left, right, parts, matching=matching)
    assert found.shape == (6,)
    torch.testing.assert_close(found, whole.diagonal(), atol=1e-6, rtol=0)
    # Lengths do not count.
    torch.testing.assert_close(paired_similarity(50 * left, 0.02 * right, parts, matching=matching), found)


# ---------------------------------------------------------------- gradients and precision


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_gradients_are_those_of_the_matched_distances(parts, matching):
    left, right = (vectors(2, 7, seed).requires_grad_() for seed in (10, 11))
    assert torch.autograd.gradcheck(lambda q, k: shuffle_similarity(q, k, parts, matching=matching), (left, right))
    assert torch.autograd.gradcheck(lambda q, k: paired_similarity(q, k, parts, matching=matching), (left, right))


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("parts", [2, 3])
def test_gradients_at_equal_vectors_are_finite(parts, matching):
    left = vectors(4, 128, 12, torch.float32).requires_grad_()
    # The same, the same but for rounding, the same in another order, and another.
    right = torch.cat([left[:2], 3 * left[2:3], vectors(1, 128, 13, torch.float32)]).detach().requires_grad_()
    found = paired_similarity(left, right, parts, matching=matching)
    assert found[:3].detach().numpy() == pytest.approx(0, abs=1e-6)
    found.sum().backward()
    assert left.grad.isfinite().all()
    assert right.grad.isfinite().all()
    # A distance grows by at most the way that a part goes; the vectors are some 11 long.
    assert float(left.grad.norm(dim=1).max()) < 1
    assert (left.grad[:2] == 0).all()
    assert float(left.grad[3].abs().max()) > 0


@pytest.mark.parametrize("matching", MATCHINGS)
def test_a_key_without_gradient_is_a_constant(matching):
    left, right = vectors(4, 16, 14, torch.float32).requires_grad_(), vectors(8, 16, 15, torch.float32)
    shuffle_similarity(left, right, 3, matching=matching).sum().backward()
    assert left.grad.abs().sum() > 0
    assert right.grad is None


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("function", [shuffle_similarity, paired_similarity])
def test_autocast_changes_nothing(function, matching):
    left, right = (vectors(6, 128, seed, torch.float32) for seed in (16, 17))
    plain = function(left, right, 3, matching=matching)
    with torch.autocast("cpu", torch.bfloat16):
        inside = function(left, right, 3, matching=matching)
        rough = function(left.bfloat16(), right.bfloat16(), 3, matching=matching)
    assert inside.dtype == rough.dtype == torch.float32
    assert torch.equal(inside, plain)
    assert torch.equal(rough, function(left.bfloat16().float(), right.bfloat16().float(), 3, matching=matching))


def test_gradient_steps_bring_parts_together_in_any_order():
    target = vectors(1, 12, 18, torch.float32)
    shuffled = target.unflatten(1, (3, 4))[:, [2, 0, 1]].flatten(1)
    found = vectors(1, 12, 19, torch.float32).requires_grad_()
    before = float(paired_similarity(found, target, 3, matching="greedy").detach())
    optimiser = torch.optim.SGD([found], 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-paired_similarity(found, target, 3, matching="greedy")).sum().backward()
        optimiser.step()
    after = paired_similarity(found, target, 3, matching="greedy")
    assert float(after.detach()) > before / 10
    torch.testing.assert_close(paired_similarity(found, shuffled, 3, matching="greedy"), after)


# ---------------------------------------------------------------- wrong use


def test_wrong_arguments_are_named():
    left, right = torch.rand(2, 4), torch.rand(3, 4)
    with pytest.raises(ValueError, match="matching is 'best', not 'greedy', 'exact'"):
        shuffle_similarity(left, right, 2, matching="best")
    with pytest.raises(ValueError, match="into 0 parts"):
        shuffle_similarity(left, right, 0, matching="greedy")
    with pytest.raises(ValueError, match="2 queries and 3 keys are no pairs"):
        paired_similarity(left, right, 2, matching="greedy")


def test_a_network_that_gives_nan_does_not_look_alike():
    left, right = torch.tensor([[1.0, float("nan"), 0.0]]), torch.rand(2, 3)
    for matching in MATCHINGS:
        assert shuffle_similarity(left, right, 3, matching=matching).isnan().all()


def test_without_a_temperature_the_loss_of_unit_vectors_has_the_bound_that_the_recipe_prints():
    # A key alike in every part, and one opposite in every part: no two unit vectors are farther apart.
    one = torch.ones(1, 12, dtype=torch.float64)
    alike, opposite = (float(shuffle_similarity(one, key, 3, matching="exact")) for key in (one, -one))
    spans = {"shuffle": alike - opposite, "cosine": 2.0}
    assert spans["shuffle"] == pytest.approx(2 * math.sqrt(3), rel=1e-12)
    drawn = shuffle_similarity(vectors(200, 12, 1), vectors(200, 12, 2), 3, matching="exact")
    assert drawn.max() - drawn.min() < spans["shuffle"]
    bounds = {name: math.log1p(1024 * math.exp(-span)) for name, span in spans.items()}
    (argument,) = [one.argument for one in recipe.load("srop", "paper").readings if "prints no temperature" in one.what]
    assert f"= {bounds['shuffle']:.2f};" in argument
    assert f"leaves {bounds['cosine']:.2f}." in argument
