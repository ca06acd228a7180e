"""What pictures of clips are made of: panels on a sheet, flow as colours, a small PNG. Panels are squares of `SIDE` pixels."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, LINE, FONT_SIZE = 176, 12, 15, 11
PAPER, INK, MUTED = (255, 255, 255), (30, 30, 30), (110, 110, 110)


def sheet_of(columns: Sequence[Sequence[tuple]], headings: Sequence[str]) -> Image.Image:
    """Panels with two lines of caption each, column by column."""
    # matplotlib's own copy of DejaVu Sans: the same glyphs on every machine.
    import matplotlib

    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)
    cell = (SIDE + GAP, SIDE + 2 * LINE + GAP)
    rows = max(map(len, columns))
    sheet = Image.new("RGB", (len(columns) * cell[0] + GAP, rows * cell[1] + LINE + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (column, heading) in enumerate(zip(columns, headings, strict=True)):
        left = GAP + place * cell[0]
        draw.text((left, GAP // 2), heading, INK, font)
        for index, (panel, first, second) in enumerate(column):
            top = LINE + GAP + index * cell[1]
            sheet.paste(panel, (left, top))
            draw.text((left, top + SIDE + 2), first, INK, font)
            draw.text((left, top + SIDE + 1 + LINE), second, MUTED, font)
    return sheet


def enlarged(pixels: np.ndarray) -> Image.Image:
    """A frame or a map, uint8 [H, W, 3], as a panel."""
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def flow_colours(flow: np.ndarray, largest: float) -> np.ndarray:
    """Direction as hue, length as saturation, no motion white: uint8 [H, W, 3]."""
    from matplotlib.colors import hsv_to_rgb

    hue = np.arctan2(-flow[1], flow[0]) / (2 * np.pi) % 1
    saturation = np.clip(np.hypot(*flow) / max(largest, 1e-6), 0, 1)
    return (255 * hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], axis=-1))).round().astype(np.uint8)


def write_png(sheet: Image.Image, path: Path) -> None:
    """A PNG with a palette: a quarter of the size of full colour. The octree keeps rare hues, such as the wheel's."""
    content = io.BytesIO()
    sheet.quantize(256, Image.Quantize.FASTOCTREE).save(content, "PNG", optimize=True)
    Path(path).write_bytes(content.getvalue())
