"""Files are read without running them, and without spending what they only promise."""

import argparse
import collections
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from suite import checkpoints
from suite.checkpoints import survey
from suite.errors import InputError
from tests.suite.checkpoints.made import WIDTH, refused, trained, write


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


# ---------------------------------------------------------------- what training keeps beside the weights


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_checkpoint_of_training_is_read(tmp_path, kind):
    network = trained("r3d")
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(2, 3, 8, 32, 32)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 3, 5])
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs"), seed=None),
        "best": np.float64(0.5),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "seen": {1, 2},
        "raw": b"\xff\x00",
    }
    state = collections.OrderedDict(network.state_dict())
    path = write(tmp_path / "a.pt", {"state_dict": state} | beside, kind)
    imported = checkpoints.import_backbone(path, "r3d", WIDTH)
    assert all(torch.equal(tensor, imported.state[key]) for key, tensor in state.items())
    assert imported.unused == dict.fromkeys(beside, "not weights")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_classes_of_other_code_are_named(tmp_path, kind):
    state = trained("r3d").state_dict()
    for held, names in (
        (torch.nn.Linear(2, 3), "torch.nn.modules.linear.Linear"),
        (collections.defaultdict(list), "builtins.list, collections.defaultdict"),
        (Options(), f"{__name__}.Options"),
        (bytearray(3), "builtins.bytearray"),
    ):
        message = refused(write(tmp_path / "a.pt", {"state_dict": state, "held": held}, kind))
        assert names in message
        assert "never executed" in message


class Options:
    """An object of another code base."""


# ---------------------------------------------------------------- more than the file holds


def archive(path: Path, pickled: bytes, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip archive as torch.save writes it, of any pickle and records."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {"data.pkl": pickled, "version": b"3\n", **records}.items():
            file.writestr(f"archive/{name}", content)
    return path


def tensor(size: str, stride: str, numel: int, offset: int = 0) -> bytes:
    """A pickle, in torch.save's opcodes, of {"conv1.weight": a tensor over storage 0}; size and stride as opcodes."""
    number = b"J" + numel.to_bytes(4, "little")
    start = b"J" + offset.to_bytes(4, "little")
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + number + b"tQ"
    built = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + start + size.encode("latin1") + stride.encode("latin1")
    built += b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}X\x0c\0\0\0conv1.weight" + built + b"s."


def test_the_pickles_made_here_are_those_of_torch(tmp_path):
    numbers = np.arange(3, dtype=np.float32).tobytes()
    path = archive(tmp_path / "a.pt", tensor("K\x03\x85", "K\x01\x85", 3), {"data/0": numbers})
    assert checkpoints.read(path)["conv1.weight"].tolist() == [0, 1, 2]
    assert torch.load(path, weights_only=True)["conv1.weight"].tolist() == [0, 1, 2]


def test_a_tensor_past_its_storage_and_a_storage_past_its_record(tmp_path):
    path, numbers = tmp_path / "a.pt", bytes(12)
    for size, stride, numel, offset, message in (
        ("K\x04\x85", "K\x01\x85", 3, 0, "reaches past the end of its storage"),
        ("K\x03\x85", "K\x02\x85", 3, 0, "reaches past the end of its storage"),
        ("K\x03\x85", "K\x01\x85", 3, 1, "reaches past the end of its storage"),
        ("K\x03\x85", "K\x01\x85", 4, 0, "has no whole record '0' of 16 bytes"),
        ("J\xff\xff\xff\xff\x85", "K\x01\x85", 3, 0, "tensor of impossible size"),
    ):
        assert message in refused(archive(path, tensor(size, stride, numel, offset), {"data/0": numbers}))
    odd = tensor("K\x03\x85", "K\x01\x85", 3).replace(b"\x000X", b"\x00\x16X")
    assert "has no whole record '\\x16' of 12 bytes" in refused(archive(path, odd, {"data/0": numbers}))
    # A wide view of one number is possible, but no weight.
    wide = tensor("J\0\0\0\x40\x85", "K\0\x85", 1)
    assert "none of its 1 keys" in refused(archive(path, wide, {"data/0": bytes(4)}))


