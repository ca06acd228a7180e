"""Transforms: near to the authors' PIL, and the same for every frame of a clip."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as torchvision_functional

from suite.seeding import generator
from suite.video import decode, transforms


def psnr(ours: np.ndarray, reference: np.ndarray) -> float:
    error = np.mean((ours.astype(np.float64) - reference) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def resized_by_pil(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As VCOP's authors resize: frame by frame, PIL's bilinear."""
    return np.stack([np.asarray(Image.fromarray(f).resize(size[::-1], Image.Resampling.BILINEAR)) for f in frames])


def test_resize_is_near_to_pil_on_real_frames(shared_data):
    path = shared_data / "ucf101-six" / "UCF-101" / "Surfing" / "v_Surfing_g01_c01.avi"
    frames = decode.Reader().frames(path, range(0, 64, 8))
    assert psnr(transforms.resize(frames, (128, 171)).numpy(), resized_by_pil(frames, (128, 171))) > 60


@pytest.mark.parametrize(("shape", "size"), [((48, 64), (37, 49)), ((240, 320), (128, 171)), ((20, 20), (40, 30))])
def test_resize_is_within_one_step_of_pil(shape, size):
    frames = np.random.default_rng(0).integers(0, 256, (3, *shape, 3), np.uint8)
    ours = transforms.resize(frames, size)
    assert ours.is_contiguous()
    assert tuple(ours.shape) == (3, *size, 3)
    assert np.abs(ours.numpy().astype(int) - resized_by_pil(frames, size)).max() <= 1


def test_resize_does_not_depend_on_how_many_frames_there_are():
    frames = torch.randint(256, (5, 48, 64, 3), dtype=torch.uint8, generator=generator(1))
    together = transforms.resize(frames, (37, 49))
    assert torch.equal(together, torch.cat([transforms.resize(frame[None], (37, 49)) for frame in frames]))
    assert torch.equal(transforms.resize(frames, (48, 64)), frames)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(20, 60), width=st.integers(20, 60), size=st.integers(4, 20))
def test_a_clip_of_identical_frames_stays_identical(seed, height, width, size):
    draw = generator(seed)
    frame = torch.randint(256, (1, height, width, 3), dtype=torch.uint8, generator=draw)
    clip = transforms.resize(frame.expand(7, -1, -1, -1), (size + 8, size + 11))
    top, left = transforms.random_crop_offset(draw, clip.shape[1:3], size)
    for cropped in (transforms.crop(clip, top, left, size), transforms.centre_crop(clip, size)):
        images = transforms.to_network(cropped[None])
        assert tuple(images.shape) == (1, 3, 7, size, size)
        assert torch.equal(images, images[:, :, :1].expand_as(images))


def test_random_crops_reach_every_offset_and_repeat_with_their_seed():
    draw = generator(0)
    drawn = [transforms.random_crop_offset(draw, (6, 8), 4) for _ in range(400)]
    assert set(drawn) == {(top, left) for top in range(3) for left in range(5)}
    assert transforms.random_crop_offset(generator(7), (6, 8), 8 - 2) == transforms.random_crop_offset(
        generator(7), (6, 8), 6
    )
    again = generator(0)
    assert [transforms.random_crop_offset(again, (6, 8), 4) for _ in range(400)] == drawn


@given(height=st.integers(8, 40), width=st.integers(8, 40), size=st.integers(1, 8))
def test_centre_crop_is_torchvisions(height, width, size):
    frames = torch.arange(height * width).reshape(1, height, width, 1).expand(-1, -1, -1, 3)
    expected = torchvision_functional.center_crop(frames.permute(0, 3, 1, 2), [size, size]).permute(0, 2, 3, 1)
    assert torch.equal(transforms.centre_crop(frames, size), expected)


def test_network_input_by_hand():
    clip = torch.zeros(2, 3, 4, 4, 3, dtype=torch.uint8)
    clip[1, 2, 0, 3] = torch.tensor([255, 51, 1], dtype=torch.uint8)
    images = transforms.to_network(clip)
    assert images.dtype == torch.float32
    assert images[1, :, 2, 0, 3].tolist() == pytest.approx([1.0, 0.2, 1 / 255])
    assert images.sum() == images[1, :, 2, 0, 3].sum()


def test_network_input_is_totensors():
    frame = torch.arange(256, dtype=torch.uint8).reshape(16, 16, 1).expand(-1, -1, 3)
    expected = torchvision_functional.to_tensor(frame.numpy())
    assert torch.equal(transforms.to_network(frame[None, None])[0, :, 0], expected)


def test_pixels_less_a_mean_and_in_reverse_order_by_hand():
    clip = torch.zeros(1, 1, 2, 2, 3, dtype=torch.uint8)
    clip[0, 0, 0, 1] = torch.tensor([200, 100, 0], dtype=torch.uint8)
    assert transforms.to_network(clip, "rgb-mean")[0, :, 0, 0, 1].tolist() == [98, 2, -90]
    assert transforms.to_network(clip, "rgb-mean")[0, :, 0, 1, 1].tolist() == [-102, -98, -90]
    assert transforms.to_network(clip, "bgr-raw")[0, :, 0, 0, 1].tolist() == [0, 100, 200]
    with pytest.raises(ValueError, match="'raw'"):
        transforms.to_network(clip, "raw")


@pytest.mark.parametrize("pixels", ["unit", "rgb-mean", "bgr-raw"])
def test_network_input_is_float_and_lies_as_convolutions_want_it(pixels):
    clip = torch.randint(256, (2, 3, 4, 5, 3), dtype=torch.uint8, generator=generator(2))
    images = transforms.to_network(clip, pixels)
    assert images.dtype == torch.float32
    assert tuple(images.shape) == (2, 3, 3, 4, 5)
    assert images.is_contiguous(memory_format=torch.channels_last_3d)


def test_mirrored_clips_swap_left_and_right_alone():
    clip = torch.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3)
    assert torch.equal(transforms.mirrored(clip)[:, :, 0], clip[:, :, 3])
    assert torch.equal(transforms.mirrored(transforms.mirrored(clip)), clip)
