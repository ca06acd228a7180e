"""The task of MAS: regress motion and appearance statistics of a clip (Wang et al., CVPR 2019, Sec. 3). statistics_network.py has
samples and network, statistics.py the labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from suite.settings import Pretraining, Switch
from suite.tasks import HeldOut

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from torch import nn

    from suite.papers.mas.statistics_network import LabelledClips, StatisticsNetwork

NAME = "statistics"
VERSION = 1


class Settings(Pretraining):
    """Regression of motion and appearance statistics."""

    labels: Literal["pattern1", "pattern2", "pattern3", "global", "patterns", "motion", "appearance", "joint"]
    # Labels as they are, 1-based numbers, or each divided by its range.
    scaled: Switch = False

    flow: ClassVar[bool] = True

    def clips_of_sample(self, clips_of_video: float) -> float:
        """Every clip of a video."""
        return clips_of_video


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """The videos that a recipe's pretraining can use: those of at least one whole clip."""
    return [one for one in videos if frames[one.name] >= video["clip_length"]]


def network(backbone: "nn.Module", pretraining: dict, video: dict) -> "StatisticsNetwork":
    """The network of a recipe's pretraining."""
    from suite.papers.mas.statistics_network import StatisticsNetwork

    return StatisticsNetwork(
        backbone,
        labels=pretraining["labels"],
        clip_length=video["clip_length"],
        pixels=video["pixels"],
        scaled=pretraining["scaled"],
    )


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> "LabelledClips":
    """The clips of a recipe's pretraining. `data` holds frame counts and gives sources of resized frames and of flow."""
    from suite.papers.mas import statistics
    from suite.papers.mas.statistics_network import LabelledClips

    moving = set(statistics.SUBSETS[pretraining["labels"]]) & set(statistics.MOTION)
    return LabelledClips(
        data.source(video["resize"]),
        data.flow(video["resize"]) if moving else None,
        videos,
        data.frames,
        clip_length=video["clip_length"],
        crop=video["crop"],
        seed=seed,
        training=training,
    )


def statistics_errors(test: HeldOut) -> dict:
    """Squared errors of the 27 statistics on the test videos, by those of the constant predictor; one clip's picture.

    Below 1 something was learnt of a label. "motion" and "appearance" compare the sums over a branch, "joint" over both.
    """
    from suite.papers.mas import picture, statistics_network
    from suite.video import clips, transforms

    pretraining, video, data = test.pretraining, test.video, test.data
    learnt = eligible(test.training_videos(), data.frames, pretraining, video)
    found = statistics_network.errors(
        test.network,
        samples(data, learnt, pretraining, video, seed=0, training=False),
        test.samples,
        batch=pretraining["optimisation"]["batch"],
        device=test.device,
        workers=test.workers,
        progress=test.progress,
    )
    # A clip from the middle of the first test video, with its flow whatever the labels, and where the network looks.
    name, length = test.videos[0].name, video["clip_length"]
    windows = clips.windows(data.frames[name], length, length)
    first = windows[len(windows) // 2]
    clip = data.source(video["resize"]).frames(name, range(first, first + length))
    flow = data.flow(video["resize"]).flows(name, range(first, first + length - 1)).movedim(1, -1)
    clip, flow = (transforms.centre_crop(frames, video["crop"]) for frames in (clip, flow))
    attention = picture.attention_map(test.network.backbone, clip, video["pixels"])
    picture.clip_picture(clip, flow.movedim(-1, 1), test.folder / "clip.png", attention)
    return {
        "pictures": ["clip.png"],
        "scores": {name: error["network"] / error["constant"] for name, error in found.items() if error["constant"]},
        "counts": test.counts | {"videos": len(test.videos), "clips": len(test.samples)},
        "facts": {"errors": found, "picture": f"{name} from frame {first}"},
    }


SCORES = {"statistics-errors": (statistics_errors, 1)}
