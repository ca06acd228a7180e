"""A paper's recipe: its settings at each scale, and what was decided beside them.

A recipe is `suite/papers/<paper>/recipe.toml`, in a folder named by the paper's key with _ for -, or such a file elsewhere
(suite/elsewhere.py). Its tables `paper`, `small`
and `tiny` hold settings (suite/settings.py); each scale overrides the one before it, so that a reader sees at a glance where
a scale departs. Beside the settings stand three lists: decisions (what we do where the paper is silent), readings (where it
prints what cannot be, or contradicts itself) and departures (where we do otherwise than the paper or its authors' code).
"""

import hashlib
import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from suite import elsewhere, tasks
from suite.errors import InputError
from suite.settings import Name, Scale, Settings
from suite.video.inputs import NetworkInput

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCALES = ("paper", "small", "tiny")
FOLDER = Path(__file__).parent / "papers"
FILE = "recipe.toml"

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
# Of a setting, which departures are named by: two names of the recipe's own, and keys of the schema.
LongName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]


class Decision(Settings):
    """What we do where the paper is silent."""

    what: Text
    choice: Text
    source: Text


class Reading(Settings):
    """Where the paper prints what cannot be, or contradicts itself, and is read otherwise."""

    # What it prints.
    what: Text
    reading: Text
    # Why it cannot be as printed, with the numbers.
    argument: Text


class Departure(Settings):
    """Where a run does otherwise than the paper or its authors' code."""

    id: LongName
    scales: tuple[Literal["paper", "small", "tiny"], ...]
    # Applies only to data of these scopes; empty: to all.
    scopes: tuple[Literal["synthetic", "subset", "full"], ...] = ()
    what: Text
    reason: Text
    # What it moves and by how much; None: not measured.
    effect: Text | None = None


class Change(Settings):
    """A setting that was asked for otherwise than the recipe has it."""

    # "video.crop"
    path: LongName
    value: Any
    # What the recipe says, None where it says nothing.
    instead: Any

    @property
    def id(self) -> str:
        """Its name among the departures."""
        return f"set-{self.path}"

    @property
    def option(self) -> str:
        """As a command asks for it."""
        return f"--set {shlex.quote(f'{self.path}={_written(self.value)}')}"

    @property
    def what(self) -> str:
        """In words: "video.crop = 56 instead of 112"."""
        return f"{self.path} = {_written(self.value)} instead of {_written(self.instead)}"


class Recipe(Settings):
    """One paper's recipe, resolved at one scale."""

    paper: Name
    scale: Literal["paper", "small", "tiny"]
    settings: Scale
    decisions: tuple[Decision, ...]
    readings: tuple[Reading, ...]
    departures: tuple[Departure, ...]
    changes: tuple[Change, ...] = ()
    # Protocols that a network from elsewhere is measured under with these settings, unless another paper is named.
    evaluates: tuple[Name, ...] = ()

    def hash(self) -> str:
        """Identity of the settings that the recipe gives, without what cannot move a number, and of what was asked for
        otherwise: 12 hex digits."""
        no_number: dict = {"video": {"store"}, "subset": True}
        # A store rounds flow to a byte, which moves labels: computing it whenever it is needed is another recipe.
        if self.settings.flow is not None and self.settings.flow.store:
            no_number["flow"] = {"store"}
        content = self.settings.model_dump(mode="json", exclude_unset=True, exclude=no_number)
        # A recipe stays what it is when a task's module moves.
        for pretraining in content["pretraining"].values():
            pretraining["pretext"] = tasks.find(pretraining["pretext"]).NAME
        if self.changes:
            content["changes"] = sorted([change.path, _written(change.value)] for change in self.changes)
        return digest(content)


