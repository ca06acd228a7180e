"""MAS: regress motion and appearance statistics of a clip (Wang et al., CVPR 2019, Sec. 3). statistics.py has the labels.

Shapes: B clips, T frames, H x H pixels, D features.
    clips        uint8 [B, T, H, H, 3]
    flow         float32 [B, T - 1, 2, H, H]  u to the right and v downwards; [B, 0] where no label needs it
    predictions  [B, 14] of motion, [B, 13] of appearance, or fewer in the paper's ablations
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.evaluation.asking import ask, one_progress
from suite.evaluation.heads import fully_connected
from suite.papers.mas import statistics
from suite.seeding import generator
from suite.training import Outcome, total_of
from suite.video import clips as clip_indices
from suite.video import transforms

# Training clips, spread evenly over all, that give the constant predictor its means: of UCF101's 107,000 this many put
# its error within a thousandth of the best.
CLIPS_FOR_MEANS = 2000


class LabelledClips(Dataset):
    """Every non-overlapping clip of every video (Sec. 3.4), with the flow that its motion labels are computed from.

    An item is asked for as (epoch, index) and depends on nothing else but the seed: in training one crop and one
    horizontal flip a clip, outside training the centre crop. Frames behind the last whole clip are not shown.

    Args:
        source: gives resized uint8 frames by video name and indices.
        flows: gives flow fields float32 [n, 2, h, w] at the size of the frames, by video name and the index of each
            field's first frame; None, and no flow is read.
        videos: videos of at least one clip; `frames` holds their lengths.
    """

    def __init__(self, source, flows, videos, frames, *, clip_length, crop, seed, training):
        self.source, self.flows = source, flows
        self.clip_length, self.crop, self.seed, self.training = clip_length, crop, seed, training
        self.clips = [
            (video, start)
            for video in videos
            for start in clip_indices.windows(frames[video.name], clip_length, clip_length)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def name(self, index: int) -> str:
        """The video and first frame behind an item, for messages."""
        video, start = self.clips[index]
        return f"{video.name} from frame {start}"

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Returns the clip, uint8 [T, crop, crop, 3], and its flow, float32 [T - 1, 2, crop, crop] or empty."""
        epoch, index = key
        video, start = self.clips[index]
        wanted = range(start, start + self.clip_length)
        clip = self.source.frames(video.name, wanted)
        # Flow goes through the same cuts as pixels do: [T - 1, h, w, 2].
        fields = [] if self.flows is None else [self.flows.flows(video.name, wanted[:-1]).movedim(1, -1)]
        cut = [clip, *fields]
        if self.training:
            draw = generator(self.seed, epoch, index)
            top, left = transforms.random_crop_offset(draw, clip.shape[1:3], self.crop)
            cut = [transforms.crop(one, top, left, self.crop) for one in cut]
            if torch.rand((), generator=draw) < 0.5:
                cut = [transforms.mirrored(one) for one in cut]
                # What moved to the right moves to the left in the mirror.
                cut[1:] = [flow * flow.new_tensor([-1, 1]) for flow in cut[1:]]
        else:
            cut = [transforms.centre_crop(one, self.crop) for one in cut]
        return cut[0], cut[1].movedim(-1, 1) if fields else torch.empty(0)


