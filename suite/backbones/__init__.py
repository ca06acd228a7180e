"""The networks: those of the papers by name, and any other that keeps the contract. `build` makes one, `facts` describes it.

The contract: `forward([B, 3, T, H, W]) -> [B, feature_size]`, `stages(x) -> {name: map [B, C, t, h, w]}`, `conv5_map(x)` (the
last map, that of the last stage) and `feature_size`; if it has them, also `probe_feature(x)` (`[B, D]`; else the last map,
flattened), `stage_modules()` (name -> modules, without which nothing can be frozen) and `video_input` (what it takes, as in
`suite.video.inputs.NetworkInput`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import InputError
from suite.video.inputs import NetworkInput

if TYPE_CHECKING:
    from torch import Tensor, nn

NAMES = ("c3d", "r3d", "r2plus1d", "c3d5", "resnet18-3d", "s3dg")
# What the suite's own networks were counted at (counting.py), and where the counts are: frames, height, width.
COUNTED_WIDTH, COUNTED_CLIP = 64, (16, 112, 112)
COUNTED = Path(__file__).parent / "counted.toml"
# From the input on; those of a network from elsewhere may be others.
STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5")


@dataclass(frozen=True)
class Facts:
    """What is known of a network before it runs."""

    # Multiply-accumulates of one clip of (frames, height, width), in 1e9, and the width that they were counted at; None: it
    # comes in one width alone.
    gmacs: float
    clip: tuple[int, int, int]
    width: int | None
    # Its stages, and those below which it can be frozen.
    stages: tuple[str, ...]
    freezable: tuple[str, ...]
    # Digest of the code that makes it, where that is not the suite's or torchvision's own; "" else.
    source: str = ""


def is_foreign(name: str) -> bool:
    """Whether a name means a network from elsewhere: `torchvision:r3d_18`, `package.module:factory`."""
    return ":" in name


def facts(name: str, clip: tuple[int, int, int] = COUNTED_CLIP) -> Facts:
    """What is known of a network. Of one from elsewhere it is found out, by building it and passing one `clip`.

    Raises InputError as `build` does.
    """
    if is_foreign(name):
        from suite.backbones import foreign

        return foreign.facts(name, clip)
    if name not in NAMES:
        raise InputError(f"unknown backbone {name!r}; backbones: {', '.join(NAMES)}")
    cost = _counted()[name]["multiply_accumulates"]
    return Facts(cost / 1e9, COUNTED_CLIP, COUNTED_WIDTH, STAGES, STAGES)


@cache
def _counted() -> dict[str, dict[str, int]]:
    return tomllib.loads(COUNTED.read_text(encoding="utf-8"))


def video_input(name: str) -> NetworkInput:
    """What a network says that it takes. Nothing of the suite's own: they take what a recipe says.

    Raises InputError as `build` does, but for clips.
    """
    if not is_foreign(name):
        return NetworkInput()
    from suite.backbones import foreign

    return foreign.video_input(name)


def entries(name: str, width: int) -> dict[str, Tensor]:
    """The entries of a network's state, as tensors without memory. Raises InputError as `build` does, but for clips."""
    import torch

    if is_foreign(name):
        from suite.backbones import foreign

        return {key: tensor.to("meta") for key, tensor in foreign.build(name).state_dict().items()}
    with torch.device("meta"):
        return build(name, width).state_dict()


def build(name: str, width: int = 64, clip: tuple[int, int, int] = COUNTED_CLIP) -> nn.Module:
    """A freshly initialised network (drawn from torch's generator).

    Args:
        name: one of `NAMES`; or a network from elsewhere, `torchvision:r3d_18` or `package.module:factory`, which comes in
            one width alone (suite/backbones/foreign.py).
        width: channels of the first stage; all others scale with it. 64 is the papers' network.
        clip: frames, height and width of what it will see; only c3d5, which flattens its last map, depends on it.

    Returns:
        A module with `forward([B, 3, T, H, W]) -> [B, feature_size]`, `stages(x) -> {"conv1": map, ..., "conv5": map}`,
        `conv5_map(x)` (the last of these alone) and `feature_size`; it may have a `probe_feature(x)` and `stage_modules()`
        of its own. Stages of networks from elsewhere may have other names.

    Raises:
        InputError: an unknown name, a network that does not keep this contract, or a width below 2 (R(2+1)D would lose all
            channels of a shortcut).
    """
    if is_foreign(name):
        from suite.backbones import foreign

        network = foreign.build(name)
        foreign.check(network, name, clip)
        return network
    if name not in NAMES:
        raise InputError(f"unknown backbone {name!r}; backbones: {', '.join(NAMES)}")
    if width < 2:
        raise InputError(f"backbone {name}: width is {width}; use at least 2 (64 is the papers' network)")
    # Imported here so that names can be checked without loading torch.
    from suite.backbones import c3d, c3d5, r2plus1d, r3d, resnet3d, s3dg

    if name == "c3d5":
        return c3d5.C3D5(width, clip)
    networks = {
        "c3d": c3d.C3D,
        "r3d": r3d.R3D,
        "r2plus1d": r2plus1d.R2Plus1D,
        "resnet18-3d": resnet3d.ResNet3D,
        "s3dg": s3dg.S3DG,
    }
    return networks[name](width)
