"""Which of the tensors in a file are the backbone: under which entry, behind which prefix, by whose names."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.checkpoints.layouts import HEADS, SLOW_COPIES, TRANSPARENT, WRAPPERS, Layout
from suite.checkpoints.survey import Unreadable, shown

# Of each batch normalisation: how many batches it has seen. PyTorch has it since 0.4.1; evaluation does not look at it.
COUNTER = "num_batches_tracked"
# Parts of a key that may stand before the backbone's own, and entries around the weights. No code base has more than four.
DEEPEST_PREFIX = 8
DEEPEST_WRAPPER = 3


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the entries of the file around them: {"state_dict": {"conv1.weight": ...}} is under one."""

    wrapper: tuple[str, ...]
    tensors: dict[str, Tensor]
    # Entries of the file that lie beside them.
    beside: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """A backbone among weights, complete or not."""

    weights: Weights
    layout: Layout
    # What stands before each of its keys: "", "module.", "model.backbone." ...
    prefix: str
    # Our name of an entry -> its key in the weights.
    keys: dict[str, str]

    def place(self) -> str:
        """Where it lies, for a message."""
        wrapper = f", under {'/'.join(self.weights.wrapper)}" if self.weights.wrapper else ""
        prefix = f", prefix {shown(self.prefix)}" if self.prefix else ""
        return f"layout {self.layout.name}{wrapper}{prefix}"

    def complete(self, wanted: dict[str, Tensor]) -> bool:
        """Whether every entry is there in its shape."""
        return all(
            fits(entry, self.weights.tensors[self.keys[entry]], wanted[entry])
            if entry in self.keys
            else entry.endswith(COUNTER)
            for entry in wanted
        )

    def slow(self) -> bool:
        """Whether it is the slow copy of another network."""
        return any(part in SLOW_COPIES for part in self.prefix.split("."))

    def module(self, key: str) -> tuple[str, bool]:
        """The module that a key outside the backbone belongs to, and whether it stands in one row with the backbone's own.

        With the prefix model.backbone., model.fc.weight is of fc, criterion.weight of criterion, and model.backbone.fc.weight
        of fc in the backbone's own row.
        """
        before = [part for part in self.prefix.split(".")[:-1] if part not in TRANSPARENT]
        parts = [part for part in key.split(".") if part not in TRANSPARENT]
        while before and parts and before[0] == parts[0]:
            before, parts = before[1:], parts[1:]
        return (parts[0] if parts else key), not before


def weights_in(content: dict) -> list[Weights]:
    """Everything in a file that may be the weights of one network: what lies under the known entries, or else all of it.

    Raises Unreadable if it is no mapping of names to tensors.
    """
    found = list(_wrapped(content, (), ())) or [Weights((), content, ())]
    for weights in found:
        check_names(weights.tensors)
    return found


def _wrapped(content: dict, wrapper: tuple[str, ...], beside: tuple[str, ...]) -> Iterator[Weights]:
    for name in WRAPPERS:
        inner = content.get(name)
        if not isinstance(inner, dict) or len(wrapper) == DEEPEST_WRAPPER:
            continue
        others = (*beside, *(str(key) for key in content if key != name))
        deeper = list(_wrapped(inner, (*wrapper, name), others))
        if not deeper and any(isinstance(value, Tensor) for value in inner.values()):
            deeper = [Weights((*wrapper, name), inner, others)]
        yield from deeper


def check_names(content: dict) -> None:
    """Raise Unreadable if a mapping is empty, or anything but tensors by name."""
    if not content:
        raise Unreadable("holds no weights")
    for key, value in content.items():
        if not isinstance(key, str):
            raise Unreadable(f"key {shown(key)} is no name; save model.state_dict()")
        if not isinstance(value, Tensor):
            raise Unreadable(f"{shown(key)} is no tensor; save model.state_dict() alone")


def matches(weights: Weights, layout: Layout) -> list[Match]:
    """The backbone behind every prefix that any of its names has in the weights, those of most names first."""
    keys: dict[str, dict[str, str]] = {}
    for key in weights.tensors:
        parts = key.split(".", DEEPEST_PREFIX)
        for length in range(len(parts)):
            entry = layout.ours.get(".".join(parts[length:]))
            if entry is not None:
                prefix = "".join(f"{part}." for part in parts[:length])
                keys.setdefault(prefix, {})[entry] = key
    found = [Match(weights, layout, prefix, entries) for prefix, entries in keys.items()]
    return sorted(found, key=lambda match: (-len(match.keys), match.prefix))


def best(found: list[Match], wanted: dict[str, Tensor]) -> Match:
    """The match that is complete, or else the one nearest to it.

    Raises Unreadable if two are complete and hold different weights, neither being a slow copy of the other.
    """
    complete = [match for match in found if match.complete(wanted)]
    first, *others = [match for match in complete if not match.slow()] or complete or [_nearest(found, wanted)]
    for other in others:
        if not _alike(first, other):
            raise Unreadable(f"two networks fit, {first.place()} and {other.place()}; keep one of them")
    return first


def _nearest(found: list[Match], wanted: dict[str, Tensor]) -> Match:
    def fitting(match: Match) -> tuple[int, int]:
        shapes = sum(fits(entry, match.weights.tensors[key], wanted[entry]) for entry, key in match.keys.items())
        return shapes, len(match.keys)

    return max(found, key=fitting)


def _alike(one: Match, other: Match) -> bool:
    pairs = [
        (one.weights.tensors[one.keys[entry]], other.weights.tensors[other.keys[entry]])
        for entry in one.keys.keys() & other.keys.keys()
    ]
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def fits(entry: str, tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor has the shape of an entry; a counter may be a list of one number, as it was for a time."""
    return tensor.shape == wanted.shape or (entry.endswith(COUNTER) and tensor.shape == (1,))


def beside(match: Match) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """What lies beside the backbone.

    Returns:
        Keys and entries that play no part -> what they are; how many there are of each module; and the keys that stand in one
        row with the backbone's own without being known heads, which make it another network.
    """
    unused = dict.fromkeys(match.weights.beside, "not weights")
    modules, strange = Counter(match.weights.beside), []
    own = set(match.keys.values())
    for key in match.weights.tensors:
        if key in own:
            continue
        module, in_row = match.module(key)
        if in_row and module not in HEADS:
            strange.append(key)
        else:
            unused[key] = HEADS.get(module, "another module")
            modules[module] += 1
    return unused, dict(modules), sorted(strange)


def differences(match: Match, wanted: dict[str, Tensor], strange: list[str]) -> list[str]:
    """Why a match is not the backbone, a clause for each key: one of each kind first."""
    theirs = {entry: name for name, entry in match.layout.ours.items()}
    present = [(match.keys[entry], entry) for entry in wanted if entry in match.keys]
    shapes = [
        f"{shown(key)} has shape {_shape(match.weights.tensors[key])}, not {_shape(wanted[entry])}"
        for key, entry in present
        if not fits(entry, match.weights.tensors[key], wanted[entry])
    ]
    missing = [
        f"{shown(match.prefix + theirs[entry])} is missing"
        for entry in wanted
        if entry not in match.keys and not entry.endswith(COUNTER)
    ]
    left = [f"{shown(key)} is left over" for key in strange]
    kinds = [kind for kind in (shapes, missing, left) if kind]
    return [kind[0] for kind in kinds] + [clause for kind in kinds for clause in kind[1:]]


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
