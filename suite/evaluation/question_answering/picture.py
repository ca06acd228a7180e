"""Where a network looks to answer, as a picture."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from suite.evaluation.examples import COLOURS, INK, MARKS, MUTED, PAPER

# Pixels: width of a frame, height of the longest bar, between frames, around rows, of a line of text, of letters.
FRAME, BAR, BETWEEN, GAP, LINE, FONT_SIZE = 64, 40, 2, 12, 17, 13
BLUE, PALE = (40, 110, 200), (170, 195, 230)


def attention_picture(
    frames: Sequence[Sequence[np.ndarray]], attention: np.ndarray, texts: Sequence[tuple[str, str, str]], path: Path
) -> None:
    """Write a PNG with a row for each of a few questions; the same input gives the same bytes.

    A row has the question, the answer given and the right one, a frame of every clip, and beneath each frame its weight
    as a bar. Bars are drawn against the largest of the row, whose number stands below it; the grey line is where all
    weights would be if they were equal.

    Args:
        frames: the middle frames of the clips of each question's video, uint8 [C, h, w, 3], enlarged or made smaller.
        attention: [questions, C].
        texts: (question, answer given, right answer) of each.
    """
    if not len(texts):
        raise ValueError("an attention picture needs at least one question")
    import matplotlib

    # matplotlib's own copy of DejaVu Sans: the same glyphs, marks included, on every machine.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)
    rows = [
        _row(np.asarray(clips), np.asarray(weights), text, font)
        for clips, weights, text in zip(frames, attention, texts, strict=True)
    ]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    content = io.BytesIO()
    sheet.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    Path(path).write_bytes(content.getvalue())


def _row(
    clips: np.ndarray, weights: np.ndarray, texts: tuple[str, str, str], font: ImageFont.FreeTypeFont
) -> Image.Image:
    """One question's row: its text, the frames, and a bar beneath each."""
    question, given, right = texts
    step, height = FRAME + BETWEEN, round(FRAME * clips.shape[1] / clips.shape[2])
    colour, mark = MARKS[given == right]
    lines = [(question, INK), (f"{given}   {mark}" + ("" if given == right else f"   (right: {right})"), colour)]
    above = GAP + len(lines) * LINE + BETWEEN
    foot = above + height + BETWEEN + BAR
    width = max(len(clips) * step, *(round(font.getlength(line)) for line, _ in lines))
    picture = Image.new("RGB", (width + 2 * GAP, foot + LINE + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (line, ink) in enumerate(lines):
        draw.text((GAP, GAP + place * LINE), line, ink, font)
    longest = max(float(weights.max()), 1e-12)
    for place, (frame, weight) in enumerate(zip(clips, weights, strict=True)):
        left = GAP + place * step
        shown = Image.fromarray(frame).resize((FRAME, height), Image.Resampling.BILINEAR)
        picture.paste(shown, (left, above))
        length = round(BAR * float(weight) / longest)
        largest = place == int(weights.argmax())
        if length:
            draw.rectangle((left, foot - length, left + FRAME - 1, foot - 1), BLUE if largest else PALE)
        if largest:
            draw.text((left + FRAME / 2, foot), f"{weight:.2f}", BLUE, font, anchor="ma")
    level = foot - round(BAR * float(weights.mean()) / longest)
    draw.line((GAP, level, GAP + len(clips) * step - BETWEEN - 1, level), MUTED)
    return picture
