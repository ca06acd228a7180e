"""What code bases call the entries of a backbone, and what they put around and beside it. Data; finding.py goes by it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """The names that one code base gives to the entries of one backbone."""

    name: str
    # Its name of an entry -> ours.
    ours: dict[str, str]


def layouts(backbone: str, entries: Iterable[str]) -> list[Layout]:
    """All layouts known for the backbone whose state dict has `entries`; its own is the first."""
    entries = list(entries)
    # Of a network from elsewhere, the names of whoever made it.
    home = backbone.partition(":")[0] if ":" in backbone else "suite"
    found = [Layout(home, {entry: entry for entry in entries})]
    for name, backbones, named in CODE_BASES:
        if backbone in backbones:
            found.append(Layout(name, {named(backbone, entry): entry for entry in entries}))
    return found


def vcop_name(backbone: str, entry: str) -> str:
    """What VCOP's authors call the entry of our state dict of `backbone` (their models/{c3d,r3d,r21d}.py)."""
    stage, part, rest = entry.split(".", 2)
    if backbone == "c3d":
        return f"{stage}.{rest}" if part == "conv" else f"{stage.replace('conv', 'bn')}.{rest}"
    if part in ("conv", "bn"):
        module = stage.replace("conv", part)
    else:
        module = f"{stage}.block1.{_VCOP_BLOCK[part]}"
    if "conv" in part:
        rest = rest.replace("spatial.", "spatial_conv.").replace("temporal.", "temporal_conv.")
        if backbone == "r3d":
            rest = f"temporal_spatial_conv.{rest}"
    return f"{module}.{rest}"


# Parts of our residual block -> those of VCOP's authors.
_VCOP_BLOCK = {
    "conv_a": "conv1",
    "bn_a": "bn1",
    "conv_b": "conv2",
    "bn_b": "bn2",
    "shortcut_conv": "downsampleconv",
    "shortcut_bn": "downsamplebn",
}
# Layout, backbones that the code base has too, its name of an entry of ours.
CODE_BASES: tuple[tuple[str, tuple[str, ...], Callable[[str, str], str]], ...] = (
    ("vcop", ("c3d", "r3d", "r2plus1d"), vcop_name),
)

# Entries of a file under which the weights lie, beside epoch and the like.
WRAPPERS = (
    # MoCo, CoCLR, the 3D ResNets of Hara et al., PyTorch Lightning
    "state_dict",
    # torchvision's references, DeiT, MAE, VideoMAE
    "model",
    # PyTorch's tutorials
    "model_state_dict",
    # PySlowFast
    "model_state",
    # DeepSpeed, by which VideoMAE is trained
    "module",
    # pytorch-cifar
    "net",
    # DINO, SVT: both networks in one file
    "student",
    "teacher",
)
# Names that wrapping a network puts into its keys: (Distributed)DataParallel, torch.compile.
TRANSPARENT = ("module", "_orig_mod")
# Networks that follow another one slowly and have its shape: MoCo's keys, ours of srop, BYOL's targets, solo-learn's.
SLOW_COPIES = ("encoder_k", "key_backbone", "target_encoder", "momentum_backbone")
# Modules that stand in one row with a backbone's own -> what they are. Any other there is a sign of another network.
HEADS = {
    # ours
    **dict.fromkeys(("head", "branches", "rotation_head", "order_head", "rate_head"), "pretext head"),
    **dict.fromkeys(("projection", "key_projection"), "pretext head"),
    **dict.fromkeys(("target_encoder", "key_backbone", "autoencoder", "flow"), "pretext network"),
    **dict.fromkeys(("queue", "oldest"), "queue of keys"),
    "classifier": "classifier",
    # VCOP's authors
    **dict.fromkeys(("fc7", "fc8"), "order head"),
    **dict.fromkeys(("linear", "fc"), "classifier"),
    # MoCo, solo-learn
    **dict.fromkeys(("encoder_k", "momentum_backbone"), "slow copy"),
    "queue_ptr": "queue of keys",
}
