"""Files are read without running them, and without spending what they only promise."""

import pickle
from pathlib import Path

import pytest
import torch

from tests.suite.checkpoints.made import refused, trained, write


class Bomb:
    """Creates a file when it is unpickled by anything that runs pickled code."""

    def __init__(self, victim: Path):
        self.victim = str(victim)

    def __reduce__(self):
        return open, (self.victim, "w")


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy", "wrapped"])
def test_pickled_code_is_refused_and_never_runs(tmp_path, kind):
    victim, path = tmp_path / "pwned", tmp_path / "a.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(victim)))
    elif kind == "wrapped":
        torch.save({"state_dict": trained("r3d").state_dict(), "args": Bomb(victim)}, path)
    else:
        write(path, {"conv1.weight": torch.rand(2), "bomb": Bomb(victim)}, kind)
    assert "never executed" in refused(path)
    assert not victim.exists()
    # The file is a bomb indeed.
    if kind == "pickle":
        pickle.loads(path.read_bytes()).close()
    else:
        torch.load(path, weights_only=False)
    assert victim.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9999])
def test_a_truncated_file_is_refused(tmp_path, kind, fraction):
    path = write(tmp_path / "a.pt", trained("r3d").state_dict(), kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    assert refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no checkpoint\n", b"csomething\n", b"\x80\x02garbage", b"PK\x03\x04", bytes(64)]
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    assert refused(path)


def test_a_folder_an_absent_file_and_other_content(tmp_path):
    assert "cannot be read (Is a directory)" in refused(tmp_path)
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "absent.pt")
    path = tmp_path / "a.pt"
    torch.save([torch.rand(2)], path)
    assert "holds a list, not weights by name" in refused(path)
    torch.save({"a": 1.5, "b": torch.rand(2)}, path)
    assert "'a' is no tensor" in refused(path)
    torch.save({}, path)
    assert "holds no weights" in refused(path)
