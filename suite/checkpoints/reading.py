"""Whatever a file of weights holds: safetensors, or what `torch.save` writes now (a zip archive) or wrote before PyTorch 1.6.

Nothing of a file is executed, and what it takes to read it is looked at first: memory goes by what the file holds, not by what
it says.
"""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.serialization import safe_globals

from suite import files
from suite.checkpoints.survey import BESIDE, Survey, Unreadable, shown, some, survey
from suite.errors import InputError

# First of the pickles in a file from before PyTorch 1.6.
MAGIC = 0x1950A86A20F9469CFC6C


def read(path: Path) -> dict:
    """The mapping that a file holds, with tensors on the CPU; nothing is known of its keys and values.

    Tensors may lie in the file itself: whoever keeps one makes a copy.

    Raises:
        InputError: no such file, none of the three formats, damaged, or holding what is no part of weights and of what
            training keeps beside them; names the file, and the classes that it holds.
    """
    path = Path(path)
    try:
        content = _content(path)
    except Unreadable as error:
        raise InputError(f"{path}: {error}") from None
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    # Damaged bytes end in errors of many kinds.
    except Exception as error:
        reason = repr(str(error).split(". ")[0].split("\n")[0][:120])[1:-1] or type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); is the file complete?") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, not weights by name; save model.state_dict()")
    return content


def _content(path: Path) -> Any:
    with files.open_regular(path) as file:
        head = file.read(9)
    if head[8:] == b"{":
        return safetensors.torch.load_file(path)
    if head.startswith(b"PK"):
        return _archive(path)
    if head.startswith(b"\x80"):
        return _pickles(path)
    raise Unreadable("not a checkpoint (neither safetensors nor written by torch.save)")


def _archive(path: Path) -> Any:
    """Of the zip archive that torch.save writes: one pickle, and a record for each storage."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.lower(): entry for entry in archive.infolist()}
        unpacked, size = sum(entry.file_size for entry in archive.infolist()), os.path.getsize(path)
        if unpacked > size:
            raise Unreadable(
                f"unpacks to {unpacked:,} bytes from a file of {size:,}; torch.save does not compress: save it again by that"
            )
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        # Which of two entries of one name is read depends on who reads.
        if not stored or len(entries) != len(archive.infolist()):
            raise Unreadable("is a zip archive, but not as torch.save writes it; save it again by that")
        root = archive.namelist()[0].split("/")[0].lower()
        if f"{root}/constants.pkl" in entries:
            raise Unreadable("is a TorchScript program; save model.state_dict()")
        damaged = archive.testzip()
        if damaged:
            raise Unreadable(
                f"{shown(damaged)} does not match its checksum; the file is damaged, or torch.save wrote none (copy or save it again)"
            )
        with archive.open(entries[f"{root}/data.pkl"]) as file:
            found = survey(file)
    _refuse_foreign(found)
    for key, needed in found.storages.items():
        record = entries.get(f"{root}/data/{key}".lower())
        if record is None or record.file_size < needed:
            raise Unreadable(f"has no whole record {shown(key)} of {needed:,} bytes; is the file complete?")
    return _load(path, mmap=True)


def _pickles(path: Path) -> Any:
    """Of a file from before PyTorch 1.6: five pickles (the fourth is the content), then the storages."""
    with open(path, "rb") as file:
        first = survey(file)
        _refuse_foreign(first)
        if first.made is None or first.made.content != MAGIC:
            raise Unreadable("is a pickle, but not one that torch.save wrote; save model.state_dict() by that")
        _version, _machine, content, keys = (survey(file) for _ in range(4))
        # Each storage has its length before it.
        room = os.path.getsize(path) - file.tell() - 8 * len(content.storages)
    _refuse_foreign(content)
    if "torch.storage.UntypedStorage" in content.classes:
        raise Unreadable("holds tensors of a type that PyTorch reads from its zip archives alone; save it as one")
    needed = sum(content.storages.values())
    if needed > room:
        raise Unreadable(f"holds {room:,} bytes of the {needed:,} that its tensors need; is the file complete?")
    if keys.texts != content.storages.keys():
        raise Unreadable("does not hold the storages that its tensors need; is the file complete?")
    return _load(path, mmap=False)


def _load(path: Path, mmap: bool) -> Any:
    """By PyTorch, which builds tensors and plain containers alone; a stand-in is in place of what lies beside them."""
    with warnings.catch_warnings(), safe_globals([(_Beside, name) for name in BESIDE]):
        warnings.simplefilter("ignore")
        return torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=mmap)


class _Beside:
    """Something beside the weights. It is given whatever its class would be given, and keeps nothing."""

    def __new__(cls, *_given: Any) -> "_Beside":
        return super().__new__(cls)

    def __init__(self, *_given: Any):
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


def _refuse_foreign(found: Survey) -> None:
    """Raise Unreadable if a pickle asks for what is not read."""
    if found.foreign():
        raise Unreadable(
            f"holds {some(found.foreign())}; code in a checkpoint is never executed here; "
            f"save its weights alone, torch.save(model.state_dict(), file)"
        )
    if found.protocol != 2:
        raise Unreadable(f"has pickles of protocol {found.protocol}; save it by torch.save with its own protocol, 2")
