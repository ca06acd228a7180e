"""A new paper: commented files to start from, which run at the tiny scale at once."""

import keyword
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template

from harness.errors import UsageError
from harness.running import evaluation

TEMPLATES = Path(__file__).parent
# Names of files, by where they are made from: modules lie here as text, since they belong to no package of ours.
FILES = {
    "tables.toml": "tables.toml",
    "claims.toml": "claims.toml",
    "recipe.toml": "recipe.toml",
    "task.py.txt": "task.py",
    "parts.py.txt": "parts.py",
}
# A folder of papers has its datasets in a folder of this name; and the page of networks from elsewhere has a key of its own.
TAKEN = ("datasets", evaluation.KEY)


def write(key: str, folder: Path, there: Mapping[str, Path]) -> list[Path]:
    """Write the files of a new paper into a folder of `folder` that is named by the key; returns their paths.

    there: paper key -> its file, of all papers that there are. Raises UsageError for a key that cannot be one or is one of
    these, and where there is such a folder already: nothing is overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", key) or len(key) > 50:
        raise UsageError(f"new-paper {key}: give a key of small letters, digits and single -, such as shuffle-learn")
    name = key.replace("-", "_")
    if key in TAKEN or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        what = "means something else among papers" if key in TAKEN else "is a word of Python, and names no module"
        raise UsageError(f"new-paper {key}: {name!r} {what}; take another key")
    if key in there:
        raise UsageError(f"new-paper {key}: the paper is there already, in {there[key]}; take another key")
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
