"""The one training loop, for pretraining and fine-tuning.

A run that is killed at any moment and started again goes on where it was: what an epoch shows depends on (seed, epoch,
index) alone, and everything else that moves (weights, optimiser, generators, sums of the epoch under way) is in the
checkpoint, which is written beside and renamed. On a CPU (same processor and threads) it ends bit-identical to one that
was never killed. On a GPU it ends close to it: atomic additions and cuDNN's choice of algorithms round differently in
every run.
"""

import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from suite import checkpoints, files
from suite.errors import DamagedError, InputError, TrainingError
from suite.loading import NamedSamples, Samples, batches_of
from suite.precision import cudnn_benchmark, full_precision
from suite.seeding import generator
from suite.settings import Optimisation

CHECKPOINT = "training.pt"
# On a GPU, losses are looked at in blocks of this many steps: each look waits for the device.
STEPS_BETWEEN_LOOKS = 20


class Outcome(NamedTuple):
    """What a network makes of a batch, in 0-d tensors."""

    # Mean over the batch.
    loss: Tensor
    # How many samples were right, where a task has right and wrong.
    correct: Tensor | None
    # Means over the batch of whatever else is worth a curve, 0-d tensors by name.
    parts: Mapping[str, Tensor] = MappingProxyType({})


@dataclass
class Progress:
    """Where a run is; all of it is in the checkpoint."""

    epoch: int = 0
    # Batches of this epoch already trained on.
    batch: int = 0
    loss_sum: float = 0.0
    # None until a sample could be right or wrong.
    correct: int | None = None
    part_sums: dict[str, float] = field(default_factory=dict)
    # Of the weights to keep: their validation loss, or their accuracy with its sign turned.
    best_loss: float = float("inf")
    best_epoch: int = -1
    curves: dict[str, list[float]] = field(default_factory=dict)


