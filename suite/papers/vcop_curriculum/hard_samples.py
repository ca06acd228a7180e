"""VCOP with curricula (Xiao et al., TMM): the videos that the sample-based curriculum goes on with (Sec. III-D2, IV-A).

A converged network is asked for the order of several tuples of every training video; training goes on without the videos
that it always ordered rightly and confidently.

Shapes: V videos, E recorded epochs.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite import files
from suite.errors import DamagedError, InputError
from suite.evaluation.asking import ask
from suite.loading import NamedSamples


@dataclass(frozen=True)
class Recorded:
    """What a network made of the tuples that it was asked about, one of each video and epoch."""

    names: tuple[str, ...]
    # Softmax of the right order, float64 [V, E].
    confidence: Tensor
    # Whether the right order had the largest softmax, bool [V, E].
    right: Tensor

    def easy(self, threshold: float) -> Tensor:
        """Videos always ordered rightly, and each time with a softmax above the threshold: bool [V]."""
        return (self.right & (self.confidence > threshold)).all(dim=1)

    def save(self, path: Path) -> None:
        """Write beside and rename, so that a stage that is killed and started again goes on with the same videos."""
        content = {
            "names": list(self.names),
            "confidence": self.confidence.tolist(),
            "right": self.right.tolist(),
        }
        with files.replacing(path) as file:
            file.write(f"{json.dumps(content)}\n".encode())

    @classmethod
    def load(cls, path: Path) -> "Recorded":
        """Read what `save` wrote; no number changes. Raises DamagedError on a damaged file."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            confidence = torch.tensor(content["confidence"], dtype=torch.float64)
            recorded = cls(tuple(content["names"]), confidence, torch.tensor(content["right"], dtype=torch.bool))
        except (ValueError, KeyError, TypeError):
            raise DamagedError(f"{path}: not a record of softmax values") from None
        if recorded.confidence.ndim != 2 or {recorded.right.shape, (len(recorded.names), recorded.right.shape[-1])} != {
            recorded.confidence.shape
        }:
            raise DamagedError(f"{path}: not one row for each video")
        return recorded


def record(
    network: nn.Module,
    samples: NamedSamples,
    epochs: Sequence[int],
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int = 0,
) -> Recorded:
    """Ask a network for the order of every video's training tuple of each of `epochs`.

    The weights do not move and neither do running statistics; dropout is off; single precision. What is recorded of a
    video depends on its own tuples alone.

    Args:
        network: uint8 [B, N, T, H, W, 3] -> logits [B, N!].
        samples: training tuples, items by (epoch, index) with a class index as target; `name(index)` names the video.

    Raises:
        InputError: a video cannot be read, or there is none.
    """
    videos, passes = len(samples), len(epochs)
    if not videos or not passes:
        raise InputError("there is no training video, or no epoch, to record the softmax of the right order in")

    def ordered(clips: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        softmax = network(clips).double().softmax(dim=1)
        return softmax.gather(1, target[:, None])[:, 0].cpu(), (softmax.argmax(dim=1) == target).cpu()

    keys = [(epoch, index) for epoch in epochs for index in range(videos)]
    found = ask(network, ordered, samples, batch, device, progress, workers=workers, keys=keys)
    columns = (torch.cat(column).reshape(passes, videos).T.contiguous() for column in zip(*found, strict=True))
    return Recorded(tuple(samples.name(index) for index in range(videos)), *columns)


class HardSamples(Dataset):
    """Those of a task's samples that are left when the easy videos are dropped, from a later epoch on.

    What is drawn of a video stays what it would have been without dropping: (epoch, index) here is
    (first_epoch + epoch, its index there) there.

    Raises:
        InputError: every video is easy.
    """

    def __init__(self, samples: NamedSamples, easy: Tensor, first_epoch: int):
        if len(samples) != len(easy):
            raise ValueError(f"{len(easy)} videos were judged, the samples have {len(samples)}")
        self.samples, self.first_epoch = samples, first_epoch
        self.kept = (~easy).nonzero()[:, 0].tolist()
        if not self.kept:
            raise InputError(
                f"all {len(samples)} training videos are ordered rightly above the threshold in every recorded epoch: "
                "none is left to go on with; raise the threshold or record more epochs"
            )

    def __len__(self) -> int:
        return len(self.kept)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.samples.name(self.kept[index])

    def __getitem__(self, key: tuple[int, int]):
        epoch, index = key
        return self.samples[self.first_epoch + epoch, self.kept[index]]