MEASURED = """
import resource, sys
from suite import checkpoints
from suite.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    checkpoints.import_backbone(sys.argv[1], "r3d", 8)
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
ROOT = Path(__file__).parents[3]
GIGABYTES = 3_000_000_000
LOOP = b"h\x00h\x00\x86q\x00"


def bombs() -> dict:
    """Name -> what writes a small file that asks for much, and words of the refusal."""
    call = b"\x80\x02}X\x01\0\0\0a"
    encoded = b"X\x01\0\0\0a"
    for _ in range(40):
        encoded = b"c_codecs\nencode\n" + encoded + b"X\x03\0\0\0hex\x86R"
    expanded = tensor("J\0\0\0\x40\x85", "K\0\x85", 1)[2:-2].removeprefix(b"}X\x0c\0\0\0conv1.weight")
    header = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [GIGABYTES // 4], "data_offsets": [0, GIGABYTES]}})

    def deflated(path):
        record = zipfile.ZipInfo("archive/data/0")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            file.writestr("archive/data.pkl", tensor("K\x03\x85", "K\x01\x85", 3))
            record.compress_type = zipfile.ZIP_DEFLATED
            with file.open(record, "w") as stream:
                for _ in range(300):
                    stream.write(bytes(1_000_000))

    def pickled(content, **records):
        return lambda path: archive(path, content, {"data/0": bytes(4), **records})

    return {
        "deflated": (deflated, "unpacks to 300,000,"),
        "bytearray": (pickled(call + b"c__builtin__\nbytearray\nJ\0\x5e\xd0\x72\x85Rs."), "holds builtins.bytearray"),
        "hex": (pickled(call + encoded + b"s."), "encodes text by another code"),
        "taken apart": (pickled(call + b"c__builtin__\nset\n" + expanded + b"\x85Rs."), "takes a tensor apart"),
        "hashed": (pickled(b"\x80\x02})q\x00" + LOOP * 60 + b"K\x01s."), "steps to unpack"),
        "deep": (pickled(b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s."), "nested more than 100 levels"),
        "expanded": (pickled(tensor("J\0\0\0\x40\x85", "K\0\x85", 1)), "none of its 1 keys"),
        "promised": (
            lambda path: path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(100)),
            "cannot be read",
        ),
        "long header": (
            lambda path: path.write_bytes((2**40).to_bytes(8, "little") + b"{" + bytes(100)),
            "cannot be read",
        ),
        "deep header": (
            lambda path: path.write_bytes((900_000).to_bytes(8, "little") + b'{"a":' + b"[" * 899_995),
            "cannot be read",
        ),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_small_file_that_asks_for_much_is_refused_before_memory_is_spent(tmp_path, name):
    make, words = bombs()[name]
    path = tmp_path / "a.pt"
    make(path)
    assert path.stat().st_size < 3_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    message, megabytes = done.stdout.splitlines()
    assert words in message
    assert int(megabytes) < 150


def test_older_files_promise_no_more_than_they_hold(tmp_path):
    path = write(tmp_path / "a.pt", {"conv1.weight": torch.zeros(2**20)}, "legacy")
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    assert "of the 4,194,304 that its tensors need" in refused(path)
    # Without the list of storages, PyTorch would leave their memory as it finds it.
    key = survey.survey(io.BytesIO(b"".join(content.partition(b"\x80\x02]q")[1:]))).texts.pop().encode()
    path.write_bytes(content.replace(b"]q\x00X" + len(key).to_bytes(4, "little") + key + b"q\x01a.", b"]q\x00."))
    assert "does not hold the storages" in refused(path)


def test_other_archives_are_refused(tmp_path):
    path, good = tmp_path / "a.pt", tensor("K\x03\x85", "K\x01\x85", 3)
    message = refused(archive(path, good, {"data/0": bytes(12), "DATA/0": bytes(12)}))
    assert "not as torch.save writes it" in message
    assert "TorchScript" in refused(archive(path, good, {"data/0": bytes(12), "constants.pkl": b""}))
    assert "protocol 4" in refused(archive(path, pickle.dumps({}, protocol=4), {}))
    write(path, trained("r3d").state_dict(), "zip")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "does not match its checksum" in refused(path)


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.pt")
    with pytest.raises(InputError, match="named pipe"):
        checkpoints.import_backbone(tmp_path / "a.pt", "r3d", WIDTH)


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_damaged_file_is_refused_or_read_as_it_was(tmp_path, kind):
    source, lines = trained("c3d", 2).state_dict(), []
    shapes = {key: tensor.shape for key, tensor in source.items()}
    state = {f"module.{key}": tensor for key, tensor in source.items()}
    content = write(tmp_path / "a.pt", state, kind).read_bytes()
    random, path = np.random.default_rng(7), tmp_path / "b.pt"
    # Where names, types and shapes stand: the first kilobytes, and the last ones of an archive.
    for _ in range(60):
        damaged, way = bytearray(content), random.integers(4)
        places = random.integers(0, min(len(content), 6000), size=3) * random.choice([1, -1])
        for place in places:
            damaged[place] = {0: damaged[place] ^ (1 << int(random.integers(8))), 1: int(random.integers(256))}.get(
                way, damaged[place]
            )
        if way == 2:
            del damaged[int(random.integers(len(content))) :]
        if way == 3:
            del damaged[places[0] : places[0] + int(random.integers(1, 9))]
        path.write_bytes(damaged)
        try:
            imported = checkpoints.import_backbone(path, "c3d", 2)
        except InputError as error:
            lines.append(str(error))
            continue
        assert {key: tensor.shape for key, tensor in imported.state.items()} == shapes
        # An archive has checksums.
        if kind == "zip":
            assert all(torch.equal(imported.state[key], tensor) for key, tensor in source.items())
    assert all(line.isprintable() for line in lines)
    assert len(lines) > 20
