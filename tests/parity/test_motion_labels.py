"""MAS's motion labels of flow made from formulas beside those of its authors' code (mas_labels.json).

Locations and frames are compared; of orientations only the known mirror. Real clips and appearance are not compared here.
"""

import numpy as np
import pytest
import torch

from suite.papers.mas import statistics
from tests.parity import reference


@pytest.fixture(scope="module")
def wanted():
    return reference.read("mas_labels")


def fields() -> list[np.ndarray]:
    """The seven flow fields in the file's order, float32 [15, 2, 112, 112]."""
    t, y, x = np.meshgrid(np.arange(15.0), np.arange(112.0), np.arange(112.0), indexing="ij")
    exp, sin, cos = np.exp, np.sin, np.cos
    disk, wave = ((x - 40) ** 2 + (y - 75) ** 2 < 900) * 1.0, 1 + 0.4 * cos(0.5 * t)
    bump_u = 3 * exp(-((x - 70) ** 2 + (y - 20) ** 2) / 162) * (1 + 0.3 * sin(0.7 * t))
    bump_v = 2 * exp(-((x - 30) ** 2 + (y - 90) ** 2) / 288) * (1 + 0.3 * sin(0.7 * t + 1))
    moving_u = (1 + 0.05 * t) * 4 * exp(-((x - 20 - 5 * t) ** 2 + (y - 30 - 3 * t) ** 2) / 128)
    moving_v = -(2 - 0.1 * t) * exp(-((x - 90 + 4 * t) ** 2 + (y - 80) ** 2) / 200)
    waves_u = 2 * sin(0.11 * x + 0.05 * y + 0.3 * t) * (0.5 + x / 112)
    waves_v = 1.5 * cos(0.07 * x - 0.13 * y - 0.2 * t) * (0.5 + y / 112) * (1 + 0.02 * t)
    disk_u, disk_v = -0.08 * (y - 75) * disk * (1 + 0.05 * t), 0.08 * (x - 40) * disk * (1.6 - 0.04 * t)
    out_u = 0.002 * (x - 50) * abs(x - 50) * wave * (1 + y / 500)
    out_v = 0.002 * (y - 40) * abs(y - 40) * wave * (1 + x / 300)
    pairs = [
        (bump_u, bump_v),
        (moving_u, moving_v),
        (waves_u, waves_v),
        (disk_u, disk_v),
        (out_u, out_v),
        (0 * x, 0 * x),
    ]
    noise = (3 * np.random.RandomState(5).standard_normal((15, 2, 112, 112))).astype(np.float32)
    return [np.stack(pair, 1).astype(np.float32) for pair in pairs] + [noise]


def magnitude(field: np.ndarray) -> np.ndarray:
    """Length of Prewitt's derivatives of [112, 112]; the border repeats itself."""
    p = np.pad(field.astype(np.float64), 1, mode="edge")
    across = sum(p[row : row + 112, 2:] - p[row : row + 112, :-2] for row in range(3))
    down = sum(p[2:, column : column + 112] - p[:-2, column : column + 112] for column in range(3))
    return np.sqrt(across**2 + down**2)


def block_and_frame(flow: np.ndarray, component: int) -> tuple[int, int]:
    """The block of 4 x 4 and the frame with the largest mean magnitude, from 1."""
    summed = magnitude(flow[:, component].astype(np.float64).sum(0))
    blocks = summed.reshape(4, 28, 4, 28).mean((1, 3))
    frames = [magnitude(one).mean() for one in flow[:, component]]
    return int(blocks.argmax()) + 1, int(np.argmax(frames)) + 1


def test_locations_and_frames_are_theirs(wanted):
    compared = 0
    for flow, case in zip(fields(), wanted["synthetic_flow"], strict=True):
        assert flow.sum(dtype=np.float64) == pytest.approx(case["flow_sum"], rel=1e-6, abs=1e-6)
        theirs = dict(zip(wanted["order_of_motion_labels"], case["motion"], strict=True))
        ours = dict(
            zip(statistics.MOTION, statistics.motion_labels(torch.from_numpy(flow)[None])[0].tolist(), strict=True)
        )
        assert ours.keys() == theirs.keys()
        if case["field"] == "no motion":
            # Departure: theirs are 0 in pattern 1 and 1 everywhere else; ours are 1 throughout.
            assert {label for name, label in theirs.items() if name.startswith("pattern1")} == {0}
            assert set(ours.values()) == {1}
            continue
        plain = {}
        for component, letter in enumerate("uv"):
            plain[f"pattern1_{letter}_location"], plain[f"global_{letter}_frame"] = block_and_frame(flow, component)
        for name, label in theirs.items():
            if name.endswith("orientation") or name in case["motion_labels_near_a_tie"]:
                continue
            assert ours[name] == label, (case["field"], name)
            assert plain.get(name, label) == label, (case["field"], name)
            compared += 1
    # Six fields of eight labels, less one near a tie.
    assert compared == 47


def test_departure_orientations_are_mirrored(wanted):
    # Theirs run clockwise from the left: the paper's, mirrored left-right.
    y, x = np.mgrid[:112, :112]
    pairs = wanted["orientation_of_a_ramp"]["values"]
    assert len(pairs) == 8
    for angle, theirs in pairs:
        ramp = 0.01 * (x * np.cos(np.radians(angle)) - y * np.sin(np.radians(angle)))
        flow = np.broadcast_to(ramp, (1, 15, 2, 112, 112)).astype(np.float32)
        ours = int(statistics.motion_labels(torch.from_numpy(flow))[0, 1])
        assert ours == angle // 45 + 1
        assert theirs == (5 - ours) % 8 + 1
