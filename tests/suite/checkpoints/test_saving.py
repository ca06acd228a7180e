"""What is saved comes back, and a failed save leaves the old file."""

import errno
import os

import pytest
import safetensors
import torch

from suite import checkpoints
from suite.errors import InputError
from tests.suite.checkpoints.made import trained


def test_saved_weights_come_back_with_their_metadata(tmp_path):
    network, path = trained("r2plus1d"), tmp_path / "best.safetensors"
    checkpoints.save(network.state_dict(), path, {"epoch": "3"})
    loaded = checkpoints.load(path)
    assert loaded.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in network.state_dict().items())
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"epoch": "3"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.safetensors"]


def test_saving_takes_tensors_in_any_memory_order(tmp_path):
    tensor = torch.rand(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d).requires_grad_()
    checkpoints.save({"a": tensor, "b": torch.tensor(3)}, tmp_path / "a.safetensors", {})
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert torch.equal(loaded["a"], tensor)
    assert loaded["b"] == 3


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "best.safetensors"
    checkpoints.save({"a": torch.ones(2)}, path, {})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"best\.safetensors: cannot be written \(No space left on device\)"):
        checkpoints.save({"a": torch.zeros(2)}, path, {})
    assert checkpoints.load(path)["a"].tolist() == [1, 1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.safetensors"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(No such file or directory\)"):
        checkpoints.save({"a": torch.ones(1)}, tmp_path / "absent" / "a.safetensors", {})


def test_loading_a_damaged_or_absent_file_of_ours(tmp_path):
    path = tmp_path / "best.safetensors"
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoints.load(path)
    checkpoints.save({"a": torch.rand(100)}, path, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"best.safetensors: not a whole safetensors file .*; delete it"):
        checkpoints.load(path)
