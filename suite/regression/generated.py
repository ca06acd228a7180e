"""What the slices look at: generated datasets at the size of their files, and sources that say what was drawn of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from suite.regression.numbers import Exact, digest

if TYPE_CHECKING:
    from torch import Tensor

    from suite.settings import Scale
    from suite.stages import Job


class Native:
    """A generated dataset, checked, with its frames at the size of the files."""

    def __init__(self, job: Job, name: str, settings: Scale):
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
