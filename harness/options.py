"""The options of commands: each with its words of help, and those that commands share."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from harness import parsing
from harness.plan import Part, Request, Setting

# The runs folder, unless another is named.
RUNS = Path("runs")


PaperKey = Annotated[str, typer.Argument(metavar="PAPER", help="Key of a paper, such as vcop; `list` shows them.")]
Scale = Annotated[str, typer.Option(help="paper, small or tiny: the settings of the recipe.")]
Places = Annotated[
    list[Path] | None,
    typer.Option(
        "--papers",
        parser=parsing.path,
        callback=parsing.places,
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
        parser=parsing.path,
        metavar="DIR",
        help="Folder that holds the datasets in their official layouts; without it, generated data.",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(callback=parsing.names, help="Only these (comma-separated or repeated); the rest is NOT RUN."),
]
RunsFolder = Annotated[
    Path,
    typer.Option(
        "--runs", parser=parsing.folder, metavar="DIR", help="Where checkpoints, features and generated data are kept."
    ),
]
Records = Annotated[Path, typer.Option("--records", parser=parsing.path, metavar="DIR", help="Folder of records.")]
OwnRecords = Annotated[
    Path | None,
    typer.Option(
        "--records",
        parser=parsing.folder,
        metavar="DIR",
        help="Folder of records; a run's own are under <runs>/records.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        parser=parsing.whole("--seeds", 1, parsing.MOST_SEEDS, "each trains everything once, and more decide no claim"),
        metavar="N",
        help="Runs of every training, with seeds 0, 1, ...",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=parsing.whole(
            "--workers", 0, parsing.MOST_WORKERS, "processes of each stage; 0 reads in the stage itself"
        ),
        metavar="N",
        help="Loader processes of each stage.",
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        parser=parsing.speed,
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
        parser=parsing.path,
        metavar="FILE",
        help="glove.6B.300d.txt, for questions about videos; without it, words are learnt (a departure).",
    ),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Count videos that do not decode, and go on without them.")
]
Frames = Annotated[
    int | None,
    typer.Option(
        parser=parsing.whole("--frames", 1, 1000, "no video is longer"), metavar="N", help="Frames of a clip."
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        parser=parsing.whole("--stride", 1, 1000, "no video is longer"),
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
        parser=parsing.whole("--crop", 8, 4096, "no video is larger"),
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
        parser=parsing.whole("--range", 1, 255, "1 or 255: values go up to it before mean and deviation"),
        metavar="1|255",
        help="What a full pixel is before mean and deviation.",
    ),
]
Changes = Annotated[
    list[Setting] | None,
    typer.Option(
        "--set",
        parser=parsing.setting,
        callback=parsing.settings,
        metavar="KEY=VALUE",
        help="A setting of the recipe otherwise, such as video.crop=56; repeatable. Nothing under it is compared with print.",
    ),
]

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=parsing.whole("--limit", 1, parsing.MOST_VIDEOS, "no class has more videos"),
        metavar="N",
        help="The first N videos of each class of every list; the others need not be there. Compared with nothing printed.",
    ),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--classes",
        callback=parsing.classes,
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
            "mean": parsing.triple("--mean", self.mean),
            "std": parsing.triple("--std", self.std),
            "channels": self.channels,
            "range": self.range,
        }
        pixels = {name: value for name, value in pixels.items() if value is not None}
        said = {
            "frames": self.frames,
            "stride": self.stride,
            "resize": None if self.resize is None else parsing.size("--resize", self.resize),
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
