"""Action recognition of videos: scores averaged over clips, evenly spaced ones or all windows side by side."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from suite.evaluation.asking import frozen
from suite.evaluation.features import (
    BATCH,
    ClipsOfVideos,
    WindowsOfVideos,
    means_of_videos,
    of_clips,
    outputs,
)
from suite.video.transforms import Pixels


def test(
    network: nn.Module,
    source,
    videos: Sequence,
    frames: dict[str, int],
    *,
    clip_length: int,
    clips: int | Literal["windows"],
    stride: int = 1,
    crop: int,
    average: Literal["logits", "softmax"] = "logits",
    pixels: Pixels = "unit",
    batch: int = BATCH,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Mean scores of each video over its clips: float64 [videos, classes].

    Args:
        network: clips float32 [B, 3, T, h, w] -> logits [B, classes]; moved to `device`, left in the mode it was in.
        clips: how many evenly spaced ones (VCOP Sec. 4.2: 10), or "windows": all whole clips of the video that follow
            each other without overlap (Skip-Clip Sec. 4.2, MAS), one that repeats from the start if it is too short.
        average: "logits" before any softmax (VCOP's code), or "softmax": the classes' probabilities.
        others: as in `suite.evaluation.features.extract`.

    Raises:
        InputError: a video cannot be read, or the network gives NaN or infinite logits.
    """
    if average not in ("logits", "softmax"):
        raise ValueError(f"average is {average!r}, not 'logits' or 'softmax'")

    def scores(inputs: Tensor) -> Tensor:
        logits = network(inputs)
        return logits if average == "logits" else logits.softmax(1)

    run: dict[str, Any] = {"pixels": pixels, "batch": batch, "device": device, "workers": workers, "progress": progress}
    with frozen(network.to(device)):
        if clips == "windows":
            windows = WindowsOfVideos(
                source, videos, frames, clip_length=clip_length, step=clip_length, stride=stride, crop=crop
            )
            return np.stack(list(means_of_videos(outputs(scores, windows, **run))))
        loader = ClipsOfVideos(source, videos, frames, clip_length=clip_length, clips=clips, stride=stride, crop=crop)
        return of_clips(outputs(scores, loader, **run), len(videos), clips).astype(np.float64).mean(axis=1)
