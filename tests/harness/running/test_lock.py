"""One run at a time in a folder, and file systems that cannot lock."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.running.lock import locked

ROOT = Path(__file__).resolve().parents[3]
# As on NFS without lockd, and Lustre without `-o flock`.
NO_FLOCK = """
#include <errno.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""


def test_a_runs_folder_serves_one_run_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(UsageError, match=rf"another run \(process {os.getpid()}\)"), locked(tmp_path):
        pass
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text(encoding="utf-8") == str(os.getpid())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EWOULDBLOCK, "another run (process unknown) is using it; "),
        (errno.EACCES, "another run (process unknown) is using it; "),
        (errno.ENOLCK, "its file system cannot lock files (No locks available); give --runs "),
        (errno.ENOSYS, "its file system cannot lock files (Function not implemented); give --runs "),
        (errno.ENOTSUP, "its file system cannot lock files (Operation not supported); give --runs "),
        (errno.EINVAL, "its file system cannot lock files (Invalid argument); give --runs "),
    ],
)
def test_a_held_lock_is_told_from_none(tmp_path, monkeypatch, number, said):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageError) as caught, locked(tmp_path):
        pass
    assert str(caught.value).startswith(f"{tmp_path}: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")
def test_a_run_where_nothing_can_be_locked_ends_with_one_line(tmp_path):
    (tmp_path / "noflock.c").write_text(NO_FLOCK)
    library = tmp_path / "noflock.so"
    compiler = shutil.which("gcc") or shutil.which("cc")
    command = [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "noflock.c"]
    # A compiler without the C library's headers builds nothing.
    if compiler is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no C compiler with headers, to build a flock that fails")
    ended = subprocess.run(
        [sys.executable, "-m", "harness", "run", "vcop", "--tables", "params", "--runs", str(tmp_path / "runs")],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'runs'}: its file system cannot lock files (No locks available); ")
    assert "Traceback" not in ended.stderr
