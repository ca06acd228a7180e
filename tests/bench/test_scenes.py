"""The scene probe at full size: 420 leave-one-out fits through the rotation, against plain fits in the same run."""

import os
import time

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from suite.evaluation import scenes

VIDEOS, CLASSES, SIZE = 420, 14, 9216


@pytest.mark.benchmark(group="scenes")
def test_leave_one_out_against_plain_fits(benchmark, capsys):
    drawn = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), VIDEOS // CLASSES)
    rows = drawn.standard_normal((VIDEOS, SIZE)) + 0.1 * drawn.standard_normal((CLASSES, SIZE))[labels]
    features = np.maximum(rows, 0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    plain, decisions = [], []
    for left_out in (0, 200):
        kept = np.arange(VIDEOS) != left_out
        # CPU seconds of this process, so that a busy machine does not decide; the defaults, as one would fit them.
        begun = time.process_time()
        machine = LinearSVC(C=1, random_state=0).fit(features[kept], labels[kept])
        plain.append(time.process_time() - begun)
        decisions.append(machine.decision_function(features[left_out : left_out + 1])[0])
    used, names = [], [f"scene {label}" for label in range(CLASSES)]

    def measured():
        begun = time.process_time()
        scores = scenes.leave_one_out(features, labels, names, workers=2)
        used.append(time.process_time() - begun)
        return scores

    scores = benchmark.pedantic(measured, rounds=1)
    ratio = VIDEOS * min(plain) / used[0]
    wall = benchmark.stats.stats.min
    benchmark.extra_info["times faster than plain fits"] = round(ratio, 1)
    with capsys.disabled():
        print(
            f"\n{VIDEOS} leave-one-out fits of {SIZE} values: {wall:.0f} s, {used[0]:.0f} CPU seconds on "
            f"{os.cpu_count()} cores; {ratio:.1f} times as fast as plain fits"
        )
    np.testing.assert_allclose(scores.decisions[[0, 200]], decisions, atol=1e-3)
    # 8.5 was seen on a busy machine, though these fits converge 10,000 times further than the plain ones.
    assert ratio > 4
    # On two cores of its own that is less than a minute.
    assert used[0] < 120
