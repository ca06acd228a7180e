"""The regression slices of the papers: numbers of the tiny scale on generated data that no change may move unnoticed.

There are three kinds, by how far they move between processors:

    exact    counts, digests, drawn frames and crops, evaluation with fixed weights: whole numbers and words, the same everywhere
    near     {"value", "tolerance"}: first training steps; float32 moves by rounding, float64 hardly at all
    trained  {"value", "chance"}: scores after a training, which moves by whole points; only floors can hold

torchvision's uint8 resize rounds 18 % of the pixels otherwise (by 1) without AVX2, so exact and near numbers are taken at
the size of the files. A paper's slice is a module here with

    DATASETS  the generated datasets that it needs
    PARTS     name -> (function of a job and the tiny recipe's settings, rough cost in 1e9 multiply-accumulates), longest first

and this module has what they share. Nothing here imports torch until a part is computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from suite import recipe
from suite.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor, nn

    from suite.settings import Optimisation
    from suite.stages import Job
    from suite.training import Outcome

# Rounding of evaluation and of one training step in float32, and of a few steps in float64 (measured: 3e-7 and 2e-14).
FLOAT32, FLOAT64 = 1e-5, 1e-8
# Brightness and sharpness of resized frames: 1e-4 and 8e-4 between processors; sharpness moves by 0.1 without antialiasing.
RESIZED = 1e-2
# Seed of the fixed weights, and of which videos the evaluation with them takes: every third.
WEIGHTS = 7
TAKEN = slice(None, None, 3)
# Steps in float64, and samples of each.
STEPS, DOUBLE_BATCH = 3, 4

_SLICES = ("vcop", "mas", "skip-clip", "vcop-curriculum", "srop")

# Numbers of one kind by name; an exact one is a whole number, a word or a list of whole numbers.
Exact = dict[str, int | str | list[int]]
Near = dict[str, dict[str, float]]


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
    found = compute(job, recipe.Scale(**job.config["settings"]))
    return {"facts": {"exact": {}, "near": {}, "trained": {}} | found}


def _slice(paper: str) -> ModuleType:
    if paper not in _SLICES:
        raise InputError(f"no regression slice for paper {paper!r}; there are slices for: {', '.join(_SLICES)}")
    return import_module(f"suite.regression.{paper.replace('-', '_')}")


# ---------------------------------------------------------------------------------------------------- data


class Native:
    """A generated dataset, checked, with its frames at the size of the files."""

    def __init__(self, job: Job, name: str, settings: recipe.Scale):
        from suite import datasets
        from suite.video import decode

        self.dataset = datasets.load(name, job.roots[name])
        self.report = json.loads((checked(job, name) / "videos.json").read_text(encoding="utf-8"))
        self.frames: dict[str, int] = self.report["videos"]
        size = (settings.synthetic.height, settings.synthetic.width)
        self.source = decode.ResizedVideos(self.dataset.root, self.dataset.videos(), size)


def stage(job: Job, kind: str, config: dict, inputs: dict[str, Path], name: str) -> tuple[Path, dict]:
    """Run a stage of the suite in a folder of its own: (folder, result)."""
    from suite import stages

    folder = job.folder / name
    folder.mkdir()
    return folder, stages.run(stages.Job(kind, config, inputs, job.roots, folder, job.runtime))


def checked(job: Job, name: str) -> Path:
    """The folder of a dataset's check."""
    return stage(job, "check-data", {"dataset": name, "skip_unreadable": False}, {}, f"check-{name}")[0]


class Painted:
    """A source whose pixels say where they are from: (frame, row, column). What a sample shows tells what was drawn."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width

    def frames(self, name: str, indices) -> Tensor:
        import torch

        painted = torch.empty(len(indices), self.height, self.width, 3, dtype=torch.uint8)
        painted[..., 0] = torch.as_tensor(indices)[:, None, None]
        painted[..., 1] = torch.arange(self.height)[:, None]
        painted[..., 2] = torch.arange(self.width)
        return painted


class Given:
    """What a pretext task asks its data for: frame counts, and a source and flow that are the same for every size."""

    def __init__(self, frames: dict[str, int], source, flow=None):
        self.frames, self._source, self._flow = frames, source, flow

    def source(self, resize):
        return self._source

    def flow(self, resize):
        return self._flow


def corner(clip: Tensor) -> list[int]:
    """First frame, top row and left column of a painted clip [T, H, W, 3]."""
    return clip[0, 0, 0].tolist()


def digest(lines) -> str:
    """The sha256 of lines of text."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def recipe_hashes(paper: str) -> Exact:
    """The recipe's hash at each scale."""
    return {f"recipe-hash/{scale}": recipe.load(paper, scale).hash() for scale in recipe.SCALES}


