"""The papers: one module and one recipe each. A recipe names its pretext task; here is where each task is at home.

A task's module offers `eligible(videos, frames, pretraining, video)`, `network(backbone, pretraining, video)` and
`samples(data, videos, pretraining, video, seed=, training=)`.
"""

from importlib import import_module
from types import ModuleType

_HOMES = {
    "clip-order": "vcop",
    "statistics": "mas",
    "skip-clip": "skip_clip",
    "segment-order": "srop",
    "view-synthesis": "view_synthesis",
}


def pretext(task: str) -> ModuleType:
    """The module of a pretext task by the name that recipes give it."""
    return import_module(f"suite.papers.{_HOMES[task]}")
