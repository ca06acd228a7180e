"""A small language for what a paper claims about its numbers: parsed, checked node by node, never executed as Python.

    all(V("table2.{n}_vcop.{k}") > V("table2.{n}_random.{k}") for n in nets for k in ("top5", "top10"))

V("table.row.column")   the number in a printed table; {n} is filled in from a loop
M("figure.row.column")  a number the paper shows only in a figure or in words: someone must measure it
R("table.row")          the row's numbers in column order; rows and numbers combine item by item
all any sum mean min max   over all items of a list or loop (rows inside included), or over their arguments
inc dec                 is the list strictly rising, falling
near(x, y, tol)         |x - y| <= tol; without tol half a unit of one printed decimal, 0.05
corr(a, b)              Pearson correlation of two lists
argmax(list)            position of the first largest, from 0
factorial(n), len(list)
and or not, comparisons (also a < b < c), + - * /, lists, loops without conditions, [i] and [i:j] with written numbers,
and the lists that a claims file names under [sets]. There is nothing else: no attributes, no powers, no other names.

Numbers are arrays whose last axis holds draws, so that one pass answers for thousands of possible outcomes of an
experiment; a printed number is one draw. At its first evaluation a relation is unrolled: loops, names and whatever
else does not hang on the numbers are worked out once, and what is left asks for numbers and combines them.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

LONGEST = 1500  # characters
DEEPEST = 30  # nodes from the root to a leaf
LARGEST = 1e9  # a written number
STEPS = 5_000  # nodes visited in one evaluation
SLACK = 1e-9  # decimal fractions are not exact in binary

Look = Callable[[str, str], np.ndarray]  # (V, M or R; the name) -> [draws], or [columns, draws] for R
_Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]

_ARITHMETIC: dict[type[ast.operator], _Operation] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARISON: dict[type[ast.cmpop], _Operation] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OF_TRUTHS: dict[str, Callable[..., Any]] = {"all": np.all, "any": np.any}
_OF_NUMBERS: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "min": np.min, "max": np.max}
# name -> (fewest, most) arguments
_FUNCTIONS = {"V": (1, 1), "M": (1, 1), "R": (1, 1), "near": (2, 3), "inc": (1, 1), "dec": (1, 1), "corr": (2, 2)}
_FUNCTIONS |= {"argmax": (1, 1), "factorial": (1, 1), "len": (1, 1), "all": (1, 1), "any": (1, 1), "sum": (1, 1)}
_FUNCTIONS |= {"mean": (1, 1), "min": (1, 20), "max": (1, 20)}
_NODES: tuple[type[ast.AST], ...] = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare, ast.Call),
    *(ast.Constant, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.List, ast.Subscript, ast.Slice),
    *(ast.GeneratorExp, ast.ListComp, ast.comprehension, *_ARITHMETIC, *_COMPARISON),
)


class RelationError(ValueError):
    """A relation that the language does not allow, or that does not make sense; one line."""


class Relation:
    """A relation, every node of it checked against the language; `sets` are the lists it may name."""

    def __init__(self, text: str, sets: Mapping[str, Any]):
        self._tree, self._sets = _parsed(text, sets), sets

    def uses(self, function: str) -> bool:
        """Whether it calls that function anywhere."""
        return any(isinstance(node, ast.Call) and _called_by(node) == function for node in ast.walk(self._tree))

    def truth(self, look: Look) -> np.ndarray:
        """Whether the relation holds, as booleans [draws] ([1] when everything in it is certain).

        Nothing is skipped: `look` is asked for every number that the relation names, once per mention. Raises
        RelationError where it makes no sense.
        """
        with np.errstate(all="ignore"):  # a division by zero makes a comparison false, it is no fault of the program
            truth = _settled(self._unrolled, look)
        if not isinstance(truth, np.ndarray) or truth.dtype != bool or truth.ndim != 1:
            raise RelationError("does not come out as one true or false")
        return truth

    @cached_property
    def _unrolled(self) -> Any:
        return _Unrolling(self._sets).value(self._tree, {})


def _called_by(node: ast.Call) -> str:
    """The name of the function; `_check` lets no other kind of call through."""
    assert isinstance(node.func, ast.Name)
    return node.func.id


def _parsed(text: str, sets: Mapping[str, Any]) -> ast.expr:
    if len(text) > LONGEST:
        raise RelationError(f"longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unknown escape in a name is no more than a warning to Python
            tree = ast.parse(" ".join(text.split()), mode="eval")
    except SyntaxError as error:
        raise RelationError(f"syntax error at character {error.offset}: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError, Warning):
        raise RelationError("too deep or not text") from None
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]  # a stack of our own, so that no depth can exhaust Python's
    names: set[str] = set()
    bound: set[str] = set()
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            raise RelationError(f"nested deeper than {DEEPEST}")
        _check(node)
        if isinstance(node, ast.Call):
            waiting += [(argument, depth + 1) for argument in node.args]
            continue  # the function's name is checked already and is no value
        if isinstance(node, ast.Name):
            (bound if isinstance(node.ctx, ast.Store) else names).add(node.id)
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    if taken := sorted(bound & (set(sets) | set(_FUNCTIONS))):
        raise RelationError(f"'{taken[0]}' is a set or a function and cannot be a loop's variable")
    if unknown := sorted(names - bound - set(sets)):
        raise RelationError(f"unknown name '{unknown[0]}'")
    return tree.body


def _check(node: ast.AST) -> None:
    """One node by itself: of an allowed kind, with nothing unusual inside."""
    if not isinstance(node, _NODES):
        raise RelationError(f"{type(node).__name__} is not part of the language")
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
            raise RelationError(f"{node.value!r} is neither a number nor a name")
        if not isinstance(node.value, str) and not abs(node.value) <= LARGEST:
            raise RelationError(f"a number beyond {LARGEST:g}")
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            raise RelationError(f"unknown function '{ast.unparse(node.func)[:40]}'")
        fewest, most = _FUNCTIONS[node.func.id]
        if node.keywords or not fewest <= len(node.args) <= most:
            raise RelationError(f"{node.func.id} takes {fewest} to {most} arguments and no keywords")
    elif isinstance(node, ast.comprehension):
        if node.ifs or node.is_async:
            raise RelationError("a loop has no conditions")
        targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        if not all(isinstance(target, ast.Name) for target in targets):
            raise RelationError("a loop's variables are plain names")
    elif isinstance(node, ast.Subscript):
        bounds = [node.slice]
        if isinstance(node.slice, ast.Slice):
            bounds = [bound for bound in (node.slice.lower, node.slice.upper, node.slice.step) if bound is not None]
        for bound in bounds:
            number = bound.operand if isinstance(bound, ast.UnaryOp) else bound
            if not (isinstance(number, ast.Constant) and isinstance(number.value, int)):
                raise RelationError("positions are written whole numbers")


class _Unrolling:
    """Works out what does not hang on the numbers.

    A value is a plain str or number, an array, a list of values, or, where numbers have to be looked up first, a
    function of `look` that gives one.
    """

    def __init__(self, sets: Mapping[str, Any]):
        self.sets, self.steps = sets, 0

    def value(self, node: ast.expr, loop: dict[str, Any]) -> Any:
        """The value of a node; `loop` holds the loop variables' values."""
        self.steps += 1
        if self.steps > STEPS:
            raise RelationError(f"takes more than {STEPS} steps")
        handle = _HANDLERS.get(type(node))
        if handle is None:
            raise RelationError(f"{type(node).__name__} is out of place")
        return handle(self, node, loop)

    def _constant(self, node: ast.Constant, loop: dict[str, Any]) -> Any:
        return node.value

    def _name(self, node: ast.Name, loop: dict[str, Any]) -> Any:
        if node.id in loop:
            return loop[node.id]
        if node.id not in self.sets:
            raise RelationError(f"'{node.id}' is used outside its loop")
        return self.sets[node.id]

    def _list(self, node: ast.Tuple | ast.List, loop: dict[str, Any]) -> list[Any]:
        return [self.value(item, loop) for item in node.elts]

    def _loops(self, node: ast.GeneratorExp | ast.ListComp, loop: dict[str, Any]) -> list[Any]:
        return self._loop(node, 0, loop)

    def _and_or(self, node: ast.BoolOp, loop: dict[str, Any]) -> Any:
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return _later(partial(_joined, join), *(self.value(part, loop) for part in node.values))

    def _unary(self, node: ast.UnaryOp, loop: dict[str, Any]) -> Any:
        return _later(_not if isinstance(node.op, ast.Not) else _minus, self.value(node.operand, loop))

    def _arithmetic(self, node: ast.BinOp, loop: dict[str, Any]) -> Any:
        operation = partial(_combined, _ARITHMETIC[type(node.op)])
        return _later(operation, self.value(node.left, loop), self.value(node.right, loop))

    def _loop(self, node: ast.GeneratorExp | ast.ListComp, level: int, loop: dict[str, Any]) -> list[Any]:
        if level == len(node.generators):
            return [self.value(node.elt, loop)]
        target, items = node.generators[level].target, self.value(node.generators[level].iter, loop)
        if not isinstance(items, list):
            raise RelationError("a loop goes over a list")
        results = []
        for item in items:
            names, parts = (target.elts, item) if isinstance(target, ast.Tuple) else ([target], [item])
            if not isinstance(parts, list) or len(parts) != len(names):
                raise RelationError("a loop's variables do not match the items of its list")
            named = zip(names, parts, strict=True)
            inner = loop | {name.id: part for name, part in named if isinstance(name, ast.Name)}
            results += self._loop(node, level + 1, inner)
        return results

    def _compare(self, node: ast.Compare, loop: dict[str, Any]) -> Any:
        operation = partial(_compared, [_COMPARISON[type(kind)] for kind in node.ops])
        return _later(operation, *(self.value(part, loop) for part in (node.left, *node.comparators)))

    def _item(self, node: ast.Subscript, loop: dict[str, Any]) -> Any:
        items = self.value(node.value, loop)
        if isinstance(node.slice, ast.Slice):
            bounds = node.slice.lower, node.slice.upper, node.slice.step
            place = slice(*(None if bound is None else ast.literal_eval(bound) for bound in bounds))
            if place.step == 0:
                raise RelationError("a step of 0")
        else:
            place = ast.literal_eval(node.slice)
        # A list is known by now, whatever is in it.
        return _item_of(place, items) if isinstance(items, list) else _later(partial(_item_of, place), items)

    def _call(self, node: ast.Call, loop: dict[str, Any]) -> Any:
        kind, arguments = _called_by(node), [self.value(argument, loop) for argument in node.args]
        if kind in ("V", "M", "R"):
            name = _filled(arguments[0], loop)
            return lambda look: look(kind, name)
        return _later(partial(_called, kind), *arguments)


