"""Where randomness comes from: a draw depends on its keys alone, so that workers, order and resuming change nothing."""

import numpy as np
import torch


def generator(*keys: int) -> torch.Generator:
    """A generator seeded by non-negative integers, such as (run seed, epoch, sample index).

    Zeros at the end of the keys do not count: (3,), (3, 0) and (3, 0, 0) are one stream.
    """
    state = np.random.SeedSequence(keys).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def seed_everything(seed: int) -> None:
    """Seed torch's own generators: weight initialisation and dropout draw from them."""
    torch.manual_seed(seed)
