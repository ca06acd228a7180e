"""Synthetic datasets: real avi files in the official layouts, made in seconds, the same bytes on every run.

Actions (UCF101, HMDB51, Kinetics-400, ASLAN) are motions of one object: a single frame says next to nothing of the class,
since colour, size and place are drawn at random. Scenes (YUPENN) are moving textures that fill the frame. Questions
(ActivityNet-QA) are about one coloured object that moves among still dots, and cannot be answered without the video.
"""

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import ModuleType

from suite import datasets, elsewhere
from suite.datasets.description import Description, built_in
from suite.datasets.synthetic.drawing import VERSION, Settings, encode
from suite.errors import InputError

# Frames of a video on average, for estimates only.
FRAMES = 41


def generate(name: str, root: Path, settings: dict, progress: Callable[[int, int], None]) -> None:
    """Write the synthetic counterpart of a dataset under `root`, in the dataset's layout.

    Args:
        settings: any of the fields of `Settings`.
        progress: called with (videos done, videos in all).

    The list files come last, so that a folder left half written does not load; YUPENN, which has none, is made under
    another name and renamed. Raises InputError on a wrong setting, and for a dataset without a counterpart.
    """
    root, chosen = Path(root), _settings(settings)
    about, generator = _generator(name)
    # Two datasets of one kind show different videos.
    own = chosen if built_in(name) else replace(chosen, seed=zlib.crc32(f"{name} {chosen.seed}".encode()))
    planned = generator.plan(about, root, own)
    root.mkdir(parents=True, exist_ok=True)
    _mark(root, name, chosen)
    for done, scene in enumerate(planned.scenes):
        progress(done, len(planned.scenes))
        scene.path.parent.mkdir(parents=True, exist_ok=True)
        encode(scene.path, scene.draw())
    planned.write_lists()
    progress(len(planned.scenes), len(planned.scenes))


def sizes(name: str) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """How many training and test videos each split of a generated dataset has, and its classes, without making it.

    Raises InputError for a dataset without a counterpart.
    """
    about, generator = _generator(name)
    return generator.sizes(about)


def _generator(name: str) -> tuple[Description, ModuleType]:
    about = datasets.describe(name)
    if about.synthetic is None:
        raise InputError(
            f"{name}: nothing generates data in its place (its TOML names no `synthetic`); give --data-root DIR"
        )
    found = elsewhere.module(about.synthetic, "suite.datasets.synthetic")
    for needed in ("plan", "sizes"):
        if not hasattr(found, needed):
            raise InputError(
                f"synthetic {about.synthetic!r} of {name}: has no {needed}(description, ...); see docs/bring-a-dataset.md"
            )
    return about, found


def _settings(settings: dict) -> Settings:
    known = {field.name for field in fields(Settings)}
    for key, value in settings.items():
        if key not in known or not isinstance(value, int):
            raise InputError(
                f"synthetic data: {key} = {value!r} is no setting; they are whole numbers: {', '.join(known)}"
            )
    chosen = Settings(**settings)
    if chosen.height % 2 or chosen.width % 2 or min(chosen.height, chosen.width) < 16:
        raise InputError(
            f"synthetic data: {chosen.width}x{chosen.height} is no frame size; take even numbers from 16 on"
        )
    if chosen.seed < 0 or chosen.classes < 0:
        raise InputError("synthetic data: seed and classes must not be negative")
    return chosen


def _mark(root: Path, name: str, settings: Settings) -> None:
    """Note in the root that its data are synthetic, and what made them."""
    path = root / datasets.SYNTHETIC
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[name] = {"version": VERSION, **asdict(settings)}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)
