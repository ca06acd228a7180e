"""What the two tasks of srop share: clips of segments at several rates, and how they are made (TCSVT 2021, Sec. III-C).
segment_clips.py has the samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from suite.settings import Length, Pretraining, Scale, Share, Switch

if TYPE_CHECKING:
    # Annotations alone: a task is known without torch.
    from suite.papers.srop.segment_clips import SegmentClips


class Segments(Pretraining):
    """How clips of segments are made of a video: `video.clip_length` frames in all."""

    # Segments of a clip, frames of the shortest, and the highest rate: frames from one frame of a segment to the next.
    segments: Annotated[int, Field(strict=True, ge=2, le=5)]
    shortest: Length
    max_rate: Annotated[int, Field(strict=True, ge=1, le=100)]
    # Strength of the random changes of brightness, contrast and saturation; clips are mirrored half of the time.
    jitter: Share
    flip: Switch

    def fault(self, scale: Scale) -> str:
        """Segments that do not fit into the shortest clips of the recipe."""
        shortest_clip = min(each.clip_length for each in (scale.video, *scale.inputs.values()))
        if self.segments * self.shortest <= shortest_clip:
            return ""
        return f": {self.segments} segments of at least {self.shortest} frames do not fit into clips of {shortest_clip}"


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """All videos with a frame: rates shrink to what fits, and a video shorter than a clip repeats."""
    return [each for each in videos if frames[each.name] >= 1]


def clips(
    data: Any, videos: Sequence, pretraining: dict, video: dict, *, pairs: bool, seed: int, training: bool
) -> "SegmentClips":
    """Clips of segments of a recipe's pretraining, with a second one of each video where `pairs` says so."""
    from suite.papers.srop.segment_clips import SegmentClips

    layout = {key: pretraining[key] for key in ("segments", "shortest", "max_rate")}
    return SegmentClips(
        data.source(video["resize"]),
        videos,
        data.frames,
        layout=layout | {"clip_length": video["clip_length"]},
        pairs=pairs,
        crop=video["crop"],
        flip=pretraining["flip"],
        jitter=pretraining["jitter"],
        seed=seed,
        training=training,
    )
