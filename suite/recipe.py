"""The schema of a recipe: every setting of a paper's protocol, at each scale.

A recipe is `suite/papers/<paper>.toml`. Its tables `paper`, `small` and `tiny` hold settings; each scale overrides the
one before it, so that a reader sees at a glance where a scale departs. Decisions (what we do where the paper is silent)
and departures (where we do otherwise than the paper or its authors' code) are listed beside the settings.
"""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from suite.errors import InputError

SCALES = ("paper", "small", "tiny")
FOLDER = Path(__file__).parent / "papers"


class Settings(BaseModel):
    """A table of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Video(Settings):
    """How frames are read. Sizes in pixels."""

    clip_length: int = Field(gt=0)
    resize: tuple[int, int]
    crop: int = Field(gt=0)
    # Decode and resize every frame once into one raw file: fast, and as large as the frames.
    store: bool
    # What networks see: values in [0, 1], or 0 to 255 less a mean, in the order of colours that is named.
    pixels: Literal["unit", "rgb-mean", "bgr-raw"] = "unit"


class Optimisation(Settings):
    """One training run."""

    optimiser: Literal["sgd", "adam"] = "sgd"
    batch: int = Field(gt=0)
    # Samples of a batch that go through the network at once, where memory is short: gradients add up, but batch norm and
    # whatever else looks across a batch see these alone. None: all.
    at_once: int | None = Field(default=None, gt=0)
    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    # The rate is multiplied by `lr_factor` after every `lr_every` epochs, up to epoch `lr_until`; 0: never, and to the end.
    lr_every: int = Field(default=0, ge=0)
    lr_factor: float = Field(default=1.0, gt=0, le=1)
    lr_until: int = Field(default=0, ge=0)
    # Of SGD; Adam has its usual moments (0.9, 0.999).
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    # The parameters that decay: all, or the weights of fully connected layers alone.
    weight_decay_on: Literal["all", "linear"] = "all"
    precision: Literal["fp32", "bf16"]
    # Weights that are kept: those of the lowest validation loss, of the highest validation accuracy, or of the last epoch.
    keep: Literal["best", "best-accuracy", "last"] = "best"


class Pretraining(Settings):
    """What every pretext task needs: the data, a network to start from, and how long."""

    dataset: str
    split: int = Field(ge=1, le=3)
    # Another pretraining of the recipe whose backbone this one starts from.
    start: str | None = None
    optimisation: Optimisation


class Sample(Settings):
    """Sample-based curriculum: training goes on from another pretraining, head and all, without its easy videos."""

    # Epochs whose training tuples are looked at, after those of `optimisation`.
    record_epochs: int = Field(gt=0)
    # A video is easy when its order was right, with a softmax above this, in all of them.
    threshold: float = Field(ge=0, lt=1)
    # Epochs of training after that.
    more_epochs: int = Field(gt=0)


class ClipOrder(Pretraining):
    """Clip order prediction (vcop, vcop-curriculum)."""

    pretext: Literal["clip-order"]
    # Clips in a tuple, and frames between one clip's end and the next one's start.
    tuple_length: int = Field(ge=2, le=5)
    interval: int = Field(ge=0)
    # Width of the layer that sees a pair of clips, and dropout before the last layer.
    hidden: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    sample: Sample | None = None

    @model_validator(mode="after")
    def _goes_on(self):
        if self.sample is not None and self.start is None:
            raise ValueError("sample needs start: the pretraining that it goes on from")
        return self


class Statistics(Pretraining):
    """Regression of motion and appearance statistics (mas)."""

    pretext: Literal["statistics"]
    labels: Literal["pattern1", "pattern2", "pattern3", "global", "patterns", "motion", "appearance", "joint"]
    # Labels as they are, 1-based numbers, or each divided by its range.
    scaled: bool = False


class SkipClip(Pretraining):
    """Ranking of coming frames by a context clip (skip-clip). The context is `video.clip_length` frames."""

    pretext: Literal["skip-clip"]
    # Frames as they are read, (height, width) in pixels; the side of the random square taken of them, as a share of their
    # shorter side; and the side that the networks see.
    resize: tuple[int, int]
    crop_scale: float = Field(gt=0, le=1)
    size: int = Field(gt=0)
    # Target clips after the context, frames from each one's start to the next one's, and frames of each.
    targets: int = Field(ge=2)
    rate: int = Field(gt=0)
    target_length: int = Field(ge=1, le=16)
    # Similarity of context and target: mean over aligned cells of their maps, or of the maps' means.
    score: Literal["grid", "vector"]
    # Of the two hinge losses; the second, against the other videos of a batch, and the rotation loss can be off.
    rank_margin: float = Field(ge=0)
    negatives: bool
    negative_margin: float = Field(ge=0)
    rotation: bool


class Segments(Pretraining):
    """How clips of segments are made of a video (srop): `video.clip_length` frames in all."""

    # Segments of a clip, frames of the shortest, and the highest rate: frames from one frame of a segment to the next.
    segments: int = Field(ge=2, le=5)
    shortest: int = Field(ge=1)
    max_rate: int = Field(ge=1)
    # Strength of the random changes of brightness, contrast and saturation; clips are mirrored half of the time.
    jitter: float = Field(ge=0, lt=1)
    flip: bool


class SegmentOrder(Segments):
    """Order and sampling rates of a clip's segments, and contrast between videos (srop). A weight of 0 is off."""

    pretext: Literal["segment-order"]
    order_weight: float = Field(ge=0)
    rate_weight: float = Field(ge=0)
    contrastive_weight: float = Field(ge=0)
    rate_head: Literal["regression", "classification"]
    # Widths of the layer inside the order head and the projection, and of what the projection gives.
    hidden: int = Field(gt=0)
    projection: int = Field(gt=0)
    # Of queries and keys: cosine, or the distance of their best matched parts, by Algorithm 1 or exactly.
    similarity: Literal["cosine", "shuffle", "exact-shuffle"]
    temperature: float = Field(gt=0)
    # Keys of earlier batches that a query is told apart from, and momentum of the encoder that makes keys.
    queue: int = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    # The pretraining of the recipe that makes views of the queries, each the key half of the time.
    views: str | None = None

    @model_validator(mode="after")
    def _learns(self):
        if not self.order_weight + self.rate_weight + self.contrastive_weight:
            raise ValueError("all three weights are 0: nothing would be learnt")
        return self


