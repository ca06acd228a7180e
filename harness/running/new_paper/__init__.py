"""A new paper: commented files to start from, which run at the tiny scale at once."""

import re
from importlib.util import find_spec
from pathlib import Path
from string import Template

from harness.errors import UsageError

TEMPLATES = Path(__file__).parent
# Names of files, by where they are made from: modules lie here as text, since they belong to no package of ours.
FILES = {
    "tables.toml": "tables.toml",
    "claims.toml": "claims.toml",
    "recipe.toml": "recipe.toml",
    "task.py.txt": "task.py",
    "parts.py.txt": "parts.py",
}


def write(key: str, folder: Path) -> list[Path]:
    """Write the files of a new paper into a folder of `folder` that is named by the key; returns their paths.

    Raises UsageError for a key that cannot be one, and where there is such a folder already: nothing is overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", key) or len(key) > 50:
        raise UsageError(f"new-paper {key}: give a key of small letters, digits and single -, such as shuffle-learn")
    name = key.replace("-", "_")
    home = folder / name
    if home.exists() or home.is_symlink():
        raise UsageError(f"{home}: is there already, and nothing is overwritten; take another key, or another --in")
    if find_spec(name) is not None:
        raise UsageError(
            f"new-paper {key}: a module {name!r} is there already ({name}.task would be its); take another key"
        )
    home.mkdir(parents=True)
    written = []
    for template, file in FILES.items():
        text = Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(key=key, folder=name)
        (home / file).write_text(text, encoding="utf-8")
        written.append(home / file)
    return written
