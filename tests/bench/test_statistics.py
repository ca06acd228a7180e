"""What the 27 labels of MAS cost on one core, clip by clip of the paper's size (the authors' code: half a second)."""

import time

import pytest
import torch

from suite.papers.mas import statistics
from suite.seeding import generator


@pytest.mark.benchmark(group="statistics")
def test_labels_of_a_batch(benchmark, capsys):
    """A batch of 8 clips of 16 x 112 x 112: noise, whose histograms are the most scattered there can be."""
    clips = torch.randint(256, (8, 16, 112, 112, 3), dtype=torch.uint8, generator=generator(0))
    flow = torch.randn(8, 15, 2, 112, 112, generator=generator(1))
    used = []

    def measured():
        # CPU seconds of this process, so that a busy machine does not decide.
        begun = time.process_time()
        labels = statistics.motion_labels(flow), statistics.appearance_labels(clips)
        used.append(time.process_time() - begun)
        return labels

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark.pedantic(measured, rounds=5, warmup_rounds=1)
    finally:
        torch.set_num_threads(threads)
    milliseconds = 1000 * min(used) / len(clips)
    benchmark.extra_info["ms a clip"] = round(milliseconds, 2)
    with capsys.disabled():
        print(f"\nmotion and appearance labels: {milliseconds:.1f} ms a clip (CPU time, one thread)")
    # A fortieth of the authors' half second for appearance alone: near enough to notice a lost fast path.
    assert milliseconds < 12
