"""A backbone from a file of ours or of other code, with every key accounted for and every value looked at."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from suite import backbones
from suite.checkpoints import finding, layouts, reading
from suite.checkpoints.finding import COUNTER, Match
from suite.checkpoints.survey import Unreadable, shown
from suite.errors import InputError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Imported:
    """Weights for a backbone, where they were, and what else the file held."""

    # Loads into backbones.build(name, width) with strict=True.
    state: dict[str, Tensor]
    # Whose names they had: "suite" (ours), "vcop" (VCOP's authors), or of a network from elsewhere its own home's.
    layout: str
    # Entries of the file that they were under, such as "state_dict"; empty if none.
    wrapper: str
    # What stood before each key, such as "module.backbone."; empty if nothing did.
    prefix: str
    # Counters of batch normalisation that were not there and are 0 now.
    counters_absent: int
    # Keys that no backbone needs -> what they are.
    unused: dict[str, str]
    # How many of these there are by module, named as the network has it: without what stood before all keys.
    modules: dict[str, int]


def import_backbone(path: Path, name: str, width: int) -> Imported:
    """Read a backbone from a file of ours, of VCOP's authors, or of code that uses either's names.

    The weights may lie under `state_dict`, `model` and their like, and have anything before their keys as long as it is the
    same before all (`module.`, `_orig_mod.`, `model.backbone.`, `encoder_q.`). Beside them there may be known heads and, where
    the prefix sets the backbone apart, other modules. Counters of batch normalisation may be absent.

    Args:
        path: a safetensors file or one written by `torch.save`.
        name, width: the network to fill, as in `backbones.build`.

    Raises:
        InputError: as `reading.read`; no weights by name; not this backbone (names the nearest layout and three keys), or two
            different ones; a value that is no finite number of floating point, or a negative variance.
    """
    path = Path(path)
    content = reading.read(path)
    try:
        return _imported(content, name, width)
    except Unreadable as reason:
        raise InputError(f"{path}: {reason}") from None


def import_imagenet(path: Path) -> dict[str, Tensor]:
    """Weights for `ResNet3D(64)` from the file of torchvision's ResNet-18 of ImageNet (Carreira and Zisserman, CVPR 2017).

    Raises InputError if the file cannot be read or holds something else; names the entry.
    """
    # It takes torchvision, which is loaded where it is used.
    from suite.backbones import resnet3d

    path = Path(path)
    content = reading.read(path)
    try:
        finding.check_names(content)
        inflated = resnet3d.inflate(content)
        for key, tensor in content.items():
            if not key.startswith("fc."):
                _check_values(key, tensor)
        return inflated
    except (Unreadable, ValueError) as reason:
        raise InputError(f"{path}: {reason}; give torchvision's resnet18 weights, at their own width") from None


def _imported(content: dict, name: str, width: int) -> Imported:
    wanted = backbones.entries(name, width)
    match = _match(content, name, wanted)
    unused, modules, strange = finding.beside(match)
    different = finding.differences(match, wanted, strange)
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise Unreadable(
            f"not {name} at width {width} (nearest: {match.place()}): {', '.join(different[:3])}{more}; "
            f"is it another network, another width or another depth?"
        )
    state = {
        entry: _checked(match.keys[entry], match.weights.tensors[match.keys[entry]], empty)
        if entry in match.keys
        else torch.zeros(empty.shape, dtype=empty.dtype)
        for entry, empty in wanted.items()
    }
    wrapper, absent = "/".join(match.weights.wrapper), len(wanted) - len(match.keys)
    return Imported(state, match.layout.name, wrapper, match.prefix, absent, unused, modules)


def _match(content: dict, name: str, wanted: dict[str, Tensor]) -> Match:
    known = layouts.layouts(name, wanted)
    weights = finding.weights_in(content)
    found = [match for one in weights for layout in known for match in finding.matches(one, layout)]
    if not found:
        keys = sorted(weights[0].tensors)
        raise Unreadable(
            f"none of its {len(keys)} keys belongs to {name}, by the names of {' or '.join(one.name for one in known)} "
            f"({', '.join(map(shown, keys[:3]))}); name the backbone it was trained with"
        )
    return finding.best(found, wanted)


def _checked(key: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """A copy of a tensor in the shape and type of the network, after a look at its values."""
    _check_values(key, tensor)
    made = tensor.reshape(wanted.shape).to(wanted.dtype, copy=True).contiguous()
    if not torch.isfinite(made).all():
        raise Unreadable(f"{shown(key)} holds values beyond the range of {_type(made)}")
    return made


def _check_values(key: str, tensor: Tensor) -> None:
    kinds = (*FLOATS, *INTEGERS) if key.endswith(COUNTER) else FLOATS
    if tensor.dtype not in kinds:
        raise Unreadable(f"{shown(key)} is of {_type(tensor)}; weights are float16, bfloat16, float32 or float64")
    if not torch.isfinite(tensor).all():
        raise Unreadable(f"{shown(key)} holds NaN or infinite values; the run that wrote it had diverged")
    if key.endswith("running_var") and (tensor < 0).any():
        raise Unreadable(f"{shown(key)} holds negative variances; the file is damaged, or these are other numbers")


def _type(tensor: Tensor) -> str:
    return f"type {str(tensor.dtype).removeprefix('torch.')}"
