"""Damaged files of every container are refused, files that only disagree with their headers are not."""

import os
import socket
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from suite.errors import InputError
from suite.video import containers, damage, decode
from suite.video.containers import Layout
from suite.video.damage import Facts
from tests.suite.video import making


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("containers")
    return {
        ending: making.write(folder / f"whole.{ending}", making.pictures(), *settings)
        for ending, settings in making.CONTAINERS.items()
    }


def verdict(path: Path) -> str:
    """Why a file is refused, after its name; "" if it is not."""
    try:
        decode.inspect(path)
    except InputError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "; get the file again" in message
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")
    return ""


def all_frames(path: Path) -> np.ndarray:
    return decode.Reader().frames(path, range(decode.count_frames(path)))


@pytest.mark.parametrize("ending", making.CONTAINERS)
def test_whole_files_are_kept(whole, ending):
    found = decode.inspect(whole[ending])
    assert (found.frames, found.sizes, found.agrees, found.notes) == (making.FRAMES, ((64, 48),), True, ())


@pytest.mark.parametrize("ending", making.CONTAINERS)
def test_damaged_files_are_refused(whole, ending, tmp_path):
    path, good = tmp_path / f"damaged.{ending}", whole[ending].read_bytes()
    for kind, content in making.damages(good):
        path.write_bytes(content)
        reason = verdict(path)
        if not reason:
            # Nothing but what lies behind the last frame may be gone.
            np.testing.assert_array_equal(all_frames(path), all_frames(whole[ending]), err_msg=kind)
            assert kind in ("cut 5", "zeros at the end 5"), kind


@pytest.mark.parametrize("ending", making.CONTAINERS)
def test_turned_bits_end_in_a_line_or_in_frames(whole, ending, tmp_path):
    """Some decode without a trace (VP8 has no check at all); none ends in anything but a verdict or frames."""
    path, good = tmp_path / f"flipped.{ending}", whole[ending].read_bytes()
    for seed in range(12):
        path.write_bytes(making.flips(good, 1 + 9 * (seed % 3), seed))
        if not verdict(path):
            assert len(all_frames(path)) >= 1


def test_a_cut_file_says_what_is_missing(whole, tmp_path):
    for ending in ("avi", "mkv", "webm", "fast.mp4", "ts"):
        good = whole[ending].read_bytes()
        kept = len(good) * 6 // 10 + (1 if ending == "ts" else 0)
        (tmp_path / "cut").write_bytes(good[:kept])
        missing = -kept % 188 if ending == "ts" else len(good) - kept
        reason = verdict(tmp_path / "cut")
        assert reason.startswith("cut short, "), (ending, reason)
        if ending in ("avi", "mkv", "webm", "ts"):
            assert reason.startswith(f"cut short, {missing} bytes missing ("), (ending, reason)


def test_an_avi_written_to_a_pipe_is_whole(whole, tmp_path):
    content = bytearray(whole["avi"].read_bytes())
    length = content.index(b"strh") + 8 + 32
    for riff, frames in ((0xFFFFFFFF, 1 << 30), (0, 0), (0xFFFFFFFF, 0xFFFFFFFF)):
        content[4:8] = struct.pack("<I", riff)
        content[length : length + 4] = struct.pack("<I", frames)
        (tmp_path / "pipe.avi").write_bytes(content)
        found = decode.inspect(tmp_path / "pipe.avi")
        assert (found.frames, found.promised, found.agrees) == (making.FRAMES, None, True)
        (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
        assert verdict(tmp_path / "cut.avi")


def test_a_header_that_gives_other_numbers_is_noted_and_no_damage(whole, tmp_path):
    content = bytearray(whole["avi"].read_bytes())
    length = content.index(b"strh") + 8 + 32
    for frames in (making.FRAMES + 46, making.FRAMES - 3):
        content[length : length + 4] = struct.pack("<I", frames)
        (tmp_path / "header.avi").write_bytes(content)
        found = decode.inspect(tmp_path / "header.avi")
        assert (found.frames, found.promised, found.agrees) == (making.FRAMES, frames, False)


def test_bytes_behind_the_video_are_nothing(whole, tmp_path):
    for ending in ("avi", "mp4", "fast.mp4", "mkv", "webm"):
        (tmp_path / f"padded.{ending}").write_bytes(whole[ending].read_bytes() + bytes(700))
        assert decode.inspect(tmp_path / f"padded.{ending}").frames == making.FRAMES


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "libx264"), ("mp4", "libx264"), ("mpegts", "mpeg2video")]
)
def test_a_clip_that_begins_between_key_frames_is_kept(tmp_path, container, codec):
    source = making.write(tmp_path / "source", making.pictures(), container, codec)
    clip = making.remux(source, tmp_path / "clip", container, first=5)
    found = decode.inspect(clip)
    assert 0 < found.frames <= making.FRAMES - 5
    assert len(all_frames(clip)) == found.frames


