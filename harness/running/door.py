"""The harness's only door to the suite: recipes, facts of data and networks, and stages. Nothing else here imports it."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plan
from harness.errors import UsageError
from harness.plan import DataFacts, Part, Setting
from harness.running import stage_folders

if TYPE_CHECKING:
    # Under the door's name for the rest of the harness.
    from suite.datasets import Dataset as Dataset
    from suite.datasets import Selection
    from suite.recipe import Recipe as Recipe

# torchvision's ResNet-18 of ImageNet under a data root, for the one baseline that starts from it.
IMAGENET = "imagenet/resnet18-f37072fd.pth"
# All of every dataset.
ALL = Part()


@contextmanager
def suite_errors() -> Iterator[None]:
    """The suite's InputError as the harness's UsageError; a command runs within, so that none leaves this process."""
    from suite.errors import InputError

    try:
        yield
    except InputError as error:
        raise UsageError(str(error), error.more) from None


def load_recipe(paper: str, scale: str, changes: Iterable[Setting] = ()) -> "Recipe":
    """The paper's recipe at a scale, with settings that are asked for otherwise. Raises UsageError."""
    from suite import recipe

    with suite_errors():
        return recipe.changed(recipe.load(paper, scale), dict(changes))


def add_papers(folders: Iterable[Path]) -> None:
    """Take papers, networks and datasets from these folders, too. Raises UsageError for one that is not there."""
    from suite import elsewhere

    with suite_errors():
        elsewhere.extend(folders)


def elsewhere(name: str) -> dict[str, Path]:
    """The file of that name of every paper outside the checkout, by the paper's key. Raises UsageError for a key of two."""
    from suite import elsewhere

    with suite_errors():
        return elsewhere.files(name)


def recipe_for(
    backbone: str, paper: str, scale: str, changes: Iterable[Setting], stated: Mapping[str, object]
) -> "Recipe":
    """The paper's recipe for a network that is measured under it: with the input that the network says it takes, then what is
    asked for otherwise, then the input that is stated for it (a table, as suite.video.inputs.NetworkInput has it).

    At tiny scale clips are as small as the recipe has them, whatever the network says. Raises UsageError.
    """
    from suite import backbones, recipe
    from suite.video import inputs

    with suite_errors():
        own, asked = backbones.video_input(backbone), inputs.stated(stated, "the options")
        found = recipe.under(recipe.load(paper, scale), own.of_any_size() if scale == "tiny" else own)
        return recipe.under(recipe.changed(found, dict(changes)), asked)


def refuse_other_weights(checkpoint: Path, backbone: str, recipe: "Recipe", stated: bool) -> None:
    """Hold a file against the network that it is for and, where its pixels are not `stated`, against the recipe's.

    Reads the file, which loads torch. Raises UsageError where it is of another network, or was trained on other pixels.
    """
    from suite import checkpoints
    from suite.video import inputs

    with suite_errors():
        imported = checkpoints.import_backbone(checkpoint, backbone, recipe.settings.width)
        if not stated:
            pixels = inputs.pixels(recipe.settings.video.pixels)
            checkpoints.refuse_other_pixels(checkpoint, imported, backbone, pixels)


def input_words(video: dict[str, Any], stride: int) -> str:
    """What networks see, in a line: of a stage's settings of `video`, and frames of the video from one of a clip to the next."""
    from suite.video import inputs

    seen = inputs.NetworkInput(
        frames=video["clip_length"],
        stride=stride,
        resize=video["resize"],
        crop=video["crop"],
        antialias=video.get("antialias", True),
        pixels=inputs.pixels(video["pixels"]),
    )
    return seen.words()


def recipe_file(paper: str) -> Path:
    """The file of a paper's recipe. Raises UsageError where it has none."""
    from suite import recipe

    with suite_errors():
        return recipe.file(paper)


def heavy(recipe: "Recipe") -> list[str]:
    """Faults of a recipe's tasks whose import takes what plans and pages must do without, such as torch."""
    from suite import tasks

    found = []
    for path in sorted({pretraining.pretext for pretraining in recipe.settings.pretraining.values()}):
        if names := tasks.heavy(path):
            found.append(
                f"{path}: its import loads {', '.join(names)}; import them within functions, or in modules beside it"
            )
    return found


def dataset_files() -> dict[str, Path]:
    """The files that describe datasets, by name: those of the suite and those elsewhere."""
    from suite.datasets import description

    return description.files()


