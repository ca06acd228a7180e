"""Runs where the machine is odd: long and unwritable folders, few open files, streams that take few letters."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Every kind of process of a run, no training.
ASKED = ("run", "vcop", "--tables", "table2", "--rows", "r3d_random", "--device", "cpu", "--workers", "2")
PATIENCE = 120


def call(words, before=(), **keywords) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False, **keywords)


def test_a_temporary_folder_of_a_long_name(tmp_path):
    long = tmp_path / ("scratch_local_job_" * 7)
    long.mkdir()
    done = call((*ASKED, "--runs", tmp_path / "runs"), env=os.environ | {"TMPDIR": str(long)})
    assert len(str(long)) > 125
    assert done.returncode == 0, done.stderr
    assert [path.name for path in long.iterdir() if not path.name.startswith("torchinductor")] == []


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize(
    "command",
    ["list", "show vcop", "plan vcop", "compare vcop", "report --check", "export cells --format csv"],
)
def test_a_stream_that_takes_few_letters(command, encoding):
    done = call(command.split(), env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode in (0, 1), done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout
    done.stdout.decode(encoding)


@pytest.mark.parametrize("most", [10, 20])
def test_few_files_may_be_open(tmp_path, most):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    done = call((*ASKED, "--runs", tmp_path / "runs"), preexec_fn=limit)
    assert b"Traceback" not in done.stderr
    if done.returncode:
        assert done.returncode == 2
        last = done.stderr.decode().splitlines()[-1]
        assert last.startswith("error: ")
        assert "ulimit -n" in last


def test_shared_memory_that_cannot_be_written(tmp_path):
    alone = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm && exec "$@"', "sh")
    try:
        works = subprocess.run([*alone, "true"], capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("unshare -m and mount are not allowed here, to make /dev/shm read-only")
    done = call((*ASKED, "--runs", tmp_path / "runs"), before=alone)
    assert done.returncode == 0, done.stderr


def test_a_runs_folder_of_an_odd_name(tmp_path):
    for name, code, words in (
        ("caf\udce9", 2, b"its name is not UTF-8; give the path of another folder"),
        ("n" * 256, 2, b"file name too long"),
        ("n" * 243, 0, b""),
    ):
        done = call(("run", "vcop", "--tables", "params", "--rows", "r3d", "--runs", tmp_path / name))
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert words in done.stderr.splitlines()[-1]
