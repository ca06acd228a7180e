"""Runs of small plans in real worker processes: failures, kills, full disks, and what the next run makes of them."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from harness.errors import StageError, UsageError
from harness.plan import Plan, Stage
from harness.running import stage_folders
from harness.running.executors import Machine, execute
from harness.running.progress import Display

ROOT = Path(__file__).resolve().parents[3]
ONE = Machine(("cpu",), 1, 0)
TWO = Machine(("cpu",), 2, 0)
# Far more than a run of these plans takes.
PATIENCE = 120


class InputError(Exception):
    """Known to the executor by its name, as the suite's is."""


def stage(part: str, *inputs: Stage, kind: str = "frames", does: str = "succeed") -> Stage:
    return Stage(kind, 1, {"part": part, "does": does}, {one.config["part"]: one.key for one in inputs}, {}, "cpu")


def plan(*stages: Stage) -> Plan:
    return Plan({one.key: one for one in stages})


def work(kind, config, inputs, roots, folder, device, workers, threads, tensorboard, progress):
    """What a stage of these plans does; `roots` may name a folder of marks and a pipe between two stages."""
    progress(1, 2)
    return {"part": config["part"], "inputs": sorted(inputs), **(DEEDS[config["does"]](roots, folder) or {})}, {}


def report_machine(kind, config, inputs, roots, folder, device, workers, threads, tensorboard, progress):
    return {"device": device, "workers": workers, "threads": threads, "tensorboard": tensorboard}, {"gpu": "none"}


def fail(roots, folder):
    raise ValueError("no such luck\nand a second line")


def refuse(roots, folder):
    raise InputError("lists/trainlist01.txt: line 3 is malformed; mend it")


def die(roots, folder):
    os.kill(os.getpid(), signal.SIGKILL)


def die_beside_another(roots, folder):
    with open(roots["pipe"], "wb"):
        die(roots, folder)


def outlive_another(roots, folder):
    # Reads to the end: until the writer is dead.
    roots["pipe"].read_bytes()


def die_once(roots, folder):
    mark = roots["marks"] / "died"
    if not mark.exists():
        mark.touch()
        (folder / "left behind").touch()
        die(roots, folder)
    return {"found": (folder / "left behind").exists()}


def fill_disk(roots, folder):
    raise OSError(errno.ENOSPC, "No space left on device")


def write_array_on_full_disk(roots, folder):
    limit_files(4096)
    np.save(folder / "array.npy", np.zeros(100_000))


def hide_full_disk(roots, folder):
    limit_files(0)
    raise RuntimeError("a library's own words")


