"""The 27 labels of MAS: where and which way a clip moves most, where its colours vary most and least (Sec. 3).

Shapes: B clips, N frames, H x H pixels.
    clips   uint8 [B, N, H, H, 3]        red, green, blue
    flow    float [B, N - 1, 2, H, H]    u to the right and v downwards, in pixels from one frame to the next
    labels  float32 [B, 14] and [B, 13]  whole numbers from 1 on, in the order of `MOTION` and `APPEARANCE`

What is computed is the paper's text; order and numbering of the labels are the authors'. Where several regions, bins or
frames are largest together, the lowest number is the label: so a clip without any motion, or of one colour, has labels
too. All 27 labels are computed for a whole batch at once, on the device the batch is on.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from suite.errors import InputError
from suite.precision import full_precision

# Regions of each pattern (Fig. 4), bins of orientation and of colour.
REGIONS = (16, 4, 8)
ORIENTATIONS = 8
COLOURS = 8

MOTION = (
    *(
        f"pattern{pattern}_{component}_{what}"
        for pattern in (1, 2, 3)
        for component in "uv"
        for what in ("location", "orientation")
    ),
    "global_u_frame",
    "global_v_frame",
)
APPEARANCE = (
    *(
        f"pattern{pattern}_{extreme}_{what}"
        for pattern in (1, 2, 3)
        for extreme in ("diverse", "stable")
        for what in ("location", "colour")
    ),
    "global_colour",
)
# The labels that each of the paper's pretrainings regresses (Tables 1 to 3); patterns and global are those of motion.
SUBSETS = {
    **{key: tuple(name for name in MOTION if name.startswith(key)) for key in ("pattern1", "pattern2", "pattern3")},
    "global": MOTION[12:],
    "patterns": MOTION[:12],
    "motion": MOTION,
    "appearance": APPEARANCE,
    "joint": MOTION + APPEARANCE,
}

# Smaller relative differences are rounding, which differs between devices: they count as ties. The second is for the
# magnitudes of single flow fields, which are taken in float32.
TIE = 1e-12
SINGLE_PRECISION_TIE = 1e-6
# On a CPU, how many numbers are worked on at once: those of one clip of 16 x 112 x 112.
AT_ONCE = 1_000_000
# The smallest side at which no region of any pattern is empty.
SMALLEST = 8


def ranges(clip_length: int) -> dict[str, int]:
    """The largest value of each label, by name; the smallest is 1."""
    ends = {"location": None, "orientation": ORIENTATIONS, "colour": COLOURS, "frame": clip_length - 1}
    return {
        name: ends[name.split("_")[-1]] or REGIONS[int(name.removeprefix("pattern")[0]) - 1]
        for name in MOTION + APPEARANCE
    }


def regions(pattern: int, size: int) -> Tensor:
    """The number of each pixel's region in a square frame (Fig. 4): int64 [size, size].

    1: a grid of 4 x 4 blocks, numbered row by row. 2: four nested areas whose outer sides are quarters of the frame's, 1
    in the middle. 3: eight sectors between the two centre lines and the two diagonals, numbered from left to right, 1 to
    4 in the upper half and 5 to 8 in the lower. A pixel's centre decides; one that lies on a line between two sectors (at
    even sizes: on a diagonal) belongs to neither and is 0, so that sectors are disjoint, of one size, and mirror images
    of each other.

    Raises InputError below 8 pixels, where regions would be empty.
    """
    if size < SMALLEST:
        raise InputError(
            f"clips of {size}x{size} pixels are too small for the labels' regions; crop {SMALLEST} or more"
        )
    # Twice the distance from the frame's centre, so that it is whole.
    place = 2 * torch.arange(size) + 1 - size
    y, x = torch.meshgrid(place, place, indexing="ij")
    if pattern == 1:
        quarter = (place + size) * 2 // size
        return quarter[:, None] * 4 + quarter + 1
    if pattern == 2:
        return torch.maximum(x.abs(), y.abs()) * 4 // size + 1
    # Left of the diagonals, then above them, in the left half; above, then right of them, in the right half.
    column = torch.where(x < 0, 1 + (x.abs() < y.abs()).long(), 3 + (x.abs() > y.abs()).long())
    # In the lower half the same from left to right.
    sector = column + 4 * (y > 0)
    return sector.where((x != 0) & (y != 0) & (x.abs() != y.abs()), 0)


class _Partition(NamedTuple):
    """The three patterns as unions of cells, the largest sets of pixels that no pattern divides: one histogram serves all."""

    # Cell of each pixel, int32 [H * H] (half the bytes of int64 to add up), and the number of cells, C.
    cell: Tensor
    cells: int
    # 1 where a cell lies in a region: [28, C], patterns one after the other; and pixels of each region, [28].
    membership: Tensor
    area: Tensor


@lru_cache(maxsize=8)
def _partition(size: int, device: torch.device) -> _Partition:
    numbers = torch.stack([regions(pattern, size).flatten() for pattern in (1, 2, 3)])
    kinds, cell = torch.unique(numbers, dim=1, return_inverse=True)
    rows = [kinds[pattern] == number + 1 for pattern, count in enumerate(REGIONS) for number in range(count)]
    membership = torch.stack(rows).double()
    area = membership @ torch.bincount(cell).double()
    return _Partition(cell.int().to(device), kinds.shape[1], membership.to(device), area.to(device))


def motion_boundaries(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of flow [..., H, W] to the right and downwards: two tensors like it.

    By Prewitt's 3x3 kernels, as the authors', and like theirs without their factor 1/6; pixels beyond the border repeat
    the border. Uniform flow, as of a panning camera, has derivatives of exactly 0.
    """
    padded = F.pad(flow.reshape(-1, *flow.shape[-2:]), (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 2:] - padded[:, :, :-2]
    x = (across[:, :-2] + across[:, 1:-1]).add_(across[:, 2:])
    down = padded[:, 2:] - padded[:, :-2]
    y = (down[:, :, :-2] + down[:, :, 1:-1]).add_(down[:, :, 2:])
    return x.view(flow.shape), y.view(flow.shape)


def summed_boundaries(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Mu and Mv of Eq. 1, from flow [B, N - 1, 2, H, W]: their x and y components, each float64 [B, 2, H, W].

    The sum over time comes first: it is the same, and one derivative instead of N - 1. In float64 sums and differences of
    float32 flow are exact, so that ties, and angles at the edge of a bin, are those of the flow.
    """
    return motion_boundaries(flow.sum(1, dtype=torch.float64))


@torch.no_grad()
def motion_labels(flow: Tensor) -> Tensor:
    """The 14 motion labels of a batch (Sec. 3.2), from flow [B, N - 1, 2, H, H]: float32 [B, 14] in the order `MOTION`.

    For each pattern, of u and then of v: the region with the largest mean magnitude of the motion boundaries summed over
    time (Eq. 1), and its orientation: the fullest of 8 bins weighted by magnitude, bin b being [45(b - 1), 45b) degrees,
    counter-clockwise from the right with y upwards. Then, of u and of v, the flow field (1 to N - 1) whose own
    boundaries have the largest mean magnitude.
    """
    return torch.cat([_motion_labels(part) for part in _parts(flow, flow[0].numel())])


def _motion_labels(flow: Tensor) -> Tensor:
    x, y = summed_boundaries(flow)
    histogram = _orientation_histograms(x.flatten(2), y.flatten(2))
    means = histogram.sum(-1) / _partition(flow.shape[-1], flow.device).area
    labels = []
    for scores, bins in zip(means.split(REGIONS, dim=2), histogram.split(REGIONS, dim=2), strict=True):
        place = _first_largest(scores)
        chosen = bins.gather(2, place[..., None, None].expand(-1, -1, 1, ORIENTATIONS))[:, :, 0]
        # [B, component, (location, orientation)]
        labels.append(torch.stack([place, _first_largest(chosen)], dim=-1).flatten(1))
    per_frame = _magnitude(*motion_boundaries(flow)).sum((-1, -2), dtype=torch.float64)
    labels.append(_first_largest(per_frame.transpose(1, 2), SINGLE_PRECISION_TIE))
    return torch.cat(labels, dim=1).add(1).float()


def orientation_bins(x: Tensor, y: Tensor) -> Tensor:
    """The bin (0 to 7) of each vector with components x to the right and y downwards: bin b is [45b, 45(b + 1)) degrees.

    By comparisons alone, so that an angle of exactly 45 degrees is one. A vector of length 0 has no bin: any number.
    """
    up = -y
    lower = (up < 0) | ((up == 0) & (x < 0))
    # The lower half is turned by 180 degrees into the upper.
    x, up = x.where(~lower, -x), up.where(~lower, -up)
    return (up >= x).int().add_(x <= 0).add_(x + up <= 0).add_(lower, alpha=4)


def _orientation_histograms(x: Tensor, y: Tensor) -> Tensor:
    """Magnitudes summed by region and orientation: vectors [B, 2, H * H] -> [B, 2, 28, 8]."""
    partition = _partition(math.isqrt(x.shape[-1]), x.device)
    slot = partition.cell * ORIENTATIONS + orientation_bins(x, y)
    by_cell = x.new_zeros(*x.shape[:2], partition.cells * ORIENTATIONS)
    by_cell.scatter_add_(2, slot.long(), _magnitude(x, y))
    return partition.membership @ by_cell.unflatten(2, (partition.cells, ORIENTATIONS))


def _magnitude(x: Tensor, y: Tensor) -> Tensor:
    return (x * x).addcmul_(y, y).sqrt_()


@torch.no_grad()
def appearance_labels(clips: Tensor) -> Tensor:
    """The 13 appearance labels of a batch (Sec. 3.3), from clips uint8 [B, N, H, H, 3]: float32 [B, 13], as `APPEARANCE`.

    For each pattern: the region whose colours change most over time and its dominant colour, then the one whose colours
    change least and its. Colours are compared by the intersection over union of all frames' histograms (Eq. 2), 256 bins
    a channel (authors' code), mean of the channels. Dominant is the fullest octant of RGB space over all frames, numbered
    as in the authors' code: 1 to 4 with blue at 128 or above, 5 to 8 below; +1 for green at 128 or above, +2 for red.
    Last, the dominant colour of the whole clip.
    """
    histograms = clips.shape[1] * 3 * 256 * _partition(clips.shape[2], clips.device).cells
    return torch.cat([_appearance_labels(part) for part in _parts(clips, max(clips[0].numel(), histograms))])


def _appearance_labels(clips: Tensor) -> Tensor:
    # [B, N, H * H, 3]
    pixels = clips.flatten(2, 3)
    overlap = _overlap(pixels)
    regional, whole = _colour_histograms(pixels)
    labels = []
    for scores, bins in zip(overlap.split(REGIONS, dim=1), regional.split(REGIONS, dim=1), strict=True):
        places = torch.stack([_first_largest(-scores), _first_largest(scores)], dim=1)
        chosen = bins.gather(1, places[..., None].expand(-1, -1, COLOURS))
        labels.append(torch.stack([places, _first_largest(chosen)], dim=-1).flatten(1))
    labels.append(_first_largest(whole)[:, None])
    return torch.cat(labels, dim=1).add(1).float()


def _overlap(pixels: Tensor) -> Tensor:
    """Intersection over union of the frames' histograms in each region, mean of the channels: float64 [B, 28]."""
    partition = _partition(math.isqrt(pixels.shape[2]), pixels.device)
    channel = torch.arange(3, dtype=torch.int32, device=pixels.device) * partition.cells
    # One histogram a frame, by channel, cell and value.
    slot = pixels.flatten(0, 1).int().add_((channel + partition.cell[:, None]) * 256)
    by_cell = _counts(slot.flatten(1), 3 * partition.cells * 256).view(*pixels.shape[:2], 3, partition.cells, 256)
    # Counts are whole and below 2^24: exact in float32, as long as no product is taken in TF32 or bf16.
    with full_precision():
        by_region = partition.membership.float() @ by_cell
    shared, joined = by_region.amin(1).sum(3, dtype=torch.float64), by_region.amax(1).sum(3, dtype=torch.float64)
    return (shared / joined).mean(1)


def _colour_histograms(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of all frames by octant, in each region and in the whole frame: float64 [B, 28, 8] and [B, 8]."""
    partition = _partition(math.isqrt(pixels.shape[2]), pixels.device)
    # 1 where a channel is at 128 or above; the result is 0 to 7.
    red, green, blue = (pixels >> 7).unbind(-1)
    octant = green.add(red, alpha=2).sub_(blue, alpha=4).add_(4)
    slot = octant.int().add_(partition.cell * COLOURS)
    by_cell = _counts(slot.flatten(1), COLOURS * partition.cells).double().unflatten(1, (partition.cells, COLOURS))
    return partition.membership @ by_cell, by_cell.sum(1)


def _parts(batch: Tensor, numbers: int) -> Sequence[Tensor]:
    """What is worked on at once: the whole batch on a GPU; on a CPU no more clips than fit its caches (3 times as fast).

    Args:
        numbers: how many numbers the working of one clip takes.
    """
    return batch.split(max(1, AT_ONCE // numbers)) if batch.device.type == "cpu" else [batch]


def _counts(slots: Tensor, size: int) -> Tensor:
    """How often each of `size` slots is named in each row, [R, n] -> float32 [R, size]; exact below 2^24."""
    ones = torch.ones(slots.shape, device=slots.device)
    return ones.new_zeros(len(slots), size).scatter_add_(1, slots.long(), ones)


def _first_largest(values: Tensor, tie: float = TIE) -> Tensor:
    """Index of the largest value along the last axis, of the first one where several are (within `tie`, relatively)."""
    best = values.amax(-1, keepdim=True)
    return (values >= best - tie * best.abs()).int().argmax(-1)
