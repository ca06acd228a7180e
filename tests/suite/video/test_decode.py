"""The reader against a plain decode of the whole file, and what it says of files it cannot read."""

import pickle
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from suite.errors import InputError
from suite.video import decode, store, transforms


def whole_video(path: Path) -> np.ndarray:
    """The obvious way: every frame converted on its own, nothing shared, nothing skipped."""
    with av.open(str(path), metadata_errors="replace") as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def assert_reads_as_whole(reader: decode.Reader, path: Path) -> None:
    whole = whole_video(path)
    count, height, width, _ = whole.shape
    # Headers are no guide: those of HMDB51 give one frame more than there is, and one file has three more.
    found = decode.inspect(path)
    assert (found.frames, found.size, found.sizes) == (count, (width, height), ((width, height),))
    draw = np.random.default_rng(count)
    start = int(draw.integers(max(1, count - 16)))
    clip = range(start, min(start + 16, count))
    scattered = np.sort(draw.integers(0, count, 5))
    for indices in (clip, scattered, [0], [count - 1], [count - 1, 0, count // 2, 0]):
        frames = reader.frames(path, indices)
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, whole[list(indices)])


@pytest.fixture(scope="module")
def reader():
    return decode.Reader()


def test_reads_synthetic_videos_as_a_whole_decode_does(reader, one_action):
    for video in one_action.videos()[:5]:
        assert_reads_as_whole(reader, one_action.root / video.path)


def test_reads_real_ucf101_videos_as_a_whole_decode_does(reader, shared_data):
    for folder in ("ucf101-six", "ucf101-six-small"):
        videos = sorted((shared_data / folder).rglob("*_g01_c01.avi"))
        assert len(videos) == 6
        for path in videos[::3]:
            assert_reads_as_whole(reader, path)


@pytest.mark.parametrize("folder", ["edge-videos", "hmdb51-sample"])
def test_reads_odd_real_videos_as_a_whole_decode_does(reader, shared_data, folder):
    paths = sorted((shared_data / folder).rglob("*.avi"))
    assert len(paths) >= 3
    for path in paths:
        assert_reads_as_whole(reader, path)


def test_reads_b_frames_in_the_order_they_are_shown(reader, shared_data):
    path = shared_data / "kinetics400-sample" / "flipping_a_pancake.mkv"
    with av.open(str(path)) as container:
        shown = [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(12), container.decode(video=0), strict=False)
        ]
    np.testing.assert_array_equal(reader.frames(path, range(12)), np.stack(shown))


def test_reads_metadata_that_is_not_utf8(reader, shared_data):
    def refused(path: Path) -> bool:
        try:
            av.open(str(path)).close()
        except UnicodeDecodeError:
            return True
        return False

    paths = [path for path in sorted((shared_data / "hmdb51-sample").rglob("*.avi")) if refused(path)]
    assert paths, "the sample holds a file that plain av.open refuses"
    for path in paths:
        assert len(reader.frames(path, [0])) == 1


@pytest.mark.parametrize("name", ["a:b.avi", "100%d.avi", "[x](y)+!& ;'é.avi", "http:.avi"])
def test_odd_file_names_are_only_names(reader, one_action, tmp_path, name, monkeypatch):
    source = one_action.root / one_action.videos()[0].path
    (tmp_path / name).write_bytes(source.read_bytes())
    np.testing.assert_array_equal(reader.frames(tmp_path / name, [3]), reader.frames(source, [3]))
    monkeypatch.chdir(tmp_path)
    assert decode.count_frames(name) == decode.count_frames(source)


def test_indices_must_be_there(reader, one_action):
    video = one_action.videos()[0]
    path = one_action.root / video.path
    count = decode.count_frames(path)
    with pytest.raises(InputError, match=rf"{video.name}: ends after {count} frames, frame {count} was expected"):
        reader.frames(path, [count - 1, count])
    for wrong in ([], [-1, 0]):
        with pytest.raises(ValueError, match="frame indices"):
            reader.frames(path, wrong)


def bad_files(folder: Path, good: bytes) -> dict[str, Path]:
    contents = {
        "empty.avi": b"",
        "text.avi": b"This is not a video.\n" * 200,
        "header.avi": good[:200],
        "half.avi": good[: len(good) // 2],
        "sound.avi": b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(400),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.avi").mkdir()
    return {name: folder / name for name in [*contents, "folder.avi", "absent.avi"]}


def test_files_that_are_no_videos_are_named_in_one_line(one_action, tmp_path, capfd):
    good = (one_action.root / one_action.videos()[0].path).read_bytes()
    for name, path in bad_files(tmp_path, good).items():
        with pytest.raises(InputError) as error:
            decode.count_frames(path)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert ";" in message, f"{name}: the message says what to do"
        assert "\n" not in message
        with pytest.raises(InputError, match=name):
            decode.Reader().frames(path, [30])
    assert capfd.readouterr() == ("", ""), "FFmpeg's own complaints stay off the terminal"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_noticed_unless_all_frames_are_there(one_action, tmp_path, share):
    source = one_action.root / one_action.videos()[1].path
    whole = source.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: int(share * len(whole))])
    try:
        count = decode.count_frames(cut)
    except InputError as error:
        count, message = None, str(error)
    if count is None:
        assert message.startswith(f"{cut}: ")
    else:
        # Only the index at the end is missing.
        np.testing.assert_array_equal(whole_video(cut), whole_video(source))
        assert count == len(whole_video(source))


def test_a_video_whose_size_changes_comes_in_the_size_of_its_first_frame(reader, tmp_path):
    path = tmp_path / "sizes.mjpeg"
    with open(path, "wb") as file:
        for width in (48, 48, 64, 64):
            Image.new("RGB", (width, 32), (width, 0, 0)).save(file, "jpeg")
    with av.open(str(path)) as container:
        assert [frame.width for frame in container.decode(video=0)] == [48, 48, 64, 64]
    assert reader.frames(path, [1, 2, 3]).shape == (3, 32, 48, 3)
    np.testing.assert_array_equal(reader.frames(path, [2]), reader.frames(path, range(4))[2:3])
    assert decode.inspect(path).sizes == ((48, 32), (64, 32))


def test_resized_on_the_fly_equals_the_store(one_action, tmp_path):
    size = (37, 49)
    videos = one_action.videos()[:6]
    reader = decode.Reader()
    counts = {video.name: decode.count_frames(one_action.root / video.path) for video in videos}
    entries = (
        (video.name, transforms.resize(reader.frames(one_action.root / video.path, range(counts[video.name])), size))
        for video in videos
    )
    store.write(tmp_path / "store", entries)
    stored = store.FrameStore(tmp_path / "store")
    on_the_fly = decode.ResizedVideos(one_action.root, videos, size)
    draw = np.random.default_rng(0)
    for video in videos:
        count = counts[video.name]
        assert stored.count(video.name) == count
        for indices in ([0], range(count), [count - 1] * 3, draw.integers(0, count, 8).tolist(), [3, 2, 1, 3]):
            frames = on_the_fly.frames(video.name, indices)
            assert (frames.dtype, tuple(frames.shape)) == (torch.uint8, (len(indices), *size, 3))
            assert torch.equal(frames, stored.frames(video.name, indices))


def test_sources_travel_to_worker_processes(one_action):
    video = one_action.videos()[0]
    source = decode.ResizedVideos(one_action.root, [video], (20, 24))
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy.frames(video.name, [0, 5]), source.frames(video.name, [0, 5]))
