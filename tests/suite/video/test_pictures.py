"""Frames as they are displayed: which stream, turned how, of which size, from images of any depth."""

import av
import cv2
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image

from suite import datasets
from suite.errors import InputError
from suite.video import decode, store, transforms
from tests.suite.video import making


def near(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether frames are the same but for what encoding them does."""
    return first.shape == second.shape and np.abs(first.astype(int) - second.astype(int)).mean() < 12


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True)])
def test_frames_are_turned_and_mirrored_as_displayed(tmp_path, degrees, hflip, vflip):
    pixels = making.pictures(6)
    path = making.write(tmp_path / "turned.mp4", pixels, turn=(degrees, hflip, vflip))
    plain = decode.Reader().frames(making.write(tmp_path / "plain.mp4", pixels), range(6))
    expected = np.rot90(plain, degrees // 90, (1, 2))  # counter-clockwise
    expected = expected[:, :: -1 if vflip else 1, :: -1 if hflip else 1]
    frames = decode.Reader().frames(path, range(6))
    np.testing.assert_array_equal(frames, expected)
    found = decode.inspect(path)
    assert found.sizes == ((frames.shape[2], frames.shape[1]),)
    assert bool(found.notes) == bool(degrees or hflip or vflip)
    if not hflip and not vflip:
        ok, shown = cv2.VideoCapture(str(path)).read()
        assert ok
        assert near(frames[0], shown[..., ::-1])


def test_a_cover_is_no_video(shared_data):
    path = shared_data.parent / "cases" / "cover-art-is-stream-0" / "cover1.mp4"
    if not path.exists():
        pytest.skip("the shared case cover-art-is-stream-0 is not on this machine")
    assert decode.inspect(path) == decode.Inspection(48, ((160, 120),), 48)
    assert decode.Reader().frames(path, [0]).shape == (1, 120, 160, 3)


@pytest.mark.parametrize("first", [False, True])
def test_covers_of_any_place_and_size_are_no_video(tmp_path, first):
    pixels = making.pictures(12)
    plain = making.write(tmp_path / "plain.mp4", pixels)
    covered = making.write(tmp_path / "covered.mp4", pixels, cover=making.pictures(1, 240, 320, seed=1)[0])
    if first:
        making.facts_first(covered)
    with av.open(str(covered)) as container:
        places = [bool(stream.disposition & Disposition.attached_pic) for stream in container.streams.video]
        assert places == [first, not first]
    assert decode.inspect(covered) == decode.inspect(plain) == decode.Inspection(12, ((64, 48),), 12)
    np.testing.assert_array_equal(decode.Reader().frames(covered, range(12)), decode.Reader().frames(plain, range(12)))


def test_nothing_but_a_cover_is_no_video(tmp_path):
    path = making.write(tmp_path / "only.mp4", making.pictures(1)[:0], cover=making.pictures(1)[0])
    for read in (decode.inspect, lambda path: decode.Reader().frames(path, [0])):
        with pytest.raises(InputError, match=r"only\.mp4: holds no video that can be decoded; "):
            read(path)


@pytest.mark.parametrize("kind", ["resized", "turned"])
def test_on_the_fly_equals_the_store(tmp_path, kind):
    if kind == "turned":
        path = making.write(tmp_path / "turned.mp4", making.pictures(20), turn=(90, False, True))
    else:
        path = tmp_path / "resized.ts"
        path.write_bytes(
            b"".join(
                making.write(tmp_path / "part", making.pictures(10, 48, width), "mpegts", "mpeg2video").read_bytes()
                for width in (64, 80)
            )
        )
    video, size, count = datasets.Video(kind, path.name, 0, kind), (21, 17), decode.count_frames(path)
    whole = decode.Reader().frames(path, range(count))
    store.write(tmp_path / "store", [(kind, transforms.resize(whole, size))])
    stored, on_the_fly = store.FrameStore(tmp_path / "store"), decode.ResizedVideos(tmp_path, [video], size)
    assert len(decode.inspect(path).sizes) == (2 if kind == "resized" else 1)
    assert stored.count(kind) == count >= 19  # a decoder that changes its size may drop the frame before
    for indices in (range(count), [count - 1], [15, 3, 15], range(8, 14)):
        assert torch.equal(on_the_fly.frames(kind, indices), stored.frames(kind, indices))


def test_a_changing_size_is_that_of_the_first_frame_whatever_is_asked_for(tmp_path):
    parts = [
        making.write(tmp_path / f"{width}.ts", making.pictures(10, 48, width), "mpegts", "mpeg2video")
        for width in (64, 80)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert decode.inspect(path).sizes == ((64, 48), (80, 48))
    reader = decode.Reader()
    together = reader.frames(path, range(decode.count_frames(path)))
    for indices in ([12], [15, 3], range(11, 18)):
        np.testing.assert_array_equal(reader.frames(path, indices), together[list(indices)])
        small = transforms.resize(reader.frames(path, indices), (20, 24))
        assert torch.equal(small, transforms.resize(together, (20, 24))[list(indices)])


def test_sixteen_bits_become_eight(tmp_path):
    grey = (np.arange(12 * 16, dtype=np.uint16) * 341).reshape(12, 16)
    Image.fromarray(grey).save(tmp_path / "1.png")
    colour = cv2.merge([grey, grey // 2, grey // 3])  # blue, green, red
    cv2.imwrite(str(tmp_path / "2.png"), colour)
    first, second = decode.Reader().frames(tmp_path, [0, 1])
    np.testing.assert_array_equal(first, (grey >> 8)[..., None].repeat(3, 2))
    np.testing.assert_array_equal(second, (colour[..., ::-1] >> 8))


def test_sixteen_bits_with_transparency_become_eight(tmp_path):
    grey = (np.arange(12 * 16, dtype=np.uint16) * 341).reshape(12, 16)
    making.write_grey_alpha(tmp_path / "1.png", grey, grey[::-1])
    frames = decode.Reader().frames(tmp_path, [0])
    np.testing.assert_array_equal(frames[0], (grey >> 8)[..., None].repeat(3, 2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_images(tmp_path, orientation):
    image = Image.fromarray(making.pictures(1)[0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "1.jpg", exif=exif, quality=95)
    shown = cv2.imread(str(tmp_path / "1.jpg"))[..., ::-1]
    frames = decode.Reader().frames(tmp_path, [0])
    assert near(frames[0], shown)
    assert decode.inspect(tmp_path).size == (frames.shape[2], frames.shape[1])


def test_exif_that_cannot_be_read_says_nothing(tmp_path):
    pixels = making.pictures(1)[0]
    for number, data in enumerate((b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09")):
        folder = tmp_path / str(number)
        folder.mkdir()
        Image.fromarray(pixels).save(folder / "1.png", exif=data)
        np.testing.assert_array_equal(decode.Reader().frames(folder, [0])[0], pixels)


def test_images_of_any_mode_become_rgb(tmp_path):
    grey = Image.fromarray(making.pictures(1)[0][..., 0])
    for number, mode in enumerate(("1", "L", "LA", "P", "RGBA", "CMYK")):
        grey.convert("RGB").convert(mode).save(tmp_path / f"{number}.{'jpg' if mode == 'CMYK' else 'png'}", quality=95)
    frames = decode.Reader().frames(tmp_path, range(6))
    for frame in frames[[1, 2, 4]]:
        np.testing.assert_array_equal(frame, np.asarray(grey)[..., None].repeat(3, 2))
    assert near(frames[5], frames[1])


@pytest.mark.parametrize("names", [("frame_1.jpg", "frame_1.png"), ("1.jpg", "0001.jpg"), ("a_2.jpeg", "a_02.PNG")])
def test_two_files_of_one_number_are_named(tmp_path, names):
    for name in (*names, "frame_9.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    for read in (decode.inspect, lambda folder: decode.Reader().frames(folder, [0])):
        with pytest.raises(InputError, match="are one frame; leave one of them") as error:
            read(tmp_path)
        assert all(name in str(error.value) for name in names)