def limit_files(size: int) -> None:
    """Files of this process may not grow beyond `size` bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


class Deadly:
    """Samples of which the fifth is too much for the process that reads it."""

    def name(self, index):
        return f"v_{index}"

    def __getitem__(self, index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def read_with_loaders(roots, folder):
    from suite.loading import batches_of

    list(batches_of(Deadly(), [[index] for index in range(9)], workers=2))


def lose_folder(roots, folder):
    shutil.rmtree(folder)
    raise ValueError("folder lost")


def announce_and_block(roots, folder):
    print("under way", flush=True)
    threading.Event().wait()


DEEDS = {
    "succeed": lambda roots, folder: None,
    "loaders": read_with_loaders,
    "fail": fail,
    "refuse": refuse,
    "die": die,
    "die beside another": die_beside_another,
    "outlive another": outlive_another,
    "die once": die_once,
    "fill disk": fill_disk,
    "array": write_array_on_full_disk,
    "hidden": hide_full_disk,
    "lose folder": lose_folder,
    "announce and block": announce_and_block,
}


def run(built: Plan, runs: Path, machine: Machine = ONE, roots=None, finished=None) -> list[str]:
    """Parts of the finished stages, in the order in which they were told."""
    told = []
    execute(built, work, roots or {}, runs, machine, finished or (lambda one: told.append(one.config["part"])))
    return told


def result(one: Stage, runs: Path) -> dict:
    return json.loads((one.folder(runs) / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_stages_run_after_their_inputs_and_only_once(tmp_path):
    first = stage("first")
    second = stage("second", first)
    # Listed in the wrong order: the inputs decide.
    assert run(plan(second, first), tmp_path) == ["first", "second"]
    assert result(second, tmp_path)["result"] == {"part": "second", "inputs": ["first"]}
    assert run(plan(second, first), tmp_path) == ["first", "second"]
    assert sorted(path.name for path in first.folder(tmp_path).iterdir()) == ["result.json"]


def test_every_stage_gets_the_numbers_of_the_machine(tmp_path):
    only = stage("only")
    execute(plan(only), report_machine, {}, tmp_path, Machine(("cpu",), 1, 3, True, threads=5), lambda one: None)
    content = result(only, tmp_path)
    assert content["result"] == {"device": "cpu", "workers": 3, "threads": 5, "tensorboard": True}
    assert content["environment"]["gpu"] == "none"


def test_a_failed_stage_holds_up_only_those_that_need_it(tmp_path, capsys):
    bad = stage("bad", does="fail")
    child = stage("child", bad)
    grandchild = stage("grandchild", child)
    alone = stage("alone")
    heir = stage("heir", alone)
    with pytest.raises(StageError) as caught:
        run(plan(bad, child, grandchild, alone, heir), tmp_path)
    message = str(caught.value)
    assert message.startswith("frames bad: ValueError: no such luck; details in ")
    assert message.endswith("stages left out because they need a failed one: 2")
    assert "\n" not in message
    assert stage_folders.done(alone, tmp_path)
    assert stage_folders.done(heir, tmp_path)
    assert not any(stage_folders.done(one, tmp_path) for one in (bad, child, grandchild))
    log = bad.folder(tmp_path).with_name(f"{bad.key}.partial") / "error.txt"
    assert "and a second line" in log.read_text(encoding="utf-8")
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith("frames alone done") for line in lines)
    assert any("frames bad: ValueError: no such luck" in line for line in lines)


def test_two_failed_stages_are_counted(tmp_path):
    with pytest.raises(StageError, match=r"stages that failed besides: 1$"):
        run(plan(stage("one", does="fail"), stage("two", does="lose folder")), tmp_path)


def test_a_failure_whose_log_cannot_be_written_is_told_all_the_same(tmp_path):
    with pytest.raises(StageError) as caught:
        run(plan(stage("lost", does="lose folder")), tmp_path)
    assert str(caught.value) == "frames lost: ValueError: folder lost"


def test_a_stage_whose_loader_is_killed_says_so_in_a_line(tmp_path):
    with pytest.raises(StageError) as caught:
        run(plan(stage("a", does="loaders")), tmp_path)
    assert str(caught.value) == (
        f"{stage('a').label()}: v_5: the worker process was ended by signal 9 (Killed), as when memory is short; "
        f"run again to go on; --workers 0 reads without loader processes"
    )


def test_bad_input_holds_up_only_those_that_need_it(tmp_path):
    bad = stage("bad", does="refuse")
    child, alone = stage("child", bad), stage("alone")
    with pytest.raises(UsageError) as caught:
        run(plan(bad, child, alone), tmp_path)
    assert str(caught.value) == (
        "lists/trainlist01.txt: line 3 is malformed; mend it; stages left out because they need a failed one: 1"
    )
    assert stage_folders.done(alone, tmp_path)
    assert not stage_folders.done(child, tmp_path)


def test_a_stage_that_is_objected_to_is_kept_and_holds_up_those_that_need_it(tmp_path):
    first = stage("first")
    second, alone = stage("second", first), stage("alone")

    def object_to_it(one: Stage) -> None:
        if one == first:
            raise UsageError(f"{one.label()}: 2 videos cannot be read")

    for _ in range(2):  # while it runs, and when it is found done
        with pytest.raises(UsageError, match="frames first: 2 videos cannot be read"):
            run(plan(first, second, alone), tmp_path, finished=object_to_it)
        assert stage_folders.done(first, tmp_path)
        assert stage_folders.done(alone, tmp_path)
        assert not stage_folders.done(second, tmp_path)
    assert sorted(run(plan(first, second, alone), tmp_path)) == ["alone", "first", "second"]


@pytest.mark.parametrize(("kind", "found"), [("frames", False), ("pretrain", True), ("video-qa", True)])
def test_what_a_killed_stage_left_is_used_only_where_it_can_be(tmp_path, kind, found):
    only = stage("only", kind=kind, does="die once")
    roots = {"marks": tmp_path}
    with pytest.raises(StageError) as caught:
        run(plan(only), tmp_path, roots=roots)
    assert str(caught.value) == (
        f"{kind} only: its process was killed (out of memory?); run again to go on from its checkpoint"
    )
    assert run(plan(only), tmp_path, roots=roots) == ["only"]
    assert result(only, tmp_path)["result"]["found"] is found
    assert not only.folder(tmp_path).with_name(f"{only.key}.partial").exists()


def test_a_killed_process_takes_no_other_stage_with_it(tmp_path, pipe):
    dead, other = stage("dead", does="die beside another"), stage("other", does="outlive another")
    later = [stage(f"later {number}", other) for number in range(3)]
    with pytest.raises(StageError, match=r"^frames dead: its process was killed"):
        run(plan(dead, other, *later), tmp_path, TWO, {"pipe": pipe})
    assert stage_folders.done(other, tmp_path)
    assert all(stage_folders.done(one, tmp_path) for one in later)


@pytest.mark.parametrize("does", ["fill disk", "array", "hidden"])
def test_a_full_disk_is_said_to_be_one_and_ends_the_run(tmp_path, does):
    bad, other = stage("bad", does=does), stage("other")
    with pytest.raises(UsageError, match="the disk is full; free space and run again"):
        run(plan(bad, other), tmp_path)
    assert not stage_folders.done(bad, tmp_path)
    assert not stage_folders.done(other, tmp_path)


def test_no_process_outlives_a_killed_run(tmp_path):
    code = (
        "from pathlib import Path; from tests.harness.running import test_executors as t; "
        f"t.run(t.plan(t.stage('only', does='announce and block')), Path({str(tmp_path)!r}))"
    )
    # Every process of the run holds this end of its standard output: the last one to go ends it.
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"under way\n"
        process.kill()
        assert process.communicate(timeout=PATIENCE)[0] == b""
        assert process.returncode == -signal.SIGKILL


def test_no_process_outlives_a_terminated_check_of_the_data(tmp_path, pipe):
    code = f"""
