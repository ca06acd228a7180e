"""Decisions of the leave-one-out probe beside a converged solver's (yupenn.json)."""

import numpy as np
import pytest

from suite.evaluation import scenes
from tests.parity import reference


@pytest.fixture(scope="module")
def wanted():
    return reference.read("yupenn")


@pytest.fixture(scope="module")
def videos(wanted):
    """Features float64 [28, 64] of length 1, and classes [28]."""
    draw = np.random.RandomState(81)
    centres = np.maximum(0, draw.standard_normal((4, 64)))
    classes = np.repeat(np.arange(4), 7)
    rows = np.maximum(0, 0.5 * centres[classes] + draw.standard_normal((28, 64)))
    rows /= np.sqrt((rows * rows).sum(1, keepdims=True))
    assert classes.tolist() == wanted["classes"]
    assert rows.sum() == pytest.approx(wanted["input"]["sum"], rel=1e-12)
    assert reference.furthest(rows.ravel()[:8], wanted["input"]["first8"]) <= 1e-15
    return rows, classes


def fit(rows: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Weights that make |w|^2 / 2 + sum max(0, 1 - y wx)^2 least, by Newton's steps until the same rows are within the margin."""
    active = np.ones(len(rows), bool)
    for _ in range(100):
        x, y = rows[active], sign[active]
        weights = np.linalg.solve(np.eye(rows.shape[1]) + 2 * x.T @ x, 2 * x.T @ y)
        now = sign * (rows @ weights) < 1
        if (now == active).all():
            return weights
        active = now
    raise AssertionError("Newton's steps do not settle")


def test_a_plain_restatement_gives_the_decisions(videos, wanted):
    rows, classes = videos
    # The intercept is the weight of one more feature, 1, and regularised like the others.
    rows = np.hstack([rows, np.ones((28, 1))])
    decisions = []
    for left_out in range(28):
        kept = np.arange(28) != left_out
        signs = (np.where(classes[kept] == label, 1.0, -1.0) for label in range(4))
        decisions.append([rows[left_out] @ fit(rows[kept], sign) for sign in signs])
    # The solvers that made the numbers agree with each other to 1e-7.
    assert reference.furthest(decisions, wanted["decisions"]) <= 1e-6
    assert np.argmax(decisions, axis=1).tolist() == wanted["predicted"]


def test_the_probe_gives_the_decisions(videos, wanted):
    rows, classes = videos
    scores = scenes.leave_one_out(rows, classes.tolist(), list("abcd"))
    assert scores.decisions.shape == (28, 4)
    # It stops a little before convergence (scenes.TOLERANCE), 1e-7 off; the best leads the second by 0.03 or more.
    assert reference.furthest(scores.decisions, wanted["decisions"]) <= 1e-6
    assert scores.predictions.tolist() == wanted["predicted"]
    assert scores.accuracy == wanted["accuracy"]


def test_the_classical_hinge_loss_is_told_apart(videos, wanted):
    rows, classes = videos
    scores = scenes.leave_one_out(rows, classes.tolist(), list("abcd"))
    contrast = wanted["contrast_hinge_loss"]
    assert contrast["accuracy"] != scores.accuracy
    assert reference.furthest(scores.decisions[0], contrast["decisions_of_video_0"]) > 0.1
