"""Our own files: safetensors with string metadata, whole or not there at all."""

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from suite import files
from suite.errors import InputError


def save(state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors by name as safetensors, beside and renamed: `path` is the old file or the new one, never half.

    Raises InputError if it cannot be written (a full disk, say).
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = safetensors.torch.save(tensors, metadata)
    try:
        with files.replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room or choose another folder") from None


def load(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a file that `save` wrote. Raises InputError if it is not one or is damaged."""
    path = Path(path)
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); delete it and run the stage again") from None
