"""Datasets: facts for the plan, and where the files are."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plan
from harness.errors import UsageError
from harness.plan import DataFacts, Part
from harness.running import stage_folders
from harness.running.door.faults import suite_errors

if TYPE_CHECKING:
    from suite.datasets import Dataset, Selection
    from suite.recipe import Recipe

# torchvision's ResNet-18 of ImageNet under a data root, for the one baseline that starts from it.
IMAGENET = "imagenet/resnet18-f37072fd.pth"
# All of every dataset.
ALL = Part()


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


def measurable(protocol: str) -> list[str]:
    """Datasets that a protocol can be measured on: those that are about it alone, else those with labels and training lists."""
    from suite import datasets

    known = [datasets.describe(name) for name in datasets.names()]
    own = [one.name for one in known if one.protocol == protocol]
    return own or [one.name for one in known if one.labelled and one.trains and not one.protocol]


def official_splits(dataset: str) -> list[int]:
    """Numbers of a dataset's splits that have test videos."""
    from suite import datasets

    return [number for number, (_, test) in sorted(datasets.describe(dataset).splits.items()) if test]


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
    # Why others give nothing to the part that is asked for, which is no fault of theirs: what needs them is left out, too.
    without: dict[str, str] = field(default_factory=dict)


def real_data(names: list[str], root: Path, part: Part = ALL) -> Data:
    """Facts of datasets on disk, or of a part of each. Raises UsageError when none of them can be used."""
    from suite import datasets

    faults: dict[str, str] = {}
    known: dict[str, tuple[str, ...]] = {}
    if part != ALL:
        for name in names:
            with _kept(faults, name):
                known[name] = datasets.class_names(name, root)
    selections, without = _shares(part, known)
    facts, lists = {}, {}
    for name in [name for name in names if name not in faults and name not in without]:
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
    return Data(facts, roots, lists, faults, without)


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


def _shares(part: Part, known: dict[str, tuple[str, ...]]) -> "tuple[dict[str, Selection], dict[str, str]]":
    """What each dataset gives to a part, by the names of its classes, and why others give nothing.

    Raises UsageError for a class that none has.
    """
    from suite import datasets
    from suite.datasets import selecting

    untrained = [name for name in known if not datasets.describe(name).trains]
    with suite_errors():
        return selecting.shares(part.limit, part.classes, known, untrained) if known else ({}, {})


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
    selections, without = _shares(part, known)
    facts, roots, lists = {}, {}, {}
    for name, (sizes, classes) in made.items():
        if name in without:
            continue
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
    return Data(facts, roots, lists, without=without)


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
    known = {about.name: counted[about.name] if about.labelled else () for about in described}
    selections, without = _shares(part, known)
    facts = {}
    for about in [about for about in described if about.name not in without]:
        selection = selections.get(about.name, datasets.ALL)
        scope = "subset" if selection else "full"
        sizes = selecting.sizes(about.splits, about.class_count, selection)
        classes = len(selection.classes) or about.class_count
        facts[about.name] = DataFacts(
            f"{scope}-unread", scope, sizes, classes, frames=about.frames, selection=_content(selection)
        )
    return Data(facts, {}, {}, without=without)


def dataset(name: str, data: Data) -> "Dataset":
    """A dataset of a run as its lists describe it (suite.datasets.Dataset)."""
    from suite import datasets

    selection = datasets.Selection.of_content(data.facts[name].selection)
    return datasets.load(name, data.roots[name], selection)
