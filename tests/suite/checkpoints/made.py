"""Networks to save, files of them, and the one line with which a file is refused."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from suite import backbones, checkpoints
from suite.errors import InputError

WIDTH = 8


def trained(name: str, width: int = WIDTH) -> torch.nn.Module:
    """A network whose every entry differs from its initial value."""
    torch.manual_seed(5)
    network = backbones.build(name, width)
    network.train()
    for _ in range(2):
        network(torch.rand(4, 3, 8, 32, 32))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def authors_state(name: str, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {checkpoints.vcop_name(name, key): tensor for key, tensor in network.state_dict().items()}


def write(path: Path, state: dict, kind: str) -> Path:
    if kind == "safetensors":
        safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    return path


def refused(path: Path, name: str = "r3d", width: int = WIDTH) -> str:
    """The one line with which an import is refused."""
    with pytest.raises(InputError) as caught:
        checkpoints.import_backbone(path, name, width)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 460
    return message.removeprefix(f"{path}: ")
