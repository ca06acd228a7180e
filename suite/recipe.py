"""A paper's recipe: its settings at each scale, and what was decided beside them.

A recipe is `suite/papers/<paper>/recipe.toml`, in a folder named by the paper's key with _ for -. Its tables `paper`, `small`
and `tiny` hold settings (suite/settings.py); each scale overrides the one before it, so that a reader sees at a glance where
a scale departs. Decisions (what we do where the paper is silent) and departures (where we do otherwise than the paper or its
authors' code) are listed beside the settings.
"""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from suite.errors import InputError
from suite.settings import Name, Scale, Settings

SCALES = ("paper", "small", "tiny")
FOLDER = Path(__file__).parent / "papers"
FILE = "recipe.toml"

Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class Decision(Settings):
    """What we do where the paper is silent."""

    what: Text
    choice: Text
    source: Text


class Departure(Settings):
    """Where a run does otherwise than the paper or its authors' code."""

    id: Name
    scales: tuple[Literal["paper", "small", "tiny"], ...]
    # Applies only to data of these scopes; empty: to all.
    scopes: tuple[Literal["synthetic", "subset", "full"], ...] = ()
    what: Text
    reason: Text


class Recipe(Settings):
    """One paper's recipe, resolved at one scale."""

    paper: Name
    scale: Literal["paper", "small", "tiny"]
    settings: Scale
    decisions: tuple[Decision, ...]
    departures: tuple[Departure, ...]

    def hash(self) -> str:
        """Identity of the settings that the recipe gives, without what cannot move a number: 12 hex digits."""
        no_number: dict = {"video": {"store"}, "subset": True}
        # A store rounds flow to a byte, which moves labels: computing it whenever it is needed is another recipe.
        if self.settings.flow is not None and self.settings.flow.store:
            no_number["flow"] = {"store"}
        return digest(self.settings.model_dump(mode="json", exclude_unset=True, exclude=no_number))


def digest(content: object) -> str:
    """The first 12 hex digits of the sha256 of canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def papers() -> list[str]:
    """Keys of the papers that have a recipe."""
    return sorted(path.parent.name.replace("_", "-") for path in FOLDER.glob(f"*/{FILE}") if path.is_file())


def load(paper: str, scale: str, folder: Path = FOLDER) -> Recipe:
    """Read a paper's recipe.toml and resolve it at `scale`. Raises InputError on an unknown paper, scale or key."""
    path = folder / paper.replace("-", "_") / FILE
    if not path.is_file():
        raise InputError(f"no recipe for paper {paper!r}; papers with a recipe: {', '.join(papers())}")
    if scale not in SCALES:
        raise InputError(f"unknown scale {scale!r}; scales: {', '.join(SCALES)}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    # Python itself refuses numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_shown(path)}: not valid TOML ({error})") from None
    settings: dict = {}
    for name in SCALES[: SCALES.index(scale) + 1]:
        settings = _merge(settings, _table(content, name, path))
    everywhere = {name: value for name, value in content.items() if name not in SCALES}
    if everywhere.pop("key", None) != paper:
        raise InputError(f"{_shown(path)}: its key is not {paper!r}; name the folder by the key, or mend the key")
    for name in ("paper", "scale", "settings"):
        if name in everywhere:
            raise InputError(f"{_shown(path)}: {name}: unknown key; mend this key of the recipe")
    pretraining = _table(settings, "pretraining", path)
    settings["pretraining"] = {name: _like(name, pretraining, path) for name in pretraining}
    departures = everywhere.pop("departures", [])
    if isinstance(departures, list):
        departures = [one for one in departures if not isinstance(one, dict) or scale in one.get("scales", (scale,))]
    whole = {
        "paper": paper,
        "scale": scale,
        "settings": settings,
        "decisions": [],
        "departures": departures,
    } | everywhere
    try:
        return Recipe.model_validate(whole)
    except ValidationError as error:
        raise InputError(f"{_shown(path)}: {_fault(error, whole)}; mend this key of the recipe") from None


def _shown(path: Path) -> str:
    """A recipe's file as messages name it: every paper has a recipe.toml."""
    return f"{path.parent.name}/{path.name}"


def _table(content: dict, name: str, path: Path) -> dict:
    """A table of a file, empty where it is not there."""
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{_shown(path)}: {name} = {found!r}; write a table, [{name}]")
    return found


def _fault(error: ValidationError, content: dict) -> str:
    """The first fault as "settings.video.crop = 0: input should be greater than or equal to 8"."""
    first = error.errors()[0]
    here, place = content, []
    for number, part in enumerate(first["loc"], 1):
        inside = part in (here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ())
        # Between the keys of the file stand the branches of unions that were tried.
        if inside or number == len(first["loc"]):
            place.append(str(part))
        here = here[part] if inside else here
    given = first["input"]
    shown = f" = {given!r}"[:60] if isinstance(given, str | int | float) else ""
    what = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"][0].lower() + first["msg"][1:]
    return f"{'.'.join(place)}{shown}: {what}"


def _like(name: str, pretraining: dict, path: Path) -> dict:
    """A pretraining's settings over those of the one that its key `like` names."""
    own = dict(_table(pretraining, name, path))
    model = own.pop("like", None)
    if model is None:
        return own
    if not isinstance(model, str) or model == name or model not in pretraining or "like" in pretraining[model]:
        raise InputError(f"{_shown(path)}: pretraining.{name}.like = {model!r}; name one that is written out in full")
    return _merge(pretraining[model], own)


def _merge(base: dict, override: dict) -> dict:
    """`override` over `base`, table by table."""
    merged = dict(base)
    for key, value in override.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged
