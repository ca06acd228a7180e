"""The papers: a folder each, of a recipe, pretext tasks, their parts, and the paper's picture.

A recipe names its pretext task; here is where each task is at home. A task's module imports no torch, so that settings can
be read without, and offers `eligible(videos, frames, pretraining, video)`, `network(backbone, pretraining, video)` and
`samples(data, videos, pretraining, video, seed=, training=)`.
"""

from importlib import import_module
from types import ModuleType

_HOMES = {
    "clip-order": "vcop.clip_order",
    "statistics": "mas.statistics_regression",
    "skip-clip": "skip_clip.order_ranking",
    "segment-order": "srop.segment_order",
    "view-synthesis": "srop.view_synthesis",
}


def pretext(task: str) -> ModuleType:
    """The module of a pretext task by the name that recipes give it."""
    return import_module(f"suite.papers.{_HOMES[task]}")