def test_a_recording_that_begins_before_its_parameters_reads_as_it_counts(shared_data, tmp_path):
    source = shared_data / "kinetics400-sample" / "R6llTwEh07w.mp4"  # 303 frames, key frames at 0 and 250
    clip = making.remux(source, tmp_path / "clip.ts", "mpegts", first=5)
    found = decode.inspect(clip)
    assert found.notes == ("245 packets before its first key frame do not decode",)
    np.testing.assert_array_equal(all_frames(clip), decode.Reader().frames(source, range(250, 303)))


def test_joined_transport_streams_are_whole(whole, tmp_path):
    (tmp_path / "joined.ts").write_bytes(2 * whole["ts"].read_bytes())
    assert decode.inspect(tmp_path / "joined.ts").frames == 2 * making.FRAMES


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("video.avi")
    Path("frames").mkdir()
    os.mkfifo("frames/1.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        for path, kind in {
            "video.avi": "pipe",
            "frames": "pipe",
            "socket.mp4": "socket",
            "/dev/zero": "device",
        }.items():
            for read in (decode.inspect, lambda path: decode.Reader().frames(path, [0])):
                with pytest.raises(InputError, match=f"^{path}.*: is a .*{kind}, not a regular file; "):
                    read(path)


GOOD = Facts(frames=48, packets=48, header=48, indexed=48)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (GOOD, ""),
        (replace(GOOD, frames=2), ""),
        (replace(GOOD, frames=2, header=0, indexed=0), ""),
        (replace(GOOD, header=94, indexed=0), ""),
        (replace(GOOD, header=45, indexed=50, packets=50), ""),
        (replace(GOOD, layout=Layout(missing=9)), ""),
        (replace(GOOD, layout=Layout(broken=9)), ""),
        (replace(GOOD, header=49, layout=Layout(missing=9, behind=True)), ""),
        (replace(GOOD, header=0, seconds=Fraction(2), ended=Fraction(19, 10)), ""),
        (replace(GOOD, seconds=Fraction(9)), ""),
        (replace(GOOD, header=49, layout=Layout(missing=9)), "cut short, 9 bytes missing (48 of 49 frames)"),
        (replace(GOOD, header=1 << 30, layout=Layout(missing=9)), "cut short, 9 bytes missing (48 frames decode)"),
        (
            replace(GOOD, header=0, layout=Layout(broken=7)),
            "damaged, what lies from byte 7 on cannot be there (48 frames",
        ),
        (replace(GOOD, cut=True), "cut short, it ends within a frame"),
        (replace(GOOD, packets=40), "damaged, its index lists 48 frames and 40 are there"),
        (replace(GOOD, failed=2), "damaged, 2 of 48 packets do not decode"),
        (replace(GOOD, damaged=0), "damaged, frame 0 is not all there"),
        (
            replace(GOOD, header=0, seconds=Fraction(2), ended=Fraction(17, 10)),
            "cut short, it ends after 1.7 of 2.0 seconds",
        ),
    ],
)
def test_the_rule(facts, reason):
    found = damage.certain(facts)
    assert found.startswith(reason) if reason else not found, found


def test_what_the_walk_finds(tmp_path, whole):
    names = {"avi": "avi", "fast.mp4": "mov,mp4", "mkv": "matroska,webm", "ts": "mpegts"}
    for ending, name in names.items():
        good = whole[ending].read_bytes()
        path = tmp_path / ending
        for content in (good, good[:-100], b"", good[:3], good[:9]):
            path.write_bytes(content)
            with open(path, "rb") as file:
                file.seek(min(2, len(content)))
                found = containers.layout(file, name)
                assert file.tell() == min(2, len(content)), "the file stands where it stood"
            if content == good:
                assert found == Layout()
            elif len(content) > 9:
                assert found.missing == 100 if ending != "ts" else 100 % 188, (ending, found)
    with open(whole["mkv"], "rb") as file:
        assert containers.layout(file, "ogg") == Layout()


@pytest.mark.parametrize(
    ("folder", "count", "disagree"),
    [("hmdb51-sample", 10, 10), ("kinetics400-sample", 5, 0), ("edge-videos", 3, 0), ("ucf101-six", 150, 1)],
)
def test_no_real_file_is_refused(shared_data, folder, count, disagree):
    paths = [path for path in sorted((shared_data / folder).rglob("*.*")) if path.suffix in (".avi", ".mp4", ".mkv")]
    found = [decode.inspect(path) for path in paths]
    assert len(found) == count
    assert sum(not one.agrees for one in found) == disagree
    assert not any(one.notes for one in found)
