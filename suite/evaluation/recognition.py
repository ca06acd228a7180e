"""Action recognition of videos: logits averaged over evenly spaced clips (VCOP Sec. 4.2)."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from suite.evaluation.features import BATCH, ClipsOfVideos, frozen, run_over_clips


def test(
    network: nn.Module,
    source,
    videos: Sequence,
    frames: dict[str, int],
    *,
    clip_length: int,
    clips: int,
    stride: int = 1,
    crop: int,
    batch: int = BATCH,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Mean logits of each video over its clips, before any softmax (authors' code): float64 [videos, classes].

    Args:
        network: clips float32 [B, 3, T, h, w] -> logits [B, classes]; moved to `device`, left in the mode it was in.
        others: as in `suite.evaluation.features.extract`.

    Raises:
        InputError: a video cannot be read, or the network gives NaN or infinite logits.
    """
    loader = ClipsOfVideos(source, videos, frames, clip_length=clip_length, clips=clips, stride=stride, crop=crop)
    with frozen(network.to(device)):
        logits = run_over_clips(network, loader, batch=batch, device=device, workers=workers, progress=progress)
    return logits.astype(np.float64).mean(axis=1)
