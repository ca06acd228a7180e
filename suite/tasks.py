"""Pretext tasks: what a task is, where it is found, and what its scores are given.

A task is a module, named in a recipe by its path within suite.papers ("vcop.clip_order") or as any importable module. It is
known without torch: what needs torch is imported within functions, or stands in modules beside it. It has

    NAME      what results call it: "clip-order"; recipes are the same wherever a task lies, as their hash knows it by this
    VERSION   raised whenever its samples, its network or its training move
    Settings  what there is to set: a suite.settings.Pretraining, which also says what planning must know
    SCORES    protocol -> (function of a `HeldOut` that gives a stage's result, version): how well it was learnt
    eligible(videos, frames, pretraining, video)                   those of the videos that are long enough for it
    network(backbone, pretraining, video)                          the network that learns: `outcome(*batch)` is an Outcome
    samples(data, videos, pretraining, video, *, seed, training)   its samples, asked for by (epoch, index)

and, where it needs them,

    attach(network, role, state)   give the network another one that its settings name (`networks`), by its trained weights
    resume(network, samples, pretraining, *, weights, folder, device, workers, progress)
                                   go on from a whole network, head and all, by its weights' file, and not from its backbone
                                   alone: load them, and return the samples to go on with, epochs, and counts for the record

`frames` are lengths by video name; `pretraining` and `video` are settings as plain tables; `data` gives sources of frames and
flow. This module imports no torch.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from suite import elsewhere
from suite.errors import InputError

HOME = "suite.papers"
# What each function of a task is called with: values by their place, and others by name.
CALLS: dict[str, tuple[int, tuple[str, ...]]] = {
    "eligible": (4, ()),
    "network": (3, ()),
    "samples": (4, ("seed", "training")),
    "attach": (3, ()),
    "resume": (3, ("weights", "folder", "device", "workers", "progress")),
}
# Functions that only some tasks need.
OPTIONAL = ("attach", "resume")
# What takes seconds to import, and is not there where tables and plans are only read.
HEAVY = ("torch", "torchvision", "av", "cv2", "sklearn")


@dataclass(frozen=True)
class HeldOut:
    """What the scores of a task are asked about: a network as its training left it, and one sample of every test video."""

    network: Any
    # Of epoch 0, drawn by seed 0 whatever the run: every run is asked about the same. Sample i is of video i.
    samples: Any
    videos: list
    data: Any
    # The settings that the network was trained by.
    pretraining: dict
    video: dict
    # "listed" and "decoded" videos of the test list.
    counts: dict[str, int]
    # A network of the same kind before its first step; with trained_backbone=True its backbone is the trained one.
    untrained: Callable[..., Any]
    # The readable videos of the training list.
    training_videos: Callable[[], list]
    # Where pictures go.
    folder: Path
    device: str
    workers: int
    progress: Callable[[int, int], None]


def find(path: str) -> ModuleType:
    """The task that a recipe names.

    Raises InputError if there is no such module, if it is no task, or if its import has loaded something of `HEAVY`.
    """
    found, loaded = _found(path, elsewhere.folders())
    if loaded:
        raise InputError(f"{path}: {too_heavy(loaded)}")
    return found


@cache
def _found(path: str, folders: tuple[Path, ...]) -> tuple[ModuleType, list[str]]:
    """The task of that name under these folders elsewhere, and what of `HEAVY` came with its import; what was there before
    cannot be seen. Looked for once, and asked for with every recipe."""
    before = {name for name in HEAVY if name in sys.modules}
    module = elsewhere.module(path, HOME)
    if found := faults(module):
        raise InputError(f"{path} is no pretext task: {'; '.join(found)} (suite/tasks.py says what a task has)")
    return module, [name for name in HEAVY if name in sys.modules and name not in before]


def too_heavy(loaded: list[str]) -> str:
    """A task's fault whose import loads these, to be read after its name."""
    return f"its import loads {', '.join(loaded)}; import them within functions, or in modules beside it"


Told = TypeVar("Told")


def told(settings: Any, method: str, kind: type[Told], *values: object) -> Told:
    """What the settings of a task say of it, asked by a method of suite.settings.Pretraining.

    Raises InputError, naming the task, where the method fails or gives something of another kind.
    """
    asked = f"{settings.pretext}: {method}() of its Settings"
    try:
        said = getattr(settings, method)(*values)
    except (Exception, SystemExit) as error:
        raise InputError(f"{asked} fails with {type(error).__name__}: {error}; mend it") from error
    if kind is float and isinstance(said, int):
        said = float(said)
    if not isinstance(said, kind):
        raise InputError(f"{asked} gives a {type(said).__name__}, not a {kind.__name__}; mend it")
    return said


def faults(module: ModuleType) -> list[str]:
    """What keeps a module from being a task, in words; nothing of it is called."""
    scores = getattr(module, "SCORES", None)
    there = {
        "NAME, a text": isinstance(getattr(module, "NAME", None), str),
        "VERSION, a whole number": isinstance(getattr(module, "VERSION", None), int),
        "Settings, a class": isinstance(getattr(module, "Settings", None), type),
        "SCORES, protocol -> (function, version)": isinstance(scores, dict) and all(map(_is_score, scores.values())),
    }
    found = [f"it has no {what}" for what, holds in there.items() if not holds]
    for name, (values, keywords) in CALLS.items():
        function = getattr(module, name, None)
        if function is None and name in OPTIONAL:
            continue
        if not callable(function):
            found.append(f"it has no function {name}")
            continue
        try:
            signature(function).bind(*[None] * values, **dict.fromkeys(keywords))
        except TypeError as error:
            found.append(f"{name} cannot be called with {values} values{_and(keywords)} ({error})")
    return found


def _is_score(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and callable(value[0]) and isinstance(value[1], int)


def _and(keywords: tuple[str, ...]) -> str:
    return f" and {', '.join(keywords)} by name" if keywords else ""


def heavy(path: str) -> list[str]:
    """What a task's import loads of `HEAVY`, which belongs into functions or modules beside it; seen in a process of its own.

    Raises InputError where the module cannot be imported there.
    """
    script = "import sys; from suite import elsewhere, tasks; elsewhere.module(sys.argv[1], tasks.HOME)"
    script += "; print(*[name for name in tasks.HEAVY if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script, path],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    if done.returncode or not said:
        why = done.stderr.strip().splitlines() or [f"its process ends with {done.returncode} and says nothing"]
        raise InputError(f"{path}: cannot be imported: {why[-1]}")
    return said[-1].split()
