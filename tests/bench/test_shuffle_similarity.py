"""Shuffle similarity of a batch with its queue against the paper's loop over pairs, as a ratio in one run."""

import time

import pytest
import torch

from suite.papers.srop.shuffle_similarity import shuffle_similarity
from suite.seeding import generator

QUERIES, KEYS, SIZE, PARTS = 16, 1024, 128, 3
# Keys that the loop goes through; it takes as long for each.
LOOPED = 8


def by_loop(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Algorithm 1 for one pair after the other, the matrix of distances as one product of differences."""
    size = -(-SIZE // PARTS)
    left, right = (
        torch.nn.functional.pad(torch.nn.functional.normalize(x, dim=1), (0, PARTS * size - SIZE)).unflatten(
            1, (PARTS, -1)
        )
        for x in (queries, keys)
    )
    result = torch.zeros(len(queries), len(keys))
    for row, query in enumerate(left):
        for column, key in enumerate(right):
            distances = (query[:, None] - key[None]).norm(dim=-1)
            for _ in range(PARTS):
                place = int(distances.argmin())
                result[row, column] -= distances[place // PARTS, place % PARTS]
                distances[place // PARTS] = torch.inf
                distances[:, place % PARTS] = torch.inf
    return result


@pytest.mark.benchmark(group="shuffle similarity")
def test_a_batch_against_a_loop_over_pairs(benchmark, capsys):
    """16 queries of 128 values, 1,024 keys, 3 parts: the paper's batch, head and best number of segments."""
    queries = torch.randn(QUERIES, SIZE, generator=generator(0))
    keys = torch.randn(KEYS, SIZE, generator=generator(1))
    used = []

    def measured():
        # CPU seconds of this process, so that a busy machine does not decide.
        begun = time.process_time()
        found = shuffle_similarity(queries, keys, PARTS, matching="greedy")
        used.append(time.process_time() - begun)
        return found

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begun = time.process_time()
        slow = by_loop(queries, keys[:LOOPED])
        looped = (time.process_time() - begun) * KEYS / LOOPED
        ours = benchmark.pedantic(measured, rounds=20, warmup_rounds=2)
    finally:
        torch.set_num_threads(threads)
    ratio, milliseconds = looped / min(used), 1000 * min(used)
    benchmark.extra_info["times faster than a loop"] = round(ratio)
    benchmark.extra_info["ms"] = round(milliseconds, 1)
    with capsys.disabled():
        print(
            f"\nshuffle similarity: {milliseconds:.1f} ms a batch, {ratio:.0f} times as fast as a loop over pairs (CPU)"
        )
    torch.testing.assert_close(ours[:, :LOOPED], slow, atol=1e-5, rtol=0)
    # 139 was seen on a busy machine; a lost batch dimension would cost far more than half of that.
    assert ratio > 50
