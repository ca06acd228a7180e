"""Skip-Clip: rank a video's coming frames by how far they are from a context clip (El-Nouby et al., 2019, Sec. 3).

Shapes: B videos, K context frames, M targets of d frames, H x H pixels, C channels, G cells of the last map (7 x 7).
    context  uint8 [B, K, H, H, 3]
    targets  uint8 [B, M, d, H, H, 3]   in the order of time
    cells    [B, C, G] and [B, M, C, G], unit vectors along C
    scores   [B, M]                     high for targets that are near to the context

No code of the authors is public. A clip encoder g (a 3D ResNet-18) is what fine-tuning takes over; the target encoder f
is a 2D ResNet-18 for single frames and a second 3D ResNet-18 for longer targets, whose time the strides use up too.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.backbones.resnet3d import ResNet2D, ResNet3D
from suite.evaluation.asking import ask
from suite.loading import Samples
from suite.seeding import generator
from suite.training import Outcome
from suite.video import transforms

Score = Literal["grid", "vector"]
# Quarter turns, counter-clockwise, that the rotation objective tells apart.
ROTATIONS = 4


class Layout(NamedTuple):
    """How context and targets lie in time, in frames."""

    # Contiguous frames of the context.
    context: int
    # Number of targets, from each one's start to the next one's, and frames of each.
    targets: int
    rate: int
    target_length: int

    def span(self) -> int:
        """From the first frame of the context to the last of the last target, both counted (paper: 16 + 8 * 4 = 48)."""
        return self.context + self.targets * self.rate + self.target_length - 1

    def indices(self, start: int) -> tuple[list[int], list[list[int]]]:
        """Frames of the context that starts at `start`, and of each target; the first target is `rate` after the context."""
        last = start + self.context - 1
        firsts = [last + self.rate * step for step in range(1, self.targets + 1)]
        return list(range(start, last + 1)), [list(range(first, first + self.target_length)) for first in firsts]


def drawn_indices(
    draw: torch.Generator, frames: int, layout: Layout, *, training: bool
) -> tuple[list[int], list[list[int]]]:
    """Frames of a context and its targets at a random time of a video of `frames` frames.

    In training the video runs backwards half of the time: the frames are then counted from its end (App. B).
    """
    start = int(torch.randint(frames - layout.span() + 1, (), generator=draw))
    context, targets = layout.indices(start)
    if training and _coin(draw):
        return [frames - 1 - i for i in context], [[frames - 1 - i for i in target] for target in targets]
    return context, targets


def _coin(draw: torch.Generator) -> bool:
    return bool(torch.randint(2, (), generator=draw))


class ContextsAndTargets(Dataset):
    """The context and the targets of one random time of each video, drawn anew in every epoch.

    An item is asked for as (epoch, index) and depends on nothing else but the seed. In training one reversal in time, one
    mirroring and one square crop are drawn, the same for context and targets; else the crop is central. The crop is
    resized here, as uint8: that takes a third of the time that decoding takes, and in float on the device the network
    would see other pixels than those of the other papers.

    Args:
        source: gives uint8 frames by video name and indices.
        videos: videos that are long enough; `frames` holds their lengths.
        crop_scale: side of the crop, of the shorter side of a frame.
        size: side of what the network sees, in pixels.
    """

    def __init__(self, source, videos, frames, *, layout: Layout, crop_scale: float, size: int, seed, training):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.layout, self.crop_scale, self.size = layout, crop_scale, size
        self.seed, self.training = seed, training

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.videos[index].name

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Returns the context, uint8 [K, size, size, 3], and the targets, uint8 [M, d, size, size, 3]."""
        epoch, index = key
        name = self.videos[index].name
        # The 1 keeps this stream apart from the one that orders the videos of an epoch.
        draw = generator(self.seed, epoch, index, 1)
        context, targets = drawn_indices(draw, self.frames[name], self.layout, training=self.training)
        wanted = context + [frame for target in targets for frame in target]
        # Sources read fastest forwards.
        distinct, places = np.unique(wanted, return_inverse=True)
        frames = self._augmented(self.source.frames(name, distinct.tolist()), draw)[torch.from_numpy(places)]
        return frames[: len(context)], frames[len(context) :].unflatten(0, (len(targets), -1))

    def _augmented(self, frames: Tensor, draw: torch.Generator) -> Tensor:
        """All frames cropped and mirrored alike, and resized: [n, H, W, 3] -> [n, size, size, 3]."""
        side = max(round(self.crop_scale * min(frames.shape[1:3])), 1)
        if self.training:
            top, left = transforms.random_crop_offset(draw, frames.shape[1:3], side)
            frames = transforms.crop(frames, top, left, side)
            if _coin(draw):
                frames = transforms.mirrored(frames)
        else:
            frames = transforms.centre_crop(frames, side)
        return transforms.resize(frames.contiguous(), (self.size, self.size))


