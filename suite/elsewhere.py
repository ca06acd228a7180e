"""Places outside the checkout that papers, networks and datasets are taken from: the folders of VIDEO_SSL_PAPERS.

A paper lies in a folder there, named by its key with _ for -: its tables.toml, claims.toml and recipe.toml, and the modules of
its tasks and networks, which are imported as "<folder>.<module>". This module imports no torch.
"""

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module, invalidate_caches
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType

from suite.errors import InputError

VARIABLE = "VIDEO_SSL_PAPERS"


def folders() -> tuple[Path, ...]:
    """The folders that the variable names, in its order, each once. Raises InputError for one that is not there."""
    names = (name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name)
    return tuple(dict.fromkeys(map(_there, names)))


def extend(more: Iterable[Path]) -> None:
    """Add folders to the variable, for this process and those that it starts, in whatever folder these work.

    Raises InputError for one that is not there, of these or of the variable.
    """
    there = [str(folder) for folder in (*folders(), *map(_there, more))]
    for name in there:
        if os.pathsep in name:
            raise InputError(f"{name}: a {os.pathsep!r} stands between folders of papers; give the path of another")
    if there:
        os.environ[VARIABLE] = os.pathsep.join(there)


def _there(name: str | Path) -> Path:
    folder = Path(name).resolve()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of papers; mend --papers, or {VARIABLE}")
    return folder


def files(name: str) -> dict[str, Path]:
    """The file of that name of every paper in these folders, by the paper's key. Raises InputError for a key of two papers."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob(f"*/{name}")):
            key = path.parent.name.replace("_", "-")
            if key in found:
                raise InputError(f"{path}: the paper {key!r} is there already, in {found[key]}; give it another key")
            found[key] = path
    return found


def module(name: str, home: str | None = None) -> ModuleType:
    """The module `home.name` if there is a home and it has one, else `name` itself, also from the folders elsewhere.

    Raises InputError where there is neither, or it cannot be imported.
    """
    for folder in folders():
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    # A file may be new since a folder was last looked into.
    invalidate_caches()
    for whole in (f"{home}.{name}", name) if home else (name,):
        try:
            there = find_spec(whole) is not None
        except (ImportError, ValueError):
            there = False
        if there:
            try:
                return import_module(whole)
            except (Exception, SystemExit) as error:
                # Whatever another's module does when it is imported.
                raise InputError(f"{whole}: cannot be imported ({type(error).__name__}: {error})") from error
    raise InputError(
        f"no module {name!r}{f', neither in {home} nor elsewhere' if home else ''}; mend its name, or give its folder by "
        "--papers"
    )


def source(module: ModuleType) -> str:
    """12 digits of the code of a module and of all that it imports, wherever in a file an import stands.

    Of modules in the folders of papers, or in the folder that the module itself was found in; neither of the suite, whose
    versions say what has changed, nor of installed packages, but for the module's own. Nothing is imported for it.
    """
    if not (named := getattr(module, "__file__", None)):
        # Built in.
        return hashlib.sha256().hexdigest()[:12]
    start = Path(named)
    home = start.parents[module.__name__.count(".") + (start.stem == "__init__")].resolve()
    places, roots = [*(Path(place).resolve() for place in sys.path), home], (*folders(), home)
    files: dict[str, Path] = {}
    seen, waiting = set(), [module.__name__]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        # The packages around it are imported with it.
        waiting += filter(None, [name.rpartition(".")[0]])
        file = start if name == module.__name__ else _file(name, places)
        if file is not None and (_of_one_package(name, module.__name__) or _is_own(name, file, roots)):
            files[name] = file
            waiting += _imported(name, file)
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        # A name is the path from the folder that it is found in.
        digest.update(f"{name} {file.name}".encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _of_one_package(name: str, other: str) -> bool:
    return name.partition(".")[0] == other.partition(".")[0]


def _is_own(name: str, file: Path, roots: Sequence[Path]) -> bool:
    """Whether a module lies in one of the folders, and is neither the suite's nor installed."""
    installed = {"site-packages", "dist-packages"} & {*file.parts} or file.is_relative_to(sysconfig.get_path("stdlib"))
    return not installed and not _of_one_package(name, __name__) and any(file.is_relative_to(root) for root in roots)


def _file(name: str, places: Sequence[Path]) -> Path | None:
    """The file that Python would import as a module of that name; None where there is none, as for a folder without one."""
    file = None
    for part in name.split("."):
        file, places = _inside(part, places)
    return file


def _inside(part: str, places: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """The file of a module in one of these places, and where the modules in it lie."""
    spaces = []
    for place in places:
        if (package := place / part / "__init__.py").is_file():
            return package, [package.parent]
        if (file := place / f"{part}.py").is_file():
            return file, []
        if (place / part).is_dir():
            spaces.append(place / part)
    return None, spaces


def _imported(name: str, file: Path) -> Iterator[str]:
    """The modules that a module imports, wherever in it; a name imported from one is given as if it were a module too."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        # Nobody can import it as it is.
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
            continue
        if isinstance(node, ast.ImportFrom):
            said, inside = "." * node.level + (node.module or ""), [one.name for one in node.names]
        elif isinstance(node, ast.Call) and (named := _by_text(node)):
            said, inside = named, []
        else:
            continue
        try:
            home = resolve_name(said, package)
        except ImportError:
            # More dots than there are packages around it.
            continue
        yield home
        yield from (f"{home}.{one}" for one in inside)


def _by_text(call: ast.Call) -> str:
    """The module that a call such as import_module("parts") names; "" where it is none, or does not write it out."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if called in ("import_module", "__import__") and call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
