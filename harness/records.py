"""One JSON file per result. The path is the key, so a re-run of the same thing replaces it and nothing else can."""

import gc
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError

from harness import durable, files
from harness.errors import UsageError

SCHEMA_VERSION = 1

# A part of a file name: nothing that climbs out of the store or hides a file.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
Picture = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\.(png|svg)$", max_length=255)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
StageName = Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9._:-]*$", max_length=200)]
# Settings of a recipe are named by the keys that lead to them.
Departure = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=200)]
# Words that come from outside, such as names of classes and of processors; pages escape whatever is in them.
Words = Annotated[str, Field(max_length=10_000)]
# A network: "r3d", "torchvision:r3d_18", "package.module:factory".
Backbone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:+-]*$", max_length=200)]
# "top1", or with the name of a class, which is that of a folder.
Metric = Annotated[str, Field(max_length=400)]
# A negative one is judged INVALID, not lost.
Count = Annotated[int, Field(ge=-(10**15), le=10**15)]
# What is larger has diverged, and sums and squares of it would overflow.
LARGEST = 1e30


def _no_number_is_nan(values: dict[str, float | None]) -> Mapping[str, float | None]:
    """Null, and what has diverged, as nan."""
    if all(value is not None and -LARGEST <= value <= LARGEST for value in values.values()):
        return values
    return {name: _number(value) for name, value in values.items()}


def _no_number_in_curve_is_nan(curves: dict[str, list[float | None]]) -> Mapping[str, Sequence[float | None]]:
    if all(value is not None and -LARGEST <= value <= LARGEST for curve in curves.values() for value in curve):
        return curves
    return {name: [_number(value) for value in curve] for name, curve in curves.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None or not -LARGEST <= value <= LARGEST else value


def _in_the_file(form: Any) -> GetPydanticSchema:
    """Read and written in another form than code sees: null in the file is nan in memory."""
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(form))


Scores = Annotated[
    dict[Metric, float], _in_the_file(Annotated[dict[Metric, float | None], AfterValidator(_no_number_is_nan)])
]
Curves = Annotated[
    dict[Metric, list[float]],
    _in_the_file(Annotated[dict[Metric, list[float | None]], AfterValidator(_no_number_in_curve_is_nan)]),
]


class Outcomes(BaseModel):
    """What happened to each scored video: what intervals over videos need.

    The lists run parallel, in the order of the list file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # the group that each video belongs to (UCF101: class and group, "Archery_g01"): the clusters of the bootstrap
    groups: list[Words]
    # how many clips of each video were scored: 1 where clips are pooled before the decision
    trials: Annotated[int, Field(le=1_000_000)]
    # metric id -> how many of a video's trials were right, 0..trials, one number per video
    hits: dict[Metric, list[Annotated[int, Field(ge=-1_000_000, le=1_000_000)]]]


class Checkpoint(BaseModel):
    """A network from elsewhere that was measured, by its weights: they are what their content is, whatever they are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # of the file's bytes; none of random weights
    sha256: Sha256 | None
    # what reports call it
    name: Words
    # the network that they were read into
    backbone: Backbone
    # the paper whose recipe gave clips and schedule
    recipe: Name
    # what the network was given to see; of records from before this was kept, nothing
    input: Words = ""


