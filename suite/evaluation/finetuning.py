"""Supervised fine-tuning of a whole network on action recognition (VCOP Sec. 4.2)."""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.backbones.staged import modules_below
from suite.seeding import generator
from suite.training import Outcome
from suite.video import clips as clip_indices
from suite.video import transforms


class ActionClips(Dataset):
    """Clips with the class of their video: one of each video at a start drawn anew in every epoch, or every
    non-overlapping one. In training one crop and, where asked for, one mirroring and one change of colours a clip; outside
    training a central crop.

    An item is asked for as (epoch, index) and depends on nothing else but the seed. A video shorter than the clip
    repeats from its start.

    Args:
        source: gives resized uint8 frames by video name and indices.
        stride: frames of the video from one frame of a clip to the next.
        every: every non-overlapping clip is an item, and frames behind the last whole one are not shown.
        flip: training clips are mirrored left to right half of the time.
        jitter: items have a third part, factors of brightness, contrast and saturation; a training clip's are uniform in
            [1 - jitter, 1 + jitter], others' are 1. 0: there is no such part.
    """

    def __init__(
        self,
        source,
        videos,
        frames,
        *,
        clip_length,
        crop,
        seed,
        training,
        stride=1,
        every=False,
        flip=False,
        jitter=0.0,
    ):
        self.source, self.frames = source, frames
        self.clip_length, self.stride, self.crop, self.seed = clip_length, stride, crop, seed
        self._span = (clip_length - 1) * stride + 1
        self.training, self.flip, self.jitter = training, flip, jitter
        # Videos, and where their clip starts: nowhere yet if that is drawn.
        self.clips = [(video, start) for video in videos for start in (self._windows(video) if every else [None])]

    def _windows(self, video) -> list[int]:
        return clip_indices.windows(self.frames[video.name], self._span, self.clip_length * self.stride)

    def __len__(self) -> int:
        return len(self.clips)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.clips[index][0].name

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | tuple[Tensor, int, Tensor]:
        """Returns the clip, uint8 [T, crop, crop, 3], its label, and with jitter its factors of colour, float32 [3]."""
        epoch, index = key
        video, start = self.clips[index]
        draw = generator(self.seed, epoch, index)
        length = self.frames[video.name]
        if start is None:
            start = int(torch.randint(max(length - self._span, 0) + 1, (), generator=draw))
        wanted = clip_indices.clip_indices(start, self.clip_length, length, self.stride)
        clip = self.source.frames(video.name, wanted)
        if not self.training:
            colours = (torch.ones(3),) if self.jitter else ()
            return transforms.centre_crop(clip, self.crop), video.label, *colours
        top, left = transforms.random_crop_offset(draw, clip.shape[1:3], self.crop)
        clip = transforms.crop(clip, top, left, self.crop)
        if self.flip and torch.rand((), generator=draw) < 0.5:
            clip = transforms.mirrored(clip)
        colours = (transforms.drawn_colours(draw, self.jitter),) if self.jitter else ()
        return clip, video.label, *colours


class RecognitionNetwork(nn.Module):
    """A backbone and a classifier over its features; no dropout (VCOP's code).

    Args:
        classifier: features [B, D] -> logits [B, classes].
        pixels: as in `suite.video.transforms.to_network`.
        freeze_below: the first stage of the backbone that learns (vcop-curriculum Fig. 10). The stages below it keep
            every bit that they were given, the statistics of their batch norm included; "conv1" freezes nothing.

    Raises:
        ValueError: the backbone has no such stage.
    """

    def __init__(
        self,
        backbone: nn.Module,
        classifier: nn.Module,
        pixels: transforms.Pixels = "unit",
        freeze_below: str = "conv1",
    ):
        super().__init__()
        self.backbone, self.classifier, self.pixels = backbone, classifier, pixels
        # A tuple, not a ModuleList: these modules are the backbone's already.
        self._frozen = tuple(modules_below(backbone, freeze_below))
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "RecognitionNetwork":
        """Frozen stages stay in evaluation mode: in training mode, batch norm would go on averaging its statistics."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, clips: Tensor) -> Tensor:
        """float32 [B, 3, T, H, W] -> logits [B, classes]."""
        return self.classifier(self.backbone(clips))

    def outcome(self, clips: Tensor, target: Tensor, colours: Tensor | None = None) -> Outcome:
        """Cross-entropy over the classes and the number of right ones; clips are uint8 [B, T, H, W, 3], colours [B, 3]."""
        logits = self(transforms.to_network(clips, self.pixels, colours))
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


def hold_out(videos: list, count: int, seed: int, before: Collection[str] = ()) -> tuple[list, list]:
    """Split off `count` validation videos, drawn by the seed: (training, validation), both in list order.

    Args:
        before: names of the videos that an earlier stage of a curriculum held out. They come first and a draw among the
            others fills up the number: a network is not validated on what it has been trained on as far as that can be.
    """
    order = torch.randperm(len(videos), generator=generator(seed)).tolist()
    # A stable sort: whoever was held out before, then the rest, each in the order of the draw.
    held = set(sorted(order, key=lambda index: videos[index].name not in before)[:count])
    training = [video for index, video in enumerate(videos) if index not in held]
    return training, [videos[index] for index in sorted(held)]