class ViewSynthesis(Segments):
    """An autoencoder that keeps a clip's motion and changes its appearance, and a flow estimator (srop). The network that
    `start` names tells how alike two clips look."""

    pretext: Literal["view-synthesis"]
    # Channels of the first layer of either network, and of the latent map.
    channels: int = Field(gt=0)
    latent: int = Field(gt=0)
    # The cosine of a clip's and its view's features is minimised, as the text has it, or maximised, as printed.
    info_min: Literal["words", "printed"]

    @model_validator(mode="after")
    def _looks(self):
        if self.start is None:
            raise ValueError("view-synthesis needs start: the pretraining whose network compares clips and views")
        return self


class Flow(Settings):
    """Optical flow between neighbouring frames, at the size that frames are resized to (suite/video/flow.py)."""

    method: Literal["brox", "dis"]
    # Compute it once and keep it, one byte a value; else whenever a clip is read.
    store: bool = True
    # Of "brox": ratio of neighbouring levels, shorter side of the smallest, blur before, and weights of the energy's terms.
    factor: float | None = None
    smallest: int | None = None
    blur: float | None = None
    alpha: float | None = None
    gamma: float | None = None
    delta: float | None = None
    # Of its solver, at each level.
    linearisations: int | None = None
    sweeps: int | None = None
    relaxation: float | None = None


