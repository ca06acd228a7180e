"""The sources behind each version, and whether they are those that it was last looked at for.

Versions are those of stage kinds (suite/stages), of pretext tasks and of their scores (suite/tasks.py). From the functions
behind one, names are followed through suite/, definition by definition: imports wherever they stand, attributes of
modules, and modules named in strings (a package in a string is a home: the modules in it, but for that of tasks, whose versions are
their own). What is reached is known by its syntax alone: comments, docstrings, format, imports and
annotations of functions play no part.

    python -m tests.suite.stages.sources                     says what has changed
    python -m tests.suite.stages.sources KIND=REASON ...     writes sources.toml anew; `all` stands for the kinds not named

A kind whose version was raised needs no reason. For any other whose sources changed: why its results are still the same.
"""

import ast
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]
WRITTEN = Path(__file__).with_suffix(".toml")
DIGITS = 10
# Names of kinds and where they start: what is listed there is not reached by looking something else up in it.
TABLES = {"KINDS", "VERSIONS"}
# Computed anew each time; golden numbers say whether the results are the same.
NEVER_KEPT = {"regression"}
# What moves no result: errors, and the digest of code from elsewhere, which is a part of keys itself.
APART = ("suite.errors", "suite.datasets.source", "suite.elsewhere.source")
# What of a task its version is about.
OF_TASKS = ("eligible", "network", "samples", "attach", "resume")

# kind -> file -> digest of what the kind reaches in it
Reached = dict[str, dict[str, str]]


