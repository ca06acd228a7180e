"""The schema of a recipe's settings: what there is to set, and within what bounds.

Every number has bounds, wide enough for whatever could be meant and narrow enough that a slip is refused before a run
starts: where a bound has a reason beyond that, it stands beside it. Numbers and switches are taken as TOML writes them:
"8" is no number, and 1 is no switch.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from suite import datasets, tasks
from suite.errors import InputError
from suite.video import inputs

Switch = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")]
# A module by its path.
Task = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200)]


def _known(dataset: str) -> str:
    try:
        return datasets.describe(dataset).name
    except InputError as error:
        raise ValueError(str(error)) from None


Dataset = Annotated[Name, AfterValidator(_known)]
# The number of an official split.
Split = Annotated[int, Field(strict=True, ge=1, le=1000)]

# Frames of a clip, or between two: beyond these no video of the datasets is long enough.
Length = Annotated[int, Field(strict=True, ge=1, le=1000)]
Gap = Annotated[int, Field(strict=True, ge=0, le=1000)]
# Pixels: below 8 the regions of MAS are empty; no video of the datasets is larger.
Side = Annotated[int, Field(strict=True, ge=8, le=4096)]
Size = tuple[Side, Side]
# Shorter side of frames that flow is computed of (suite/video/flow.py).
SMALLEST_FLOW = 16
# How many samples, clips, keys or channels there are at once.
Batch = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Clips = Annotated[int, Field(strict=True, ge=1, le=1000)]
# None at all, or 0 for as many as there are.
ClipsOrAll = Annotated[int, Field(strict=True, ge=0, le=1000)]
Videos = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
VideosOrAll = Annotated[int, Field(strict=True, ge=0, le=10_000_000)]
Channels = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=100_000)]
EpochsOrNever = Annotated[int, Field(strict=True, ge=0, le=100_000)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
# A share of something, 0 or all of it left out where the name says so.
Share = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
Weight = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
# Of cosines, which are 2 apart at most.
Margin = Annotated[float, Field(strict=True, ge=0, le=2, allow_inf_nan=False)]


def _each_once(places: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(places)) < len(places):
        raise ValueError(f"{list(places)} names one twice")
    return places


class Settings(BaseModel):
    """A table of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(Settings):
    """Clips as networks see them. Sizes in pixels."""

    clip_length: Length
    # (height, width) of frames, of which a square is taken.
    resize: Size
    crop: Side

    @model_validator(mode="after")
    def _fits(self):
        if self.crop > min(self.resize):
            raise ValueError(f"crop {self.crop} is larger than frames of {self.resize[0]}x{self.resize[1]} (resize)")
        return self


class Video(Input):
    """How frames are read."""

    # Decode and resize every frame once into one raw file: fast, and as large as the frames.
    store: Switch
    # Whether frames are smoothed as they are made smaller.
    antialias: Switch = True
    # What networks see, by a name (suite/video/inputs.py) or written out: range, mean, std, channels.
    pixels: inputs.Named | inputs.Pixels = "unit"


class Optimisation(Settings):
    """One training run."""

    optimiser: Literal["sgd", "adam"] = "sgd"
    batch: Batch
    # Samples of a batch that go through the network at once, where memory is short: gradients add up, but batch norm and
    # whatever else looks across a batch see these alone. None: all.
    at_once: Batch | None = None
    epochs: Epochs
    learning_rate: Rate
    # The rate is multiplied by `lr_factor` after every `lr_every` epochs, up to epoch `lr_until`; 0: never, and to the end.
    lr_every: EpochsOrNever = 0
    lr_factor: Positive = 1.0
    lr_until: EpochsOrNever = 0
    # Of SGD; Adam has its usual moments (0.9, 0.999).
    momentum: Share = 0.0
    weight_decay: Weight
    # The parameters that decay: all, or the weights of fully connected layers alone.
    weight_decay_on: Literal["all", "linear"] = "all"
    precision: Literal["fp32", "bf16"]
    # Weights that are kept: those of the lowest validation loss, of the highest validation accuracy, or of the last epoch.
    keep: Literal["best", "best-accuracy", "last"] = "best"