_HANDLERS: dict[type, Callable[[_Unrolling, Any, dict[str, Any]], Any]] = {
    ast.Constant: _Unrolling._constant,
    ast.Name: _Unrolling._name,
    ast.Tuple: _Unrolling._list,
    ast.List: _Unrolling._list,
    ast.GeneratorExp: _Unrolling._loops,
    ast.ListComp: _Unrolling._loops,
    ast.BoolOp: _Unrolling._and_or,
    ast.UnaryOp: _Unrolling._unary,
    ast.BinOp: _Unrolling._arithmetic,
    ast.Compare: _Unrolling._compare,
    ast.Subscript: _Unrolling._item,
    ast.Call: _Unrolling._call,
}


def _later(operation: Callable[..., Any], *parts: Any) -> Any:
    """What the operation makes of its parts, or a function of `look` that gives it, where a part waits for numbers."""
    if not any(map(_waits, parts)):
        return operation(*parts)
    return lambda look: operation(*[_settled(part, look) for part in parts])


def _waits(value: Any) -> bool:
    return any(map(_waits, value)) if isinstance(value, list) else callable(value)


def _settled(value: Any, look: Look) -> Any:
    """A value with all its numbers looked up."""
    if isinstance(value, list):
        return [_settled(item, look) for item in value]
    return value(look) if callable(value) else value


