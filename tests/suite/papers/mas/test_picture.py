"""The picture of a clip: right regions outlined, attention where activity is, and the same bytes every time."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from suite.backbones.c3d5 import C3D5
from suite.evaluation import pictures
from suite.papers.mas import picture, statistics
from suite.seeding import generator


def moving_patch() -> tuple[torch.Tensor, torch.Tensor]:
    """A green patch that comes and goes in block 7 of a blue clip, and moves there: clip and flow."""
    clip = torch.zeros(5, 64, 64, 3, dtype=torch.uint8)
    clip[..., 2] = 200
    clip[1:4, 20:28, 36:44] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    flow = torch.zeros(4, 2, 64, 64)
    flow[:, 0, 20:28, 36:44] = 3
    return clip, flow


def is_drawn(sheet: np.ndarray, colour: tuple) -> np.ndarray:
    """Pixels of a colour, as near as a palette has it."""
    return (np.abs(sheet.astype(int) - colour) <= 24).all(-1)


def test_labelled_regions_are_outlined_in_their_panels(tmp_path):
    clip, flow = moving_patch()
    picture.clip_picture(clip, flow, tmp_path / "clip.png")
    sheet = np.asarray(Image.open(tmp_path / "clip.png").convert("RGB"))
    assert (tmp_path / "clip.png").stat().st_size < 100_000
    step, quarter = pictures.SIDE + pictures.GAP, pictures.SIDE // 4
    left, top = pictures.GAP + step, pictures.LINE + pictures.GAP
    # Pattern 1 of appearance, then of u: the outline of block 7 is there, and nowhere else in that colour.
    for row, colour in ((0, picture.DIVERSE), (1, picture.MOVING)):
        above = top + row * (pictures.SIDE + 2 * pictures.LINE + pictures.GAP)
        drawn = is_drawn(sheet[above : above + pictures.SIDE, left : left + pictures.SIDE], colour)
        block = drawn[quarter : 2 * quarter, 2 * quarter : 3 * quarter]
        assert block[[0, -1]].all()
        assert block[:, [0, -1]].all()
        drawn[quarter : 2 * quarter, 2 * quarter : 3 * quarter] = False
        assert not drawn.any()


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    clip = torch.randint(256, (4, 32, 32, 3), dtype=torch.uint8, generator=generator(1))
    flow = torch.randn(3, 2, 32, 32, generator=generator(2))
    for name in ("a.png", "b.png"):
        picture.clip_picture(clip, flow, tmp_path / name, torch.rand(32, 32, generator=generator(3)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    height = Image.open(tmp_path / "a.png").size[1]
    # The same height without an attention map: the other columns have three rows anyway.
    picture.clip_picture(clip, flow, tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").size[1] == height
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()


def test_a_clip_without_motion_and_of_one_colour_has_a_picture(tmp_path):
    picture.clip_picture(
        torch.zeros(3, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 2, 16, 16), tmp_path / "still.png"
    )
    sheet = np.asarray(Image.open(tmp_path / "still.png").convert("RGB"))
    assert is_drawn(sheet, picture.MOVING).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_arrows_point_along_the_middle_of_their_bin(orientation):
    panel = Image.new("RGB", (pictures.SIDE, pictures.SIDE))
    drawn = is_drawn(np.asarray(picture._arrow(panel, 2, 1, orientation)), picture.MOVING)
    rows, columns = np.nonzero(drawn)
    # The head is the heavier end: seen from the region's middle, the arrow's weight lies where it points.
    middle = (pictures.SIDE - 1) / 2
    angle = np.degrees(np.arctan2(middle - rows.mean(), columns.mean() - middle)) % 360
    assert 45 * (orientation - 1) < angle < 45 * orientation


class Bright(nn.Module):
    """A 'network' whose two channels are half and once the brightness, pooled to 4 x 4."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([0.5, 1.0]))

    def conv5_map(self, x):
        pooled = nn.functional.avg_pool3d(x.mean(1, keepdim=True), (2, 4, 4))
        return pooled * self.gain.view(1, 2, 1, 1, 1)


def test_attention_is_the_sum_of_squared_activations_scaled_up():
    clip = torch.zeros(4, 16, 16, 3, dtype=torch.uint8)
    clip[:, 4:8, 8:12] = 255
    # In one half of the frames a second cell is lit: half the mean.
    clip[:2, 12:16, 0:4] = 255
    seen = picture.attention_map(Bright(), clip)
    assert seen.shape == (16, 16)
    # Bilinear: the four pixels around the middle of a cell are 1/8 of a cell away from it, down and across, and so have
    # (7/8)^2 of its value: the largest, and so 1. At the left border a cell does not fade sideways: (7/8) of its half.
    assert seen.max() == 1
    assert torch.allclose(seen[5:7, 9:11], torch.ones(2, 2))
    assert seen[13, 1] == pytest.approx(0.5 * 8 / 7, rel=1e-5)
    assert seen[0, 0] == 0
    assert (picture.attention_map(Bright(), torch.zeros_like(clip)) == 0).all()


def test_attention_of_the_papers_network_leaves_its_mode_alone():
    torch.manual_seed(0)
    network = C3D5(4, clip_shape=(8, 32, 32)).train()
    clip = torch.randint(256, (8, 32, 32, 3), dtype=torch.uint8, generator=generator(4))
    seen = picture.attention_map(network, clip, "rgb-mean")
    assert (seen.shape, seen.max()) == ((32, 32), 1)
    assert network.training
    assert not seen.requires_grad


def test_colours_are_named_as_the_labels_number_them():
    for number, name in enumerate(picture.COLOUR_NAMES, 1):
        bright = {"blue": "b", "cyan": "gb", "magenta": "rb", "white": "rgb", "green": "g", "red": "r", "yellow": "rg"}
        colour = [255 * (channel in bright.get(name, "")) for channel in "rgb"]
        clip = torch.tensor(colour, dtype=torch.uint8).expand(1, 1, 16, 16, 3)
        assert statistics.appearance_labels(clip)[0, -1] == number
