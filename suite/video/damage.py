"""One rule of damage for the videos of all containers: what is certainly damaged, and what only disagrees with its header.

Real files disagree with their headers without any damage: 36 of 938 videos of UCF101 decode to fewer frames than their
AVI header gives (by up to 46 of 528: frames that were dropped when they were made are packets without a picture), HMDB51
has them with one less or three more, and clips that were cut out of others without encoding them again begin between
two key frames, so that up to a whole group of pictures does not decode. So the number of frames alone proves nothing.
Bytes that are missing, packets that the container lists and that are not there, and pictures that the decoder could not
make out do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from suite.video.containers import Layout

# Numbers of frames from here on are what a writer puts down before it knows (1 << 30 in FFmpeg's AVI, all ones elsewhere).
_PLACEHOLDER = 1 << 30
# A file whose streams all end before this part of its duration lacks its end, if nothing else tells of it.
_ENDED = Fraction(9, 10)


@dataclass(frozen=True)
class Facts:
    """What a whole file shows when it is read to its end.

    Attributes:
        frames: number of frames that decode.
        packets: number of packets of the video that can be read: one a frame.
        header: number of frames as the header gives it, whatever it says there; 0 if it gives none.
        indexed: number of packets that the index of the file lists, as far as it is known when the file is opened.
        failed: number of packets that do not decode, without those before the first key frame.
        damaged: index of the first frame that the decoder could not make out wholly; None if it could all.
        cut: whether the file ends within the last packet.
        seconds: duration as the header gives it, of the longest stream; 0 if it gives none.
        ended: when the last packet of any stream ends, in seconds.
        layout: what the structure of the file says of its bytes.
    """

    frames: int
    packets: int
    header: int = 0
    indexed: int = 0
    failed: int = 0
    damaged: int | None = None
    cut: bool = False
    seconds: Fraction = Fraction(0)
    ended: Fraction = Fraction(0)
    layout: Layout = field(default_factory=Layout)

    @property
    def promised(self) -> int | None:
        """Frames that the header gives; None if it gives none, or a placeholder."""
        return self.header if 0 < self.header < _PLACEHOLDER else None

    @property
    def complete(self) -> bool:
        """Whether every packet that the header and the index give is there."""
        return self.promised is not None and self.packets >= max(self.promised, self.indexed)


def certain(facts: Facts) -> str:
    """Why a file is certainly damaged, as a phrase of one line; "" if it is not."""
    frames = f"{facts.frames} of {facts.promised} frames" if facts.promised else f"{facts.frames} frames decode"
    layout = facts.layout
    if layout.missing and not layout.behind and not facts.complete:
        return f"cut short, {layout.missing} bytes missing ({frames})"
    if facts.cut:
        return f"cut short, it ends within a frame ({frames})"
    if layout.broken is not None and not facts.complete:
        return f"damaged, what lies from byte {layout.broken} on cannot be there ({frames})"
    if facts.packets < facts.indexed:
        return f"damaged, its index lists {facts.indexed} frames and {facts.packets} are there ({frames} decode)"
    if facts.failed:
        return f"damaged, {facts.failed} of {facts.packets} packets do not decode ({frames})"
    if facts.damaged is not None:
        return f"damaged, frame {facts.damaged} is not all there ({frames})"
    if facts.promised is None and facts.ended < _ENDED * facts.seconds:
        return f"cut short, it ends after {float(facts.ended):.1f} of {float(facts.seconds):.1f} seconds ({frames})"
    return ""


def remarks(facts: Facts) -> tuple[str, ...]:
    """What is odd about the bytes of a file that is not certainly damaged, each as a phrase of one line."""
    missing = facts.layout.missing
    return (f"{missing} bytes missing behind its last frame",) if missing else ()
