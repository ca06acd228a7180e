"""MAS's network beside its authors' in TensorFlow (mas_network.json)."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from suite.backbones.c3d5 import C3D5
from suite.evaluation.heads import fully_connected
from suite.video import transforms
from tests.parity import reference

BRANCHES = {"motion_14": 14, "appearance_13": 13}
POOLS = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))


@pytest.fixture(scope="module")
def wanted():
    return reference.read("mas_network")


@pytest.fixture(scope="module")
def clips(wanted) -> torch.Tensor:
    """uint8 [2, 16, 112, 112, 3]."""
    cells = np.random.RandomState(41).randint(0, 256, size=(2, 16, 14, 14, 3)).astype(np.uint8)
    array = cells.repeat(8, axis=2).repeat(8, axis=3)
    assert reference.sha256(array) == wanted["input"]["uint8_sha256"]
    return torch.from_numpy(array)


def drawn(theirs: dict) -> dict[str, torch.Tensor]:
    """Weights as float32 in TensorFlow's layout, by the last two parts of their names: "conv_1/weights"."""
    made = {}
    for number, (name, shape, first) in enumerate(theirs["variables"]):
        z = np.random.RandomState(3000 + number).standard_normal(shape)
        array = z * math.sqrt(2 / math.prod(shape[:-1])) if len(shape) > 1 else 0.05 * z
        assert array.flat[0] == pytest.approx(first, rel=1e-6)
        made["/".join(name.split("/")[-2:])] = torch.from_numpy(array.astype(np.float32))
    assert len(made) == 16
    assert sum(weight.numel() for weight in made.values()) == theirs["parameter_total"]
    return made


def convolution(weight: torch.Tensor) -> torch.Tensor:
    """[t, h, w, in, out] -> [out, in, t, h, w]."""
    return weight.permute(4, 3, 0, 1, 2)


def samples(found: torch.Tensor) -> dict:
    """A tensor's numbers as the file gives them, channels moved to the end."""
    flat = (found.movedim(1, -1) if found.dim() == 5 else found).double().contiguous().numpy().ravel()
    return {
        "first8": flat[:8],
        "strided16": [flat[k * flat.size // 16] for k in range(16)],
        "sum": math.fsum(flat),
        "sum_of_squares": math.fsum(flat * flat),
        "largest": float(np.abs(flat).max()),
    }


def check(found: torch.Tensor, theirs: dict) -> None:
    shape = found.movedim(1, -1).shape if found.dim() == 5 else found.shape
    assert list(shape) == theirs["shape"]
    ours = samples(found)
    for key in ("first8", "strided16"):
        # float32 in another library and another order of sums.
        assert reference.furthest(ours[key], theirs[key]) <= 1e-4 * ours["largest"]
    for key in ("sum", "sum_of_squares"):
        assert ours[key] == pytest.approx(theirs[key], rel=1e-5)


def test_a_plain_restatement_gives_their_outputs(wanted, clips):
    theirs = {branch: drawn(wanted[branch]) for branch in BRANCHES}
    shared = theirs["motion_14"]
    # The network's input as float32, as it is fed; what follows in float64.
    x = (clips.double() / 255).float().double().movedim(-1, 1)
    maps = {}
    for stage, pool in enumerate(POOLS, 1):
        weight, bias = (shared[f"conv_{stage}/{leaf}"].double() for leaf in ("weights", "biases"))
        x = maps[f"conv_{stage}"] = F.conv3d(x, convolution(weight), bias, padding=1).relu()
        # A row and column of -inf at the end where a side is odd.
        odd = [side % of for side, of in zip(x.shape[2:], pool, strict=True)]
        padded = F.pad(x, (0, odd[2], 0, odd[1], 0, odd[0]), value=-math.inf)
        x = maps[f"maxpool_{stage}"] = F.max_pool3d(padded, pool)
    for branch, outputs in BRANCHES.items():
        of, y = {name: weight.double() for name, weight in theirs[branch].items()}, x.movedim(1, -1).flatten(1)
        for layer in ("fc6", "fc7"):
            y = maps[layer] = (y @ of[f"{layer}/weight"] + of[f"{layer}/bias"]).relu()
        y = y @ of["fc8/weight"] + of["fc8/bias"]
        assert y.shape == (2, outputs)
        assert reference.furthest(y, wanted[branch]["own_float64_port"]["outputs"]) <= 1e-10
        assert reference.furthest(y, wanted[branch]["outputs"]) <= 1e-4 * float(y.abs().max())
        for name, numbers in wanted[branch]["tensors"].items():
            check(maps[name], numbers)
        l2 = sum(0.005 * float(of[f"{layer}/weight"].square().sum()) / 2 for layer in ("fc6", "fc7", "fc8"))
        assert l2 == pytest.approx(wanted[branch]["l2_term_by_hand_float64"], rel=1e-9)
    assert len(wanted["motion_14"]["tensors"]) == 5


@pytest.mark.parametrize(("branch", "outputs"), BRANCHES.items())
def test_the_network_gives_their_outputs(wanted, clips, branch, outputs):
    theirs = drawn(wanted[branch])
    backbone = C3D5()
    head = fully_connected(backbone, outputs)
    count = sum(parameter.numel() for module in (backbone, head) for parameter in module.parameters())
    assert count == wanted[branch]["parameter_total"]
    with torch.no_grad():
        for stage in range(1, 6):
            layer = getattr(backbone, f"conv{stage}")
            layer.weight.copy_(convolution(theirs[f"conv_{stage}/weights"]))
            layer.bias.copy_(theirs[f"conv_{stage}/biases"])
        for layer, name in zip(head[::2], ("fc6", "fc7", "fc8"), strict=True):
            weight = theirs[f"{name}/weight"]
            if name == "fc6":
                # Theirs is flattened channel last, ours channel first.
                weight = weight.unflatten(0, (1, 4, 4, 256)).movedim(3, 0).flatten(0, 3)
            layer.weight.copy_(weight.T)
            layer.bias.copy_(theirs[f"{name}/bias"])
        feature = backbone(transforms.to_network(clips, "unit"))
        found = head(feature)
        check(head[:2](feature), wanted[branch]["tensors"]["fc6"])
        check(head[:4](feature), wanted[branch]["tensors"]["fc7"])
    assert found.shape == (2, outputs)
    assert reference.furthest(found, wanted[branch]["outputs"]) <= 1e-4 * float(found.abs().max())