def identity(name: str, data: Native) -> Exact:
    """Identity of a generated dataset: lists, videos, lengths, bytes, decoded pixels."""
    dataset = data.dataset
    found: Exact = {f"lists/{name}/{file}": content for file, content in dataset.lists.items()}
    found[f"fingerprint/{name}"] = dataset.fingerprint()
    found[f"classes/{name}"] = digest(dataset.classes)
    for number, split in dataset.splits.items():
        found[f"counts/{name}/split{number}-train"] = len(split.train)
        found[f"counts/{name}/split{number}-test"] = len(split.test)
        found[f"labels/{name}/split{number}"] = digest(
            f"{v.name} {v.label} {v.group}" for v in (*split.train, *split.test)
        )
    found[f"counts/{name}/decoded"] = data.report["decoded"]
    found[f"counts/{name}/frames"] = sum(data.frames.values())
    found[f"video-bytes/{name}"] = data.report["sha256"]
    pixels = hashlib.sha256()
    for video in dataset.videos()[::8]:
        pixels.update(data.source.frames(video.name, range(6)).numpy().tobytes())
    found[f"decoded-pixels/{name}"] = pixels.hexdigest()
    return found


# ---------------------------------------------------------------------------------------------------- networks


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(tensor.numel() for tensor in network.parameters())


def within(tolerance: float, numbers: dict[str, float]) -> Near:
    """Numbers that move by rounding, with the relative tolerance that they share."""
    return {name: {"value": value, "tolerance": tolerance} for name, value in numbers.items()}


def fix_weights(network: nn.Module, seed: int) -> nn.Module:
    """Overwrite every weight and statistic with numbers that no library's initialisation decides: uniform, by PCG64.

    Matrices and kernels are within ±sqrt(6 / fan-in) (He), scales and variances in 0.5 to 1.5, shifts and means within ±0.2.
    """
    import numpy as np
    import torch

    draw = np.random.Generator(np.random.PCG64(seed))
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        uniform = draw.random(tuple(tensor.shape))
        if tensor.ndim > 1:
            values = (2 * uniform - 1) * math.sqrt(6 / tensor[0].numel())
        elif name.endswith(("weight", "running_var")):
            values = 0.5 + uniform
        else:
            values = 0.4 * uniform - 0.2
        tensor.copy_(torch.from_numpy(values))
    return network


# ---------------------------------------------------------------------------------------------------- training


def batch_of(samples, epoch: int, size: int) -> tuple[Tensor, ...]:
    """A batch of samples spread evenly over the list: inputs [B, ...], and what else the samples hold, [B, ...] each."""
    from torch.utils.data import default_collate

    return tuple(default_collate([samples[epoch, index * len(samples) // size] for index in range(size)]))


def pretext_steps(
    build: Callable[[], nn.Module],
    samples,
    optimisation: Optimisation,
    loss: Callable[..., Tensor],
) -> tuple[Outcome, dict[str, float]]:
    """The first step of a pretraining in float32, as training takes it, and a few in float64 on small batches.

    Args:
        build: makes the network; torch's generator is seeded with 0 before.
        samples: of the training.
        loss: of a network that is in float64, and a batch of samples.

    Returns:
        The first step's outcome; and losses and norms of the gradient, from fixed weights, as "loss/step0" and so on.
    """
    import torch

    from suite import training
    from suite.seeding import seed_everything

    seed_everything(0)
    network = build().train()
    for parameter in network.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    first = network.outcome(*batch_of(samples, 0, optimisation.batch))

    seed_everything(0)
    # torch's own initialisation differs in the last bit between processors with and without AVX2.
    network = fix_weights(build().double().train(), WEIGHTS)
    optimiser = training.optimiser(network, optimisation)
    found = {}
    for step in range(STEPS):
        value = loss(network, *batch_of(samples, step, DOUBLE_BATCH))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = torch.stack([tensor.grad.norm() for tensor in network.parameters() if tensor.requires_grad]).norm()
        optimiser.step()
        found |= {f"loss/step{step}": value.item(), f"gradient-norm/step{step}": norm.item()}
    return first, found
