"""The networks of the papers. `build` makes one by name; `costs.toml` says what each costs at the papers' input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite.errors import InputError

if TYPE_CHECKING:
    from torch import nn

NAMES = ("c3d", "r3d", "r2plus1d", "c3d5", "resnet18-3d", "s3dg")


def build(name: str, width: int = 64, clip: tuple[int, int, int] = (16, 112, 112)) -> nn.Module:
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
    if ":" in name:
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
