"""Features of VCOP's backbones beside those that the authors extract (vcop_features.json)."""

import math

import numpy as np
import pytest
import torch

from suite import backbones
from suite.checkpoints.layouts import vcop_name
from suite.evaluation.features import pooled
from suite.video import transforms
from tests.parity import plain, reference


@pytest.fixture(scope="module")
def wanted():
    return reference.read("vcop_features")


@pytest.fixture(scope="module")
def clip(wanted) -> torch.Tensor:
    """uint8 [1, 16, 112, 112, 3]."""
    cells = np.random.RandomState(12).randint(0, 256, size=(16, 14, 14, 3)).astype(np.uint8)
    array = cells.repeat(8, axis=1).repeat(8, axis=2)
    assert reference.sha256(array) == wanted["input"]["uint8_sha256"]
    return torch.from_numpy(array)[None]


def drawn(theirs: dict) -> dict[str, torch.Tensor]:
    """The weights of one backbone by the authors' names, as listed."""
    made = reference.weights({name: shape for name, shape, _ in theirs["parameters"]}, 1500)
    for name, _, first in theirs["parameters"]:
        assert made[name].flat[0] == pytest.approx(first, rel=1e-14)
    assert sum(array.size for array in made.values()) == theirs["parameter_total"]
    return {name: torch.from_numpy(array) for name, array in made.items()}


def check(found: torch.Tensor, theirs: dict, tolerance: float) -> None:
    """A feature against the shape, first and strided values, and the sums of one."""
    flat = found.double().numpy().ravel()
    assert [flat.size] == theirs["shape"]
    assert reference.furthest(flat[:8], theirs["first8"]) <= tolerance
    strided = [flat[k * flat.size // 16] for k in range(16)]
    assert reference.furthest(strided, theirs["strided16"]) <= tolerance
    assert math.fsum(flat) == pytest.approx(theirs["sum"], abs=tolerance * flat.size)
    largest = float(np.abs(flat).max())
    assert math.fsum(flat * flat) == pytest.approx(theirs["sum_of_squares"], abs=2 * largest * tolerance * flat.size)


@pytest.mark.parametrize("kind", ["r3d", "c3d", "r2plus1d"])
def test_a_plain_restatement_gives_both_features(wanted, clip, kind):
    theirs, scale = wanted[kind], wanted[kind]["largest_float32_difference"]
    with torch.no_grad():
        last = plain.Network(kind, drawn(theirs)).last_map(clip.movedim(-1, 1).double() / 255)
        mean, pooled_map = last.mean((2, 3, 4))[0], torch.nn.functional.max_pool3d(last, (1, 2, 2))[0]
    # Float64: 1e-9 of the largest value.
    assert reference.furthest(mean, theirs["all_512_float64"]) <= 1e-9 * scale["scale_512"]
    check(mean, theirs["float64"]["features_512"], 1e-9 * scale["scale_512"])
    check(pooled_map, theirs["float64"]["features_9216"], 1e-9 * scale["scale_9216"])


@pytest.mark.parametrize("kind", ["r3d", "c3d", "r2plus1d"])
def test_the_project_extracts_both_features(wanted, clip, kind):
    theirs, weights = wanted[kind], drawn(wanted[kind])
    network = backbones.build(kind).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights.pop(vcop_name(kind, name)))
    assert not weights
    differences = theirs["largest_float32_difference"]
    inputs = transforms.to_network(clip, "unit")
    with torch.no_grad():
        mean, pooled_map = (pooled(network, inputs, pooling)[0] for pooling in ("global", "conv5-max"))
    # Ten times what float32 moved the authors' own features by.
    assert reference.furthest(mean, theirs["all_512_float64"]) <= 10 * differences["512"]
    check(mean, theirs["float32"]["features_512"], 10 * differences["512"])
    check(pooled_map, theirs["float32"]["features_9216"], 10 * differences["9216"])
    total = sum(parameter.numel() for parameter in network.parameters())
    assert total + 512 * 101 + 101 == theirs["parameter_total_with_101_classes"]
