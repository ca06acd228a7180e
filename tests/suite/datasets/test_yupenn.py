"""YUPENN: videos and frame folders in class folders, and what cannot be learnt from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suite import datasets
from suite.datasets import synthetic
from suite.errors import InputError
from suite.video import decode
from tests.suite.sampling import Stopped, stop_at


def write(root: Path, **classes: list[str]) -> Path:
    """Empty video files, or folders of one frame for names without an extension, by class."""
    for class_name, names in classes.items():
        for name in names:
            path = root / "YUPENN" / class_name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "." in name:
                path.touch()
            else:
                path.mkdir()
                Image.new("RGB", (8, 6)).save(path / "frame1.png")
    return root


def test_folders_are_classes(tmp_path):
    root = write(
        tmp_path,
        Ocean=["ocean10.mp4", "ocean2.mp4", "ocean1.MOV", "readme.txt", ".hidden.avi"],
        Beach=["beach_2", "beach_1.avi"],
    )
    write(tmp_path, __MACOSX=["x.avi"])
    (tmp_path / "YUPENN" / "notes.txt").touch()
    data = datasets.load("yupenn", root)
    assert (data.scope, data.classes, data.lists, data.missing) == ("subset", ("Beach", "Ocean"), {}, 0)
    assert data.splits[1].train == ()
    names = ["Beach/beach_1.avi", "Beach/beach_2", "Ocean/ocean1.MOV", "Ocean/ocean2.mp4", "Ocean/ocean10.mp4"]
    assert [video.name for video in data.splits[1].test] == names
    assert [video.label for video in data.splits[1].test] == [0, 0, 1, 1, 1]
    assert data.splits[1].test[1].path == "YUPENN/Beach/beach_2"
    assert datasets.present("yupenn", root)


def test_the_fingerprint_follows_the_frames_of_a_folder(tmp_path):
    classes = {"Ocean": ["a.mp4", "b.mp4"], "Beach": ["c", "d"]}
    before = datasets.load("yupenn", write(tmp_path / "one", **classes)).fingerprint()
    other = write(tmp_path / "two", **classes)
    (other / "YUPENN" / "Beach" / "c" / "Thumbs.db").write_bytes(b"not a frame")
    assert datasets.load("yupenn", other).fingerprint() == before
    Image.new("RGB", (8, 6)).save(other / "YUPENN" / "Beach" / "c" / "frame2.png")
    assert datasets.load("yupenn", other).fingerprint() != before


def test_fourteen_classes_of_thirty_are_all(tmp_path):
    classes = {f"class{label}": [f"{number}.mp4" for number in range(30)] for label in range(14)}
    data = datasets.load("yupenn", write(tmp_path, **classes))
    assert data.scope == "full"
    about = datasets.describe("yupenn")
    assert (about.splits, about.class_count) == ({1: (0, len(data.videos()))}, len(data.classes))
    (tmp_path / "YUPENN" / "class3" / "7.mp4").unlink()
    assert datasets.load("yupenn", tmp_path).scope == "subset"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            {"Beach": ["a.avi", "b.avi"], "Ocean": ["c.avi"]},
            r"Ocean: holds 1 video, and a class needs two .*; complete",
        ),
        ({"Beach": ["a.avi", "b.avi"], "Ocean": ["c.txt"]}, r"Ocean: holds 0 videos, and a class needs two"),
        ({"Beach": ["a.avi", "b.avi"], "Ocean": ["c", "c.avi"]}, r"Ocean/c\.avi: is there as 'c' too; keep one"),
        ({"Beach": ["a.avi", "b.avi"]}, r"YUPENN: holds 1 class folders"),
        ({}, r"YUPENN: no such folder"),
    ],
)
def test_faults(tmp_path, classes, message):
    with pytest.raises(InputError, match=message) as error:
        datasets.load("yupenn", write(tmp_path, **classes))
    assert ";" in str(error.value)
    assert "\n" not in str(error.value)


def test_synthetic_scenes(probes_root):
    data = datasets.load("yupenn", probes_root)
    assert (data.scope, len(data.classes), len(data.videos())) == ("synthetic", 14, 84)
    assert {"Beach", "ForestFire", "Snowing", "Waterfall", "WindmillFarm"} <= set(data.classes)
    reader = decode.Reader()
    for video in data.videos():
        found = decode.inspect(probes_root / video.path)
        assert found.size == (64, 48)
        assert 28 <= found.frames <= 40
        grey = reader.frames(probes_root / video.path, range(found.frames)).astype(float).mean(3)
        assert grey.std() > 3, f"{video.name} is not blank"
        # Sampling noise and the codec move a still scene by less than half a step on average.
        # Still scenes change by 10 at most, with what is drawn for each frame and what the codec adds.
        assert np.abs(grey - grey[0]).max() > 15, f"{video.name} changes"


def shift(root: Path, video: datasets.Video) -> np.ndarray:
    """Rows (down) and columns (right) by which what changes in a video is best matched to the next frame: brute force."""
    path = root / video.path
    grey = decode.Reader().frames(path, range(16)).astype(float).mean(3)
    before = grey[:-1, 4:44, 4:60]
    deviation = before.std(axis=0)
    changing = deviation > np.quantile(deviation, 0.7)
    errors = {
        (down, right): np.abs(before - grey[1:, 4 + down : 44 + down, 4 + right : 60 + right])[:, changing].mean()
        for down in range(-4, 5)
        for right in range(-4, 5)
    }
    return np.array(min(errors, key=errors.get))


def test_scenes_move_as_their_names_say(probes_root):
    moves = {}
    for video in datasets.load("yupenn", probes_root).splits[1].test:
        class_name = video.name.partition("/")[0]
        if class_name in ("Waterfall", "ForestFire", "RushingRiver", "LightningStorm"):
            moves.setdefault(class_name, []).append(shift(probes_root, video))
    assert all(down > 0 for down, _ in moves["Waterfall"]), "falls"
    assert all(down < 0 for down, _ in moves["ForestFire"]), "rises"
    assert all(abs(right) >= 1 for _, right in moves["RushingRiver"]), "runs"
    assert all((down, right) == (0, 0) for down, right in moves["LightningStorm"]), "only lights up"
    assert {np.sign(right) for _, right in moves["RushingRiver"]} == {-1, 1}, "directions are drawn"


def test_half_written_scenes_do_not_load_and_others_are_not_touched(tmp_path):
    with pytest.raises(Stopped):
        synthetic.generate("yupenn", tmp_path, {}, stop_at(20))
    assert not datasets.present("yupenn", tmp_path)
    with pytest.raises(InputError, match="YUPENN: no such folder"):
        datasets.load("yupenn", tmp_path)
    root = write(tmp_path / "real", Beach=["a.avi", "b.avi"], Ocean=["c.avi", "d.avi"])
    with pytest.raises(InputError, match="YUPENN: is there already; generate into another folder"):
        synthetic.generate("yupenn", root, {}, lambda done, total: None)
    assert sorted(path.name for path in (root / "YUPENN").rglob("*.avi")) == ["a.avi", "b.avi", "c.avi", "d.avi"]
    assert not (root / "SYNTHETIC.json").exists(), "real data are not marked as synthetic"
    shutil.rmtree(root)
