"""Only regular files are opened, and nothing is waited for; what is replaced is whole."""

import os
import socket

import pytest

from suite import files
from suite.errors import InputError


def test_regular_files_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    (tmp_path / "link").symlink_to(path)
    for opened in (path, str(path), tmp_path / "link"):
        with files.open_regular(opened) as file:
            assert (file.read(), str(file.name)) == (b"bytes", str(opened))


def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    os.mkfifo("pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path, kind in {
            "pipe": "a named pipe",
            "link": "a named pipe",
            "socket": "a socket",
            "/dev/zero": "a device",
        }.items():
            with pytest.raises(InputError, match=f"^{path}: is {kind}, not a regular file; "):
                files.open_regular(path)


def test_other_faults_are_those_of_open(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.open_regular(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        files.open_regular(tmp_path)


@pytest.mark.parametrize("name", ["training.pt", "é" * 127 + ".", "caf\udce9"])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, name):
    path = tmp_path / name
    with files.replacing(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"sec", "half of it cannot be written"])
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [(name, b"first")]


def test_what_is_written_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *words, name=name, call=call: (calls.append(name), call(*words)))
    with files.replacing(tmp_path / "file") as file:
        file.write(b"content")
        beside = os.fstat(file.fileno()).st_ino
    assert calls == ["fsync", "replace"]
    assert (tmp_path / "file").stat().st_ino == beside
