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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from suite import elsewhere
from suite.errors import InputError

HOME = "suite.papers"
FUNCTIONS = ("eligible", "network", "samples")


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
    """The task that a recipe names. Raises InputError if there is no such module, or it is no task."""
    module = elsewhere.module(path, HOME)
    if lacks := missing(module):
        raise InputError(
            f"{path} is no pretext task: it has no {', no '.join(lacks)}; see suite/tasks.py for what a task has"
        )
    return module


def missing(module: ModuleType) -> list[str]:
    """What a module lacks to be a task, by name."""
    scores = getattr(module, "SCORES", None)
    there = {
        "NAME": isinstance(getattr(module, "NAME", None), str),
        "VERSION": isinstance(getattr(module, "VERSION", None), int),
        "Settings": isinstance(getattr(module, "Settings", None), type),
        "SCORES": isinstance(scores, dict) and all(map(_scores, scores.values())),
        **{name: callable(getattr(module, name, None)) for name in FUNCTIONS},
    }
    return [name for name, holds in there.items() if not holds]


def _scores(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and callable(value[0]) and isinstance(value[1], int)