@dataclass
class Module:
    """A module by its top level: which statements bind a name, and which names are imports."""

    name: str
    path: Path
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    # name -> (module, name in it or "")
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Statements that bind nothing.
    others: list[ast.stmt] = field(default_factory=list)

    def __post_init__(self) -> None:
        for statement in ast.parse(self.path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.imports |= self.imported(statement)
            elif not _is_docstring(statement) and not _for_types_alone(statement):
                names = set(_bound(statement))
                for name in names:
                    self.bindings.setdefault(name, []).append(statement)
                if not names:
                    self.others.append(statement)

    def imported(self, statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
        """The names that an import binds."""
        if isinstance(statement, ast.Import):
            return {one.asname or one.name.split(".")[0]: (one.name if one.asname else one.name.split(".")[0], "")
                    for one in statement.names}  # fmt: skip
        home = statement.module or ""
        if statement.level:
            parts = self.name.split(".")[: len(self.name.split(".")) - statement.level + (self.path.stem == "__init__")]
            home = ".".join([*parts, *([home] if home else [])])
        return {one.asname or one.name: (home, one.name) for one in statement.names}


class Sources:
    """A package below a folder, and what is reached in it."""

    def __init__(self, root: Path = ROOT, package: str = "suite", apart: tuple[str, ...] = ()):
        """apart: modules and names that are not followed, and homes that are not where strings name them."""
        self.root, self.package, self.apart = root, package, apart
        self.parts = re.compile(rf"{package}(\.\w+)+\.?")

    @cached_property
    def modules(self) -> dict[str, Module]:
        found = {}
        for path in sorted((self.root / self.package).rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path)
        return found

    def reached(self, *starts: str) -> dict[str, str]:
        """File -> digest of all that is reached in it from dotted names."""
        seen: dict[tuple[str, str], str] = {}
        waiting = [tuple(start.rsplit(".", 1)) for start in starts]
        while waiting:
            module, name = here = waiting.pop()
            if here in seen or module not in self.modules or {module, f"{module}.{name}"} & {*self.apart}:
                continue
            found, onward = self._definition(module, name)
            seen[here] = found
            waiting += onward
        files: dict[str, list[str]] = {}
        for (module, name), found in sorted(seen.items()):
            if found:
                files.setdefault(self.modules[module].path.relative_to(self.root).as_posix(), []).append(
                    f"{name} {found}"
                )
        return {file: _digest("\n".join(lines)) for file, lines in sorted(files.items())}

    @cache  # noqa: B019  # as long as the sources
    def _definition(self, module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
        """Digest of what a name of a module is, and what that refers to; a name "*" is all of the module."""
        here = self.modules[module]
        if name == "*":
            inner = [(module, one) for one in (*here.bindings, *here.imports)]
            return _digest("".join(map(plain, here.others))), inner + self._references(here, here.others)
        if name in here.bindings:
            statements = here.bindings[name]
            onward = [] if name in TABLES else self._references(here, statements)
            return _digest("".join(map(plain, statements))), onward
        if name in here.imports:
            return "", list(self._follow(*here.imports[name], []))
        return "", []

    def _references(self, here: Module, statements: list[ast.stmt]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for statement in statements:
            looking = _Looking(here)
            looking.visit(statement)
            for name, attributes in looking.names:
                target = looking.imports.get(name) or here.imports.get(name)
                if target is not None:
                    found += self._follow(*target, attributes)
                elif name in here.bindings:
                    found.append((here.name, name))
            for words in looking.strings:
                if self.parts.fullmatch(words):
                    found += self._named(words)
        return found

    def _follow(self, module: str, name: str, attributes: list[str]) -> Iterator[tuple[str, str]]:
        """What `attributes` of an import mean: a name of a module, or all of the module where none is asked for."""
        for part in [*([name] if name else []), *attributes]:
            if f"{module}.{part}" in self.modules:
                module = f"{module}.{part}"
            else:
                yield module, part
                return
        yield module, "*"

    def _named(self, words: str) -> Iterator[tuple[str, str]]:
        """What a dotted name in a string means: a module, a name of one, or every module that lies in a package."""
        home = words.rstrip(".")
        if home in self.apart:
            return
        if home in self.modules and (words.endswith(".") or self.modules[home].path.stem == "__init__"):
            for name, module in self.modules.items():
                if name.rpartition(".")[0] == home and module.path.stem != "__init__":
                    yield name, "*"
        elif home in self.modules:
            yield home, "*"
        elif home.rpartition(".")[0] in self.modules:
            yield tuple(home.rsplit(".", 1))


class _Looking(ast.NodeVisitor):
    """Names that a statement takes from outside itself, each with the attributes asked of it, its own imports and strings."""

    def __init__(self, here: Module):
        self.here, self.local = here, [set()]
        self.names: list[tuple[str, list[str]]] = []
        self.imports: dict[str, tuple[str, str]] = {}
        self.strings: list[str] = []

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports |= self.here.imported(node)

    visit_ImportFrom = visit_Import

    def visit_If(self, node: ast.If) -> None:
        if not _for_types_alone(node):
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for decorator in getattr(node, "decorator_list", []):
            self.visit(decorator)
        words = node.args
        for default in (*words.defaults, *(one for one in words.kw_defaults if one is not None)):
            self.visit(default)
        taken = {
            one.arg for one in (*words.posonlyargs, *words.args, *words.kwonlyargs, words.vararg, words.kwarg) if one
        }
        body = node.body if isinstance(node.body, list) else [node.body]
        taken |= {one.id for part in body for one in ast.walk(part)
                  if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}  # fmt: skip
        self.local.append(taken)
        for part in body:
            if not _is_docstring(part):
                self.visit(part)
        self.local.pop()

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # What a class annotates are its fields.
        if len(self.local) == 1:
            self.visit(node.annotation)
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain, here = [node.attr], node.value
        while isinstance(here, ast.Attribute):
            chain, here = [here.attr, *chain], here.value
        if isinstance(here, ast.Name):
            self._name(here.id, chain)
        else:
            self.visit(here)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._name(node.id, [])

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings.append(node.value)

    def _name(self, name: str, attributes: list[str]) -> None:
        if not any(name in names for names in self.local):
            self.names.append((name, attributes))


def plain(node: ast.AST, of_class: bool = False) -> str:
    """A node's syntax, the same however it is written down."""
    if isinstance(node, ast.Import | ast.ImportFrom) or _for_types_alone(node):
        return ""
    parts = []
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment", "kind", "returns", "type_params"):
            continue
        if name == "annotation" and not of_class:
            continue
        if name == "body" and isinstance(value, list):
            value = [one for one in value if not _is_docstring(one)]
        inner = isinstance(node, ast.ClassDef)
        if isinstance(value, list):
            parts.append("".join(plain(one, inner) if isinstance(one, ast.AST) else repr(one) for one in value))
        elif isinstance(value, ast.AST):
            parts.append(plain(value, inner))
        elif value is not None:
            parts.append(repr(value))
    # A value with a type is a value.
    kind = "Assign" if isinstance(node, ast.AnnAssign) and not of_class else type(node).__name__
    return f"{kind}({','.join(parts[:2] if kind == 'Assign' else parts)})"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds at the top level."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:DIGITS]


# ------------------------------------------------------------------------------------------- what was looked at


@dataclass
class Looked:
    """What sources.toml holds."""

    versions: dict[str, int]
    # Since its version, why a kind's results were the same though its sources had changed.
    kept: dict[str, list[str]]
    reached: Reached


def starts() -> dict[str, tuple[int, list[str]]]:
    """What has a version, with it: the dotted names of the functions that it is about."""
    from suite import recipe, stages, tasks

    found = {kind: (version, [start]) for kind, (start, version) in stages.KINDS.items() if kind not in NEVER_KEPT}
    paths = {one.pretext for key in recipe.papers() for one in recipe.load(key, "paper").settings.pretraining.values()}
    for path in sorted(paths):
        task = tasks.find(path)
        found[f"task {path}"] = task.VERSION, [f"{task.__name__}.{name}" for name in OF_TASKS if hasattr(task, name)]
        for protocol, (function, version) in task.SCORES.items():
            found[protocol] = version, [f"{function.__module__}.{function.__name__}", stages.SCORED[0]]
    return found


def present() -> tuple[dict[str, int], Reached]:
    """Each version, and the sources behind it, as they are."""
    from suite import tasks

    sources, found = Sources(apart=(tasks.HOME, *APART)), starts()
    versions = {kind: version for kind, (version, _) in found.items()}
    return versions, {kind: sources.reached(*names) for kind, (_, names) in found.items()}


def read(path: Path = WRITTEN) -> Looked:
    """What was written last; nothing where there is no file."""
    content = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {"kinds": {}, "sources": {}}
    reached: Reached = {kind: {} for kind in content["kinds"]}
    for file, digests in content["sources"].items():
        for digest, kinds in digests.items():
            for kind in kinds:
                reached[kind][file] = digest
    kinds = content["kinds"]
    return Looked(
        {kind: one["version"] for kind, one in kinds.items()},
        {kind: one["kept"] for kind, one in kinds.items()},
        reached,
    )


def changed(looked: Looked, reached: Reached) -> dict[str, list[str]]:
    """Kind -> files in which it reaches something else than when it was looked at, for kinds that have changed."""
    found = {}
    for kind, files in reached.items():
        before = looked.reached.get(kind, {})
        if files != before:
            found[kind] = sorted(file for file in files | before if files.get(file) != before.get(file))
    return found


def write(
    looked: Looked, versions: dict[str, int], reached: Reached, reasons: dict[str, str], path: Path = WRITTEN
) -> None:
    """Write the sources as they are. Raises ValueError, naming kinds and files, where one that changed has neither a new
    version nor a reason."""
    kept, missing = {}, []
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    differing = changed(looked, reached)
    for kind, version in versions.items():
        same = looked.versions.get(kind) == version
        kept[kind] = list(looked.kept.get(kind, [])) if same else []
        if same and kind in differing:
            if reason := reasons.get(kind, reasons.get("all", "")).strip():
                kept[kind].append(f"{today}: {reason}")
            else:
                missing.append(f"{kind} (version {version}): {', '.join(differing[kind])}")
    if missing:
        raise ValueError("\n".join(missing))
    lines = ["# Written by `python -m tests.suite.stages.sources`, which says what this is.", "", "[kinds]"]
    for kind, version in versions.items():
        lines.append(
            f"{json.dumps(kind)} = {{ version = {version}, kept = {json.dumps(kept[kind], ensure_ascii=False)} }}"
        )
    by_file: dict[str, dict[str, list[str]]] = {}
    for kind, files in reached.items():
        for file, digest in files.items():
            by_file.setdefault(file, {}).setdefault(digest, []).append(kind)
    for file, digests in sorted(by_file.items()):
        lines += [
            "",
            f'[sources."{file}"]',
            *(f'"{digest}" = {json.dumps(kinds)}' for digest, kinds in digests.items()),
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(words: list[str]) -> int:
    """See the module's text."""
    looked, (versions, reached) = read(), present()
    if not words:
        for kind, files in changed(looked, reached).items():
            print(f"{kind} (version {versions[kind]}, was {looked.versions.get(kind)}): {', '.join(files)}")
        return 0
    reasons = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        write(looked, versions, reached, reasons)
    except ValueError as error:
        print(f"raise the version, or say why not by KIND=REASON:\n{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