# ---------------------------------------------------------------- scores and losses: pure functions


def unit_cells(maps: Tensor, score: Score) -> Tensor:
    """Maps [..., C, h, w] as unit vectors [..., C, G]: one for each cell, or one for the mean over all cells."""
    cells = maps.flatten(-2)
    if score == "vector":
        cells = cells.mean(-1, keepdim=True)
    # A cell whose channels are all 0 stays 0, and the ReLU that made it lets no gradient through.
    return F.normalize(cells, dim=-2)


def similarities(context: Tensor, targets: Tensor) -> Tensor:
    """Cosine similarity of aligned cells: [B, C, G] and [B, M, C, G] -> [B, M, G]. Its mean over G is the score (Eq. 3)."""
    # No matrix product: autocast would take one in half precision.
    return (context.unsqueeze(1) * targets).sum(2)


def negative_scores(context: Tensor, targets: Tensor) -> Tensor:
    """Mean score of each context with all targets of the other videos of the batch: [B]. There must be two videos.

    A score is linear in the target's unit vectors, so the mean of the scores is the score of their mean.
    """
    batch, count = targets.shape[:2]
    own = targets.sum(1)
    others = (own.sum(0) - own) / ((batch - 1) * count)
    return similarities(context, others.unsqueeze(1)).mean((1, 2))


def rank_loss(scores: Tensor, margin: float) -> Tensor:
    """Hinge over all pairs of a video's targets, summed (Eq. 1); mean over the batch. Scores [B, M], nearest first."""
    nearer, farther = torch.triu_indices(scores.shape[1], scores.shape[1], 1, device=scores.device)
    return F.relu(scores[:, farther] - scores[:, nearer] + margin).sum(1).mean()