class Finetuning(Settings):
    """Supervised training of the whole network, and its test."""

    # Training videos taken of each class after the hold-out; 0 takes all.
    videos_per_class: int = Field(ge=0)
    # What an epoch shows of a video: one clip at random, or every non-overlapping clip.
    clips: Literal["one", "all"] = "one"
    # Clips are mirrored half of the time.
    flip: bool = False
    # Strength of random changes of brightness, contrast and saturation.
    jitter: float = Field(default=0.0, ge=0, lt=1)
    # What is put on the backbone: one linear layer, or the three fully connected layers of the five-convolution C3D.
    head: Literal["linear", "three-layer"] = "linear"
    # Evenly spaced clips of a test video; 0 takes every non-overlapping one.
    test_clips: int = Field(ge=0)
    # What is averaged over them.
    test_average: Literal["logits", "softmax"] = "logits"
    # The first stage that learns; the ones below stay as they were pretrained, statistics of batch norm included.
    freeze_below: Literal["conv1", "conv2", "conv3", "conv4", "conv5"] = "conv1"
    optimisation: Optimisation


class Retrieval(Settings):
    """Nearest neighbours of test clips (or videos) among those of the training split."""

    clips: int = Field(gt=0)
    # Frames between neighbouring frames of a clip; 1 is consecutive.
    stride: int = Field(gt=0)
    pooling: Literal["conv5-max", "global"]
    top: tuple[int, ...]
    # Batch-norm statistics of an untrained network: its initial ones, or those of each batch.
    random_bn: Literal["running", "batch"]


class Probes(Settings):
    """Linear classifiers on the features of a frozen network (mas)."""

    # Frames between the starts of neighbouring clips.
    step: int = Field(default=8, gt=0)
    svm_c: float = Field(default=1.0, gt=0)
    # What a zero is raised to inside x log(x / 0), of ASLAN's similarities.
    floor: float = Field(default=1e-10, gt=0)


