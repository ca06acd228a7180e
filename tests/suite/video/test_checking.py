"""Checking a dataset: what is counted, and what becomes of videos that cannot be read."""

import json
import shutil

import pytest

from suite import datasets
from suite.datasets import synthetic
from suite.errors import InputError
from suite.video import checking, decode


def quiet(done: int, total: int) -> None:
    """No progress shown."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> datasets.Dataset:
    root = tmp_path_factory.mktemp("checked")
    synthetic.generate("ucf101", root, {"classes": 1}, quiet)
    return datasets.load("ucf101", root)


@pytest.fixture
def broken(data, tmp_path) -> datasets.Dataset:
    """The same data with an empty video and one cut short."""
    shutil.copytree(data.root, tmp_path / "broken")
    folder = tmp_path / "broken" / "UCF-101" / "MoveRight"
    (folder / "v_MoveRight_g03_c01.avi").write_bytes(b"")
    cut = folder / "v_MoveRight_g10_c01.avi"
    cut.write_bytes(cut.read_bytes()[:6000])
    return datasets.load("ucf101", tmp_path / "broken")


def test_everything_is_counted(data):
    seen = []
    report = checking.check(data, False, 1, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 38) for done in range(39)]
    assert report["decoded"] == 38
    assert report["videos"] == {v.name: decode.count_frames(data.root / v.path) for v in data.videos()}
    assert report["sizes"] == {"64x48": 38}
    assert report["unreadable"] == {}
    assert report["missing"] == 0
    assert report["listed"] == {str(number): {"train": 27, "test": 11} for number in (1, 2, 3)}
    assert json.loads(json.dumps(report)) == report


def test_processes_change_nothing(broken):
    assert checking.check(broken, True, 2, quiet) == checking.check(broken, True, 1, quiet)


def test_unreadable_videos_stop_the_check_and_are_named(broken):
    with pytest.raises(InputError) as error:
        checking.check(broken, False, 1, quiet)
    message = str(error.value)
    assert "v_MoveRight_g03_c01.avi: cannot be decoded" in message
    assert "2 of 38 videos of ucf101 cannot be read; --skip-unreadable leaves them out" in message
    assert "\n" not in message


def test_unreadable_videos_can_be_left_out(broken, data):
    report = checking.check(broken, True, 1, quiet)
    assert report["decoded"] == len(report["videos"]) == 36
    assert report["listed"] == {str(number): {"train": 27, "test": 11} for number in (1, 2, 3)}
    empty, cut = report["unreadable"]
    assert "g03_c01" in empty
    assert "g10_c01" in cut
    assert "cut short" in report["unreadable"][cut]
    assert not set(report["unreadable"]) & set(report["videos"])


def test_the_digest_follows_every_byte(data, tmp_path):
    before = checking.check(data, False, 1, quiet)["sha256"]
    shutil.copytree(data.root, tmp_path / "copy")
    copy = datasets.load("ucf101", tmp_path / "copy")
    assert checking.check(copy, False, 1, quiet)["sha256"] == before
    path = copy.root / copy.videos()[7].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the index at the end: the frames stay the same
    path.write_bytes(content)
    changed = checking.check(copy, False, 1, quiet)
    assert changed["decoded"] == 38
    assert changed["sha256"] != before


def test_a_video_that_vanishes_is_unreadable(data, tmp_path):
    shutil.copytree(data.root, tmp_path / "copy")
    copy = datasets.load("ucf101", tmp_path / "copy")
    video = copy.videos()[0]
    (copy.root / video.path).unlink()
    report = checking.check(copy, True, 1, quiet)
    assert list(report["unreadable"]) == [video.name]
    assert "No such file" in report["unreadable"][video.name]


def test_missing_videos_are_reported_and_not_listed(tmp_path):
    synthetic.generate("kinetics400", tmp_path, {"classes": 1}, quiet)
    report = checking.check(datasets.load("kinetics400", tmp_path), False, 1, quiet)
    assert (report["missing"], report["decoded"], report["listed"]) == (3, 43, {"1": {"train": 34, "test": 9}})


def test_the_same_bytes_under_two_names_are_counted_and_kept(data, tmp_path):
    shutil.copytree(data.root, tmp_path / "copy")
    copy = datasets.load("ucf101", tmp_path / "copy")
    split = copy.splits[1]
    first, second, third = split.train[:3]
    test = split.test[4]
    for target, source in ((second, first), (test, third)):
        shutil.copyfile(copy.root / source.path, copy.root / target.path)
    # Empty files are all the same, and no videos.
    for video in (split.train[5], split.test[0]):
        (copy.root / video.path).write_bytes(b"")
    report = checking.check(copy, True, 1, quiet)
    assert report["decoded"] == 36
    assert report["duplicates"] == sorted([sorted([first.name, second.name]), sorted([third.name, test.name])])
    assert report["duplicates_across"]["1"] == [[test.name, third.name]]
    for number in (2, 3):
        sides = ({video.name for video in side} for side in (copy.splits[number].train, copy.splits[number].test))
        train, tested = sides
        pairs = [(a, b) for group in report["duplicates"] for a in group for b in group if a in tested and b in train]
        assert [tuple(pair) for pair in report["duplicates_across"][str(number)]] == sorted(pairs)


def test_generated_videos_are_all_different(data):
    report = checking.check(data, False, 1, quiet)
    assert (report["duplicates"], report["notes"], report["disagree"], report["refused"]) == ([], {}, 0, 0)
    assert report["duplicates_across"] == {"1": [], "2": [], "3": []}


@pytest.mark.parametrize("fault", ["link", "pipe", "socket", "folder"])
def test_what_is_no_file_is_unreadable_at_once(fault, data, tmp_path):
    import os
    import socket

    shutil.copytree(data.root, tmp_path / "copy")
    copy = datasets.load("ucf101", tmp_path / "copy")
    path = copy.root / copy.videos()[3].path
    path.unlink()
    if fault == "link":
        path.symlink_to("/nowhere/gone.avi")
    elif fault == "pipe":
        os.mkfifo(path)
    elif fault == "folder":
        path.mkdir()
    else:
        # A socket's address has at most 107 bytes.
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
    copy = datasets.load("ucf101", tmp_path / "copy")
    report = checking.check(copy, True, 2, quiet)
    assert list(report["unreadable"]) == [copy.videos()[3].name]
    assert (report["decoded"], report["refused"]) == (37, 0)


def test_a_memo_spares_what_has_not_changed_and_changes_no_result(broken, tmp_path, monkeypatch):
    memo = tmp_path / "memo.jsonl"
    first = checking.check(broken, True, 1, quiet, memo)
    read = []
    inspect = decode.inspect
    monkeypatch.setattr(decode, "inspect", lambda path: read.append(path) or inspect(path))
    assert checking.check(broken, True, 1, quiet, memo) == first == checking.check(broken, True, 2, quiet)
    assert read == []
    path = broken.root / broken.videos()[5].path
    path.touch()
    assert checking.check(broken, True, 1, quiet, memo) == first
    assert read == [path]


def test_frames_of_a_folder_all_count(tmp_path):
    from PIL import Image

    for name in ("a", "b", "c"):
        folder = tmp_path / "YUPENN" / ("Beach" if name != "c" else "Ocean") / name
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 6), (number, ord(name), 0)).save(folder / f"{number}.png")
    shutil.copytree(tmp_path / "YUPENN" / "Ocean" / "c", tmp_path / "YUPENN" / "Ocean" / "d")
    data, memo = datasets.load("yupenn", tmp_path), tmp_path / "memo.jsonl"
    first = checking.check(data, False, 1, quiet, memo)
    assert first["duplicates"] == [["Ocean/c", "Ocean/d"]]
    frame = tmp_path / "YUPENN" / "Ocean" / "d" / "1.png"
    before = data.state()
    Image.new("RGB", (8, 6), (1, ord("c"), 1)).save(frame)
    assert data.state() != before
    changed = checking.check(data, False, 1, quiet, memo)
    assert changed["duplicates"] == []
    assert changed["sha256"] != first["sha256"]