def check_dataset(name: str) -> None:
    """Raise UsageError if a dataset's description, its layout's module or what generates it cannot be used."""
    from suite import datasets
    from suite.datasets import synthetic

    with suite_errors():
        about = datasets.describe(name)
    try:
        with suite_errors():
            datasets.layout(about)
            if about.synthetic is not None:
                synthetic.sizes(name)
    except UsageError as error:
        raise UsageError(f"{dataset_files()[name]}: {error}") from None


def papers_with_recipe() -> list[str]:
    """Keys of the papers that can be run."""
    from suite import recipe

    return recipe.papers()


def scales() -> tuple[str, ...]:
    """Names of the scales, the paper's own first."""
    from suite import recipe

    return recipe.SCALES


def stage_versions() -> dict[str, int]:
    """Version of every stage kind, but for the scores of pretext tasks."""
    from suite import stages

    return dict(stages.VERSIONS)


def protocol_versions() -> dict[str, int]:
    """Version of every protocol: that of the stage that ends it, or what the tasks of all recipes give it.

    Raises UsageError where two tasks disagree: a protocol is one thing, whoever learns by it.
    """
    found = stage_versions()
    of_tasks: dict[str, int] = {}
    for key in papers_with_recipe():
        for pretraining in pretraining_facts(load_recipe(key, scales()[0])).values():
            for protocol, version in pretraining.scores.items():
                if protocol in found or of_tasks.setdefault(protocol, version) != version:
                    task = pretraining.settings["pretext"]
                    raise UsageError(
                        f"{task}: its score {protocol!r} is another one elsewhere; give it a name of its own"
                    )
    return found | of_tasks


def pretraining_facts(recipe: "Recipe") -> dict[str, plan.Pretraining]:
    """What the plan must know of a recipe's pretrainings, by name."""
    from suite import tasks

    facts = {}
    for name, settings in recipe.settings.pretraining.items():
        task, networks = tasks.find(settings.pretext), settings.networks()
        content, counted = (
            each.model_dump(mode="json", exclude_none=True, exclude={"start", *networks})
            for each in (settings, settings.counted())
        )
        facts[name] = plan.Pretraining(
            settings=content,
            counted=counted,
            version=task.VERSION,
            dataset=settings.dataset,
            split=settings.split,
            networks=networks,
            flow=settings.flow,
            passes=settings.passes(),
            clips_of_sample=settings.clips_of_sample,
            scores={protocol: version for protocol, (_, version) in task.SCORES.items()},
        )
    return facts


def suite_facts(recipe: "Recipe", elsewhere: Iterable[str] = ()) -> plan.Suite:
    """Stage versions, a recipe's pretrainings, and what is known of the networks: the suite's own, and those from elsewhere that
    are named, counted on the recipe's clips."""
    from suite import backbones, stages
    from suite.errors import InputError

    video = recipe.settings.video
    clip = (video.clip_length, video.crop, video.crop)
    networks, unusable = {}, {}
    for name in (*backbones.NAMES, *elsewhere):
        try:
            networks[name] = _network(name, clip)
        except InputError as error:
            unusable[name] = str(error)
    return plan.Suite(dict(stages.VERSIONS), networks, unusable, pretraining_facts(recipe))


@cache
def _network(name: str, clip: tuple[int, int, int]) -> plan.Network:
    """What the plan knows of a network. One from elsewhere is built for it, which loads torch, and is said."""
    from suite import backbones

    if backbones.is_foreign(name):
        print(f"{name} is built to see its stages and count what it costs", file=sys.stderr)
    known = backbones.facts(name, clip)
    return plan.Network(known.gmacs, known.clip, known.width, known.stages, known.freezable, known.source)


def from_elsewhere(backbone: str) -> bool:
    """Whether a name means a network that is not the suite's own."""
    from suite import backbones

    return backbones.is_foreign(backbone)


def backbones() -> tuple[str, ...]:
    """Names of the suite's own backbones."""
    from suite import backbones

    return backbones.NAMES


def measurable(protocol: str) -> list[str]:
    """Datasets that a protocol can be measured on: those that are about it alone, else those with labels and training lists."""
    from suite import datasets

    known = [datasets.describe(name) for name in datasets.names()]
    own = [one.name for one in known if one.protocol == protocol]
    trains = [
        one for one in known if one.labelled and not one.protocol and any(train for train, _ in one.splits.values())
    ]
    return own or [one.name for one in trains]


