"""The regression slices of the papers: numbers of the tiny scale on generated data that no change may move unnoticed.

There are three kinds, by how far they move between processors:

    exact    counts, digests, drawn frames and crops, evaluation with fixed weights: whole numbers and words, the same everywhere
    near     {"value", "tolerance"}: first training steps; float32 moves by rounding, float64 hardly at all
    trained  {"value", "chance"}: scores after a training, which moves by whole points; only floors can hold

torchvision's uint8 resize rounds 18 % of the pixels otherwise (by 1) without AVX2, so exact and near numbers are taken at
the size of the files. A paper's slice is a module here with

    DATASETS  the generated datasets that it needs
    PARTS     name -> (function of a job and the tiny recipe's settings, rough cost in 1e9 multiply-accumulates), longest first

What they share is in numbers.py, generated.py and pretexts.py. Nothing here imports torch until a part is computed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from suite.errors import InputError
from suite.settings import Scale

if TYPE_CHECKING:
    from types import ModuleType

    from suite.stages import Job

_SLICES = ("vcop", "mas", "skip-clip", "vcop-curriculum", "srop")


def parts(paper: str) -> dict[str, float]:
    """The parts of a paper's slice, longest first, each with its rough cost in 1e9 multiply-accumulates.

    Raises InputError for a paper without a slice.
    """
    return {name: cost for name, (_, cost) in _slice(paper).PARTS.items()}


def datasets(paper: str) -> tuple[str, ...]:
    """The generated datasets that a paper's slice needs. Raises InputError for a paper without a slice."""
    return _slice(paper).DATASETS


def run(job: Job) -> dict:
    """Compute one part: config holds `paper`, `part`, `seed` and the tiny recipe's `settings`; roots the generated data.

    Returns, under "facts", the numbers by kind and name.
    """
    compute, _ = _slice(job.config["paper"]).PARTS[job.config["part"]]
    found = compute(job, Scale(**job.config["settings"]))
    return {"facts": {"exact": {}, "near": {}, "trained": {}} | found}


def _slice(paper: str) -> ModuleType:
    if paper not in _SLICES:
        raise InputError(f"no regression slice for paper {paper!r}; there are slices for: {', '.join(_SLICES)}")
    return import_module(f"suite.regression.{paper.replace('-', '_')}")
