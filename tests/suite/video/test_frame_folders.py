"""Folders of frames as videos: read as the files say, in the order of their numbers, everywhere a file would be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from suite import datasets
from suite.datasets import lists
from suite.errors import InputError
from suite.video import checking, decode, store, transforms


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), np.uint8)


def write(folder: Path, pixels: np.ndarray, name: str = "frame_{}.png") -> Path:
    """One file a frame, numbered from 1 without padding, so that their names are in another order."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(pixels, start=1):
        Image.fromarray(frame).save(folder / name.format(number))
    return folder


@pytest.fixture(scope="module")
def reader():
    return decode.Reader()


def test_frames_come_in_the_order_of_their_numbers(reader, tmp_path):
    pixels = frames(13)
    folder = write(tmp_path / "video", pixels)
    for stray in ("Thumbs.db", ".DS_Store", "._frame_1.png", "notes.txt"):
        (folder / stray).write_bytes(b"no frame")
    assert sorted(path.name for path in folder.iterdir())[5:8] != ["frame_1.png", "frame_2.png", "frame_3.png"]
    assert decode.inspect(folder) == decode.Inspection(13, ((16, 12),))
    assert decode.count_frames(folder) == 13
    for indices in (range(13), [0], [12], [12, 0, 6, 0]):
        read = reader.frames(folder, indices)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, pixels[list(indices)])


def test_numbers_may_stand_anywhere_in_the_name(tmp_path):
    names = ["beach7_2_a.jpg", "beach7_10_a.jpg", "beach7_0011_a.JPEG", "beach10_1_a.png"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in lists.frame_files(tmp_path)] == names


def test_only_wanted_frames_are_read(reader, tmp_path):
    folder = write(tmp_path / "video", frames(5))
    (folder / "frame_4.png").write_bytes(b"damaged")
    np.testing.assert_array_equal(reader.frames(folder, [0, 4]), frames(5)[[0, 4]])
    with pytest.raises(InputError, match=r"frame_4\.png: cannot be decoded"):
        reader.frames(folder, [3])


def test_jpegs_and_other_pixel_formats_become_rgb(reader, tmp_path):
    (tmp_path / "video").mkdir()
    smooth = np.broadcast_to(np.arange(0, 240, 15, dtype=np.uint8), (12, 16))
    Image.fromarray(smooth).save(tmp_path / "video" / "1.jpg", quality=95)
    Image.fromarray(smooth).convert("P").save(tmp_path / "video" / "2.png")
    Image.fromarray(np.dstack([smooth] * 3 + [np.full_like(smooth, 128)])).save(tmp_path / "video" / "3.png")
    read = reader.frames(tmp_path / "video", range(3))
    assert read.shape == (3, 12, 16, 3)
    np.testing.assert_allclose(read[0].astype(int), smooth[..., None].repeat(3, 2), atol=6)
    np.testing.assert_array_equal(read[1], smooth[..., None].repeat(3, 2))
    np.testing.assert_array_equal(read[2], smooth[..., None].repeat(3, 2))


def test_faults_are_named_in_one_line(reader, tmp_path):
    def refused(path: Path, message: str) -> None:
        for read in (decode.inspect, lambda folder: reader.frames(folder, range(3))):
            with pytest.raises(InputError, match=message) as error:
                read(path)
            assert ";" in str(error.value)
            assert "\n" not in str(error.value)

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty: holds no jpg or png file")
    for name, damage in {"text": b"no image", "none": b"", "cut": None}.items():
        path = write(tmp_path / name, frames(3)) / "frame_2.png"
        path.write_bytes(path.read_bytes()[:300] if damage is None else damage)
        refused(tmp_path / name, rf"{name}/frame_2\.png: cannot be decoded \(.+\); get the file again")
    odd = write(tmp_path / "odd", frames(3))
    Image.new("RGB", (20, 12)).save(odd / "frame_3.png")
    refused(odd, r"frame_3\.png: is 20x12, other frames of the folder are 16x12")
    short = write(tmp_path / "short", frames(2))
    with pytest.raises(InputError, match="short: ends after 2 frames, frame 2 was expected"):
        reader.frames(short, [0, 2])
    with pytest.raises(ValueError, match="frame indices"):
        reader.frames(short, [])


@pytest.fixture
def scenes(tmp_path) -> datasets.Dataset:
    """Two classes of two videos, all folders of frames."""
    for number, name in enumerate(("Beach/b1", "Beach/b2", "Ocean/o1", "Ocean/o2")):
        write(tmp_path / "YUPENN" / name, frames(4 + number, seed=number))
    return datasets.load("yupenn", tmp_path)


def test_the_check_reads_them(scenes):
    report = checking.check(scenes, False, 1, lambda done, total: None)
    assert report["videos"] == {"Beach/b1": 4, "Beach/b2": 5, "Ocean/o1": 6, "Ocean/o2": 7}
    assert (report["sizes"], report["missing"], report["listed"]) == ({"16x12": 4}, 0, {"1": {"train": 0, "test": 4}})
    # Every byte of every frame counts.
    path = scenes.root / "YUPENN" / "Ocean" / "o1" / "frame_5.png"
    path.write_bytes(path.read_bytes() + b"\0")
    changed = checking.check(scenes, False, 1, lambda done, total: None)
    assert changed["sha256"] != report["sha256"]
    path.write_bytes(b"")
    damaged = checking.check(scenes, True, 1, lambda done, total: None)
    assert list(damaged["unreadable"]) == ["Ocean/o1"]
    assert "frame_5.png: cannot be decoded" in damaged["unreadable"]["Ocean/o1"]


def test_resized_on_the_fly_equals_the_store(scenes, tmp_path):
    size, videos = (9, 11), scenes.videos()
    source = decode.ResizedVideos(scenes.root, videos, size)
    counts = {video.name: decode.count_frames(scenes.root / video.path) for video in videos}
    store.write(tmp_path / "store", ((name, source.frames(name, range(count))) for name, count in counts.items()))
    stored = store.FrameStore(tmp_path / "store")
    for number, video in enumerate(videos):
        expected = transforms.resize(frames(4 + number, seed=number), size)[[3, 0, 0]]
        assert torch.equal(source.frames(video.name, [3, 0, 0]), expected)
        assert torch.equal(stored.frames(video.name, [3, 0, 0]), expected)
