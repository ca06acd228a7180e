"""Transforms: near to the authors' PIL, and the same for every frame of a clip."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as torchvision_functional
from torchvision.transforms.v2 import functional as vision

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
    with pytest.raises(ValueError, match="'raw'; there are unit, rgb-mean, bgr-raw"):
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


def some_clips(seed: int, count: int = 3, frames: int = 5, repeats: int = 1) -> torch.Tensor:
    pixels = torch.randint(256, (count, frames, 7, 9, 3), dtype=torch.uint8, generator=generator(seed))
    return transforms.to_network(pixels.repeat(1, repeats, 1, 1, 1))


FACTORS = st.tuples(*[st.sampled_from([0.0, 0.25, 0.6, 1.0, 1.4, 2.0])] * 3)


@given(seed=st.integers(0, 2**32), factors=st.lists(FACTORS, min_size=3, max_size=3), frames=st.integers(1, 6))
def test_colours_of_identical_frames_are_torchvisions_frame_by_frame(seed, factors, frames):
    clips = some_clips(seed, frames=1, repeats=frames)
    found = transforms.coloured(clips, torch.tensor(factors))
    assert torch.equal(found, found[:, :, :1].expand_as(found))
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    for clip, changed, (brightness, contrast, saturation) in zip(clips, found, factors, strict=True):
        expected = vision.adjust_brightness(clip[:, 0], brightness)
        expected = vision.adjust_saturation(vision.adjust_contrast(expected, contrast), saturation)
        torch.testing.assert_close(changed[:, 0], expected, atol=2e-6, rtol=0)


def test_brightness_and_saturation_are_torchvisions_for_any_frames():
    clips, factors = some_clips(0), [(1.3, 1.0, 0.7), (0.6, 1.0, 1.9), (1.0, 1.0, 0.0)]
    found = transforms.coloured(clips, torch.tensor(factors))
    for clip, changed, (brightness, _, saturation) in zip(clips, found, factors, strict=True):
        images = clip.transpose(0, 1)
        expected = vision.adjust_saturation(vision.adjust_brightness(images, brightness), saturation)
        torch.testing.assert_close(changed.transpose(0, 1), expected, atol=2e-6, rtol=0)


def test_contrast_is_about_the_mean_grey_of_the_clip():
    # Grey frames of 0.2 and 0.6, whose mean is 0.4: torchvision would leave each as it is, about its own mean.
    clip = torch.tensor([0.2, 0.6]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 4, 4)
    halved = transforms.coloured(clip, torch.tensor([[1.0, 0.5, 1.0]]))
    torch.testing.assert_close(halved[0, 0, :, 0, 0], torch.tensor([0.3, 0.5]), atol=1e-4, rtol=0)
    # Cut at both ends: 0.4 - 4 * 0.2 and 0.4 + 4 * 0.2.
    assert transforms.coloured(clip, torch.tensor([[1.0, 4.0, 1.0]]))[0, 0, :, 0, 0].tolist() == [0, 1]
    # Cut after brightness too: 0.2 * 3 and 1, whose mean is 0.8.
    both = transforms.coloured(clip, torch.tensor([[3.0, 0.5, 1.0]]))
    torch.testing.assert_close(both[0, 0, :, 0, 0], torch.tensor([0.7, 0.9]), atol=1e-4, rtol=0)


def test_factors_of_one_change_no_bit_and_the_clips_given_stay():
    clips = some_clips(1)
    before = clips.clone()
    assert torch.equal(transforms.coloured(clips, torch.ones(3, 3)), clips)
    transforms.coloured(clips, torch.full((3, 3), 0.5))
    assert torch.equal(clips, before)


def test_clips_of_a_batch_are_coloured_each_by_its_own_factors():
    clips, factors = some_clips(2), torch.rand(3, 3, generator=generator(3)) + 0.5
    together = transforms.coloured(clips, factors)
    for index in range(3):
        alone = transforms.coloured(clips[index : index + 1], factors[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-6, rtol=0)
