"""What tests of samples and of training share: videos by name, frames on disk, fair draws, and work that ends early."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from suite import training
from suite.settings import Optimisation
from suite.video import store


@dataclass(frozen=True)
class Named:
    """A video of which a name is all that is asked."""

    name: str


def noise(folder: Path, lengths: Mapping[str, int]) -> store.FrameStore:
    """A store of random frames of 36 x 41 pixels, so many of each video; the same every time."""
    drawn = np.random.default_rng(0)
    store.write(folder, ((name, drawn.integers(0, 256, (n, 36, 41, 3), np.uint8)) for name, n in lengths.items()))
    return store.FrameStore(folder)


def all_alike(counts: Counter, classes: int) -> bool:
    """Whether so many classes were drawn about equally often: within five standard deviations of a binomial count."""
    draws = counts.total()
    spread = math.sqrt(draws * (1 / classes) * (1 - 1 / classes))
    return len(counts) == classes and all(abs(count - draws / classes) < 5 * spread for count in counts.values())


class Stopped(Exception):
    """Ends work as a signal would, but in this process."""


def stop_at(step: int | None) -> Callable[[int, int], None]:
    """Progress that ends the work once so much of it is done; never, without a number."""

    def progress(done: int, total: int) -> None:
        if done == step:
            raise Stopped

    return progress


def whole_and_resumed(
    folder: Path, build: Callable[[], nn.Module], learnt, held_out, optimisation: Optimisation
) -> tuple[tuple[dict[str, Tensor], dict], tuple[dict[str, Tensor], dict]]:
    """Weights and result of a training that ran through, and of one that was stopped after four steps and went on."""

    def run(name: str, step: int | None = None) -> tuple[dict[str, Tensor], dict]:
        network = build()
        (folder / name).mkdir(exist_ok=True)
        how = {"seed": 0, "device": "cpu", "checkpoint_seconds": 0.0, "progress": stop_at(step)}
        result = training.fit(network, learnt, held_out, optimisation, folder / name, **how)
        return network.state_dict(), result

    whole = run("whole")
    with pytest.raises(Stopped):
        run("stopped", 4)
    return whole, run("stopped")