class Pretraining(Settings):
    """What every pretext task needs: the data, a network to start from, and how long. A task's own settings extend it, and say
    what planning must know of them."""

    # Where the task is at home: see suite/tasks.py.
    pretext: Task
    dataset: Dataset
    split: Split
    # Another pretraining of the recipe whose backbone this one starts from.
    start: Name | None = None
    optimisation: Optimisation

    # Whether the task learns from optical flow, as the recipe's table `flow` computes it.
    flow: ClassVar[bool] = False

    def networks(self) -> dict[str, str]:
        """Other pretrainings of the recipe whose networks this one needs, by role. A role is one word; "pretrain" is `start`."""
        return {} if self.start is None else {"pretrain": self.start}

    def clips_of_sample(self, clips_of_video: float) -> float:
        """Clips at the size of `video` that cost as much as what goes through the networks for a video and epoch.

        Args:
            clips_of_video: clips that follow each other in a video, on average.
        """
        return 1.0

    def passes(self) -> float:
        """Epochs of training; one that is looked at without learning counts for a third."""
        return self.optimisation.epochs

    def counted(self) -> "Pretraining":
        """The same at the size that networks are counted at, whatever the scale."""
        return self

    def fault(self, scale: "Scale") -> str:
        """What of it does not go together with the rest of a recipe's settings, to be read after its name; "" if all does."""
        return ""

    @model_validator(mode="after")
    def _has_training_videos(self):
        splits = [split for split, (train, _) in datasets.describe(self.dataset).splits.items() if train]
        if self.split not in splits:
            there = f"it has split {', '.join(map(str, splits))}" if splits else "it has none at all"
            raise ValueError(f"split {self.split} of {self.dataset} has no training videos; {there}")
        return self


