"""What the whole method of srop costs a step against order prediction alone: time and memory, as ratios in one run."""

import time

import torch

from suite import backbones
from suite.papers.srop.segment_network import SegmentNetwork
from suite.papers.srop.view_network import Autoencoder
from suite.settings import Optimisation
from suite.training import optimiser

FRAMES, SIDE, SEGMENTS = 16, 112, 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The paper's batch on a GPU.
BATCH = 16 if DEVICE == "cuda" else 2
# CPU seconds of this process where there is no GPU, so that a busy machine does not decide.
clock = time.perf_counter if DEVICE == "cuda" else time.process_time
SETTINGS = Optimisation(batch=BATCH, epochs=1, learning_rate=1e-3, momentum=0.9, weight_decay=5e-4, precision="fp32")


def network(*, whole: bool) -> SegmentNetwork:
    """Order alone; or all subtasks with shuffle similarity, a queue of 1,024 keys and synthesised views."""
    made = SegmentNetwork(
        backbones.build("r3d"),
        segments=SEGMENTS,
        max_rate=8,
        order_weight=1.0,
        rate_weight=0.3 * whole,
        contrastive_weight=1.0 * whole,
        rate_head="regression",
        hidden=512,
        projection=128,
        similarity="shuffle",
        temperature=0.07,
        queue=1024,
        momentum=0.999,
    )
    if whole:
        made.views = Autoencoder(32, 16).eval().requires_grad_(False)
    return made.to(DEVICE).train()


def batch(*, whole: bool) -> list[torch.Tensor]:
    clips = torch.randint(256, (BATCH, 1 + whole, FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
    order, rates = torch.randint(6, (BATCH,)), torch.randint(1, 9, (BATCH, SEGMENTS))
    return [tensor.to(DEVICE) for tensor in (clips, torch.ones(BATCH, 1 + whole, 3), order, rates)]


class Steps:
    """One training of either kind, and what a step of it takes."""

    def __init__(self, *, whole: bool):
        torch.manual_seed(0)
        self.network, self.batch = network(whole=whole), batch(whole=whole)
        self.optimiser = optimiser(self.network, SETTINGS)

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self.network.outcome(*self.batch).loss.backward()
        self.optimiser.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    def seconds(self, times: int) -> float:
        """The quickest of some steps."""
        found = []
        for _ in range(times):
            start = clock()
            self.step()
            found.append(clock() - start)
        return min(found)

    def gigabytes(self) -> float:
        """On a GPU the most that was allocated in a step; on a CPU the state and what the backward pass holds on to."""
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step()
            return torch.cuda.max_memory_allocated() / 1e9
        held: dict[int, int] = {}

        def hold(tensor: torch.Tensor) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            loss = self.network.outcome(*self.batch).loss
        loss.backward()
        for tensor in (*self.network.parameters(), *self.network.buffers()):
            # With its gradient and its momentum, where it learns.
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() * (
                3 if tensor.requires_grad else 1
            )
        return sum(held.values()) / 1e9


def test_a_step_of_the_whole_method_against_order_alone(benchmark):
    torch.set_num_threads(1)
    order, whole = Steps(whole=False), Steps(whole=True)
    order.step()
    whole.step()
    memory = whole.gigabytes() / order.gigabytes()
    alone = order.seconds(2)
    used: list[float] = []
    benchmark.pedantic(lambda: used.append(whole.seconds(1)), rounds=2)
    took = min(used) / alone
    benchmark.extra_info |= {"time_ratio": round(took, 2), "memory_ratio": round(memory, 2), "device": DEVICE}
    # A second encoder without a backward pass, an autoencoder without one, and a queue: less than a second training.
    assert took < 2
    assert memory < 2