class StatisticsNetwork(nn.Module):
    """A backbone, and a branch of three fully connected layers for motion, appearance or each of the two (Fig. 5).

    Args:
        labels: which labels it learns, a key of `statistics.SUBSETS`.
        clip_length: frames of a clip, which bound the labels that number frames.
        pixels: as in `suite.video.transforms.to_network`.
        scaled: labels are divided by their largest value, so that all weigh alike. The paper regresses them as they are.
    """

    def __init__(self, backbone, *, labels: str, clip_length: int, pixels: transforms.Pixels, scaled: bool):
        super().__init__()
        self.backbone, self.pixels = backbone, pixels
        wanted, largest = statistics.SUBSETS[labels], statistics.ranges(clip_length)
        # Of each branch: the names of its labels, and their columns among all 14 or 13.
        self.labels: dict[str, list[str]] = {}
        self._columns: dict[str, list[int]] = {}
        self.branches = nn.ModuleDict()
        for branch, names in (("motion", statistics.MOTION), ("appearance", statistics.APPEARANCE)):
            columns = [column for column, name in enumerate(names) if name in wanted]
            if not columns:
                continue
            self.labels[branch] = [names[column] for column in columns]
            self._columns[branch] = columns
            self.branches[branch] = fully_connected(backbone, len(columns))
            scale = [float(largest[name]) if scaled else 1.0 for name in self.labels[branch]]
            self.register_buffer(f"{branch}_scale", torch.tensor(scale), persistent=False)

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """uint8 [B, T, H, H, 3] -> predicted labels of each branch, float32 [B, n], in the labels' own numbers."""
        features = self.backbone(transforms.to_network(clips, self.pixels))
        return {name: branch(features).float() * self._scale(name) for name, branch in self.branches.items()}

    def targets(self, clips: Tensor, flow: Tensor) -> dict[str, Tensor]:
        """The labels of each branch, float32 [B, n]: of what the network sees, so after crop and flip."""
        compute = {
            "motion": lambda: statistics.motion_labels(flow),
            "appearance": lambda: statistics.appearance_labels(clips),
        }
        return {name: compute[name]()[:, columns] for name, columns in self._columns.items()}

    def outcome(self, clips: Tensor, flow: Tensor) -> Outcome:
        """Mean squared error of each branch and their sum (Sec. 3.4). Nothing is right or wrong."""
        predicted, wanted = self(clips), self.targets(clips, flow)
        parts = {
            name: nn.functional.mse_loss(predicted[name] / self._scale(name), wanted[name] / self._scale(name))
            for name in self.branches
        }
        return Outcome(total_of(parts.values()), None, parts)

    def _scale(self, branch: str) -> Tensor:
        return getattr(self, f"{branch}_scale")


def errors(
    network: StatisticsNetwork,
    training: LabelledClips,
    held_out: LabelledClips,
    *,
    batch: int,
    device: str,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, float]]:
    """Mean squared error of every label on held-out clips, and that of the constant predictor, in the labels' own numbers.

    Args:
        training: the clips whose mean labels the constant predictor gives: `CLIPS_FOR_MEANS` of them, evenly spread.
        held_out: the clips that both are judged on; there must be one.
        progress: called with (clips done, clips in all).

    Returns:
        By label, and for the branches and their sum ("motion", "appearance", "joint": the mean over the labels of a
        branch, and the sum of these): {"network": error, "constant": error}.

    Raises:
        InputError: a video cannot be read.
    """
    names = [name for branch in network.labels.values() for name in branch]
    step = max(1, -(-len(training) // CLIPS_FOR_MEANS))
    keys = [(0, index) for index in range(0, len(training), step)]
    of_training, of_held_out = one_progress(progress, len(keys), len(held_out))

    def summed(clips: Tensor, flow: Tensor) -> Tensor:
        return _joined(network.targets(clips, flow)).sum(0)

    def judged(clips: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        labels = _joined(network.targets(clips, flow))
        return (_joined(network(clips)) - labels).square().sum(0), (means - labels).square().sum(0)

    of_batches = ask(network, summed, training, batch, device, of_training, workers=workers, keys=keys)
    means = total_of(of_batches) / len(keys)
    found = ask(network, judged, held_out, batch, device, of_held_out, workers=workers)
    sums = zip(("network", "constant"), zip(*found, strict=True), strict=True)
    columns = {kind: (total_of(squares) / len(held_out)).tolist() for kind, squares in sums}
    result = {name: {kind: values[index] for kind, values in columns.items()} for index, name in enumerate(names)}
    for branch, labels in network.labels.items():
        result[branch] = {kind: sum(result[name][kind] for name in labels) / len(labels) for kind in columns}
    result["joint"] = {kind: sum(result[branch][kind] for branch in network.labels) for kind in columns}
    return result


def _joined(branches: dict[str, Tensor]) -> Tensor:
    """The branches' labels side by side, float64 so that sums over many clips keep their digits."""
    return torch.cat(list(branches.values()), dim=1).double()