def _joined(join: _Operation, first: Any, *others: Any) -> np.ndarray:
    truth = _truths(first)
    for other in others:
        truth = _broadcast(join, truth, _truths(other))
    return truth


def _not(value: Any) -> np.ndarray:
    return ~_truths(value)


def _minus(value: Any) -> np.ndarray:
    return -_numbers(value)


def _combined(operation: _Operation, left: Any, right: Any) -> np.ndarray:
    return _broadcast(operation, _numbers(left), _numbers(right))


def _compared(kinds: list[_Operation], *values: Any) -> np.ndarray:
    numbers = [_numbers(value) for value in values]
    truth, *others = (
        _broadcast(kind, left, right) for kind, (left, right) in zip(kinds, pairwise(numbers), strict=True)
    )
    for other in others:
        truth = _broadcast(np.logical_and, truth, other)
    return truth


def _item_of(place: int | slice, items: Any) -> Any:
    if not (isinstance(items, list) or (isinstance(items, np.ndarray) and items.ndim > 1)):
        raise RelationError("only lists have positions")
    if isinstance(place, int) and not -len(items) <= place < len(items):
        raise RelationError(f"position {place} of a list of {len(items)}")
    return items[place]


def _called(name: str, *arguments: Any) -> Any:
    """A function of the language, but for those that look numbers up."""
    if name in _OF_TRUTHS:
        return _over_items(_OF_TRUTHS[name], _truths(arguments[0]))
    if name in _OF_NUMBERS:
        return _over_items(_OF_NUMBERS[name], _numbers(arguments[0] if len(arguments) == 1 else list(arguments)))
    if name == "near":
        gap = np.abs(_broadcast(np.subtract, _numbers(arguments[0]), _numbers(arguments[1])))
        return _broadcast(operator.le, gap, _numbers(arguments[2] if len(arguments) == 3 else 0.05) + SLACK)
    if name == "factorial":
        if not isinstance(arguments[0], int) or not 0 <= arguments[0] <= 20:
            raise RelationError("factorial takes a whole number from 0 to 20")
        return math.factorial(arguments[0])
    if name == "len":
        if not isinstance(arguments[0], list) and np.ndim(arguments[0]) < 2:
            raise RelationError("len takes a list")
        return len(arguments[0])
    series = [_series(argument, name) for argument in arguments]
    if name in ("inc", "dec"):
        steps = np.diff(series[0], axis=0) * (1 if name == "inc" else -1)
        return (steps > SLACK).all(axis=0)
    if name == "argmax":
        return series[0].argmax(axis=0).astype(float)
    return _correlation(*series)


