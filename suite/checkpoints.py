"""Weights on disk: ours, and those of other code, with every key accounted for. No pickled code is ever executed.

Our files are safetensors with string metadata. Files of other code may be safetensors or what `torch.save` writes; the
latter are read with `weights_only=True`, which builds tensors and plain containers and refuses everything else.
"""

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from suite import backbones, files
from suite.errors import InputError


def save(state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors by name as safetensors, beside and renamed: `path` is the old file or the new one, never half.

    Raises InputError if it cannot be written (a full disk, say).
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = safetensors.torch.save(tensors, metadata)
    try:
        with files.replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room or choose another folder") from None


def load(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a file that `save` wrote. Raises InputError if it is not one or is damaged."""
    path = Path(path)
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); delete it and run the stage again") from None


@dataclass(frozen=True)
class Imported:
    """Weights for a backbone, and what else the file held."""

    # Loads into backbones.build(name, width) with strict=True.
    state: dict[str, Tensor]
    # "suite" (our names) or "vcop" (the names of VCOP's authors).
    layout: str
    # Keys that no backbone needs -> what they are.
    unused: dict[str, str]


# Modules besides the backbone that a checkpoint may hold, by the first part of their keys.
_HEADS = {
    "suite": dict.fromkeys(
        ("head", "branches", "rotation_head", "order_head", "rate_head", "projection", "key_projection"), "pretext head"
    )
    | dict.fromkeys(("target_encoder", "key_backbone", "autoencoder", "flow"), "pretext network")
    | {"queue": "queue of keys", "oldest": "queue of keys", "classifier": "classifier"},
    "vcop": {"fc7": "order head", "fc8": "order head", "linear": "classifier", "fc": "classifier"},
}
# Networks that VCOP's authors have too.
VCOP_NETWORKS = ("c3d", "r3d", "r2plus1d")
# What precedes a backbone's keys in a file that holds a head too.
_PREFIXES = ("backbone.", "base_network.")
# Entries of a file under which other code bases put the weights, beside epoch and the like.
_WRAPPERS = ("state_dict", "model")


def import_backbone(path: Path, name: str, width: int) -> Imported:
    """Read a backbone from a file of ours, of VCOP's authors, or of code that uses either's names.

    Accepts plain backbones, whole networks (`backbone.*` with our heads, `base_network.*` with the authors' order
    head), a classifier, `module.` before every key (DataParallel), and weights under `state_dict` or `model`.

    Args:
        path: a safetensors file or one written by `torch.save`.
        name, width: the network to fill, as in `backbones.build`.

    Raises:
        InputError: no such file, not a checkpoint, code in the file, or a key that is left over, missing, of the wrong
            shape or not finite; names the file and the key.
    """
    path = Path(path)
    wanted = _shapes(name, width)
    found, unused = _unwrap(path, _read(path))
    # Key as the backbone has it -> key as the file has it.
    original = {_bare(key): key for key in found}
    if len(original) != len(found):
        raise InputError(
            f"{path}: holds two sets of weights under one name (with and without a prefix); keep one of them"
        )
    layouts = {"suite": {key: key for key in wanted}}
    if name in VCOP_NETWORKS:
        layouts["vcop"] = {vcop_name(name, key): key for key in wanted}
    layout = max(layouts, key=lambda layout: len(layouts[layout].keys() & original.keys()))
    ours = layouts[layout]
    if not ours.keys() & original.keys():
        raise InputError(
            f"{path}: none of its {len(found)} keys belongs to {name} (the first is {min(found)!r}); "
            f"name the backbone it was trained with"
        )
    state = {}
    for bare, key in original.items():
        head = _HEADS[layout].get(bare.split(".")[0])
        if bare in ours:
            state[ours[bare]] = _checked(path, key, found[key], wanted[ours[bare]], f"{name} at width {width}")
        elif head:
            unused[key] = head
    leftover = sorted(key for bare, key in original.items() if bare not in ours and key not in unused)
    if leftover:
        raise InputError(
            f"{path}: {_some(leftover)} is no part of {name}; is this a checkpoint of another network or another depth?"
        )
    missing = sorted(bare for bare in ours if bare not in original)
    if missing:
        raise InputError(f"{path}: {_some(missing)} is missing, which {name} needs; is the file complete?")
    return Imported({key: state[key] for key in wanted}, layout, unused)


def vcop_name(backbone: str, key: str) -> str:
    """What VCOP's authors call the entry `key` of our state dict of `backbone` (their models/{c3d,r3d,r21d}.py)."""
    stage, part, rest = key.split(".", 2)
    if backbone == "c3d":
        return f"{stage}.{rest}" if part == "conv" else f"{stage.replace('conv', 'bn')}.{rest}"
    if part in ("conv", "bn"):
        module = stage.replace("conv", part)
    else:
        module = f"{stage}.block1.{_BLOCK[part]}"
    if "conv" in part:
        rest = rest.replace("spatial.", "spatial_conv.").replace("temporal.", "temporal_conv.")
        if backbone == "r3d":
            rest = f"temporal_spatial_conv.{rest}"
    return f"{module}.{rest}"


# Parts of our residual block -> the authors'.
_BLOCK = {
    "conv_a": "conv1",
    "bn_a": "bn1",
    "conv_b": "conv2",
    "bn_b": "bn2",
    "shortcut_conv": "downsampleconv",
    "shortcut_bn": "downsamplebn",
}


def _shapes(name: str, width: int) -> dict[str, Tensor]:
    """The entries that a backbone needs, as tensors without memory."""
    with torch.device("meta"):
        return backbones.build(name, width).state_dict()


def _read(path: Path) -> dict:
    """Whatever mapping a file holds; never runs code from it."""
    try:
        with open(path, "rb") as file:
            head = file.read(9)
        if head[8:] == b"{":
            return safetensors.torch.load_file(path)
        # A zip archive, or the pickles of torch before 1.6.
        if not head.startswith((b"PK", b"\x80")):
            raise InputError(f"{path}: not a checkpoint (neither safetensors nor written by torch.save)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds something besides tensors, or is damaged; code in a checkpoint is never executed here; "
            f"save its weights alone, torch.save(model.state_dict(), file)"
        ) from None
    # Damaged bytes end in errors of many kinds.
    except Exception as error:
        reason = str(error).split(". ")[0].split("\n")[0] or type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); is the file complete?") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, not weights by name; save model.state_dict()")
    return content


def _unwrap(path: Path, content: dict) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights by name, and what stood beside them."""
    unused = {}
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            unused = {str(key): "not weights" for key in content if key != wrapper}
            content = content[wrapper]
            break
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{path}: {_some(sorted(strange))} is no tensor; save model.state_dict() alone")
    if not content:
        raise InputError(f"{path}: holds no weights")
    return content, unused


def _bare(key: str) -> str:
    """A key without what wrapping networks put before it."""
    key = key.removeprefix("module.")
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix).removeprefix("module.")
    return key


def _checked(path: Path, key: str, tensor: Tensor, wanted: Tensor, network: str) -> Tensor:
    """The tensor in the type of the network, after a look at its shape and values."""
    if tensor.shape != wanted.shape:
        raise InputError(f"{path}: {key} has shape {list(tensor.shape)}, {network} needs {list(wanted.shape)}")
    if not torch.isfinite(tensor).all():
        raise InputError(f"{path}: {key} holds NaN or infinite values; the run that wrote it had diverged")
    return tensor.to(wanted.dtype)


def _some(keys: list[str]) -> str:
    """The first key, and how many more."""
    return repr(keys[0]) + (f" (and {len(keys) - 1} more)" if len(keys) > 1 else "")
