"""One clip as MAS sees it: frame, flow, motion boundaries, its labelled regions, and where a network looks (Fig. 6).

Shapes: N frames of H x H pixels; panels are squares of `SIDE` pixels (suite/evaluation/pictures.py).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn

from suite.evaluation.asking import frozen
from suite.evaluation.pictures import MUTED, SIDE, enlarged, flow_colours, sheet_of, write_png
from suite.papers.mas import statistics
from suite.video import transforms

# Outlines: the region of largest motion; the most diverse and the most stable colours (as in the paper's Fig. 1).
MOVING, DIVERSE, STABLE = (230, 60, 40), (250, 200, 0), (40, 120, 250)
PATTERNS = ("4 x 4 blocks", "nested areas", "sectors")
COLOUR_NAMES = ("blue", "cyan", "magenta", "white", "black", "green", "red", "yellow")


def attention_map(backbone: nn.Module, clip: Tensor, pixels: transforms.Pixels = "unit") -> Tensor:
    """Where a network's last convolution is active (Zagoruyko and Komodakis 2017): float32 [H, W] in [0, 1].

    The sum over channels of squared activations, mean over the map's frames, scaled up bilinearly; its largest value is
    1, unless nothing is active.

    Args:
        clip: uint8 [N, H, W, 3], of the size that the network takes.
    """
    device = next(backbone.parameters()).device
    with frozen(backbone):
        active = backbone.conv5_map(transforms.to_network(clip[None].to(device), pixels)).square().sum(1).mean(1)
    scaled = F.interpolate(active[:, None], size=clip.shape[1:3], mode="bilinear", align_corners=False)[0, 0].cpu()
    return scaled / scaled.max().clamp_min(torch.finfo(torch.float32).tiny)


def clip_picture(clip: Tensor, flow: Tensor, path: Path, attention: Tensor | None = None) -> None:
    """Write a PNG of some 60 KB about one clip; the same input gives the same bytes.

    A row each for appearance, the boundaries of u and those of v, a column for each pattern with the labelled regions
    outlined; on the left the middle frame, its flow, and the attention map where one is given.

    Args:
        clip: uint8 [N, H, H, 3].
        flow: float32 [N - 1, 2, H, H] of the same pixels.
        attention: float32 [H, H] in [0, 1], as of `attention_map`.
    """
    moved = dict(zip(statistics.MOTION, statistics.motion_labels(flow[None])[0].int().tolist(), strict=True))
    seen = dict(zip(statistics.APPEARANCE, statistics.appearance_labels(clip[None])[0].int().tolist(), strict=True))
    middle = (len(clip) - 1) // 2
    frame = enlarged(clip[middle].numpy())
    columns = [[(frame, f"frame {middle + 1} of {len(clip)}", f"mostly {COLOUR_NAMES[seen['global_colour'] - 1]}")]]
    largest = float(flow.norm(dim=1).max())
    columns[0].append(
        (_flow_panel(flow[middle].numpy()), "flow to the next frame", f"up to {largest:.1f} pixels a frame")
    )
    if attention is not None:
        columns[0].append((_heated(frame, attention.numpy()), "attention of conv5", "red: most active"))
    boundaries = torch.stack(statistics.summed_boundaries(flow[None]), dim=-1)[0].norm(dim=-1)
    maps = [enlarged(_grey(boundaries[component].numpy())) for component in (0, 1)]
    for pattern in (1, 2, 3):
        places = {kind: seen[f"pattern{pattern}_{kind}_location"] for kind in ("diverse", "stable")}
        colours = {kind: COLOUR_NAMES[seen[f"pattern{pattern}_{kind}_colour"] - 1] for kind in places}
        panel = _outlined(frame, pattern, [(places["stable"], STABLE), (places["diverse"], DIVERSE)])
        captions = [f"{kind}: {places[kind]}, {colours[kind]}" for kind in places]
        column: list[tuple[Image.Image, str, str]] = [(panel, captions[0], captions[1])]
        for component, boundary in zip("uv", maps, strict=True):
            place, bin_ = (moved[f"pattern{pattern}_{component}_{what}"] for what in ("location", "orientation"))
            panel = _arrow(_outlined(boundary, pattern, [(place, MOVING)]), pattern, place, bin_)
            degrees = f"{45 * (bin_ - 1)} to {45 * bin_}°"
            column.append((panel, f"boundaries of {component}: {place}", f"orientation {bin_}: {degrees}"))
        columns.append(column)
    write_png(sheet_of(columns, ("", *(f"pattern {n}: {name}" for n, name in enumerate(PATTERNS, 1)))), path)


def _grey(values: np.ndarray) -> np.ndarray:
    """Values from 0 on as light, the largest one white: uint8 [H, W, 3]. The root lets weak ones be seen."""
    light = np.sqrt(values / max(values.max(), 1e-12))
    return np.repeat((255 * light).round().astype(np.uint8)[..., None], 3, axis=-1)


def _flow_panel(flow: np.ndarray) -> Image.Image:
    """A flow field [2, H, W], and in a corner the wheel that its colours are read by."""
    panel = Image.fromarray(flow_colours(flow, float(np.hypot(*flow).max()))).resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR
    )
    size = SIDE // 4
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    wheel = Image.fromarray(flow_colours(np.stack([x, y]), size / 2))
    disk = Image.fromarray((255 * (np.hypot(x, y) <= size / 2 - 1)).astype(np.uint8))
    panel.paste(wheel, (SIDE - size - 4, SIDE - size - 4), disk)
    corner = SIDE - size - 4
    ImageDraw.Draw(panel).ellipse((corner, corner, corner + size - 1, corner + size - 1), outline=MUTED)
    return panel


def _heated(frame: Image.Image, attention: np.ndarray) -> Image.Image:
    """A frame in grey under the colours of an attention map."""
    from matplotlib import colormaps

    heat = (255 * colormaps["turbo"](attention)[..., :3]).round().astype(np.uint8)
    return Image.blend(frame.convert("L").convert("RGB"), enlarged(heat), 0.55)


def _outlined(panel: Image.Image, pattern: int, marked: Sequence[tuple[int, tuple]]) -> Image.Image:
    """A panel with the pattern's lines, and some regions outlined in colour."""
    numbers = statistics.regions(pattern, SIDE).numpy()
    edge = np.zeros((SIDE, SIDE), bool)
    edge[:-1] |= (numbers[:-1] != numbers[1:]) & (numbers[:-1] != 0)
    edge[:, :-1] |= (numbers[:, :-1] != numbers[:, 1:]) & (numbers[:, :-1] != 0)
    pixels = np.asarray(panel).copy()
    # Seen on dark and on light alike.
    pixels[edge] = np.where(pixels[edge].mean(-1, keepdims=True) < 128, pixels[edge] // 2 + 70, pixels[edge] // 2)
    for number, colour in marked:
        region = Image.fromarray((255 * (numbers == number)).astype(np.uint8))
        pixels[(numbers == number) & (np.asarray(region.filter(ImageFilter.MinFilter(7))) == 0)] = colour
        # The filter repeats the border, so an outline along it is drawn here.
        frame = np.ones((SIDE, SIDE), bool)
        frame[3:-3, 3:-3] = False
        pixels[frame & (numbers == number)] = colour
    return Image.fromarray(pixels)


def _arrow(panel: Image.Image, pattern: int, region: int, orientation: int) -> Image.Image:
    """An arrow from the middle of a region along the middle of an orientation's bin."""
    numbers = statistics.regions(pattern, SIDE).numpy()
    rows, columns = np.nonzero(numbers == region)
    angle = np.radians(45 * orientation - 22.5)
    along, middle = np.array([np.cos(angle), -np.sin(angle)]), np.array([columns.mean(), rows.mean()])
    across, half = np.array([-along[1], along[0]]), SIDE / 11
    draw = ImageDraw.Draw(panel)
    tip, neck = middle + half * along, middle + 0.3 * half * along
    draw.line([*(middle - half * along), *neck], fill=MOVING, width=3)
    draw.polygon([tuple(tip), tuple(neck + 0.45 * half * across), tuple(neck - 0.45 * half * across)], fill=MOVING)
    return panel