class EpochBatches(Sampler):
    """Batches of (epoch, index), in an order drawn for each epoch, from a given place on. The last batch may be smaller."""

    def __init__(self, size: int, batch: int, epochs: int, seed: int, start: tuple[int, int] = (0, 0)):
        self.size, self.batch, self.epochs, self.seed, self.start = size, batch, epochs, seed, start

    def __len__(self) -> int:
        return -(-self.size // self.batch) * (self.epochs - self.start[0]) - self.start[1]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first_epoch, first_batch = self.start
        for epoch in range(first_epoch, self.epochs):
            order = torch.randperm(self.size, generator=generator(self.seed, epoch)).tolist()
            skipped = first_batch if epoch == first_epoch else 0
            for low in range(skipped * self.batch, self.size, self.batch):
                yield [(epoch, index) for index in order[low : low + self.batch]]


# Every batch but an epoch's last has one shape: cuDNN times its algorithms once.
@cudnn_benchmark(True)
def fit(
    network: nn.Module,
    training: NamedSamples,
    validation: NamedSamples | None,
    optimisation: Optimisation,
    folder: Path,
    *,
    seed: int,
    device: str,
    workers: int = 0,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tensorboard: bool = False,
) -> dict:
    """Train `network`, keep the weights that the recipe says, and return the curves.

    Args:
        network: has `outcome(*batch) -> Outcome`, for batches of what the items hold.
        training, validation: items by (epoch, index); validation is asked for epoch 0 always. None: nothing is held out.
        folder: gets `best.safetensors` and `last.safetensors`; holds the checkpoint while training goes on.
        checkpoint_seconds: least time between two checkpoints.
        progress: told of steps done and steps in all before each; what it raises (SystemExit, when this process is asked
            to end) ends the run with a checkpoint, as what a loader raises does.

    Returns:
        `curves` (one number an epoch), `best_epoch` (0-based), `steps`.

    Raises:
        InputError: a video cannot be read, there is none to train or to validate on, nothing is right or wrong where the
            highest accuracy is to be kept.
        DamagedError: the checkpoint cannot be read.
        TrainingError: a loss is NaN or infinite; names step, learning rate and batch.
    """
    for videos, purpose in ((training, "training"), (validation, "validation")):
        if videos is not None and not len(videos):
            raise InputError(f"no {purpose} video is left; this needs more videos or a smaller hold-out")
    if validation is None and optimisation.keep != "last":
        raise InputError("no validation videos to find the best weights by; the recipe should keep the last")
    run = _Run(network, training, validation, optimisation, folder, seed, device, workers)
    run.resume()
    state, total = run.state, run.batches_per_epoch * optimisation.epochs
    writer = _tensorboard(folder) if tensorboard else None
    saved = time.monotonic()
    stream = run.stream()
    while True:
        try:
            progress(state.epoch * run.batches_per_epoch + state.batch, total)
            if time.monotonic() - saved >= checkpoint_seconds:
                run.save()
                saved = time.monotonic()
            following = next(stream, None)
        except BaseException:
            # Between two steps all that moves fits together: whatever ends the run here loses no step.
            run.save()
            raise
        if following is None:
            break
        run.step(*following)
        state.batch += 1
        if state.batch == run.batches_per_epoch:
            run.end_epoch()
            if writer:
                for name, values in state.curves.items():
                    writer.add_scalar(name, values[-1], state.epoch)
    if writer:
        writer.close()
    checkpoints.save(network.state_dict(), folder / "last.safetensors", {"epoch": str(state.epoch)})
    checkpoints.save(run.best, folder / "best.safetensors", {"epoch": str(state.best_epoch)})
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return {"curves": state.curves, "best_epoch": state.best_epoch, "steps": total}


class _Run:
    """What moves while a network trains."""

    def __init__(
        self,
        network: nn.Module,
        training: NamedSamples,
        validation: NamedSamples | None,
        optimisation: Optimisation,
        folder: Path,
        seed: int,
        device: str,
        workers: int,
    ):
        self.network = network.to(device)
        # The order of clips in memory; what is not a convolution over clips has no such order.
        for parameter in network.parameters():
            if parameter.dim() == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.training, self.validation, self.optimisation = training, validation, optimisation
        self.folder, self.seed, self.device, self.workers = folder, seed, device, workers
        self.optimiser = optimiser(network, optimisation)
        self.state = Progress()
        self.best = _copy(network.state_dict())
        self.batches_per_epoch = -(-len(training) // optimisation.batch)
        # Steps whose losses have not been looked at yet: (epoch, batch, keys, outcome).
        self.unseen: list[tuple[int, int, list, Outcome]] = []
        self.patience = STEPS_BETWEEN_LOOKS if device.startswith("cuda") else 1

    def stream(self) -> Iterator[tuple[list, list[Tensor]]]:
        """Batches from where the run is to its end, with the keys of their samples."""
        plan = (len(self.training), self.optimisation.batch, self.optimisation.epochs, self.seed)
        start = (self.state.epoch, self.state.batch)
        batches = EpochBatches(*plan, start=start)
        yield from zip(EpochBatches(*plan, start=start), self._load(self.training, batches), strict=True)

    def learning_rate(self) -> float:
        """The rate of the epoch under way."""
        settings = self.optimisation
        if not settings.lr_every:
            return settings.learning_rate
        epoch = min(self.state.epoch, settings.lr_until or self.state.epoch)
        return settings.learning_rate * settings.lr_factor ** (epoch // settings.lr_every)

    def step(self, keys: list, batch: list[Tensor]) -> None:
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        batch = [tensor.to(self.device, non_blocking=True) for tensor in batch]
        half = self.optimisation.precision == "bf16"
        at_once = self.optimisation.at_once or len(keys)
        self.optimiser.zero_grad(set_to_none=True)
        outcomes = []
        for part in zip(*(tensor.split(at_once) for tensor in batch), strict=True):
            share = len(part[0]) / len(keys)
            with nullcontext() if half else full_precision():
                with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=half):
                    outcome = self.network.outcome(*part)
                (outcome.loss * share).backward()
            outcomes.append((share, outcome))
        self.optimiser.step()
        outcome = _together(outcomes)
        self.unseen.append((self.state.epoch, self.state.batch, keys, outcome))
        if len(self.unseen) >= self.patience:
            self.look()

    def look(self) -> None:
        """Add up the losses since the last look. Raises TrainingError on the first that is not finite."""
        for epoch, batch, keys, outcome in self.unseen:
            value = float(outcome.loss)
            if not math.isfinite(value):
                names = ", ".join(self.training.name(index) for _, index in keys)
                raise TrainingError(
                    f"loss is {value} at step {epoch * self.batches_per_epoch + batch} (epoch {epoch}, batch {batch}), "
                    f"learning rate {self.learning_rate():g}; batch: {names}; "
                    f"lower learning_rate in the recipe or look at these videos"
                )
            self.state.loss_sum += value * len(keys)
            if outcome.correct is not None:
                self.state.correct = (self.state.correct or 0) + int(outcome.correct)
            for name, part in outcome.parts.items():
                self.state.part_sums[name] = self.state.part_sums.get(name, 0.0) + float(part) * len(keys)
        self.unseen.clear()

    def end_epoch(self) -> None:
        """Close the epoch: validate, keep the best weights."""
        self.look()
        state, size = self.state, len(self.training)
        ended = {"train_loss": state.loss_sum / size}
        if state.correct is not None:
            ended["train_accuracy"] = 100 * state.correct / size
        ended |= {f"train_{name}": total / size for name, total in state.part_sums.items()}
        if self.validation is not None:
            ended |= self.validate(self.validation)
            if not math.isfinite(ended["validation_loss"]):
                raise TrainingError(
                    f"validation loss is {ended['validation_loss']} after epoch {state.epoch}, "
                    f"learning rate {self.learning_rate():g}; lower learning_rate in the recipe"
                )
        for name, value in ended.items():
            state.curves.setdefault(name, []).append(value)
        if self._keeps(ended):
            state.best_epoch = state.epoch
            self.best = _copy(self.network.state_dict())
        state.epoch, state.batch, state.loss_sum, state.correct, state.part_sums = state.epoch + 1, 0, 0.0, None, {}

    def _keeps(self, ended: dict[str, float]) -> bool:
        """Whether the weights of the epoch that ended are the ones to keep so far."""
        if self.optimisation.keep == "last":
            return self.state.epoch == self.optimisation.epochs - 1
        by_accuracy = self.optimisation.keep == "best-accuracy"
        if by_accuracy and "validation_accuracy" not in ended:
            raise InputError(
                "no accuracy to find the best weights by: nothing is right or wrong; keep the best or the last"
            )
        loss = -ended["validation_accuracy"] if by_accuracy else ended["validation_loss"]
        better = loss < self.state.best_loss
        self.state.best_loss = min(loss, self.state.best_loss)
        return better

    @torch.no_grad()
    def validate(self, videos: Samples) -> dict[str, float]:
        """Mean loss, accuracy (percent) and parts over validation videos; draws nothing from torch's generators."""
        self.network.eval()
        keys = [(0, index) for index in range(len(videos))]
        batches = [keys[low : low + self.optimisation.batch] for low in range(0, len(keys), self.optimisation.batch)]
        sums = {"validation_loss": 0.0}
        with full_precision():
            for batch in self._load(videos, batches):
                size = len(batch[0])
                outcome = self.network.outcome(*(tensor.to(self.device) for tensor in batch))
                sums["validation_loss"] += float(outcome.loss) * size
                if outcome.correct is not None:
                    sums["validation_accuracy"] = sums.get("validation_accuracy", 0.0) + 100 * int(outcome.correct)
                for name, part in outcome.parts.items():
                    sums[f"validation_{name}"] = sums.get(f"validation_{name}", 0.0) + float(part) * size
        return {name: total / len(keys) for name, total in sums.items()}

    def _load(self, dataset: Samples, batches: Iterable[Sequence]) -> Iterator[list[Tensor]]:
        return batches_of(dataset, batches, workers=self.workers, pinned=self.device.startswith("cuda"))

    def save(self) -> None:
        """Write the checkpoint beside and rename it."""
        self.look()
        content = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "progress": json.dumps(self.state.__dict__),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.startswith("cuda") else None,
        }
        # Through memory: torch's own file writer hides the reason when a disk is full.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with files.replacing(self.folder / CHECKPOINT) as file:
            file.write(buffer.getbuffer())

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one. Raises DamagedError when it cannot be read."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise DamagedError(f"{path}: checkpoint cannot be read ({type(error).__name__})") from None
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.best = {name: tensor.to(self.device) for name, tensor in content["best"].items()}
        self.state = Progress(**json.loads(content["progress"]))
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] is not None:
            torch.cuda.set_rng_state(content["cuda_rng"], self.device)