def _filled(name: Any, loop: dict[str, Any]) -> str:
    if not isinstance(name, str):
        raise RelationError("V, M and R take a name in quotes")
    parts = name.split("{")
    filled = parts[0]
    for part in parts[1:]:
        variable, closed, rest = part.partition("}")
        value = loop.get(variable)
        if not closed or not isinstance(value, str | int):
            raise RelationError(f"'{name}': {{{variable}}} is no loop variable that holds a name or a whole number")
        filled += f"{value}{rest}"
    return filled


def _numbers(value: Any) -> np.ndarray:
    """[items..., draws] floats."""
    if isinstance(value, np.ndarray):
        return value.astype(float) if value.dtype == bool else value
    if isinstance(value, int | float):
        return np.array([float(value)])
    if isinstance(value, list) and value:
        return stacked([_numbers(item) for item in value])
    raise RelationError(f"{value!r} is not a number"[:80])


def _truths(value: Any) -> np.ndarray:
    """[items..., draws] booleans."""
    if isinstance(value, list) and value:
        return stacked([_truths(item) for item in value])
    if not isinstance(value, np.ndarray) or value.dtype != bool:
        raise RelationError("expected something true or false, such as a comparison")
    return value


def stacked(items: list[np.ndarray]) -> np.ndarray:
    """Numbers [draws] (or rows [items..., draws]) as one list of them; one with a single draw has it in every draw."""
    if len({item.shape[:-1] for item in items}) > 1:
        raise RelationError("a list mixes rows of different lengths, or rows and numbers")
    return np.array(np.broadcast_arrays(*items) if len({item.shape for item in items}) > 1 else items)


def _broadcast(operation: _Operation, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    try:
        return operation(left, right)
    except ValueError:
        raise RelationError("combines rows of different lengths") from None


def _over_items(reduce: Callable[..., Any], items: np.ndarray) -> np.ndarray:
    if items.ndim < 2:
        raise RelationError("all, any, sum, mean, min and max take a list")
    return np.asarray(reduce(items, axis=tuple(range(items.ndim - 1))))


def _series(value: Any, name: str) -> np.ndarray:
    """[items, draws]."""
    items = _numbers(value)
    if items.ndim != 2 or len(items) < 2:
        raise RelationError(f"{name} takes a list of at least two numbers")
    return items


def _correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if len(left) != len(right):
        raise RelationError("corr takes two lists of one length")
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    return np.asarray((left * right).sum(axis=0) / np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0)))
