"""The frame store: what is written comes back, and a broken store says so."""

import pickle

import numpy as np
import pytest
import torch

from suite.errors import InputError
from suite.video import store


@pytest.fixture
def videos():
    draw = np.random.default_rng(0)
    return {f"a/{count}": draw.integers(0, 256, (count, 6, 8, 3), np.uint8) for count in (1, 5, 40)}


@pytest.fixture
def folder(tmp_path, videos):
    store.write(tmp_path / "frames", videos.items())
    return tmp_path / "frames"


def test_frames_come_back_in_any_order(folder, videos):
    frames = store.FrameStore(folder)
    for name, pixels in videos.items():
        count = len(pixels)
        assert frames.count(name) == count
        for indices in (range(count), [count - 1, 0], [0] * 4, [0, *range(count), 0]):
            got = frames.frames(name, indices)
            assert got.dtype == torch.uint8
            np.testing.assert_array_equal(got.numpy(), pixels[list(indices)])


def test_frames_past_the_end_are_an_error(folder):
    frames = store.FrameStore(folder)
    with pytest.raises(InputError, match="a/5: has 5 frames, frame 5 was expected"):
        frames.frames("a/5", [4, 5])
    with pytest.raises(ValueError, match="frame indices"):
        frames.frames("a/5", [-1])


def test_a_store_travels_to_worker_processes(folder, videos):
    copy = pickle.loads(pickle.dumps(store.FrameStore(folder)))
    np.testing.assert_array_equal(copy.frames("a/40", [7]).numpy(), videos["a/40"][[7]])


def test_incomplete_stores_are_refused(folder):
    raw = (folder / store.FRAMES).read_bytes()
    (folder / store.FRAMES).write_bytes(raw[:-1])
    with pytest.raises(InputError, match=r"frames\.raw: not as long as its index says; delete the folder"):
        store.FrameStore(folder)
    (folder / store.INDEX).write_text("{")
    with pytest.raises(InputError, match="no frame store"):
        store.FrameStore(folder)
    (folder / store.INDEX).unlink()
    with pytest.raises(InputError, match="no frame store"):
        store.FrameStore(folder)


def test_a_write_that_fails_leaves_no_store(tmp_path):
    def entries():
        yield "a", np.zeros((2, 4, 4, 3), np.uint8)
        raise InputError("the second video cannot be read")

    with pytest.raises(InputError, match="second video"):
        store.write(tmp_path / "frames", entries())
    with pytest.raises(InputError, match="no frame store"):
        store.FrameStore(tmp_path / "frames")


@pytest.mark.parametrize(
    "second",
    [("b", np.zeros((2, 4, 5, 3), np.uint8)), ("a", np.zeros((2, 4, 4, 3), np.uint8)), ("b", np.zeros((2, 4, 4, 3)))],
    ids=["size", "name", "type"],
)
def test_entries_must_fit_together(tmp_path, second):
    with pytest.raises(ValueError, match="frames"):
        store.write(tmp_path / "frames", [("a", np.zeros((2, 4, 4, 3), np.uint8)), second])