def _together(outcomes: list[tuple[float, Outcome]]) -> Outcome:
    """The outcome of a batch from those of its parts, each with its share of the batch. Only numbers are kept: a loss
    would hold on to its whole graph."""
    loss = total_of(share * outcome.loss.detach() for share, outcome in outcomes)
    names = outcomes[0][1].parts
    parts = {name: total_of(share * outcome.parts[name].detach() for share, outcome in outcomes) for name in names}
    counted = [outcome.correct for _, outcome in outcomes if outcome.correct is not None]
    return Outcome(loss, total_of(counted) if counted else None, parts)


def total_of(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one term or more."""
    total, *others = terms
    for term in others:
        total = total + term
    return total


def optimiser(network: nn.Module, settings: Optimisation) -> torch.optim.Optimizer:
    """The optimiser of a recipe over the parameters that learn."""
    groups: list[dict[str, Any]]
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if settings.weight_decay_on == "linear":
        linear = {id(module.weight) for module in network.modules() if isinstance(module, nn.Linear)}
        groups = [
            {"params": [parameter for parameter in learnt if id(parameter) in linear]},
            {"params": [parameter for parameter in learnt if id(parameter) not in linear], "weight_decay": 0.0},
        ]
    else:
        groups = [{"params": learnt}]
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, weight_decay=decay)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _tensorboard(folder: Path):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
