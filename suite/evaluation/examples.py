"""Retrieval examples as a picture (VCOP Figs. 4 and 6): a row for each query, its nearest neighbours to the right."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# A picture is drawn smaller until it fits: it is committed beside the report.
LIMIT_BYTES = 150_000
FRAME_HEIGHTS = (96, 80, 64, 48, 32)
COLOURS = 128

PAPER, INK, MUTED = (255, 255, 255), (30, 30, 30), (110, 110, 110)
# Right, wrong, not judged: border, and the mark beside the class name, so that colour is not needed to read it.
MARKS = {True: ((0, 140, 60), "✓ right"), False: ((205, 30, 30), "✗ wrong"), None: ((150, 150, 150), "")}
BORDER, GAP, LINE, FONT_SIZE = 4, 10, 15, 11


def contact_sheet(rows: Sequence[dict], path: Path) -> None:
    """Write a PNG of at most about 150 KB; the same rows give the same bytes.

    Args:
        rows: each {"query": frame, "query_class": name, "neighbours": [(frame, class name, right), ...]}, nearest
            first; frames are uint8 [H, W, 3], all of one shape; `right` is True, False, or None if it is not judged.
        path: the file to write.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one query")
    for height in FRAME_HEIGHTS:
        content = _png(_draw(rows, height))
        if len(content) <= LIMIT_BYTES:
            break
    Path(path).write_bytes(content)


def _draw(rows: Sequence[dict], height: int) -> Image.Image:
    """The sheet with frames of `height` pixels."""
    shape = np.asarray(rows[0]["query"]).shape
    width = round(height * shape[1] / shape[0])
    columns = 1 + max(len(row["neighbours"]) for row in rows)
    cell = (width + 2 * BORDER + GAP, height + 2 * BORDER + 2 * LINE + GAP)
    # The gap after the query column is wider, and a line of headings stands on top.
    sheet = Image.new("RGB", (columns * cell[0] + 2 * GAP, len(rows) * cell[1] + LINE + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    # matplotlib's own copy of DejaVu Sans: the same glyphs, marks included, on every machine.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)
    lefts = [GAP + column * cell[0] + (GAP if column else 0) for column in range(columns)]
    for column, left in enumerate(lefts):
        heading = "query" if column == 0 else f"neighbour {column}"
        draw.text((left, GAP // 2), _fitted(heading, font, cell[0] - GAP), MUTED, font)
    for index, row in enumerate(rows):
        top = LINE + GAP + index * cell[1]
        pictures = [(row["query"], row["query_class"], None), *row["neighbours"]]
        for left, (frame, name, right) in zip(lefts, pictures, strict=False):
            colour, mark = MARKS[right]
            draw.rectangle((left, top, left + width + 2 * BORDER - 1, top + height + 2 * BORDER - 1), colour)
            picture = Image.fromarray(np.asarray(frame)).resize((width, height), Image.Resampling.BILINEAR)
            sheet.paste(picture, (left + BORDER, top + BORDER))
            below = top + height + 2 * BORDER + 1
            draw.text((left, below), _fitted(name, font, cell[0] - GAP), INK, font)
            draw.text((left, below + LINE - 1), mark, colour, font)
    return sheet


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _png(sheet: Image.Image) -> bytes:
    """PNG bytes with a palette: a quarter of the size of full colour."""
    content = io.BytesIO()
    palette = sheet.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(content, "PNG", optimize=True)
    return content.getvalue()
