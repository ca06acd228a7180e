"""Places outside the checkout that papers, networks and datasets are taken from: the folders of VIDEO_SSL_PAPERS.

A paper lies in a folder there, named by its key with _ for -: its tables.toml, claims.toml and recipe.toml, and the modules of
its tasks and networks, which are imported as "<folder>.<module>". This module imports no torch.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from suite.errors import InputError

VARIABLE = "VIDEO_SSL_PAPERS"


def folders() -> tuple[Path, ...]:
    """The folders that the variable names, in its order, each once. Raises InputError for one that is not there."""
    names = (name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name)
    return tuple(dict.fromkeys(map(_there, names)))


def extend(more: Iterable[Path]) -> None:
    """Add folders to the variable, for this process and those that it starts. Raises InputError for one that is not there."""
    added = [str(_there(folder)) for folder in more]
    for name in added:
        if os.pathsep in name:
            raise InputError(f"{name}: a {os.pathsep!r} stands between folders of papers; give the path of another")
    if added:
        os.environ[VARIABLE] = os.pathsep.join(filter(None, [os.environ.get(VARIABLE, ""), *added]))


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
            except Exception as error:
                # Whatever another's module does when it is imported.
                raise InputError(f"{whole}: cannot be imported ({type(error).__name__}: {error})") from error
    raise InputError(
        f"no module {name!r}{f', neither in {home} nor elsewhere' if home else ''}; mend its name, or give its folder by "
        "--papers"
    )


def source(module: ModuleType) -> str:
    """12 digits of the code of a module: of it alone, or of all Python files of the package that it is in."""
    top = sys.modules[module.__name__.partition(".")[0]]
    if hasattr(top, "__path__"):
        files = sorted(path for folder in top.__path__ for path in Path(folder).rglob("*.py"))
    else:
        # One that is built in has no file.
        files = [Path(top.__file__)] if top.__file__ else []
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
