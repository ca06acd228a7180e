"""What a pickle of `torch.save` would make, found without making it: classes, storages, extents of tensors.

`torch.load(weights_only=True)` runs no code of a file. It still does what a file asks of the classes that it knows: a few bytes
make `bytearray(3_000_000_000)`, a set of all elements of an expanded tensor, a tuple that takes a year to hash, a view past the
end of its storage. So the opcodes are gone through first, on values that stand for objects and cost nothing.
"""

import pickletools
from dataclasses import dataclass, field
from typing import IO, Any

import torch

# Names of the storage classes -> bytes of an element.
STORAGES = {
    "torch.storage.UntypedStorage": 1,
    **dict.fromkeys(("torch.ByteStorage", "torch.CharStorage", "torch.BoolStorage"), 1),
    **dict.fromkeys(("torch.HalfStorage", "torch.BFloat16Storage", "torch.ShortStorage"), 2),
    **dict.fromkeys(("torch.FloatStorage", "torch.IntStorage"), 4),
    **dict.fromkeys(("torch.DoubleStorage", "torch.LongStorage", "torch.ComplexFloatStorage"), 8),
    "torch.ComplexDoubleStorage": 16,
    **dict.fromkeys(("torch.QInt8Storage", "torch.QUInt8Storage", "torch.QUInt4x2Storage", "torch.QUInt2x4Storage"), 1),
    "torch.QInt32Storage": 4,
}
# What makes a tensor over a storage: arguments start with storage, offset, size, stride.
PLAIN_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
# What makes a tensor that is no weight -> what it is.
STRANGE_TENSORS = {
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta",
}
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
# Made from what they are given, item by item.
CONTAINERS = ("collections.OrderedDict", "collections.Counter", "builtins.set", "torch.Size")
BYTES = "_codecs.encode"
# What training checkpoints hold beside the weights: options of the command line and their paths, scores and states of random
# generators by numpy. Nobody looks at it, so a stand-in takes its place.
BESIDE = (
    "argparse.Namespace",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
HARMLESS = (
    *STORAGES,
    *PLAIN_TENSORS,
    *STRANGE_TENSORS,
    *PARAMETERS,
    *CONTAINERS,
    BYTES,
    *BESIDE,
    "builtins.complex",
    "torch.device",
    "torch.serialization._get_layout",
)
# A state dict of 400 tensors takes some 30,000 steps, a list of a million names 5 million; 10 million are half a minute.
MOST_STEPS = 10_000_000
DEEPEST = 100


class Unreadable(Exception):
    """A file that is refused. The message says what is wrong and what to do; whoever knows the file puts its name before it."""


@dataclass
class Value:
    """An object that a pickle would make."""

    # "literal", "tuple", "class", "storage", "tensor", "strange" (a tensor that is no weight), "object" (anything else).
    kind: str
    # The literal; the values of a tuple; the name of a class; the bytes of a storage, and of one of its elements; what a
    # strange tensor is.
    content: Any = None
    # Objects within, however often each is met, and how deep they lie.
    weight: int = 1
    depth: int = 0
    # Whether an item is a tensor.
    tensors: bool = False

    def take(self, *values: "Value") -> "Value":
        """Itself, holding more."""
        for value in values:
            self.weight += value.weight
            self.depth = max(self.depth, value.depth + 1)
            self.tensors = self.tensors or value.kind in ("tensor", "strange", "storage")
        if self.depth > DEEPEST:
            raise Unreadable(f"is nested more than {DEEPEST} levels deep; save model.state_dict() alone")
        return self


@dataclass
class Survey:
    """What one pickle would make."""

    # Names of all classes and functions that it asks for, as Python 3 has them.
    classes: set[str] = field(default_factory=set)
    # Storage key -> bytes.
    storages: dict[str, int] = field(default_factory=dict)
    # Every text in it.
    texts: set[str] = field(default_factory=set)
    protocol: int = 0
    made: Value | None = None

    def foreign(self) -> list[str]:
        """Classes and functions that a checkpoint has no need of, in order."""
        return sorted(name for name in self.classes if name not in HARMLESS and not _is_torch_constant(name))


def survey(file: IO[bytes]) -> Survey:
    """Go through one pickle; the file is left behind its end.

    Raises:
        Unreadable: it asks for work without end, for memory that the file does not hold, or for tensors that are no weights.
        Exception: of any kind, if it is no pickle.
    """
    walk = _Walk()
    for opcode, argument, _ in pickletools.genops(file):
        walk.step(opcode.name, argument)
    return walk.found


class _Walk:
    """The stack machine of pickle on `Value`s, with the opcodes that torch.save writes."""

    def __init__(self):
        self.found = Survey()
        self.stack: list[Value] = []
        self.below: list[list[Value]] = []
        self.memo: dict[int, Value] = {}
        self.steps = 0

    def step(self, name: str, argument: Any) -> None:
        self.steps += 1
        if name in _LITERALS:
            self.stack.append(Value("literal", argument))
            if isinstance(argument, str):
                self.found.texts.add(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "EMPTY_TUPLE":
            self._tuple([])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._tuple(self._pop(int(name[-1])))
        elif name == "MARK":
            self.below.append(self.stack)
            self.stack = []
        elif name == "TUPLE":
            self._tuple(self._pop_mark())
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET"):
            self.stack.append(Value("object"))
        elif name in ("APPEND", "SETITEM", "APPENDS", "SETITEMS"):
            self._put(name, self._pop_mark() if name.endswith("S") else self._pop(1 if name == "APPEND" else 2))
        elif name == "GLOBAL":
            self._class(argument.replace(" ", "."))
        elif name == "STACK_GLOBAL":
            self._class(".".join(str(part.content) for part in self._pop(2)))
        elif name == "BINPERSID":
            (identity,) = self._pop(1)
            self.stack.append(self._storage(identity))
        elif name in ("REDUCE", "NEWOBJ"):
            function, arguments = self._pop(2)
            self.stack.append(self._call(function, arguments))
        elif name == "BUILD":
            (state,) = self._pop(1)
            if self.stack[-1].kind != "object":
                raise Unreadable("gives a state to what has none; save model.state_dict() alone")
            self.stack[-1].take(state)
        elif name == "STOP":
            (self.found.made,) = self._pop(1)
        elif name == "PROTO":
            self.found.protocol = argument
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name != "FRAME":
            foreign = f" and holds {some(self.found.foreign())}" if self.found.foreign() else ""
            raise Unreadable(f"is no pickle as torch.save writes it (opcode {name}){foreign}; save model.state_dict()")
        if self.steps > MOST_STEPS:
            raise Unreadable(f"takes more than {MOST_STEPS:,} steps to unpack; save model.state_dict() alone")

    def _pop(self, count: int) -> list[Value]:
        values = [self.stack.pop() for _ in range(count)][::-1]
        self.steps += sum(value.weight for value in values)
        return values

    def _pop_mark(self) -> list[Value]:
        values, self.stack = self.stack, self.below.pop()
        self.steps += sum(value.weight for value in values)
        return values

    def _tuple(self, values: list[Value]) -> None:
        self.stack.append(Value("tuple", values).take(*values))

    def _class(self, name: str) -> None:
        name = name.replace("__builtin__.", "builtins.", 1)
        self.found.classes.add(name)
        self.stack.append(Value("class", name))

    def _put(self, name: str, values: list[Value]) -> None:
        """Items into a list, or keys and values into a dict."""
        if name.startswith("SET"):
            for key, value in zip(values[::2], values[1::2], strict=True):
                if value.kind == "strange" and key.kind == "literal":
                    raise Unreadable(f"{shown(key.content)} is a {value.content} tensor; weights are dense, of floats")
        self.stack[-1].take(*values)

    def _storage(self, identity: Value) -> Value:
        """A storage by its identity: "storage", class, key, device, number of elements; a part of it in older files."""
        if identity.content[0].content != "storage":
            # A whole network beside its source, as in older files; its class is refused by name.
            return Value("object")
        _, kind, key, _, numel, *view = (part.content for part in identity.content)
        itemsize = STORAGES[kind]
        held = _whole(numel) * itemsize
        self.found.storages[key] = max(held, self.found.storages.get(key, 0))
        if not view or view[0] is None:
            return Value("storage", (held, itemsize))
        offset, size = (_whole(part.content) * itemsize for part in view[0][1:])
        if offset + size > held:
            raise Unreadable("has a view past the end of its storage; is the file damaged?")
        return Value("storage", (size, itemsize))

    def _call(self, function: Value, arguments: Value) -> Value:
        """What a class or a function makes."""
        given = arguments.content if arguments.kind == "tuple" else []
        name = function.content
        if name in PLAIN_TENSORS:
            _check_extent(name, given)
            return Value("tensor")
        if name in PARAMETERS:
            return Value(given[0].kind, given[0].content)
        if name in STRANGE_TENSORS:
            return Value("strange", STRANGE_TENSORS[name])
        if name in CONTAINERS and any(value.tensors or value.kind == "tensor" for value in given):
            raise Unreadable(f"takes a tensor apart into a {name}; save model.state_dict() alone")
        if name == BYTES and [value.content for value in given[1:]] != ["latin1"]:
            raise Unreadable("encodes text by another code than latin1; save model.state_dict() alone")
        return Value("object").take(*given)


# Opcodes that push what stands behind them.
_LITERALS = (
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
    *("SHORT_BINSTRING", "SHORT_BINUNICODE"),
)


def _check_extent(name: str, given: list[Value]) -> None:
    """Raise Unreadable if a tensor reaches past the end of its storage."""
    storage, offset, size, stride = given[:4]
    if storage.kind != "storage":
        raise Unreadable("has a tensor without a storage; is the file damaged?")
    held, itemsize = storage.content
    if name.endswith("_v3"):
        itemsize = getattr(torch, given[6].content.removeprefix("torch.")).itemsize
    sizes, strides = ([_whole(part.content) for part in value.content] for value in (size, stride))
    if 0 in sizes:
        return
    last = _whole(offset.content) + sum((side - 1) * step for side, step in zip(sizes, strides, strict=True))
    if (last + 1) * itemsize > held:
        raise Unreadable("has a tensor that reaches past the end of its storage; is the file damaged?")


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise Unreadable("has a tensor of impossible size; is the file damaged?")
    return number


def _is_torch_constant(name: str) -> bool:
    """Whether a name is a type of numbers or a scheme of quantisation, such as torch.float32."""
    module, _, constant = name.partition(".")
    return module == "torch" and isinstance(getattr(torch, constant, None), torch.dtype | torch.qscheme)


def shown(key: Any) -> str:
    """A key for a message, in one line of bounded length."""
    return _short(repr(key))


def some(names: list[str]) -> str:
    """The first three names for a message, and how many more."""
    first = ", ".join(_short(name.encode("unicode_escape").decode()) for name in names[:3])
    return first + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:60]}...{text[-25:]}"
