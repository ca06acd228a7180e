"""What the words of a command may be: lists of names, numbers with their bounds, paths; and the options that commands share.

A bound is there for a reason that its message states. Whatever is out of bounds is one line, before anything is read.
"""

import inspect
import json
import math
import re
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from harness.errors import UsageError
from harness.plan import Part, Request, Setting
from harness.running import door

# The runs folder, unless another is named.
RUNS = Path("runs")
# More seeds decide no claim (harness/judging/certainty.py looks no further), and a plan of them all would never be run.
MOST_SEEDS = 100
MOST_WORKERS = 256
MOST_VIDEOS = 100_000
# TFLOP/s: from a microcontroller to the largest machines there are.
SPEEDS = (1e-3, 1e6)
# Letters of the name that a checkpoint has in a report.
LONGEST_NAME = 100


def whole(option: str, low: int, high: int, why: str) -> Callable[[object], int]:
    """A parser of whole numbers from `low` to `high`; `why` says where the bounds come from."""

    def parse(words: object) -> int:
        # Digits are counted first: of 5,000 of them Python makes no number.
        if not re.fullmatch("[0-9]{1,9}", str(words)) or not low <= int(str(words)) <= high:
            raise UsageError(f"{option} {words}: give a whole number from {low} to {high} ({why})")
        return int(str(words))

    return parse


def speed(words: object) -> float:
    """TFLOP/s, a number within `SPEEDS`; nan is in no bounds."""
    low, high = SPEEDS
    try:
        value = float(str(words))
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(f"--tflops {words}: give a number from {low:g} to {high:g}, the device's TFLOP/s")
    return value


def path(words: object) -> Path:
    """A path; an empty one, which an unset shell variable leaves, would be the present folder."""
    if not str(words):
        raise UsageError("an option that takes a path was given nothing; is a shell variable empty?")
    return Path(str(words))


def folder(words: object) -> Path:
    """A folder that is there or can be made."""
    found = path(words)
    try:
        str(found).encode()
    except UnicodeEncodeError:
        # Libraries that write below it (safetensors, ffmpeg) take names as text.
        raise UsageError(f"{found}: its name is not UTF-8; give the path of another folder") from None
    if found.exists() and not found.is_dir():
        raise UsageError(f"{found}: is no folder; give the path of one, or of one to be made")
    return found


def names(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
    """Names given one by one or with commas between them; None where the option was not given.

    An empty name is refused: an empty shell variable must not ask for everything.
    """
    parts = [part.strip() for words in value or () for part in words.split(",")]
    if not all(parts):
        given = ",".join(value or ())
        raise UsageError(
            f"--{param.name} {given!r}: an empty name; name what is wanted, or leave the option out for all"
        )
    return parts or None


def splits(words: object) -> tuple[int, ...]:
    """Official splits, "1" or "1,2,3"."""
    parts = [part.strip() for part in str(words).split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,2}", part) for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--splits {words}: give official split numbers, each once, such as 1 or 1,2,3")
    return tuple(map(int, parts))


def setting(words: object) -> Setting:
    """KEY=VALUE as a recipe writes it, with dots between the keys; a bare word is taken for a text."""
    path, equals, written = str(words).partition("=")
    keys: list[str] = []
    try:
        # One key, of which TOML knows the form: nothing else may come in with it.
        here: object = tomllib.loads(f"{path}=0")
        while isinstance(here, dict):
            ((key, here),) = here.items()
            keys.append(key)
        found = _value(written.strip())
    except ValueError:
        found = None
    if not equals or not isinstance(found, bool | int | float | str | list | dict):
        raise UsageError(f"--set {words}: give a key of the recipe and a value, such as video.crop=56")
    return Setting(tuple(keys), found)