def digest(content: object) -> str:
    """The first 12 hex digits of the sha256 of canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def papers() -> list[str]:
    """Keys of the papers that have a recipe, here or elsewhere."""
    return sorted(_files(FOLDER))


def _files(folder: Path) -> dict[str, Path]:
    """The recipes of a folder, and of the folders elsewhere, by key. Raises InputError for a key of two."""
    found = {path.parent.name.replace("_", "-"): path for path in sorted(folder.glob(f"*/{FILE}")) if path.is_file()}
    for key, path in elsewhere.files(FILE).items():
        if key in found:
            raise InputError(f"{path}: the paper {key!r} is there already, in {found[key]}; give it another key")
        found[key] = path
    return found


def file(paper: str, folder: Path = FOLDER) -> Path:
    """Where a paper's recipe lies. Raises InputError for a paper without one."""
    there = _files(folder)
    if paper not in there:
        raise InputError(f"no recipe for paper {paper!r}; papers with a recipe: {', '.join(sorted(there))}")
    return there[paper]


def load(paper: str, scale: str, folder: Path = FOLDER) -> Recipe:
    """Read a paper's recipe.toml and resolve it at `scale`. Raises InputError on an unknown paper, scale or key."""
    path = file(paper, folder)
    if scale not in SCALES:
        raise InputError(f"unknown scale {scale!r}; scales: {', '.join(SCALES)}")
    content = _content(path)
    settings: dict = {}
    for name in SCALES[: SCALES.index(scale) + 1]:
        settings = _merge(settings, _table(content, name, path))
    everywhere = {name: value for name, value in content.items() if name not in SCALES}
    if everywhere.pop("key", None) != paper:
        raise InputError(f"{_shown(path)}: its key is not {paper!r}; name the folder by the key, or mend the key")
    for name in ("paper", "scale", "settings", "changes"):
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
        "readings": [],
        "departures": departures,
    } | everywhere
    try:
        return Recipe.model_validate(whole)
    except ValidationError as error:
        first, *more = (
            f"{_shown(path)}: {_fault(fault, whole)}; mend this key of the recipe" for fault in error.errors()
        )
        raise InputError(first, more) from None


def that_evaluates(protocol: str, folder: Path = FOLDER) -> str:
    """The paper whose recipe names a protocol under `evaluates`: the checkout's before one elsewhere.

    Raises InputError where none does.
    """
    for paper, path in _files(folder).items():
        named = _content(path).get("evaluates", ())
        if isinstance(named, list) and protocol in named:
            return paper
    raise InputError(
        f"no recipe says that it evaluates {protocol}; name a paper whose settings are to be taken (--paper)"
    )