from pathlib import Path
from suite.datasets import Dataset, Split, Video
from suite.video.checking import check
split = Split((Video("a/pipe", "pipe", 0, "a"),), ())
check(Dataset("ucf101", Path({str(tmp_path)!r}), ("a",), {{1: split}}, {{}}, "subset"), False, 2, lambda *_: None)
"""
    ends = []
    # Opens when a process of the check has opened the other end; that one then waits for bytes that never come.
    opener = threading.Thread(target=lambda: ends.append(os.open(pipe, os.O_WRONLY)), daemon=True)
    opener.start()
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        opener.join(PATIENCE)
        assert ends, "no process of the check opened the video"
        process.terminate()
        assert process.communicate(timeout=PATIENCE)[0] == b""
        assert process.returncode == -signal.SIGTERM
    os.close(ends[0])


def test_a_late_message_does_not_undo_the_end_of_a_stage(capsys):
    one, two = stage("one"), stage("two")
    with Display([one, two]) as display:
        display.started(one.key)
        display.started(two.key)
        display.ended(one.key)
        display.moved(one.key, 1, 10)
        display.ended(two.key)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[1/2, 50 %")
    assert lines[0].endswith("frames one done")
    assert lines[1].startswith("[2/2, 100 %")
    assert lines[1].endswith("frames two done")