def _value(written: str) -> object:
    """A value of TOML, or the bare word that stands for one. Raises ValueError for anything else."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", written) and written not in ("true", "false", "nan", "inf"):
        return written
    ((_, found),) = tomllib.loads(f"value={written}").items()
    # Dates and times, which no setting is, are no JSON either; lists of anything are for the schema to judge.
    json.dumps(found, default=_refused)
    return found


def _refused(value: object) -> None:
    raise ValueError(value)


def settings(value: list[Setting] | None) -> list[Setting]:
    """Settings, each said once."""
    given = value or []
    for number, one in enumerate(given):
        if any(one.keys == other.keys for other in given[:number]):
            raise UsageError(f"--set {'.'.join(one.keys)}: said twice; say it once")
    return given


def name(words: object) -> str:
    """The name of a checkpoint in reports: letters that can be printed, not too many."""
    found = str(words).strip()
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise UsageError(f"--name {found!r}: give 1 to {LONGEST_NAME} letters that can be printed")
    return found


def places(value: list[Path] | None) -> list[Path] | None:
    """Folders of papers outside the checkout, which are looked into from here on."""
    door.add_papers(value or ())
    return value


def triple(option: str, words: str | None) -> tuple[float, ...] | None:
    """Three numbers, one for each channel: "0.45,0.45,0.45"."""
    if words is None:
        return None
    try:
        found = tuple(float(part) for part in words.split(","))
    except ValueError:
        found = ()
    if len(found) != 3 or not all(map(math.isfinite, found)):
        raise UsageError(f"{option} {words}: give three numbers, one for each channel, such as 0.45,0.45,0.45")
    return found


def size(option: str, words: str) -> tuple[int, int]:
    """Height and width in pixels: "128x171"."""
    found = re.fullmatch("([0-9]{1,4})x([0-9]{1,4})", words)
    if not found:
        raise UsageError(f"{option} {words}: give height and width in pixels, such as 128x171")
    return int(found[1]), int(found[2])


PaperKey = Annotated[str, typer.Argument(metavar="PAPER", help="Key of a paper, such as vcop; `list` shows them.")]
Scale = Annotated[str, typer.Option(help="paper, small or tiny: the settings of the recipe.")]
Places = Annotated[
    list[Path] | None,
    typer.Option(
        "--papers",
        parser=path,
        callback=places,
        is_eager=True,
        metavar="DIR",
        help="Folder of papers, networks and datasets from outside the checkout; repeatable (or VIDEO_SSL_PAPERS).",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="SUITE_DATA",
        parser=path,
        metavar="DIR",
        help="Folder that holds the datasets in their official layouts; without it, generated data.",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(callback=names, help="Only these (comma-separated or repeated); the rest is NOT RUN."),
]
RunsFolder = Annotated[
    Path,
    typer.Option(
        "--runs", parser=folder, metavar="DIR", help="Where checkpoints, features and generated data are kept."
    ),
]
Records = Annotated[Path, typer.Option("--records", parser=path, metavar="DIR", help="Folder of records.")]
OwnRecords = Annotated[
    Path | None,
    typer.Option(
        "--records",
        parser=folder,
        metavar="DIR",
        help="Folder of records; a run's own are under <runs>/records.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        parser=whole("--seeds", 1, MOST_SEEDS, "each trains everything once, and more decide no claim"),
        metavar="N",
        help="Runs of every training, with seeds 0, 1, ...",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=whole("--workers", 0, MOST_WORKERS, "processes of each stage; 0 reads in the stage itself"),
        metavar="N",
        help="Loader processes of each stage.",
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        parser=speed,
        metavar="NUMBER",
        help="State the speed of your device; else it is measured from finished stages, or taken.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Everything = Annotated[
    bool, typer.Option("--all", help="Every row, where a scale runs a subset by default (the recipe's `subset`).")
]
Glove = Annotated[
    Path | None,
    typer.Option(
        "--glove",
        parser=path,
        metavar="FILE",
        help="glove.6B.300d.txt, for questions about videos; without it, words are learnt (a departure).",
    ),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Count videos that do not decode, and go on without them.")
]
Frames = Annotated[
    int | None,
    typer.Option(parser=whole("--frames", 1, 1000, "no video is longer"), metavar="N", help="Frames of a clip."),
]
Stride = Annotated[
    int | None,
    typer.Option(
        parser=whole("--stride", 1, 1000, "no video is longer"),
        metavar="N",
        help="Frames of the video from one frame of a clip to the next.",
    ),
]
Resize = Annotated[
    str | None, typer.Option(metavar="HxW", help="What frames are resized to, height and width, such as 128x171.")
]
Crop = Annotated[
    int | None,
    typer.Option(
        parser=whole("--crop", 8, 4096, "no video is larger"),
        metavar="N",
        help="Side of the square that is taken out of the middle.",
    ),
]
Antialias = Annotated[
    bool | None,
    typer.Option(
        "--antialias/--no-antialias",
        help="Whether frames are smoothed as they are made smaller (PIL does, torchvision's presets for videos do not).",
    ),
]
Mean = Annotated[str | None, typer.Option(metavar="A,B,C", help="Mean of the pixels, in the order of the channels.")]
Deviation = Annotated[str | None, typer.Option(metavar="A,B,C", help="Their deviation, which they are divided by.")]
Channels = Annotated[str | None, typer.Option(metavar="rgb|bgr", help="Order of the channels.")]
Range = Annotated[
    int | None,
    typer.Option(
        parser=whole("--range", 1, 255, "1 or 255: values go up to it before mean and deviation"),
        metavar="1|255",
        help="What a full pixel is before mean and deviation.",
    ),
]
Changes = Annotated[
    list[Setting] | None,
    typer.Option(
        "--set",
        parser=setting,
        callback=settings,
        metavar="KEY=VALUE",
        help="A setting of the recipe otherwise, such as video.crop=56; repeatable. Nothing under it is compared with print.",
    ),
]

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=whole("--limit", 1, MOST_VIDEOS, "no class has more videos"),
        metavar="N",
        help="The first N videos of each class of every list; the others need not be there. Compared with nothing printed.",
    ),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--classes",
        callback=names,
        metavar="NAMES",
        help="Only the videos of these classes; the others need not be there. Compared with nothing printed.",
    ),
]


@dataclass(frozen=True)
class Given:
    """The options that commands about stages share, in the order that their help lists them in."""

    scale: Scale = "tiny"
    data_root: DataRoot = None
    datasets: Names = None
    tables: Names = None
    rows: Names = None
    everything: Everything = False
    seeds: Seeds = 1
    device: Device = "auto"
    workers: Workers = None
    runs: RunsFolder = RUNS
    records: OwnRecords = None
    glove: Glove = None
    skip_unreadable: SkipUnreadable = False
    changes: Changes = None
    limit: Limit = None
    classes: Classes = None
    places: Places = None

    def request(self, device_kind: str) -> Request:
        """What of a paper is asked for, on a device of that kind."""
        return Request(
            seeds=self.seeds,
            tables=tuple(self.tables or ()),
            rows=tuple(self.rows or ()),
            datasets=tuple(self.datasets or ()),
            skip_unreadable=self.skip_unreadable,
            device_kind=device_kind,
            everything=self.everything,
            changes=tuple(self.changes or ()),
            part=Part(self.limit or 0, tuple(self.classes or ())),
        )


@dataclass(frozen=True)
class Input:
    """The options that state what a network takes; whatever is left out is as the network, or else the recipe, says."""

    frames: Frames = None
    stride: Stride = None
    resize: Resize = None
    crop: Crop = None
    antialias: Antialias = None
    mean: Mean = None
    std: Deviation = None
    channels: Channels = None
    range: Range = None

    def stated(self) -> dict[str, Any]:
        """What is stated, as suite.video.inputs.NetworkInput has it. Pixels are stated as a whole: what is left out of them is
        plain RGB of 0 to 1.
        """
        pixels = {
            "mean": triple("--mean", self.mean),
            "std": triple("--std", self.std),
            "channels": self.channels,
            "range": self.range,
        }
        pixels = {name: value for name, value in pixels.items() if value is not None}
        said = {
            "frames": self.frames,
            "stride": self.stride,
            "resize": None if self.resize is None else size("--resize", self.resize),
            "crop": self.crop,
            "antialias": self.antialias,
            "pixels": pixels or None,
        }
        return {name: value for name, value in said.items() if value is not None}


Result = TypeVar("Result")


def shared(
    group: type = Given, *, without: Collection[str] = (), **defaults: object
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Put the fields of a group of options in the place of a command's parameter of that type, one option each.

    without: fields that the command has no option for. defaults: where the command's are others than the fields'.
    """
    taken = [field for field in fields(group) if field.name not in without]

    def spread(command: Callable[..., Result]) -> Callable[..., Result]:
        parameters = list(inspect.signature(command).parameters.values())
        (place,) = [index for index, one in enumerate(parameters) if one.annotation is group]
        options = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(field.name, field.default),
                annotation=field.type,
            )
            for field in taken
        ]
        others = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]

        @wraps(command)
        def gathered(**words: Any) -> Result:
            given: Any = defaults | {field.name: words.pop(field.name) for field in taken}
            return command(**words, **{parameters[place].name: group(**given)})

        listed = [*others[:place], *options, *others[place + 1 :]]
        # The command line reads both: which options there are, and of which types.
        gathered.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]  # which inspect looks for
        gathered.__annotations__ = {one.name: one.annotation for one in listed}
        return gathered

    return spread