class Flow(Settings):
    """Optical flow between neighbouring frames, at the size that frames are resized to (suite/video/flow.py)."""

    method: Literal["brox", "dis"]
    # Compute it once and keep it, one byte a value; else whenever a clip is read.
    store: Switch = True
    # Of "brox": ratio of neighbouring levels, shorter side of the smallest, blur before, and weights of the energy's terms.
    factor: Annotated[float, Field(strict=True, ge=0.1, le=0.99, allow_inf_nan=False)] | None = None
    smallest: Side | None = None
    blur: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)] | None = None
    alpha: Weight | None = None
    gamma: Weight | None = None
    delta: Weight | None = None
    # Of its solver, at each level.
    linearisations: Clips | None = None
    sweeps: Clips | None = None
    # At 2 over-relaxation diverges.
    relaxation: Annotated[float, Field(strict=True, gt=0, lt=2, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _of_the_method(self):
        given = [name for name, value in self if value is not None and name not in ("method", "store")]
        if self.method == "dis" and given:
            raise ValueError(f"{given[0]} is a setting of brox; dis has none")
        return self


class Finetuning(Settings):
    """Supervised training of the whole network, and its test."""

    # Training videos taken of each class after the hold-out; 0 takes all.
    videos_per_class: VideosOrAll
    # What an epoch shows of a video: one clip at random, or every non-overlapping clip.
    clips: Literal["one", "all"] = "one"
    # Clips are mirrored half of the time.
    flip: Switch = False
    # Strength of random changes of brightness, contrast and saturation.
    jitter: Share = 0.0
    # What is put on the backbone: one linear layer, or the three fully connected layers of the five-convolution C3D.
    head: Literal["linear", "three-layer"] = "linear"
    # Evenly spaced clips of a test video; 0 takes every non-overlapping one.
    test_clips: ClipsOrAll
    # Frames of the video from one frame of a clip to the next; 1 is consecutive.
    stride: Length = 1
    # What is averaged over them.
    test_average: Literal["logits", "softmax"] = "logits"
    # The first stage that learns; the ones below stay as they were pretrained, statistics of batch norm included.
    freeze_below: Literal["conv1", "conv2", "conv3", "conv4", "conv5"] = "conv1"
    optimisation: Optimisation


class Retrieval(Settings):
    """Nearest neighbours of test clips (or videos) among those of the training split."""

    clips: Clips
    # Frames between neighbouring frames of a clip; 1 is consecutive.
    stride: Length
    pooling: Literal["conv5-max", "global"]
    top: Annotated[tuple[Clips, ...], Field(min_length=1, max_length=100), AfterValidator(_each_once)]
    # Batch-norm statistics of an untrained network: its initial ones, or those of each batch.
    random_bn: Literal["running", "batch"]


class Probes(Settings):
    """Linear classifiers on the features of a frozen network (mas)."""

    # Frames of a clip from its start to that of the next clip, and frames of the video from one of them to the next.
    step: Length = 8
    stride: Length = 1
    svm_c: Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    # What a zero is raised to inside x log(x / 0), of ASLAN's similarities.
    floor: Positive = 1e-10


class QuestionAnswering(Settings):
    """Answers to questions about videos from frozen clip features (vcop-curriculum Table VI)."""

    # Evenly spaced clips of a video.
    clips: Clips = 20
    # Width of the word embeddings and of the network over the words.
    hidden: Channels = 300
    # Most frequent answers of the training questions, among which one is chosen.
    answers: Batch = 1000
    dropout: Share = 0.0
    optimisation: Optimisation = Optimisation(
        optimiser="adam",
        batch=64,
        epochs=40,
        learning_rate=1e-3,
        weight_decay=0.0,
        precision="fp32",
        keep="best-accuracy",
    )


class Holdout(Settings):
    """Validation videos, drawn from the training list; `of` is the official list's length."""

    videos: Videos
    of: Videos

    @model_validator(mode="after")
    def _leaves_some(self):
        if self.videos >= self.of:
            raise ValueError(f"{self.videos} of {self.of} videos are held out: none is left to learn from")
        return self


class Synthetic(Settings):
    """Size of the generated videos, for runs without data. Pixels."""

    height: Annotated[int, Field(strict=True, ge=16, le=1024)]
    width: Annotated[int, Field(strict=True, ge=16, le=1024)]
    seed: Seed


class Compute(Settings):
    """What of the machine enters the numbers."""

    # Threads of one stage; 0 leaves the library's own choice. Part of what bit-identical means on a CPU.
    threads: Annotated[int, Field(strict=True, ge=0, le=256)]
    # Untrained networks measured at least this often in retrieval, whatever --seeds says.
    baseline_seeds: Annotated[int, Field(strict=True, ge=1, le=100)]


def _by_its_task(given: object) -> object:
    """A pretraining's settings as its task has them."""
    if not isinstance(given, dict) or not isinstance(given.get("pretext"), str):
        # To be refused by the fields that every task has.
        return given
    try:
        task = tasks.find(given["pretext"])
    except InputError as error:
        raise ValueError(f"pretext: {error}") from None
    if not issubclass(task.Settings, Pretraining):
        raise ValueError(f"pretext: {given['pretext']}.Settings is no suite.settings.Pretraining")
    try:
        return task.Settings.model_validate(given)
    except ValueError:
        # A fault of a value, with its place.
        raise
    except Exception as error:
        raise ValueError(f"pretext: {given['pretext']}.Settings fails with {type(error).__name__}: {error}") from error


Pretext = Annotated[SerializeAsAny[Pretraining], BeforeValidator(_by_its_task)]


class Scale(Settings):
    """Every setting of one scale."""

    video: Video
    # Of the rows of tables that are about other sizes, by what these call them: pixels of the crop and frames, "224x16".
    inputs: dict[Name, Input] = {}
    # Channels of a network's first stage; at 1, R(2+1)D would lose all channels of a shortcut.
    width: Annotated[int, Field(strict=True, ge=2, le=1024)]
    pretraining: Annotated[dict[Name, Pretext], Field(min_length=1)]
    finetuning: Finetuning
    # Of papers that search for neighbours, and that learn from optical flow.
    retrieval: Retrieval | None = None
    flow: Flow | None = None
    probes: Probes = Probes()
    question_answering: QuestionAnswering = QuestionAnswering()
    # Table -> rows that a run takes where nothing is named; empty: all of all tables.
    subset: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = {}
    holdout: dict[Dataset, Holdout]
    synthetic: Synthetic
    compute: Compute

    @model_validator(mode="after")
    def _goes_together(self):
        for name, pretraining in self.pretraining.items():
            try:
                fault = self._unknown_network(pretraining) or self._without_flow(pretraining)
                fault = fault or tasks.told(pretraining, "fault", str, self)
            except InputError as error:
                raise ValueError(f"pretraining.{name}: {error}") from None
            if fault:
                raise ValueError(f"pretraining.{name}{fault}")
        for dataset, holdout in self.holdout.items():
            most = max(train for train, _ in datasets.describe(dataset).splits.values())
            if holdout.of > most:
                raise ValueError(f"holdout.{dataset}.of = {holdout.of}: the longest training list has {most} videos")
        return self

    def _unknown_network(self, pretraining: Pretraining) -> str:
        """What is wrong with the networks that a pretraining needs; "" if nothing is."""
        task = tasks.find(pretraining.pretext)
        if hasattr(task, "resume") and pretraining.start is None:
            return f": {task.NAME} goes on from another pretraining; name it by start"
        needed = tasks.told(pretraining, "networks", dict)
        for role in needed.keys() - {"pretrain"}:
            if role not in type(pretraining).model_fields or not hasattr(task, "attach"):
                return f" needs a network as {role!r}; {task.NAME} takes it by a setting of that name and a function attach"
        for other in needed.values():
            if other not in self.pretraining:
                return f" needs the pretraining {other!r}, which is not there"
        # Whatever comes before it, and before that.
        before, todo = set(), list(needed.values())
        while todo:
            name = todo.pop()
            if self.pretraining.get(name) is pretraining:
                return " starts from itself"
            if name in self.pretraining and name not in before:
                before.add(name)
                todo += tasks.told(self.pretraining[name], "networks", dict).values()
        return ""

    def _without_flow(self, pretraining: Pretraining) -> str:
        """What a task that learns from optical flow lacks; "" if nothing, or if it does not."""
        if not pretraining.flow:
            return ""
        if self.flow is None:
            return ": the task learns from optical flow; add the table flow"
        if min(self.video.resize) < SMALLEST_FLOW or self.video.clip_length < 2:
            return f": flow needs two frames of at least {SMALLEST_FLOW} pixels"
        return ""
