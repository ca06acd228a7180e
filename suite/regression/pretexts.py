"""A recipe's pretraining as the slices look at it: networks of fixed weights, what is drawn, and first steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from suite import tasks
from suite.regression.generated import Given
from suite.regression.numbers import FLOAT32, FLOAT64, Near, within

if TYPE_CHECKING:
    from torch import Tensor, nn

    from suite.settings import Optimisation, Scale
    from suite.training import Outcome

# Seed of the fixed weights.
WEIGHTS = 7
# Steps in float64, and samples of each.
STEPS, DOUBLE_BATCH = 3, 4

Network = TypeVar("Network", bound="nn.Module")


class Pretext:
    """One of a recipe's pretrainings as its task sees it.

    Args:
        weights: what the recipe calls the pretraining.
        changed: settings that are otherwise here.
    """

    def __init__(self, settings: Scale, weights: str, **changed):
        chosen = settings.pretraining[weights]
        self.task, self.optimisation = tasks.find(chosen.pretext), chosen.optimisation
        self.pretraining = chosen.model_dump(mode="json") | changed
        self.video = settings.video.model_dump(mode="json")

    def network(self, backbone: nn.Module) -> Any:
        """The task's own network around a backbone."""
        return self.task.network(backbone, self.pretraining, self.video)

    def eligible(self, videos: Sequence, frames: dict[str, int]) -> list:
        """The videos that the task can use."""
        return self.task.eligible(videos, frames, self.pretraining, self.video)

    def samples(self, data: Given, videos: Sequence, *, training: bool) -> Any:
        """The task's own samples of eligible videos, as seed 0 draws them."""
        return self.task.samples(data, videos, self.pretraining, self.video, seed=0, training=training)

    def drawn(
        self, data: Given, videos: Sequence, *, epochs: int = 2, indices: Sequence[int] = range(3)
    ) -> Iterator[tuple[str, Any]]:
        """Some samples of the first epochs and of the validation, each by a name such as "epoch1-sample2"."""
        for epoch, training in (*((epoch, True) for epoch in range(epochs)), (0, False)):
            samples = self.samples(data, videos, training=training)
            where = f"epoch{epoch}" if training else "validation"
            for index in indices:
                yield f"{where}-sample{index}", samples[epoch, index]


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(tensor.numel() for tensor in network.parameters())


def fix_weights(network: Network, seed: int) -> Network:
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


def batch_of(samples, epoch: int, size: int) -> tuple[Tensor, ...]:
    """A batch of samples spread evenly over the list: inputs [B, ...], and what else the samples hold, [B, ...] each."""
    from torch.utils.data import default_collate

    return tuple(default_collate([samples[epoch, index * len(samples) // size] for index in range(size)]))


def pretext_steps(
    build: Callable[[], Any],
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
    found: dict[str, float] = {}
    for step in range(STEPS):
        value = loss(network, *batch_of(samples, step, DOUBLE_BATCH))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = torch.stack([tensor.grad.norm() for tensor in network.parameters() if tensor.requires_grad]).norm()
        optimiser.step()
        found |= {f"loss/step{step}": value.item(), f"gradient-norm/step{step}": norm.item()}
    return first, found


def step_numbers(first: dict[str, float], steps: dict[str, float]) -> Near:
    """Losses of the first step in float32 by name, and what `pretext_steps` found in float64."""
    return within(FLOAT32, {f"first-step-loss/{name}": value for name, value in first.items()}) | within(
        FLOAT64, {f"float64-{name}": value for name, value in steps.items()}
    )
