"""Supervised fine-tuning of a whole network on action recognition (VCOP Sec. 4.2)."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.seeding import generator
from suite.training import Outcome
from suite.video import clips as clip_indices
from suite.video import transforms


class RandomClips(Dataset):
    """One clip of each video, at a start drawn anew in every epoch; one crop a clip, central outside training.

    An item is asked for as (epoch, index) and depends on nothing else but the seed. A video shorter than the clip
    repeats from its start.
    """

    def __init__(self, source, videos, frames, *, clip_length, crop, seed, training):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.clip_length, self.crop, self.seed, self.training = clip_length, crop, seed, training

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.videos[index].name

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        """Returns the clip, uint8 [T, crop, crop, 3], and its label."""
        epoch, index = key
        video = self.videos[index]
        draw = generator(self.seed, epoch, index)
        length = self.frames[video.name]
        start = int(torch.randint(max(length - self.clip_length, 0) + 1, (), generator=draw))
        clip = self.source.frames(video.name, clip_indices.clip_indices(start, self.clip_length, length))
        if not self.training:
            return transforms.centre_crop(clip, self.crop), video.label
        top, left = transforms.random_crop_offset(draw, clip.shape[1:3], self.crop)
        return transforms.crop(clip, top, left, self.crop), video.label


class RecognitionNetwork(nn.Module):
    """A backbone and one linear layer over its pooled features; no dropout (authors' code)."""

    def __init__(self, backbone: nn.Module, classes: int):
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.feature_size, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """float32 [B, 3, T, H, W] -> logits [B, classes]."""
        return self.classifier(self.backbone(clips))

    def outcome(self, clips: Tensor, target: Tensor) -> Outcome:
        """Cross-entropy over the classes and the number of right ones; clips are uint8 [B, T, H, W, 3]."""
        logits = self(transforms.to_network(clips))
        loss = nn.functional.cross_entropy(logits.float(), target)
        return Outcome(loss, (logits.argmax(1) == target).sum())


def few_per_class(videos: list, count: int, seed: int) -> list:
    """`count` videos of each class, drawn by the seed, in list order; all of them when `count` is 0."""
    if count == 0:
        return list(videos)
    kept: set[str] = set()
    for label in sorted({video.label for video in videos}):
        of_class = [video.name for video in videos if video.label == label]
        order = torch.randperm(len(of_class), generator=generator(seed, label)).tolist()
        kept.update(of_class[index] for index in order[:count])
    return [video for video in videos if video.name in kept]


def hold_out(videos: list, count: int, seed: int) -> tuple[list, list]:
    """Split off `count` validation videos, drawn by the seed: (training, validation), both in list order."""
    order = torch.randperm(len(videos), generator=generator(seed)).tolist()
    held = set(order[:count])
    training = [video for index, video in enumerate(videos) if index not in held]
    return training, [videos[index] for index in sorted(held)]
