"""Where a network looks, as a picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from suite.evaluation.question_answering.picture import BAR, BETWEEN, BLUE, FRAME, GAP, LINE, PALE, attention_picture
from tests.suite.evaluation.question_answering.asked import CLIPS


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def drawn_in(sheet: np.ndarray, colour: tuple) -> np.ndarray:
    """Pixels of a colour, as near as a palette has it."""
    return (np.abs(sheet - colour) <= 12).all(-1)


def bars(sheet: np.ndarray) -> list[tuple[int, bool]]:
    """Height of the bar beneath each of 20 frames in a sheet of one question, and whether it is marked as the longest."""
    found = []
    for place in range(CLIPS):
        # A column at the frame's edge, clear of the number below and of the frame's own pixels, which are grey.
        left = GAP + place * (FRAME + BETWEEN) + 1
        column = sheet[GAP + 2 * LINE :, left : left + 1]
        blue, pale = drawn_in(column, BLUE).sum(), drawn_in(column, PALE).sum()
        found.append((int(blue + pale), bool(blue)))
    return found


def test_bars_are_as_long_as_weights(tmp_path):
    frames = np.full((1, CLIPS, 8, 8, 3), 90, np.uint8)
    weights = np.array([0.02, 0.4] + [0.04] * 12 + [0.1] + [0.0] * 5, np.float32)
    attention_picture(frames, weights[None], [("where is it", "pool", "pool")], tmp_path / "a.png")
    found = bars(pixels(tmp_path / "a.png"))
    assert [longest for _, longest in found] == [place == 1 for place in range(CLIPS)]
    # The line of equal weights covers a pixel of a bar that reaches it.
    for (length, _), weight in zip(found, weights, strict=True):
        assert abs(length - BAR * weight / 0.4) <= 1.5


def test_frames_are_shown_enlarged_and_in_order(tmp_path):
    frames = np.zeros((2, CLIPS, 6, 12, 3), np.uint8)
    frames[..., 0] = np.arange(CLIPS)[:, None, None] * 12
    frames[1, ..., 1] = 255
    texts = [("q" * 150, "swimming", "swimming"), ("is it", "no", "yes")]
    attention_picture(frames, np.full((2, CLIPS), 0.05), texts, tmp_path / "a.png")
    sheet = pixels(tmp_path / "a.png")
    height = FRAME // 2
    for row in range(2):
        top = row * len(sheet) // 2 + GAP + 2 * LINE + BETWEEN
        for place in range(CLIPS):
            left = GAP + place * (FRAME + BETWEEN)
            shown = sheet[top + 1 : top + height - 1, left + 1 : left + FRAME - 1]
            assert (np.abs(shown - [12 * place, 255 * row, 0]) <= 14).all()
    # Right in green and wrong in red, and not the other way round.
    upper, lower = sheet[: len(sheet) // 2], sheet[len(sheet) // 2 :]
    text = slice(GAP + LINE, GAP + 2 * LINE)
    assert drawn_in(upper[text], (0, 140, 60)).any()
    assert drawn_in(lower[text], (205, 30, 30)).any()
    assert not drawn_in(lower[text], (0, 140, 60)).any()


def test_the_same_questions_give_the_same_bytes(tmp_path):
    draw = np.random.default_rng(0)
    frames = list(draw.integers(0, 256, (3, CLIPS, 36, 48, 3), np.uint8))
    weights = draw.dirichlet(np.ones(CLIPS), 3)
    texts = [("what is it", "a dog", "a cat")] * 3
    for name in ("a.png", "b.png"):
        attention_picture(frames, weights, texts, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # Tensors, and weights of nothing at all, as a network without video has.
    attention_picture([torch.from_numpy(frames[0])], torch.zeros(1, CLIPS), texts[:1], tmp_path / "c.png")
    assert len(pixels(tmp_path / "c.png")) == len(pixels(tmp_path / "a.png")) // 3
    with pytest.raises(ValueError, match="at least one question"):
        attention_picture([], np.zeros((0, CLIPS)), [], tmp_path / "d.png")
