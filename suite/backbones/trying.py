"""One forward pass of a network on clips without content: what comes out, and what it costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def passed(network: nn.Module, clip: tuple[int, int, int], parts: tuple[str, ...], count: int = 2) -> tuple:
    """What the methods `parts` of a network, in evaluation mode, make of `count` clips of (frames, height, width).

    On tensors without memory where the network runs on these, else on zeros. The network is left as it was. Raises whatever
    the network raises.
    """
    return _passed(network, clip, parts, count)[0]


def multiply_accumulates(network: nn.Module, clip: tuple[int, int, int], count: int = 1) -> int:
    """Multiply-accumulates of the network's forward pass for `count` clips of (frames, height, width)."""
    _, operations = _passed(network, clip, ("forward",), count)
    # The counter takes a multiplication and an addition for two.
    return operations // 2


def _passed(network: nn.Module, clip: tuple[int, int, int], parts: tuple[str, ...], count: int) -> tuple[tuple, int]:
    """What comes out, and the floating point operations that it took."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            try:
                state = {f"network.{key}": tensor.to("meta") for key, tensor in network.state_dict().items()}
                clips = torch.empty(count, 3, *clip, device="meta")
                with FlopCounterMode(display=False) as counter:
                    made = tuple(torch.func.functional_call(_Called(network, part), state, clips) for part in parts)
            except Exception:
                # Not every operation runs without content; where this one fails too, its error is the network's own.
                device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
                clips = torch.zeros(count, 3, *clip, device=device)
                with FlopCounterMode(display=False) as counter:
                    made = tuple(_Called(network, part)(clips) for part in parts)
            return made, counter.get_total_flops()
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Called(nn.Module):
    """A network whose call is one of its methods."""

    def __init__(self, network: nn.Module, part: str):
        super().__init__()
        self.network, self.part = network, part

    def forward(self, clips: Tensor):
        return getattr(self.network, self.part)(clips)
