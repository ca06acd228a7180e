"""The input of a network is one value: its named kinds by hand, its words, its options, and torchvision's preset."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms._presets import VideoClassification

from suite.errors import InputError
from suite.seeding import generator
from suite.video import inputs, transforms
from suite.video.inputs import NetworkInput, Pixels

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_pixels_by_hand():
    clip = torch.zeros(1, 1, 2, 2, 3, dtype=torch.uint8)
    clip[0, 0, 0, 1] = torch.tensor([255, 51, 0], dtype=torch.uint8)
    how = Pixels(mean=(0.5, 0.1, 0.25), std=(0.5, 0.2, 2))
    seen = transforms.to_network(clip, how)[0, :, 0, 0, 1]
    assert seen.tolist() == pytest.approx([(1 - 0.5) / 0.5, (0.2 - 0.1) / 0.2, -0.125])
    # The mean is in the order of the channels: blue first.
    seen = transforms.to_network(clip, {"range": 255, "channels": "bgr", "mean": [104, 117, 123]})[0, :, 0, 0, 1]
    assert seen.tolist() == [-104, 51 - 117, 255 - 123]


@pytest.mark.parametrize("name", inputs.NAMED)
def test_a_name_is_the_value_it_stands_for(name):
    clip = torch.randint(256, (2, 3, 4, 5, 3), dtype=torch.uint8, generator=generator(0))
    expected = transforms.to_network(clip, name)
    assert torch.equal(transforms.to_network(clip, inputs.NAMED[name]), expected)
    # As stages have it, from JSON.
    assert torch.equal(transforms.to_network(clip, inputs.NAMED[name].model_dump(mode="json")), expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(30, 60),
    width=st.integers(30, 60),
    size=st.tuples(st.integers(12, 70), st.integers(12, 70)),
)
def test_our_frames_are_those_of_torchvisions_preset(seed, height, width, size):
    frames = torch.randint(256, (3, height, width, 3), dtype=torch.uint8, generator=generator(seed))
    preset = VideoClassification(crop_size=(11, 11), resize_size=size, **IMAGENET)
    expected = preset(frames.permute(0, 3, 1, 2))
    ours = transforms.centre_crop(transforms.resize(frames, size, antialias=False), 11)
    found = transforms.to_network(ours[None], Pixels(**IMAGENET))[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mean": (114, 107, 99)}, "say range 255"),
        ({"std": (0.2, 0, 0.2)}, "greater than 0"),
        ({"range": 128}, "1 or 255"),
        ({"colours": "rgb"}, "Extra inputs"),
    ],
)
def test_pixels_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Pixels(**wrong)


def test_what_is_said_wins_over_what_stands_below_it():
    network = NetworkInput(frames=16, crop=112, antialias=False, pixels=Pixels(**IMAGENET))
    asked = NetworkInput(frames=8, antialias=True)
    assert asked.over(network) == NetworkInput(frames=8, crop=112, antialias=True, pixels=Pixels(**IMAGENET))
    assert network.of_any_size() == NetworkInput(antialias=False, pixels=Pixels(**IMAGENET))


def test_words_and_options():
    whole = NetworkInput(frames=16, stride=2, resize=(128, 171), crop=112, antialias=False, pixels=Pixels(**IMAGENET))
    assert whole.words() == (
        "16 frames, every 2nd frame of the video, resized to 128x171, without antialiasing, centre 112x112, "
        "RGB of 0 to 1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"
    )
    assert whole.options() == (
        "--frames 16 --stride 2 --resize 128x171 --crop 112 --no-antialias "
        "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --channels rgb --range 1"
    )
    assert inputs.NAMED["bgr-raw"].words() == "BGR of 0 to 255"


def test_an_input_that_is_none_is_told_by_whose_it_is():
    with pytest.raises(InputError, match=r"network 'a:b': its input: pixels\.std\.1: .*greater than 0"):
        inputs.stated({"pixels": {"std": [1, 0, 1]}}, "network 'a:b'")
