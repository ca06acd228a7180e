"""Folders of stages: whole under their name or not there, damage told by name, nothing deleted."""

import json
import os
import shutil
import time

import pytest

from harness.errors import UsageError
from harness.running import stage_folders

FILES = {"features.npy": b"numbers", "frames/a b.avi": b"video", "frames/caf\udce9.avi": b"", "é" * 127: b"long"}


@pytest.fixture
def folder(tmp_path):
    """A finished stage."""
    found = tmp_path / "features" / "0123456789abcdef"
    make(found)
    return found


def make(folder, files=None) -> None:
    unfinished = stage_folders.begin(folder, resumes=False)
    for name, content in (FILES if files is None else files).items():
        (unfinished / name).parent.mkdir(exist_ok=True)
        (unfinished / name).write_bytes(content)
    stage_folders.finish(folder, {"result": {"scores": {}}})


def test_a_finished_stage_names_its_files_and_their_sizes(folder):
    assert stage_folders.finished(folder)
    content = stage_folders.read(folder)
    assert content["files"] == {name: len(written) for name, written in FILES.items()}
    assert content["result"] == {"scores": {}}
    assert not stage_folders.partial(folder).exists()


def test_all_is_on_the_disk_before_the_folder_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    calls, folder = [], tmp_path / "features" / "0123"
    flush, rename = os.fsync, os.replace

    def noted_flush(descriptor):
        flush(descriptor)
        calls.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))

    def noted_rename(old, new):
        rename(old, new)
        calls.append("renamed")

    monkeypatch.setattr(os, "fsync", noted_flush)
    monkeypatch.setattr(os, "replace", noted_rename)
    make(folder, {"sub/a": b"a", "b": b"b"})
    at = calls.index("renamed")
    unfinished = "features/0123.partial"
    before = [f"{unfinished}/sub/a", f"{unfinished}/b", f"{unfinished}/sub", f"{unfinished}/result.json", unfinished]
    assert set(calls[:at]) == set(before)
    # A folder holds the names of its files: it comes after them.
    assert calls[:at].index(f"{unfinished}/sub/a") < calls[:at].index(f"{unfinished}/sub")
    assert calls[at - 1] == unfinished
    assert calls[at + 1 :] == ["features", "."]


def test_files_that_a_kill_left_half_written_are_no_part_of_a_stage(tmp_path):
    folder = tmp_path / "pretrain" / "0123"
    make(folder, {"best.safetensors": b"weights", ".0123456789abcdef.writing": b"wei", "result.json": b"of a kill"})
    assert sorted(path.name for path in folder.iterdir()) == ["best.safetensors", "result.json"]
    assert stage_folders.finished(folder)


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path):
    with open(path, "ab") as file:
        file.write(b"\0")


def empty(path):
    os.truncate(path, 0)


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def into_pipe(path):
    path.unlink()
    os.mkfifo(path)


def into_folder(path):
    path.unlink()
    path.mkdir()


def of_another(path):
    path.write_text("[1, 2]")


DAMAGE = {
    "features.npy": [
        (cut, "has 6 bytes, not 7"),
        (lengthen, "has 8 bytes, not 7"),
        (empty, "has 0 bytes, not 7"),
        (os.unlink, "is missing"),
        (into_pipe, "is missing"),
        (into_folder, "is missing"),
    ],
    "frames/a b.avi": [(cut, "has 4 bytes, not 5"), (os.unlink, "is missing")],
    "frames/caf\udce9.avi": [(lengthen, "has 1 bytes, not 0"), (os.unlink, "is missing")],
    "result.json": [
        (os.unlink, "is missing"),
        (empty, "is empty"),
        (cut, None),
        (zero, "is no whole JSON"),
        (of_another, "is no result of a stage"),
        (into_pipe, "is missing"),
    ],
}


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [(name, how, said) for name, ways in DAMAGE.items() for how, said in ways],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_damage_is_told_by_file_and_set_aside(folder, capsys, name, how, said):
    how(folder / name)
    if said is None:  # its last byte is a line's end
        assert stage_folders.finished(folder)
        return
    assert stage_folders.damage(folder) == f"{folder / name} {said}"
    assert not stage_folders.finished(folder)
    left = {path.relative_to(folder) for path in folder.rglob("*")}
    assert not stage_folders.settle(folder)
    aside = folder.with_name(f"{folder.name}.damaged-1")
    assert {path.relative_to(aside) for path in aside.rglob("*")} == left
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("damaged: ")
    assert line.isprintable()
    assert line.endswith(f"{said}; set aside as {aside.name}, and computed again")
    # The next one finds room, and damage of its own does not replace what lies aside.
    make(folder)
    assert stage_folders.settle(folder)
    empty(folder / "result.json")
    assert not stage_folders.settle(folder)
    assert {path.name for path in folder.parent.iterdir()} == {f"{folder.name}.damaged-{n}" for n in (1, 2)}


def test_a_result_cut_anywhere_is_damaged(folder):
    path = folder / "result.json"
    whole = path.read_bytes()
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        assert stage_folders.damage(folder) is not None


def test_what_is_not_there_is_neither_finished_nor_damaged(tmp_path):
    folder = tmp_path / "features" / "0123"
    assert stage_folders.damage(folder) is None
    assert not stage_folders.finished(folder)
    assert not stage_folders.settle(folder)
    with pytest.raises(UsageError, match=r"result\.json: not there \(any more\); run again"):
        stage_folders.read(folder)


def test_folders_of_other_shapes_are_damaged(tmp_path):
    folder = tmp_path / "features" / "0123"
    folder.parent.mkdir()
    for spoil in (folder.mkdir, folder.touch, lambda: folder.symlink_to(tmp_path / "gone")):
        spoil()
        assert stage_folders.damage(folder) == f"{folder / 'result.json'} is missing"
        stage_folders.settle(folder)
        make(folder)
        assert stage_folders.finished(folder)
        shutil.rmtree(folder)


def test_results_without_a_list_of_files_count(tmp_path):
    folder = tmp_path / "features" / "0123"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"result": {}}))
    assert stage_folders.settle(folder)


def test_what_may_not_be_read_is_no_damage(folder, monkeypatch):
    (folder / "result.json").unlink()
    (folder / "result.json").symlink_to("result.json")  # a loop: an error other than "not there"
    with pytest.raises(UsageError, match=r"result\.json: cannot be looked at \(.*levels of symbolic links\); "):
        stage_folders.settle(folder)
    assert folder.exists()


def test_results_of_a_kind_leave_out_what_is_damaged(tmp_path):
    for key in ("01", "02", "03"):
        make(tmp_path / "pretrain" / key)
    empty(tmp_path / "pretrain" / "01" / "result.json")
    shutil.copytree(tmp_path / "pretrain" / "02", tmp_path / "pretrain" / "02.damaged-1")
    assert len(list(stage_folders.results(tmp_path, "pretrain"))) == 2


def test_a_large_plan_is_judged_in_no_time(tmp_path):
    make(tmp_path / "features" / "0")
    for number in range(1, 1700):
        shutil.copytree(tmp_path / "features" / "0", tmp_path / "features" / f"{number}")
    started = time.process_time()
    assert all(stage_folders.finished(tmp_path / "features" / f"{number}") for number in range(1700))
    assert time.process_time() - started < 2