class Asked(BaseModel):
    """What a command asked for otherwise than the recipe and the official lists have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # its name among the departures: "set-video.crop"
    id: Departure
    # as the command says it: "--set video.crop=56"
    option: Words
    # in words: "video.crop = 56 instead of 112"
    what: Words


class Record(BaseModel):
    """One evaluation: scores of a row's columns on one split with one seed, what they rest on, where they came from.

    A score that is not finite (a diverged run) is nan in memory and null in the file: it is judged INVALID, never lost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    # the version of this very form; raised when a field changes its meaning
    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    # keys of the paper, its table and its row, as in reference_tables/
    paper: Name
    table: Name
    row: Name
    # ids of the columns that this evaluation fills; others of the row may have other weights, settings or protocols
    columns: list[Name] = Field(min_length=1)
    # the dataset that was tested on ("ucf101"), and its official split, counted from 1
    dataset: Name
    split: int = Field(ge=0, le=1000)
    # the seed of the run: records that differ only here are replicates
    seed: int = Field(ge=0, le=2**31)
    # the recipe's scale; only "paper" is compared with printed numbers
    scale: Literal["tiny", "small", "paper"]
    # what the lists hold, against the official ones; only "full" is compared with printed numbers
    scope: Literal["synthetic", "subset", "full"]
    # the dataset's fingerprint: the scope and 12 hex digits over lists, paths and sizes
    fingerprint: Name
    # list file name -> sha256 of its text, with line ends as published
    lists: dict[Words, Sha256]
    # the evaluation protocol and the version of its code: raised whenever its numbers move
    protocol: Name
    protocol_version: int = Field(ge=1, le=10_000)
    # hash of the resolved recipe
    recipe_hash: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    # the kind of device that computed the scores
    device_kind: Literal["cpu", "cuda"]
    # metric id -> value in the unit of its column (percent: 0..100)
    scores: Scores
    # what was counted; harness/judging/validity.py says which names are checked against each other
    counts: dict[Name, Count]
    # per-video outcomes, where a score is a share of right answers
    outcomes: Outcomes | None = None
    # name -> one value per epoch, such as train_loss, validation_accuracy
    curves: Curves = {}
    # retrieval examples: {query, query_class, neighbours: [{video, class, correct}]}
    examples: list[dict[str, Any]] = []
    # names of test videos that are shorter than a clip: their clips repeat them from the start
    short_videos: list[Words] = []
    # names of picture files that lie beside the record
    pictures: list[Picture] = []
    # what was measured, where it is no network of the paper's; the row is then its backbone and 16 digits of its sha256
    checkpoint: Checkpoint | None = None
    # stage kind -> stage key: where the checkpoints and features of this result are
    stages: dict[StageName, Name] = {}
    # the part of the resolved recipe that made the result
    settings: dict[str, Any]
    # ids of the recipe's departures from the paper that were in force
    departures: list[Departure] = []
    # those of them that the command asked for: a record with any is set against no printed number
    asked: list[Asked] = []
    # versions, processor, accelerator, determinism switches
    environment: dict[Name, Words]
    # the commit of the working tree, and whether it held uncommitted changes
    commit: str = Field(pattern=r"^([0-9a-f]{4,64}|unknown)$")
    dirty: bool
    # when the run ended: UTC, ISO 8601, to the second
    created: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)$")
    # how long the run took, its cached stages not counted
    seconds: float = Field(ge=0, allow_inf_nan=False)
    # the command that makes this record again
    command: str

    def key(self) -> str:
        """The path of this record inside its store, with forward slashes. The first column stands for all of them."""
        name = (
            f"{self.row}__{self.columns[0]}__{self.dataset}-split{self.split}__seed{self.seed}"
            f"__{self.recipe_hash[:8]}__v{self.protocol_version}__{self.device_kind}.json"
        )
        return f"{self.paper}/{self.scale}/{self.fingerprint}/{self.table}/{name}"


class Store:
    """A folder of records."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def add(self, record: Record) -> Path:
        """Write the record under its key and return the path; a repeat replaces an earlier run, all or nothing."""
        path = self.folder / record.key()
        path.parent.mkdir(parents=True, exist_ok=True)
        # One line per field: a person can read the file and a diff of it, and 3,783 outcomes stay on one line.
        fields = json.loads(record.model_dump_json())
        lines = (f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
        durable.write(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        return path

    def mend(self, paper: str) -> None:
        """Set aside, and say, which records of a paper are no whole files; drop what killed runs had not finished.

        A run does so before it writes its own again.
        """
        durable.clear(self.folder)
        for path in map(Path, self._paths(paper)):
            try:
                if path.is_file():
                    json.loads(path.read_bytes())
            except ValueError:
                then = "and written again by the run that made it"
                durable.set_aside(path, path.name, f"{path} is no whole record", then)

    def _paths(self, paper: str | None = None) -> list[str]:
        top = self.folder if paper is None else self.folder / paper
        return sorted(
            f"{folder}/{name}"
            for folder, folders, files in os.walk(top)
            for name in (*folders, *files)
            if name.endswith(".json") and not name.startswith(".")
        )

    def read(self, paper: str | None = None) -> list[Record]:
        """Every record, or those of one paper, sorted by key. No folder means no records.

        Raises UsageError, one line that names the file, for a file that is no record or lies under another's key.
        """
        # The collector would walk through all that was read so far again and again, to find no cycle in it.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return [self._load(path) for path in self._paths(paper)]
        finally:
            gc.freeze()
            gc.unfreeze()  # both together: straight to the oldest generation
            if collecting:
                gc.enable()

    def _load(self, path: str) -> Record:
        record = load(path)
        key = record.key()
        # As text first: ten thousand paths taken apart take a while.
        if path != f"{self.folder}/{key}" and Path(path) != self.folder / key:
            raise UsageError(f"{path}: lies elsewhere than its key {key}; move it there or delete it")
        return record


def load(path: Path | str) -> Record:
    """Read one record file, of this or an earlier schema version. Raises UsageError naming the file."""
    data = files.read(path)
    try:
        # Pydantic would take a bare NaN for a number; this suite writes null, and other readers of JSON refuse NaN.
        if b"NaN" in data or b"Infinity" in data:
            pydantic_core.from_json(data, allow_inf_nan=False)
        return Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",) and first["type"] == "less_than_equal":
            found = f"written by a newer version of this suite (schema {first['input']}); update the checkout"
            raise UsageError(f"{path}: {found}") from error
        what = fault(error) if first["loc"] else f"no record: {first['msg']}"
        raise UsageError(f"{path}: {what}; run it again or delete the file") from error
    except ValueError as error:
        raise UsageError(f"{path}: no record: Invalid JSON: {error}; run it again or delete the file") from error


def fault(error: ValidationError) -> str:
    """The first field of a record that is not as it must be, and how it must be, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"
