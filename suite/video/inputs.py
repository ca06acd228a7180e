"""What a network sees of a video: which frames, resized and cropped how, as which numbers. Values; torch-free.

A network that was trained elsewhere was trained on one input, and gives nothing of worth on another. Here the input is
one value, that recipes, stages and reports share.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from suite.errors import InputError

Number = Annotated[float, Field(strict=True, ge=-1000, le=1000, allow_inf_nan=False)]
Deviation = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]
# Frames, and frames from one to the next.
Frames = Annotated[int, Field(strict=True, ge=1, le=1000)]
# Pixels.
Side = Annotated[int, Field(strict=True, ge=8, le=4096)]
Triple = tuple[Number, Number, Number]


class Pixels(BaseModel):
    """How bytes become numbers: (byte of 255 or of 1, less the mean) over the deviation, channel by channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What 255 becomes before mean and deviation: 1, or 255.
    range: Literal[1, 255] = 1
    # In the order of the channels.
    mean: Triple = (0.0, 0.0, 0.0)
    std: tuple[Deviation, Deviation, Deviation] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _of_one_range(self) -> "Pixels":
        if self.range == 1 and max(map(abs, self.mean)) > 1:
            raise ValueError("a mean above 1 is one of values from 0 to 255; say range 255")
        return self

    def words(self) -> str:
        """ "RGB of 0 to 1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"."""
        said = [f"{self.channels.upper()} of 0 to {self.range}"]
        if any(self.mean):
            said.append("mean " + " ".join(f"{value:g}" for value in self.mean))
        if self.std != (1.0, 1.0, 1.0):
            said.append("deviation " + " ".join(f"{value:g}" for value in self.std))
        return ", ".join(said)


# Those that recipes name: of VCOP's code, of PyTorch ports of C3D (mean red, green and blue of video frames), of MAS's code.
NAMED = {
    "unit": Pixels(),
    "rgb-mean": Pixels(range=255, mean=(102.0, 98.0, 90.0)),
    "bgr-raw": Pixels(range=255, channels="bgr"),
}
Named = Literal["unit", "rgb-mean", "bgr-raw"]


def pixels(given: str | Mapping | Pixels) -> Pixels:
    """The pixels that a name, or a table of a configuration, means. Raises ValueError for anything else."""
    if isinstance(given, Pixels):
        return given
    if isinstance(given, str):
        if given not in NAMED:
            raise ValueError(f"unknown scale of pixels {given!r}; there are {', '.join(NAMED)}")
        return NAMED[given]
    return Pixels.model_validate(dict(given))


class NetworkInput(BaseModel):
    """What a network, a file or a person says of an input; None where nothing is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Frames of a clip, and frames of the video from one of them to the next.
    frames: Frames | None = None
    stride: Frames | None = None
    # (height, width) that frames are resized to, and the side of the central square of that.
    resize: tuple[Side, Side] | None = None
    crop: Side | None = None
    # Whether frames are smoothed as they are made smaller (PIL), or not (torchvision's presets for videos, OpenCV).
    antialias: bool | None = None
    pixels: Pixels | None = None

    def over(self, other: "NetworkInput") -> "NetworkInput":
        """What this says, and what the other says where this says nothing."""
        return NetworkInput(**{name: value if value is not None else getattr(other, name) for name, value in self})

    def of_any_size(self) -> "NetworkInput":
        """Pixels and resampling alone: of a scale that has clips of its own size."""
        return NetworkInput(antialias=self.antialias, pixels=self.pixels)

    def words(self) -> str:
        """One line: "16 frames, every 2nd, of 128x171 (not antialiased), centre 112, RGB of 0 to 1, mean ..."."""
        said = []
        if self.frames is not None:
            said.append(f"{self.frames} frames")
        if self.stride not in (None, 1):
            said.append(f"every {_ordinal(self.stride)} of the video")
        if self.resize is not None:
            said.append(f"resized to {self.resize[0]}x{self.resize[1]}")
        if self.antialias is False:
            said.append("without antialiasing")
        if self.crop is not None:
            said.append(f"centre {self.crop}x{self.crop}")
        if self.pixels is not None:
            said.append(self.pixels.words())
        return ", ".join(said)

    def options(self) -> str:
        """The options of a command that say this."""
        said = []
        if self.frames is not None:
            said.append(f"--frames {self.frames}")
        if self.stride is not None:
            said.append(f"--stride {self.stride}")
        if self.resize is not None:
            said.append(f"--resize {self.resize[0]}x{self.resize[1]}")
        if self.crop is not None:
            said.append(f"--crop {self.crop}")
        if self.antialias is not None:
            said.append("--antialias" if self.antialias else "--no-antialias")
        if self.pixels is not None:
            for name in ("mean", "std"):
                said.append(f"--{name} " + ",".join(f"{value:g}" for value in getattr(self.pixels, name)))
            said += [f"--channels {self.pixels.channels}", f"--range {self.pixels.range}"]
        return " ".join(said)


def stated(given: object, by: str) -> NetworkInput:
    """What a table says of an input. Raises InputError that names `by` where it is no input."""
    try:
        return NetworkInput.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        what = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        raise InputError(f"{by}: its input: {where}: {what}; mend it") from None


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')} frame"
