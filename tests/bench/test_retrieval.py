"""Exact retrieval against the authors' way (scikit-learn's distances and a sort), as a ratio in one run."""

import time

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from suite.evaluation import retrieval


def authors_way(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """All distances in float32 at once, and a full sort of each row."""
    return np.argsort(cosine_distances(queries, gallery), axis=1)[:, :k]


@pytest.mark.benchmark(group="retrieval")
def test_exact_search_against_scikit_learn(benchmark, capsys):
    """1,500 queries, 6,000 clips, 1,024 values: fewer products for each item sorted than UCF101 has with 9,216."""
    drawn = np.random.default_rng(0)
    queries, gallery = (np.maximum(drawn.standard_normal((n, 1024), np.float32), 0) for n in (1500, 6000))
    times = []
    for _ in range(3):
        # CPU seconds of this process, so that a busy machine does not decide.
        begun = time.process_time()
        theirs = authors_way(queries, gallery, 50)
        times.append(time.process_time() - begun)
    used = []

    def measured():
        begun = time.process_time()
        found = retrieval.search(queries, gallery, 50)
        used.append(time.process_time() - begun)
        return found

    ours = benchmark.pedantic(measured, rounds=3, warmup_rounds=1)
    ratio = min(times) / min(used)
    benchmark.extra_info["times faster than scikit-learn"] = round(ratio, 2)
    with capsys.disabled():
        print(f"\nexact retrieval: {ratio:.2f} times as fast as scikit-learn's distances and a sort (CPU seconds)")
    # Random features hold no near ties, so both rank alike at the top.
    assert np.array_equal(ours[:, 0], theirs[:, 0])
    # 0.9 to 1.5 were seen on a busy machine: most of both is the same product. Theirs holds all distances at once (53 GB
    # for UCF101) and ranks by float32; exactness may not cost more than half of the speed.
    assert ratio > 0.5
