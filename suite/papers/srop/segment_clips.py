"""Clips of segments at several rates, out of order: which frames, and the samples of srop's pretexts (TCSVT 2021, Sec. III-C).

Shapes: P clips of a video (the query, and a second one where there is contrast), T frames, S x S pixels, n segments, u the
highest rate.
    clips    uint8 [P, T, S, S, 3]   of segments in the order seen
    colours  [P, 3]                  factors of brightness, contrast and saturation
    order    int                     class of the query's order, lexicographic as in vcop
    rates    int64 [n]               of the query's segments in the order seen

What the paper leaves open: the first frame of a segment comes one step of the rate of the segment before after that one's
last frame. Thus every frame is followed, on the timeline, by the frame that its own segment's rate says, and no gap marks
where segments meet. (Were it always the next frame of the video, two frames nearly alike would give away which segments are
neighbours.)
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from suite.papers.vcop.order_network import orders
from suite.seeding import generator
from suite.video import transforms
from suite.video.clips import clip_indices


class Segments(NamedTuple):
    """The frames of one clip, and what is to be predicted of it; segments in the order seen."""

    frames: list[int]
    lengths: tuple[int, ...]
    rates: tuple[int, ...]
    # Class of the order, an index into `orders`: orders(n)[order] says which segment of the timeline comes where.
    order: int


def draw_segments(
    draw: torch.Generator, frames: int, *, clip_length: int, segments: int, shortest: int, max_rate: int
) -> Segments:
    """Draw a clip of a video of `frames` frames (Fig. 1).

    Lengths are uniform over all compositions of `clip_length` into `segments` parts of at least `shortest`. Rates are
    uniform over the vectors of [1, max_rate] that fit the video at these lengths, which is the same as drawing from all
    vectors until one fits. First frame and order are uniform. A video shorter than the clip repeats from its start, at rate
    1. The span is 1 + the sum of length times rate, less the last segment's rate.

    Raises:
        ValueError: the video has no frame, or so many parts of that length make more than a clip.
    """
    lengths = _composition(draw, clip_length, segments, shortest)
    # Steps between frames that each rate counts for: no step follows the last frame.
    steps = [*lengths[:-1], lengths[-1] - 1]
    if frames < clip_length:
        rates = [1] * segments
        timeline = clip_indices(0, clip_length, frames)
    else:
        rates = _fitting_rates(draw, steps, frames - 1, max_rate)
        offsets = [0, *itertools.accumulate(np.repeat(rates, steps).tolist())]
        start = int(torch.randint(frames - offsets[-1], (), generator=draw))
        timeline = [start + offset for offset in offsets]
    starts = [0, *itertools.accumulate(lengths)]
    every_order = orders(segments)
    order = int(torch.randint(len(every_order), (), generator=draw))
    seen = every_order[order]
    return Segments(
        [frame for segment in seen for frame in timeline[starts[segment] : starts[segment + 1]]],
        tuple(lengths[segment] for segment in seen),
        tuple(rates[segment] for segment in seen),
        order,
    )


def _composition(draw: torch.Generator, total: int, parts: int, least: int) -> list[int]:
    """`parts` numbers of at least `least` that add up to `total`, every such list equally likely."""
    spare = total - parts * least
    if spare < 0:
        raise ValueError(f"{parts} segments of at least {least} frames do not fit into {total}")
    # Bars among stars: where the bars stand says how the spare frames are dealt out.
    places = spare + parts - 1
    bars = sorted(torch.randperm(places, generator=draw)[: parts - 1].tolist())
    return [least + right - left - 1 for left, right in itertools.pairwise([-1, *bars, places])]


def _fitting_rates(draw: torch.Generator, steps: Sequence[int], most: int, max_rate: int) -> list[int]:
    """Rates in [1, max_rate] whose sum weighted by `steps` is at most `most`, every such list equally likely.

    At rate 1 they must fit. Drawn is the rank of a list among all that fit, in lexicographic order.
    """
    most = min(most, max_rate * sum(steps))
    # counts[i][left]: how many lists of the rates from i on take at most `left` frames.
    counts = [np.ones(most + 1, np.int64)]
    for step in reversed(steps):
        behind = np.zeros_like(counts[0])
        for rate in range(1, max_rate + 1):
            taken = min(rate * step, most + 1)
            behind[taken:] += counts[0][: most + 1 - taken]
        counts.insert(0, behind)
    rank = int(torch.randint(int(counts[0][most]), (), generator=draw))
    rates = []
    for step, behind in zip(steps, counts[1:], strict=True):
        rate = 1
        while rank >= behind[most - rate * step]:
            rank -= int(behind[most - rate * step])
            rate += 1
        rates.append(rate)
        most -= rate * step
    return rates


class SegmentClips(Dataset):
    """Clips of segments of each video, drawn anew in every epoch: the query, and a second one as its key.

    An item is asked for as (epoch, index) and depends on nothing else but the seed. Each clip has draws of its own: its
    segments and, in training, one crop, one mirroring and one change of colours. Outside training the crop is central and
    nothing is mirrored or coloured.

    Args:
        source: gives resized uint8 frames by video name and indices.
        frames: lengths of the videos by name, at least 1.
        layout: how `draw_segments` makes a clip: clip_length, segments, shortest, max_rate.
        pairs: whether there is a second clip. Without, the same queries come and fewer frames are read.
        flip: training clips are mirrored half of the time.
        jitter: training clips' factors of brightness, contrast and saturation are uniform in [1 - jitter, 1 + jitter].
    """

    def __init__(self, source, videos, frames, *, layout: dict, pairs, crop, flip, jitter, seed, training):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.layout, self.pairs, self.crop, self.flip, self.jitter = dict(layout), pairs, crop, flip, jitter
        self.seed, self.training = seed, training

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.videos[index].name

    def segments(self, key: tuple[int, int]) -> Segments:
        """What the query of an item shows; reads no frame."""
        return self._drawn(key, 1)[1]

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int, Tensor]:
        """Returns the clips, uint8 [P, T, crop, crop, 3], their colours, float32 [P, 3], and the query's order and rates."""
        # Generators of their own: the query is the same with and without a second clip. No 0 among the keys, which is the
        # stream that orders the videos of an epoch.
        draws, drawn = zip(*(self._drawn(key, clip) for clip in ((1, 2) if self.pairs else (1,))), strict=True)
        # Each frame is read once, and sources read fastest forwards.
        distinct, found = np.unique([clip.frames for clip in drawn], return_inverse=True)
        frames = self.source.frames(self.name(key[1]), distinct.tolist())
        places = torch.from_numpy(found.reshape(len(drawn), -1))
        clips = [self._cropped(frames, draw)[place] for draw, place in zip(draws, places, strict=True)]
        colours = [self._colours(draw) for draw in draws]
        return torch.stack(clips), torch.stack(colours), drawn[0].order, torch.tensor(drawn[0].rates)

    def _drawn(self, key: tuple[int, int], clip: int) -> tuple[torch.Generator, Segments]:
        """The segments of clip 1 (query) or 2 of an item, and the generator for the rest of the clip's draws."""
        draw = generator(self.seed, *key, clip)
        return draw, draw_segments(draw, self.frames[self.name(key[1])], **self.layout)

    def _cropped(self, frames: Tensor, draw: torch.Generator) -> Tensor:
        """All frames cropped and mirrored alike: [N, H, W, 3] -> [N, crop, crop, 3]."""
        if not self.training:
            return transforms.centre_crop(frames, self.crop)
        top, left = transforms.random_crop_offset(draw, frames.shape[1:3], self.crop)
        frames = transforms.crop(frames, top, left, self.crop)
        mirrored = self.flip and bool(torch.randint(2, (), generator=draw))
        return transforms.mirrored(frames) if mirrored else frames

    def _colours(self, draw: torch.Generator) -> Tensor:
        if not self.training:
            return torch.ones(3)
        return transforms.drawn_colours(draw, self.jitter)
