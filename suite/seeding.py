"""Where randomness comes from: every draw has a seed of its own, so that workers, order and resuming change nothing."""

import numpy as np
import torch


def generator(*keys: int) -> torch.Generator:
    """A generator seeded by non-negative integers, such as (run seed, epoch, sample index)."""
    state = np.random.SeedSequence(keys).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def seed_everything(seed: int) -> None:
    """Seed torch's own generators: weight initialisation and dropout draw from them."""
    torch.manual_seed(seed)
