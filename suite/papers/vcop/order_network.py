"""VCOP: predict the order of shuffled clips (Xu et al., CVPR 2019, Sec. 3).

Shapes: B tuples, N clips of a tuple, T frames, H x W pixels, D features.
    clips     uint8 [B, N, T, H, W, 3]
    features  [B, N, D]
    logits    [B, N!]  one class per order, in lexicographic order
"""

import itertools

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.seeding import generator
from suite.training import Outcome
from suite.video import clips as clip_indices
from suite.video import transforms


def orders(tuple_length: int) -> list[tuple[int, ...]]:
    """All orders of a tuple's clips, lexicographic: for 3 clips 123, 132, 213, 231, 312, 321 (Fig. 2), from 0."""
    return list(itertools.permutations(range(tuple_length)))


class ClipTuples(Dataset):
    """One shuffled tuple of each video, drawn anew in every epoch.

    An item is asked for as (epoch, index) and depends on nothing else but the seed: start frame, order and, in training,
    one crop offset a clip. Outside training the crop is central.

    Args:
        source: gives resized uint8 frames by video name and indices.
        videos: videos that are long enough; `frames` holds their lengths.
    """

    def __init__(self, source, videos, frames, *, clip_length, tuple_length, interval, crop, seed, training):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.clip_length, self.tuple_length, self.interval = clip_length, tuple_length, interval
        self.crop, self.seed, self.training = crop, seed, training
        self.orders = orders(tuple_length)

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.videos[index].name

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        """Returns the tuple in presented order, uint8 [N, T, crop, crop, 3], and the class of that order."""
        epoch, index = key
        video = self.videos[index]
        draw = generator(self.seed, epoch, index)
        span = clip_indices.tuple_span(self.tuple_length, self.clip_length, self.interval)
        start = int(torch.randint(self.frames[video.name] - span + 1, (), generator=draw))
        target = int(torch.randint(len(self.orders), (), generator=draw))
        starts = clip_indices.tuple_starts(start, self.tuple_length, self.clip_length, self.interval)
        wanted = [frame for first in starts for frame in range(first, first + self.clip_length)]
        frames = self.source.frames(video.name, wanted).unflatten(0, (self.tuple_length, self.clip_length))
        presented = [self._crop(frames[clip], draw) for clip in self.orders[target]]
        return torch.stack(presented), target

    def _crop(self, clip: Tensor, draw: torch.Generator) -> Tensor:
        if not self.training:
            return transforms.centre_crop(clip, self.crop)
        top, left = transforms.random_crop_offset(draw, clip.shape[1:3], self.crop)
        return transforms.crop(clip, top, left, self.crop)


class OrderHead(nn.Module):
    """Features of a presented tuple to logits over its orders (Sec. 3.3, Eq. 3): every pair i < j through one shared
    layer, all pairs concatenated, one linear layer."""

    def __init__(self, feature_size: int, tuple_length: int, hidden: int, dropout: float):
        super().__init__()
        self.pairs = list(itertools.combinations(range(tuple_length), 2))
        self.pair = nn.Linear(2 * feature_size, hidden)
        self.dropout = nn.Dropout(dropout)
        self.order = nn.Linear(hidden * len(self.pairs), len(orders(tuple_length)))

    def forward(self, features: Tensor) -> Tensor:
        """[B, N, D] -> [B, N!]."""
        hidden = [torch.relu(self.pair(features[:, pair].flatten(1))) for pair in map(list, self.pairs)]
        return self.order(self.dropout(torch.cat(hidden, dim=1)))


class ClipOrderNetwork(nn.Module):
    """A backbone shared by all clips of a tuple, and the order head.

    Args:
        pixels: as in `suite.video.transforms.to_network`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        tuple_length: int,
        hidden: int,
        dropout: float,
        pixels: transforms.Pixels = "unit",
    ):
        super().__init__()
        self.backbone, self.pixels = backbone, pixels
        size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
        self.head = OrderHead(size, tuple_length, hidden, dropout)

    def forward(self, clips: Tensor) -> Tensor:
        """uint8 [B, N, T, H, W, 3] -> logits [B, N!]."""
        features = self.backbone(transforms.to_network(clips.flatten(0, 1), self.pixels))
        return self.head(features.unflatten(0, clips.shape[:2]))

    def outcome(self, clips: Tensor, target: Tensor) -> Outcome:
        """Cross-entropy over the orders (Eq. 4) and the number of right ones."""
        logits = self(clips)
        loss = nn.functional.cross_entropy(logits.float(), target)
        return Outcome(loss, (logits.argmax(1) == target).sum())