def question_types() -> tuple[str, ...]:
    """Types of the questions about videos; each has an accuracy of its own."""
    from suite.datasets import activitynet_qa

    return activitynet_qa.TYPES


@dataclass(frozen=True)
class Data:
    """The datasets of a run: facts for the plan, and where the files are."""

    facts: dict[str, DataFacts]
    roots: dict[str, Path]
    # dataset -> list file -> sha256; empty for generated data until they are there
    lists: dict[str, dict[str, str]]
    # Why datasets that were asked for cannot be used, by name: what needs them is left out.
    faults: dict[str, str] = field(default_factory=dict)


def real_data(names: list[str], root: Path, part: Part = ALL) -> Data:
    """Facts of datasets on disk, or of a part of each. Raises UsageError when none of them can be used."""
    from suite import datasets

    faults: dict[str, str] = {}
    known: dict[str, tuple[str, ...]] = {}
    if part != ALL:
        for name in names:
            with _kept(faults, name):
                known[name] = datasets.class_names(name, root)
    selections = _selections(part, known)
    facts, lists = {}, {}
    for name in [name for name in names if name not in faults]:
        with _kept(faults, name):
            found = datasets.load(name, root, selections.get(name, datasets.ALL))
            sizes = {number: (len(split.train), len(split.test)) for number, split in found.splits.items()}
            facts[name] = DataFacts(
                found.fingerprint(),
                found.scope,
                sizes,
                len(found.classes),
                state=found.state(),
                frames=datasets.describe(name).frames,
                selection=_content(found.selection),
            )
            lists[name] = found.lists
    if faults and not facts:
        raise UsageError(next(iter(faults.values())))
    roots = dict.fromkeys(names, Path(root).resolve())
    weights = Path(root).resolve() / IMAGENET
    if weights.is_file():
        with open(weights, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts["imagenet"], roots["imagenet"] = DataFacts(f"full-{sha256[:12]}", "full", {}, 1000), weights
    return Data(facts, roots, lists, faults)


@contextmanager
def _kept(faults: dict[str, str], name: str) -> Iterator[None]:
    """What is wrong with a dataset is kept: others may be used without it."""
    from suite.errors import InputError

    try:
        yield
    except InputError as error:
        faults[name] = str(error)
    except OSError as error:
        faults[name] = f"{error.filename}: cannot be read ({error.strerror}); check the data root"


def _selections(part: Part, known: dict[str, tuple[str, ...]]) -> "dict[str, Selection]":
    """What each dataset gives to a part, by the names of its classes. Raises UsageError for what does not fit."""
    from suite.datasets import selecting

    with suite_errors():
        return selecting.shares(part.limit, part.classes, known) if known else {}


def _content(selection: "Selection") -> dict[str, Any] | None:
    return selection.content() if selection else None


def holds(root: Path, dataset: str) -> bool:
    """Whether a data root seems to hold a dataset."""
    from suite import datasets

    return datasets.present(dataset, Path(root))


def dataset_names() -> tuple[str, ...]:
    """Names of all datasets, the suite's own first."""
    from suite import datasets

    return datasets.names()


def datasets_in(root: Path) -> list[str]:
    """Names of the datasets that a data root seems to hold. Raises UsageError when there are none."""
    from suite import datasets

    found = [name for name in datasets.names() if holds(root, name)]
    if not found:
        raise UsageError(
            f"{root}: holds none of the datasets {', '.join(datasets.names())} in their official layouts; check --data-root"
        )
    return found


def synthetic_data(names: list[str], recipe: "Recipe", runs: Path, part: Part = ALL) -> Data:
    """Facts of generated data, or of a part of each. Their fingerprint is the key of the stage that makes them, and the part."""
    from suite import datasets, stages
    from suite.datasets import selecting, synthetic

    described = {name: datasets.describe(name) for name in names}
    made = {name: synthetic.sizes(name) for name in names}
    known = {name: made[name][1] if about.labelled else () for name, about in described.items()}
    selections = _selections(part, known)
    facts, roots, lists = {}, {}, {}
    for name, (sizes, classes) in made.items():
        settings = recipe.settings.synthetic.model_dump()
        if source := datasets.source(described[name]):
            settings["source"] = source
        stage = plan.synthetic_stage(name, settings, stages.VERSIONS)
        selection = selections.get(name, datasets.ALL)
        identity = stage.key
        if selection:
            identity = hashlib.sha256(f"{stage.key} {json.dumps(selection.content())}".encode()).hexdigest()
        facts[name] = DataFacts(
            f"synthetic-{identity[:12]}",
            "synthetic",
            selecting.sizes(sizes, len(classes), selection),
            len(selection.classes) or len(classes),
            settings,
            frames=synthetic.FRAMES,
            selection=_content(selection),
        )
        roots[name] = stage.folder(runs)
        lists[name] = datasets.load(name, roots[name], selection).lists if stage_folders.done(stage, runs) else {}
    return Data(facts, roots, lists)


def with_glove(data: Data, path: Path, size: int) -> Data:
    """The same with a file of word vectors of `size` numbers. Raises UsageError when it is not there, or of another size."""
    remedy = f"give glove.6B.{size}d.txt of glove.6B.zip, or leave the option out"
    if not path.is_file():
        raise UsageError(f"--glove {path}: no such file; {remedy}")
    with open(path, "rb") as file:
        # Here, not when the first stage reads it: that comes after days of training.
        numbers = len(file.readline().split()) - 1
        if numbers != size:
            raise UsageError(f"--glove {path}: its first line has {max(numbers, 0)} numbers, not {size}; {remedy}")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    facts = DataFacts(f"full-{sha256[:12]}", "full", {}, 0)
    return replace(data, facts=data.facts | {"glove": facts}, roots=data.roots | {"glove": path.resolve()})


def official_data(names: list[str], part: Part = ALL) -> Data:
    """Facts of the complete official lists, or of a part of each, for a plan without data at hand. Raises UsageError."""
    from suite import datasets
    from suite.datasets import selecting

    described = [datasets.describe(name) for name in names]
    for about in described:
        if part.classes and about.labelled and not about.class_names:
            raise UsageError(
                f"--classes needs --data-root DIR (or SUITE_DATA): the lists of {about.name} name its classes"
            )
    counted = {about.name: about.class_names or tuple(map(str, range(about.class_count))) for about in described}
    selections = _selections(part, {about.name: counted[about.name] if about.labelled else () for about in described})
    facts = {}
    for about in described:
        selection = selections.get(about.name, datasets.ALL)
        scope = "subset" if selection else "full"
        sizes = selecting.sizes(about.splits, about.class_count, selection)
        classes = len(selection.classes) or about.class_count
        facts[about.name] = DataFacts(
            f"{scope}-unread", scope, sizes, classes, frames=about.frames, selection=_content(selection)
        )
    return Data(facts, {}, {})


def dataset(name: str, data: Data) -> "Dataset":
    """A dataset of a run as its lists describe it (suite.datasets.Dataset)."""
    from suite import datasets

    selection = datasets.Selection.of_content(data.facts[name].selection)
    return datasets.load(name, data.roots[name], selection)


def regression_slice(paper: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """The parts of a paper's regression slice, each with its cost in 1e9 multiply-accumulates, and the generated datasets
    that they need. Raises UsageError for a paper without a slice."""
    from suite import regression

    with suite_errors():
        return regression.parts(paper), regression.datasets(paper)


def run_stage(
    kind: str,
    config: dict[str, Any],
    inputs: dict[str, Path],
    roots: dict[str, Path],
    folder: Path,
    device: str,
    workers: int,
    threads: int,
    tensorboard: bool,
    progress: Callable[[int, int], None],
    *,
    checkpoint_seconds: float = 60.0,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Run one stage of the suite in this process; returns its result and what it says of the device."""
    import gc

    import torch

    from suite import stages

    cuda = device.startswith("cuda")
    if threads:
        torch.set_num_threads(threads)
    if cuda:
        torch.cuda.set_device(device)
    runtime = stages.Runtime(device, workers, progress, tensorboard, checkpoint_seconds)
    try:
        result = stages.run(stages.Job(kind, config, inputs, roots, folder, runtime))
    finally:
        if cuda:
            # The next stage of this device may run in another process.
            gc.collect()
            torch.cuda.empty_cache()
    used = {"threads": str(torch.get_num_threads()), "device": device.split(":")[0]}
    if cuda:
        used["gpu"] = torch.cuda.get_device_name(device)
        used["cuda"] = str(torch.version.cuda)
    return result, used