def contrastive_loss(scores: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """Hinge of a video's targets against its mean negative score, summed (Eq. 2); mean over the batch. [B, M] and [B]."""
    return F.relu(negatives.unsqueeze(1) - scores + margin).sum(1).mean()


def pairs_in_order(scores: Tensor) -> Tensor:
    """How many of the M(M - 1)/2 pairs of each video's targets are in the right order; a tie is not: [B, M] -> int64 [B]."""
    nearer, farther = torch.triu_indices(scores.shape[1], scores.shape[1], 1, device=scores.device)
    return (scores[:, nearer] > scores[:, farther]).sum(1)


def rotated(clips: Tensor, turns: Tensor) -> Tensor:
    """Square clips [N, d, H, H, 3], each turned by its number of quarter turns: `turns` is int64 [N], on the CPU."""
    result = torch.empty_like(clips)
    for turn in range(ROTATIONS):
        chosen = (turns == turn).nonzero().squeeze(1).to(clips.device)
        result[chosen] = clips[chosen].rot90(turn, (2, 3))
    return result


# ---------------------------------------------------------------- the network


class SkipClipNetwork(nn.Module):
    """Clip encoder g (`backbone`), target encoder f, and a linear layer that reads rotations off f's pooled map.

    Args:
        backbone: its last map must have one frame, as `ResNet3D`'s has for up to 16 frames.
        negatives, rotation: whether the contrastive loss and the rotation objective are on (Table 2).
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        target_length: int,
        score: Score,
        rank_margin: float,
        negatives: bool,
        negative_margin: float,
        rotation: bool,
        pixels: transforms.Pixels,
    ):
        super().__init__()
        self.backbone = backbone
        size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
        width = size // 8
        self.target_encoder = ResNet2D(width) if target_length == 1 else ResNet3D(width)
        self.rotation_head = nn.Linear(8 * width, ROTATIONS) if rotation else None
        self.score, self.rank_margin, self.pixels = score, rank_margin, pixels
        self.negatives, self.negative_margin = negatives, negative_margin

    def context_map(self, context: Tensor) -> Tensor:
        """uint8 [B, K, H, H, 3] -> float32 [B, C, h, w]."""
        return _one_frame(self.backbone.conv5_map(transforms.to_network(context, self.pixels)))

    def target_maps(self, targets: Tensor) -> Tensor:
        """uint8 [N, d, H, H, 3] -> float32 [N, C, h, w]."""
        inputs = transforms.to_network(targets, self.pixels)
        if isinstance(self.target_encoder, ResNet2D):
            return self.target_encoder(inputs.squeeze(2)).float()
        return _one_frame(self.target_encoder.conv5_map(inputs))

    def forward(self, context: Tensor, targets: Tensor) -> Tensor:
        """Similarity of every cell, which Fig. 3 shows: float32 [B, M, h, w] (1 x 1 for one vector)."""
        context_map = self.context_map(context)
        target_maps = self.target_maps(targets.flatten(0, 1)).unflatten(0, targets.shape[:2])
        found = similarities(unit_cells(context_map, self.score), unit_cells(target_maps, self.score))
        return found.unflatten(2, (1, 1) if self.score == "vector" else context_map.shape[2:])

    def outcome(self, context: Tensor, targets: Tensor) -> Outcome:
        """The sum of the losses that are on (Sec. 4.1), each of them as a part, and accuracies in percent.

        In training, rotations are drawn from torch's own generator, as dropout is: checkpoints hold it. Outside training
        target i is turned i times. A batch of one video has no negatives: its contrastive loss is 0.
        """
        batch, count = targets.shape[:2]
        frames = targets.flatten(0, 1)
        turns = None
        if self.rotation_head is not None:
            turns = torch.randint(ROTATIONS, (len(frames),)) if self.training else _fixed_turns(batch, count)
            # One pass for all: batch norm sees upright and turned frames together.
            maps, turned = self.target_maps(torch.cat([frames, rotated(frames, turns)])).chunk(2)
        else:
            maps = self.target_maps(frames)
        cells = unit_cells(maps, self.score).unflatten(0, (batch, count))
        context_cells = unit_cells(self.context_map(context), self.score)
        scores = similarities(context_cells, cells).mean(2)
        parts = {"rank_loss": rank_loss(scores, self.rank_margin)}
        if self.negatives:
            found = negative_scores(context_cells, cells) if batch > 1 else scores.new_full((1,), float("-inf"))
            parts["contrastive_loss"] = contrastive_loss(scores, found, self.negative_margin)
        if self.rotation_head is not None and turns is not None:
            logits, turns = self.rotation_head(turned.mean((2, 3))).float(), turns.to(scores.device)
            parts["rotation_loss"] = F.cross_entropy(logits, turns)
        loss = torch.stack(list(parts.values())).sum()
        with torch.no_grad():
            pairs = count * (count - 1) / 2
            parts["ranking_accuracy"] = 100 * pairs_in_order(scores).float().mean() / pairs
            if turns is not None:
                parts["rotation_accuracy"] = 100 * (logits.argmax(1) == turns).float().mean()
        return Outcome(loss, None, parts)

    def rotations_seen(self, targets: Tensor) -> Tensor:
        """Of how many targets of each video the turn is recognised, target i being turned i times: int64 [B]."""
        assert self.rotation_head is not None  # asked of networks that learn rotation
        batch, count = targets.shape[:2]
        turns = _fixed_turns(batch, count)
        maps = self.target_maps(rotated(targets.flatten(0, 1), turns))
        right = self.rotation_head(maps.mean((2, 3))).argmax(1) == turns.to(maps.device)
        return right.unflatten(0, (batch, count)).sum(1)


def _fixed_turns(batch: int, count: int) -> Tensor:
    """Quarter turns of the targets outside training, target i by i: int64 [batch * count], on the CPU."""
    return torch.arange(count).repeat(batch) % ROTATIONS


def _one_frame(maps: Tensor) -> Tensor:
    """[N, C, 1, h, w] -> float32 [N, C, h, w]."""
    if maps.shape[2] != 1:
        raise ValueError(f"the last map has {maps.shape[2]} frames; Skip-Clip needs a network whose strides leave one")
    return maps.squeeze(2).float()


# ---------------------------------------------------------------- what was learnt, and Fig. 3


class Ranking(NamedTuple):
    """How a network ranks the targets of held-out videos."""

    # Pairs in the right order, of each video; and how many each has.
    hits: list[int]
    pairs: int
    # Score of each video and target, nearest first: float32 [V, M]. Its mean over the videos should fall with time.
    scores: np.ndarray
    # Targets of each video whose rotation is recognised; None without that objective.
    rotations: list[int] | None

    def monotone(self) -> list[bool]:
        """Whether each video's score falls from every target to the next: all of its pairs are in order."""
        return [hits == self.pairs for hits in self.hits]


def ranking_accuracy(
    network: SkipClipNetwork,
    samples: Samples,
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int = 0,
) -> Ranking:
    """Rank the targets of every sample; single precision, evaluation mode.

    Args:
        samples: items by (epoch, index), of which epoch 0 is asked; there must be one.
        workers: loader processes; none of the numbers depends on it.

    Raises:
        InputError: a video cannot be read.
    """

    def ranked(context: Tensor, targets: Tensor) -> tuple[Tensor, list[int]]:
        turned = [] if network.rotation_head is None else network.rotations_seen(targets).tolist()
        return network(context, targets).mean((2, 3)).cpu(), turned

    found = ask(network, ranked, samples, batch, device, progress, workers=workers)
    scores = torch.cat([of_batch for of_batch, _ in found])
    count = scores.shape[1]
    turned = None if network.rotation_head is None else [right for _, of_batch in found for right in of_batch]
    return Ranking(pairs_in_order(scores).tolist(), count * (count - 1) // 2, scores.numpy(), turned)


def similarity_picture(context: Tensor, targets: Tensor, maps: Tensor) -> np.ndarray:
    """Similarity maps over the targets they belong to (Fig. 3), ready for a PNG: uint8 [B * 2 * H, (M + 1) * H, 3].

    For each video two rows: the last frame of the context and the targets, and below each target its map, from dark blue
    to yellow between the lowest and the highest similarity of the video, so that what fades with time darkens.

    Args:
        context, targets: as a dataset gives them, with a batch axis; of longer targets the middle frame is shown.
        maps: [B, M, h, w], what the network returns for them.
    """
    from matplotlib import colormaps

    size = targets.shape[3]
    wide = F.interpolate(maps.detach().float().cpu(), (size, size), mode="bilinear", align_corners=False)
    low, high = wide.amin((1, 2, 3), keepdim=True), wide.amax((1, 2, 3), keepdim=True)
    heat = colormaps["viridis"](((wide - low) / (high - low).clamp_min(1e-12)).numpy())[..., :3] * 255
    shown = targets[:, :, targets.shape[2] // 2].cpu().numpy()
    below = np.rint(0.5 * shown + 0.5 * heat).astype(np.uint8)
    blank = np.full_like(below[:, :1], 255)
    top = np.concatenate([context[:, -1:].cpu().numpy(), shown], axis=1)
    # [B, 2, M + 1, H, W, 3]: rows of pictures to rows of pixels.
    rows = np.stack([top, np.concatenate([blank, below], axis=1)], axis=1)
    return rows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows.shape[2] * size, 3)
