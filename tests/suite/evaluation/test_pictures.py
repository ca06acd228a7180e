"""Motion as colours."""

import numpy as np

from suite.evaluation import pictures


def test_flow_colours():
    flow = np.array([[2.0, 0, -2, 0, 0], [0, 2, 0, -2, 0]])[:, None]
    right, down, left, up, still = pictures.flow_colours(flow, 2)[0].tolist()
    # Hue runs counter-clockwise from red at the right; half a circle on is the complement.
    assert right == [255, 0, 0]
    assert left == [0, 255, 255]
    assert up == [128, 255, 0]
    assert down == [128, 0, 255]
    assert still == [255, 255, 255]