def _content(path: Path) -> dict:
    """What a recipe's file holds. Raises InputError where it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    # Python itself refuses numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_shown(path)}: not valid TOML ({error})") from None


def changed(recipe: Recipe, changes: Mapping[tuple[str, ...], object]) -> Recipe:
    """The recipe with settings set otherwise, by the keys that lead to each. What it says already is no change.

    Raises InputError, naming the setting as keys with dots between, for one that is not there or cannot be so.
    """
    known = recipe.settings.model_dump(mode="json")
    settings = recipe.settings.model_dump(mode="json", exclude_unset=True)
    made = []
    for keys, value in changes.items():
        before = _setting(known, keys)
        # True is no 1.
        if before != value or isinstance(before, bool) != isinstance(value, bool):
            settings = _merge(settings, _nested(keys, value))
            made.append((keys, Change(path=".".join(keys), value=value, instead=before)))
    if not made:
        return recipe
    departures = [
        {"id": change.id, "scales": [recipe.scale], "what": f"set: {change.what}", "reason": "Asked for with --set."}
        for _, change in made
    ]
    whole = recipe.model_dump(mode="json", exclude={"settings", "changes"}) | {
        "settings": settings,
        "changes": [change.model_dump(mode="json") for _, change in made],
    }
    whole["departures"] += departures
    try:
        return Recipe.model_validate(whole)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(_place(first, whole))[1:]
        # A fault of a table lies above the settings that made it one.
        guilty = [change for keys, change in made if keys[: len(place)] == place[: len(keys)]]
        asked = " ".join(change.option for change in guilty or [change for _, change in made])
        raise InputError(f"{asked}: {_fault(first, whole)}; set it otherwise, or leave it to the recipe") from None


def under(recipe: Recipe, seen: NetworkInput) -> Recipe:
    """The recipe for a network that takes another input; what nothing is said of stays.

    Raises InputError where that is no input, or the recipe's tasks do not fit into it.
    """
    if seen == NetworkInput():
        return recipe
    said = {"clip_length": seen.frames, "resize": seen.resize, "crop": seen.crop, "antialias": seen.antialias}
    video: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if seen.pixels is not None:
        video["pixels"] = seen.pixels.model_dump(mode="json")
    settings = recipe.settings.model_dump(mode="json", exclude_unset=True)
    if seen.stride is not None:
        for part in ("retrieval", "finetuning", "probes"):
            if getattr(recipe.settings, part) is not None:
                settings = _merge(settings, {part: {"stride": seen.stride}})
    # Pixels are one value: a table of them is not laid over the recipe's.
    settings = settings | {"video": settings["video"] | video}
    whole = recipe.model_dump(mode="json", exclude={"settings"}) | {"settings": settings}
    try:
        return Recipe.model_validate(whole)
    except ValidationError as error:
        raise InputError(
            f"an input of {seen.words()}: {_fault(error.errors()[0], whole)}; state the whole input: --frames, --resize, --crop"
        ) from None


def _setting(settings: dict, keys: Sequence[str]) -> object:
    """The setting that some keys lead to. Raises InputError, listing what is there, where there is none."""
    here: object = settings
    for number, key in enumerate(keys):
        if not isinstance(here, dict) or key not in here:
            there = ".".join(keys[:number])
            known = f"there are {', '.join(here)}" if isinstance(here, dict) and here else "it is no table"
            raise InputError(f"--set {'.'.join(keys)}: no {key!r} in {there or 'the recipe'}; {known}")
        here = here[key]
    if isinstance(here, dict):
        raise InputError(f"--set {'.'.join(keys)}: a table; set what is in it: {', '.join(here) or 'nothing yet'}")
    return here


def _nested(keys: Sequence[str], value: object) -> dict:
    return {keys[0]: _nested(keys[1:], value) if len(keys) > 1 else value}


def _written(value: object) -> str:
    """A setting as TOML writes it; plain words, which no other value could be, without quotes."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        parts = {key: json.dumps(one) if isinstance(one, str) else _written(one) for key, one in value.items()}
        return f"{{{', '.join(f'{key} = {part}' for key, part in parts.items())}}}"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", value):
        return json.dumps(value) if value in ("true", "false", "nan", "inf", "none") else value
    return json.dumps(value)


def _shown(path: Path) -> str:
    """A recipe's file as messages name it: every paper has a recipe.toml."""
    return f"{path.parent.name}/{path.name}"


def _table(content: dict, name: str, path: Path) -> dict:
    """A table of a file, empty where it is not there."""
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{_shown(path)}: {name} = {found!r}; write a table, [{name}]")
    return found


def _fault(fault: "ErrorDetails", content: dict) -> str:
    """A fault as "settings.video.crop = 0: input should be greater than or equal to 8"."""
    given = fault["input"]
    shown = f" = {given!r}"[:60] if isinstance(given, str | int | float) else ""
    what = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"][0].lower() + fault["msg"][1:]
    return f"{'.'.join(_place(fault, content))}{shown}: {what}"


def _place(fault: "ErrorDetails", content: dict) -> list[str]:
    """The keys of the file that lead to a fault."""
    place, here, loc = [], content, fault["loc"]
    for number, part in enumerate(loc, 1):
        inside = part in (here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ())
        # Between the keys of the file stand the branches of unions that were tried.
        if inside or (number == len(loc) and isinstance(here, dict | list)):
            place.append(str(part))
        here = here[part] if inside else here
    return place


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
