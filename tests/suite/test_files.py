"""Only regular files are opened, and nothing is waited for."""

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
