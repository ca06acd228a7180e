"""The twelve (dis)similarities beside exact sums (aslan_similarities.json)."""

import math

import numpy as np

from suite.evaluation import similarity
from tests.parity import reference


def twelve(a: list[float], b: list[float]) -> list[float]:
    """The formulas one number after the other; every sum is exact."""
    both = list(zip(a, b, strict=True))

    def total(of) -> float:
        return math.fsum(of(x, y) for x, y in pairs)

    def over(above: float, below: float) -> float:
        return above / below if below else 0.0

    def log(x: float, y: float) -> float:
        return x * math.log(x / (y or 1e-10)) if x else 0.0

    pairs = both
    length_a, length_b = (math.sqrt(math.fsum(x * x for x in vector)) for vector in (a, b))
    dot = total(lambda x, y: x * y)
    found = [
        dot,
        math.sqrt(dot),
        math.sqrt(total(lambda x, y: math.sqrt(x) * math.sqrt(y))),
        math.sqrt(total(lambda x, y: over(x * y, x + y))),
        over(dot, length_a * length_b),
        math.sqrt(total(lambda x, y: over((x - y) ** 2, x + y))),
        total(lambda x, y: abs(x - y)),
        math.sqrt(total(lambda x, y: (math.sqrt(x) - math.sqrt(y)) ** 2)),
    ]
    pairs = [(over(x, length_a), over(y, length_b)) for x, y in both]
    sums = [math.fsum(side) for side in zip(*pairs, strict=True)]
    return [
        *found,
        math.sqrt(total(lambda x, y: (x - y) ** 2)),
        total(lambda x, y: log(x, y) + log(y, x)) / 2,
        total(lambda x, y: over(math.sqrt(max(x, y)), math.sqrt(x + y))),
        over(total(min), sums[0] * sums[1]),
    ]


def test_both_give_the_twelve_numbers_of_each_pair():
    pairs = reference.read("aslan_similarities")["pairs"]
    compared = 0
    for pair in pairs:
        a, b = np.array(pair["a"]), np.array(pair["b"])
        assert len(a) == pair["length"]
        plain, ours = twelve(pair["a"], pair["b"]), similarity.similarities(a[None], b[None])[0]
        # Float64 sums of at most some dozens of terms of one sign, or of logarithms.
        np.testing.assert_allclose(plain, pair["similarities"], rtol=1e-12, atol=0)
        np.testing.assert_allclose(ours, pair["similarities"], rtol=1e-12, atol=0)
        compared += len(ours)
    assert compared == 6 * 12
