"""Checking a dataset: what is counted, and what becomes of videos that cannot be read."""

import json
import shutil

import pytest

from suite import datasets
from suite.datasets import checking, synthetic
from suite.errors import InputError
from suite.video import decode


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