class QuestionAnswering(Settings):
    """Answers to questions about videos from frozen clip features (vcop-curriculum Table VI)."""

    # Evenly spaced clips of a video.
    clips: int = Field(default=20, gt=0)
    # Width of the word embeddings and of the network over the words.
    hidden: int = Field(default=300, gt=0)
    # Most frequent answers of the training questions, among which one is chosen.
    answers: int = Field(default=1000, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
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

    videos: int = Field(ge=1)
    of: int = Field(ge=1)


class Synthetic(Settings):
    """Size of the generated videos, for runs without data. Pixels."""

    height: int
    width: int
    seed: int


class Compute(Settings):
    """What of the machine enters the numbers."""

    # Threads of one stage; 0 leaves the library's own choice. Part of what bit-identical means on a CPU.
    threads: int = Field(ge=0)
    # Untrained networks measured at least this often in retrieval, whatever --seeds says.
    baseline_seeds: int = Field(ge=1)


class Input(Settings):
    """Clips of another size than `Video` says, for the rows of tables that are about that."""

    clip_length: int = Field(gt=0)
    resize: tuple[int, int]
    crop: int = Field(gt=0)


Pretext = Annotated[
    ClipOrder | Statistics | SkipClip | SegmentOrder | ViewSynthesis,
    Field(discriminator="pretext"),
]


class Scale(Settings):
    """Every setting of one scale."""

    video: Video
    # By what tables call them: pixels of the crop and frames, "224x16".
    inputs: dict[str, Input] = {}
    width: int = Field(gt=0)
    pretraining: dict[str, Pretext]
    finetuning: Finetuning
    # Of papers that search for neighbours, and that learn from optical flow.
    retrieval: Retrieval | None = None
    flow: Flow | None = None
    probes: Probes = Probes()
    question_answering: QuestionAnswering = QuestionAnswering()
    # Table -> rows that a run takes where nothing is named; empty: all of all tables.
    subset: dict[str, tuple[str, ...]] = {}
    holdout: dict[str, Holdout]
    synthetic: Synthetic
    compute: Compute

    @model_validator(mode="after")
    def _goes_together(self):
        shortest_clip = min(each.clip_length for each in (self.video, *self.inputs.values()))
        for name, pretraining in self.pretraining.items():
            for other in (pretraining.start, getattr(pretraining, "views", None)):
                if other is not None and other not in self.pretraining:
                    raise ValueError(f"pretraining.{name} needs the pretraining {other!r}, which is not there")
            if isinstance(pretraining, Segments) and pretraining.segments * pretraining.shortest > shortest_clip:
                raise ValueError(
                    f"pretraining.{name}: {pretraining.segments} segments of at least {pretraining.shortest} frames do not "
                    f"fit into clips of {shortest_clip}"
                )
            if isinstance(pretraining, SegmentOrder) and pretraining.optimisation.batch > pretraining.queue:
                raise ValueError(
                    f"pretraining.{name}: a queue of {pretraining.queue} keys is too short for batches of "
                    f"{pretraining.optimisation.batch}"
                )
        return self


class Decision(Settings):
    """What we do where the paper is silent."""

    what: str
    choice: str
    source: str


class Departure(Settings):
    """Where a run does otherwise than the paper or its authors' code."""

    id: str
    scales: tuple[Literal["paper", "small", "tiny"], ...]
    # Applies only to data of these scopes; empty: to all.
    scopes: tuple[Literal["synthetic", "subset", "full"], ...] = ()
    what: str
    reason: str


class Recipe(Settings):
    """One paper's recipe, resolved at one scale."""

    paper: str
    scale: Literal["paper", "small", "tiny"]
    settings: Scale
    decisions: tuple[Decision, ...]
    departures: tuple[Departure, ...]

    def hash(self) -> str:
        """Identity of the settings that the recipe gives, without what cannot move a number: 12 hex digits."""
        no_number: dict = {"video": {"store"}, "subset": True}
        # A store rounds flow to a byte, which moves labels: computing it whenever it is needed is another recipe.
        if self.settings.flow is not None and self.settings.flow.store:
            no_number["flow"] = {"store"}
        return digest(self.settings.model_dump(mode="json", exclude_unset=True, exclude=no_number))


def digest(content: object) -> str:
    """The first 12 hex digits of the sha256 of canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def papers() -> list[str]:
    """Keys of the papers that have a recipe."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(paper: str, scale: str, folder: Path = FOLDER) -> Recipe:
    """Read `<paper>.toml` and resolve it at `scale`. Raises InputError on an unknown paper, scale or key."""
    path = folder / f"{paper}.toml"
    if not path.is_file():
        raise InputError(f"no recipe for paper {paper!r}; papers with a recipe: {', '.join(papers())}")
    if scale not in SCALES:
        raise InputError(f"unknown scale {scale!r}; scales: {', '.join(SCALES)}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: not valid TOML ({error})") from None
    settings: dict = {}
    for name in SCALES[: SCALES.index(scale) + 1]:
        settings = _merge(settings, content.pop(name, {}))
    for name in SCALES:
        content.pop(name, None)
    if "pretraining" in settings:
        settings["pretraining"] = {name: _like(name, settings["pretraining"], path) for name in settings["pretraining"]}
    departures = [d for d in content.pop("departures", []) if scale in d.get("scales", ())]
    try:
        return Recipe(
            paper=content.pop("key", None),
            scale=scale,
            settings=settings,
            decisions=content.pop("decisions", []),
            departures=departures,
            **content,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path.name}: {where}: {first['msg'].lower()}; mend this key of the recipe") from None


def _like(name: str, pretraining: dict, path: Path) -> dict:
    """A pretraining's settings over those of the one that its key `like` names."""
    own = dict(pretraining[name])
    model = own.pop("like", None)
    if model is None:
        return own
    if model == name or model not in pretraining or "like" in pretraining[model]:
        raise InputError(f"{path.name}: pretraining.{name}.like = {model!r}; name one that is written out in full")
    return _merge(pretraining[model], own)


def _merge(base: dict, override: dict) -> dict:
    """`override` over `base`, table by table."""
    merged = dict(base)
    for key, value in override.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged
