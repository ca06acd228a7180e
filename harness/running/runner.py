"""The harness's only door to the suite: recipes, data facts, stages, and the records made of their results."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from harness import durable, plan
from harness.errors import StageError, UsageError
from harness.judging import golden
from harness.plan import DataFacts, Measurement, Plan, Request, Stage
from harness.planning import builder as planning
from harness.records import Checkpoint, Record, Store, fault
from harness.running import executors, lock, stage_folders
from harness.running.executors import Machine
from harness.running.scheduling import Failure
from harness.tables import Paper
from harness.words import printable

# In force where a run was told to go on without videos that do not decode.
SKIPPED = {
    "id": "unreadable-videos-skipped",
    "what": "Videos that do not decode are left out of training and tests.",
    "reason": "Asked for with --skip-unreadable; the counts say how many.",
    "scopes": ["where asked for"],
}
# In force where a dataset's lists name videos that are not there, and its own rules allow that.
MISSING = {
    "id": "missing-videos",
    "what": "Videos that are not in the data root play no part.",
    "reason": "Kinetics-400 and ActivityNet-QA are lists of links, and nobody has all of their videos any more; "
    "the counts say how many.",
    "scopes": ["where videos are missing"],
}
# In force where questions are read without pretrained word vectors.
LEARNT = {
    "id": "learnt-word-embeddings",
    "what": "Word embeddings start from random numbers and are learnt from the training questions.",
    "reason": "The paper takes GloVe's; --glove glove.6B.300d.txt does too. The file has 1 GB and is not at hand everywhere.",
    "scopes": ["without --glove"],
}
# In force where a recipe lets batches through in parts.
IN_PARTS = {
    "id": "batches-in-parts",
    "what": "Batches go through the network in parts (`at_once`), whose gradients add up.",
    "reason": "Memory. Batch norm, and whatever else compares the samples of a batch, sees a part alone.",
    "scopes": ["where a recipe says at_once"],
}
# torchvision's ResNet-18 of ImageNet under a data root, for the one baseline that starts from it.
IMAGENET = "imagenet/resnet18-f37072fd.pth"
# From the weakest to what the paper used.
SCOPES = ("synthetic", "subset", "full")
# Loader processes of a stage, where nothing else is asked for.
MOST_WORKERS = 16
# Protocols that a checkpoint of another code base can be measured under.
EVALUATED = ("clip-retrieval", "video-retrieval", "recognition", "aslan", "yupenn", "video-qa")
# Protocols that are about one dataset.
ABOUT = {"aslan": "aslan", "yupenn": "yupenn", "video-qa": "activitynet-qa"}
# Datasets with labels and a training list, for the others.
LABELLED = ("ucf101", "hmdb51")


@contextmanager
def suite_errors() -> Iterator[None]:
    """The suite's InputError as the harness's UsageError; a command runs within, so that none leaves this process."""
    from suite.errors import InputError

    try:
        yield
    except InputError as error:
        raise UsageError(str(error)) from None


def load_recipe(paper: str, scale: str):
    """The paper's recipe (suite.recipe.Recipe) at a scale. Raises UsageError."""
    from suite import recipe

    with suite_errors():
        return recipe.load(paper, scale)


def papers_with_recipe() -> list[str]:
    """Keys of the papers that can be run."""
    from suite import recipe

    return recipe.papers()


def recipe_facts(recipe) -> dict:
    """What a report says of a recipe: settings, decisions, departures."""
    return {
        "paper": recipe.paper,
        "scale": recipe.scale,
        "hash": recipe.hash(),
        "settings": recipe.settings.model_dump(mode="json"),
        "decisions": [decision.model_dump(mode="json") for decision in recipe.decisions],
        "departures": [departure.model_dump(mode="json") for departure in recipe.departures]
        + [SKIPPED, MISSING, LEARNT, IN_PARTS],
    }


def protocol_versions() -> dict[str, int]:
    """Version of every stage kind; a protocol's version is that of the stage that ends it."""
    from suite import stages

    return dict(stages.VERSIONS)


def suite_facts() -> plan.Suite:
    """Stage versions and what the networks cost."""
    import tomllib

    from suite import backbones, stages

    costs = tomllib.loads((Path(backbones.__file__).parent / "costs.toml").read_text(encoding="utf-8"))
    return plan.Suite(dict(stages.VERSIONS), {name: cost["gmacs"] for name, cost in costs.items()})


@dataclass(frozen=True)
class Data:
    """The datasets of a run: facts for the plan, and where the files are."""

    facts: dict[str, DataFacts]
    roots: dict[str, Path]
    # dataset -> list file -> sha256; empty for generated data until they are there
    lists: dict[str, dict[str, str]]
    # Why datasets that were asked for cannot be used, by name: what needs them is left out.
    faults: dict[str, str] = field(default_factory=dict)


def real_data(names: list[str], root: Path) -> Data:
    """Facts of datasets on disk. Raises UsageError when none of them can be used."""
    from suite import datasets
    from suite.errors import InputError

    facts, lists, faults = {}, {}, {}
    for name in names:
        try:
            dataset = datasets.load(name, root)
        except InputError as error:
            faults[name] = str(error)
            continue
        except OSError as error:
            faults[name] = f"{error.filename}: cannot be read ({error.strerror}); check the data root"
            continue
        sizes = {number: (len(split.train), len(split.test)) for number, split in dataset.splits.items()}
        facts[name] = DataFacts(
            dataset.fingerprint(), dataset.scope, sizes, len(dataset.classes), state=dataset.state()
        )
        lists[name] = dataset.lists
    if faults and not facts:
        raise UsageError(next(iter(faults.values())))
    roots = dict.fromkeys(names, Path(root).resolve())
    weights = Path(root).resolve() / IMAGENET
    if weights.is_file():
        with open(weights, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts["imagenet"], roots["imagenet"] = DataFacts(f"full-{sha256[:12]}", "full", {}, 1000), weights
    return Data(facts, roots, lists, faults)


def holds(root: Path, dataset: str) -> bool:
    """Whether a data root seems to hold a dataset."""
    from suite import datasets

    return datasets.present(dataset, Path(root))


def synthetic_data(names: list[str], recipe, runs: Path) -> Data:
    """Facts of generated data. Their fingerprint is the key of the stage that makes them."""
    from suite import datasets, stages
    from suite.datasets import synthetic

    settings = recipe.settings.synthetic.model_dump()
    facts, roots, lists = {}, {}, {}
    for name in names:
        stage = plan.synthetic_stage(name, settings, stages.VERSIONS)
        sizes, classes = synthetic.sizes(name)
        facts[name] = DataFacts(f"synthetic-{stage.key[:12]}", "synthetic", sizes, classes, settings)
        roots[name] = stage.folder(runs)
        lists[name] = datasets.load(name, roots[name]).lists if stage_folders.done(stage, runs) else {}
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


def official_data(names: list[str]) -> Data:
    """Facts of the complete official lists, for a plan without data at hand."""
    from suite import datasets

    facts = {
        name: DataFacts("full-unread", "full", sizes, classes)
        for name, (sizes, classes) in datasets.official_sizes().items()
    }
    return Data({name: facts[name] for name in names}, {}, {})


def machine(device: str, workers: int | None, threads: int, tensorboard: bool) -> Machine:
    """What a run may use. `device` is auto, cpu, cuda or cuda:N; auto picks CUDA where there is one.

    Raises UsageError for a device that is not there.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = _gpus() if device != "cpu" else 0
    if device in ("auto", "cuda"):
        devices = tuple(f"cuda:{index}" for index in range(count)) or ("cpu",)
        if device == "cuda" and not count:
            raise UsageError("--device cuda: no CUDA device here; use --device cpu")
    elif device == "cpu":
        devices = ("cpu",)
    elif re.fullmatch("cuda:[0-9]{1,3}", device) and int(device[5:]) < count:
        devices = (device,)
    else:
        raise UsageError(f"--device {device}: no such device; choose auto, cpu, cuda or one of {count} cuda:N")
    if devices == ("cpu",):
        # One-thread stages run side by side; a stage that takes all threads runs alone.
        return Machine(devices, max(cores // threads, 1) if threads else 1, workers or 0, tensorboard, threads)
    share = min(max(cores // len(devices) - 1, 0), MOST_WORKERS)
    return Machine(devices, cores, share if workers is None else workers, tensorboard, threads)


def _gpus() -> int:
    """Number of CUDA devices this process may use, asked of the driver's own tool: importing torch takes seconds."""
    try:
        # A driver that is stuck answers nothing.
        told = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    count = sum(line.startswith(b"GPU ") for line in told.stdout.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if visible is None else min(count, len([name for name in visible.split(",") if name.strip()]))


def run_stage(
    kind, config, inputs, roots, folder, device, workers, threads, tensorboard, progress, *, checkpoint_seconds=60.0
) -> tuple[dict, dict[str, str]]:
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


def run(
    paper: Paper,
    recipe,
    request: Request,
    data: Data,
    built: Plan,
    runs: Path,
    store: Store,
    machine: Machine,
    command: str,
) -> tuple[list[Record], Failure | None]:
    """Run what is not done yet and write a record for every measurement.

    A record is written as soon as all that it is made of is done, so that a run that is stopped loses none.

    Returns the records in the plan's order, and the failure that others are missing for, which is for the caller to raise
    when it has shown the records; with no record at all it is raised here.
    """
    written = Written(paper, recipe, request, data, built, runs, store, command)
    failure = None
    with lock.locked(runs):
        store.mend(paper.key)
        try:
            executors.execute(built, run_stage, data.roots, runs, machine, written.finished)
        except (UsageError, StageError) as error:
            failure = error
    records, failure = written.records(), failure or written.failure()
    if failure is not None and not records:
        raise failure
    return records, failure


class Written:
    """The records of a run, each written when the last of the stages that it needs is done."""

    def __init__(
        self, paper: Paper, recipe, request: Request, data: Data, built: Plan, runs: Path, store: Store, command: str
    ):
        self._paper, self._recipe, self._request, self._data = paper, recipe, request, data
        self._built, self._runs, self._store, self._command = built, runs, store, command
        self._sources = _Sources(data, built, runs)
        self._done: set[str] = set()
        # By the measurement's place in the plan: its record, or why there is none.
        self._records: dict[int, Record] = {}
        self._faults: dict[int, Failure] = {}
        self._needing: dict[str, list[int]] = {}
        for index, measurement in enumerate(built.measurements):
            for key in measurement.needs:
                self._needing.setdefault(key, []).append(index)

    def finished(self, stage: Stage) -> None:
        """Take note of a stage that is done. Raises UsageError for bad data.

        A record that cannot be made is no fault of the stage that happened to end last: see `failure`.
        """
        if stage.kind == "check-data" and not self._request.skip_unreadable:
            refuse_unreadable(stage, self._runs)
        self._done.add(stage.key)
        for index in self._needing.get(stage.key, []):
            if self._built.measurements[index].needs <= self._done:
                try:
                    with suite_errors():
                        self._records[index] = self._write(self._built.measurements[index])
                except (UsageError, StageError) as error:
                    self._faults[index] = error

    def records(self) -> list[Record]:
        """Those written so far, in the plan's order."""
        return [self._records[index] for index in sorted(self._records)]

    def failure(self) -> Failure | None:
        """Why the plan's first record that could not be made was not, and how many more there are."""
        if not self._faults:
            return None
        first, more = self._faults[min(self._faults)], len(self._faults) - 1
        return type(first)(f"{first}; records that cannot be made besides: {more}") if more else first

    def _write(self, measurement: Measurement) -> Record:
        record = _record(self._paper, self._recipe, self._data, self._built, measurement, self._sources, self._command)
        path = self._store.add(record)
        for picture in record.pictures:
            original = self._built.stages[measurement.stage].folder(self._runs) / picture.removeprefix(f"{path.stem}__")
            durable.write(path.with_name(picture), original.read_bytes())
        return record


class _Sources:
    """What the records of a run are made of: each is read once, when the first record needs it. Only what is done may be asked."""

    def __init__(self, data: Data, built: Plan, runs: Path):
        self._data, self._built, self._runs = data, built, runs
        self.dataset, self.result, self.frames = cache(self._dataset), cache(self._result), cache(self._frames)

    def _dataset(self, name: str):
        """A dataset as its lists describe it (suite.datasets.Dataset)."""
        from suite import datasets

        return datasets.load(name, self._data.roots[name])

    def _result(self, key: str) -> dict:
        """What a stage left."""
        return _result(self._built.stages[key], self._runs)

    def _frames(self, key: str) -> dict[str, int]:
        """Frames of each video that a check of a dataset decoded, by the video's name."""
        found = self._built.stages[key].folder(self._runs) / "videos.json"
        return json.loads(found.read_text(encoding="utf-8"))["videos"]


def refuse_unreadable(stage: Stage, runs: Path) -> None:
    """Raise UsageError if a finished check of a dataset found videos that do not decode."""
    unreadable = _result(stage, runs)["result"]["facts"]["unreadable"]
    if unreadable:
        name, reason = next(iter(sorted(unreadable.items())))
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise UsageError(
            f"{stage.config['dataset']}: {name}{more}: {reason}; mend the file, or go on without it by --skip-unreadable"
        )


def _result(stage: Stage, runs: Path) -> dict:
    return stage_folders.read(stage.folder(runs))


def _record(
    paper: Paper, recipe, data: Data, built: Plan, measurement: Measurement, sources: _Sources, command: str
) -> Record:
    """The record of one measurement, from the results of all stages behind it.

    Raises StageError, naming stage and field, where they make none.
    """
    behind = {role: built.stages[key] for role, key in measurement.stages.items()}
    results = {role: sources.result(key) for role, key in measurement.stages.items()}
    last = built.stages[measurement.stage]
    final = results[last.role()]
    scope, fingerprint = _identity(data, measurement.dataset, behind)
    counts = dict(final["result"].get("counts", {}))
    for kind in ("pretrain", "finetune"):
        if kind in results:
            counts |= {f"{kind}_{name}": count for name, count in results[kind]["result"]["counts"].items()}
    checks = [result for role, result in results.items() if role.startswith("check-data")]
    departures = [d.id for d in recipe.departures if not d.scopes or scope in d.scopes]
    if unreadable := sum(check["result"]["counts"]["unreadable"] for check in checks):
        counts["unreadable"] = unreadable
        departures.append(SKIPPED["id"])
    if missing := sum(check["result"]["counts"].get("missing", 0) for check in checks):
        counts["missing"] = missing
        departures.append(MISSING["id"])
    if check := results.get(f"check-data:{measurement.dataset}"):
        across = check["result"]["facts"].get("duplicates_across", {}).get(str(measurement.split))
        if across and across["count"]:
            counts["duplicates_across"] = across["count"]
    if measurement.protocol == "video-qa" and "glove" not in last.data:
        departures.append(LEARNT["id"])
    if any(_in_parts(stage) for stage in behind.values()):
        departures.append(IN_PARTS["id"])
    # The curves of the training that this protocol is about: its own, or else fine-tuning where there is one.
    about_pretext = measurement.protocol in planning.PRETEXT_PROTOCOLS
    trained = results.get("finetune") or (results.get("pretrain") if about_pretext else None)
    computed = [result for role, result in results.items() if behind[role].kind not in plan.DATA_KINDS]
    commits = sorted({result["commit"] for result in computed})
    fields = {
        "paper": paper.key,
        "table": measurement.table,
        "row": measurement.row,
        "columns": _columns(paper, measurement, final["result"].get("scores", {})),
        "dataset": measurement.dataset,
        "split": measurement.split,
        "seed": measurement.seed,
        "scale": recipe.scale,
        "scope": scope,
        "fingerprint": fingerprint,
        "lists": data.lists[measurement.dataset] or sources.dataset(measurement.dataset).lists,
        "protocol": measurement.protocol,
        "protocol_version": last.version,
        "recipe_hash": recipe.hash(),
        "device_kind": last.device_kind,
        "scores": final["result"].get("scores", {}),
        "counts": counts,
        "outcomes": final["result"].get("outcomes") or None,
        "curves": final["result"].get("curves") or (trained["result"]["curves"] if trained else {}),
        "examples": final["result"].get("examples", []),
        "short_videos": _short_videos(recipe, measurement, behind, sources),
        "checkpoint": _checkpoint(paper, measurement, recipe),
        "stages": measurement.stages,
        "settings": recipe.settings.model_dump(mode="json"),
        "departures": departures,
        "environment": final["environment"] | ({"commits": ", ".join(commits)} if len(commits) > 1 else {}),
        "commit": final["commit"],
        "dirty": any(result["dirty"] for result in computed),
        "created": final["created"],
        "seconds": round(sum(result["seconds"] for result in computed), 2),
        "command": command,
    }
    try:
        record = Record(**fields)
        if pictures := final["result"].get("pictures"):
            stem = Path(record.key()).stem
            record = Record(**fields, pictures=[f"{stem}__{name}" for name in pictures])
    except ValidationError as error:
        folder = f"{last.kind}/{last.key}"
        raise StageError(
            f"{last.label()}: its result makes no record: {fault(error)}; delete its folder {folder} and run again"
        ) from None
    return record


def _checkpoint(paper: Paper, measurement: Measurement, recipe) -> Checkpoint | None:
    """The imported checkpoint of a measurement; None where the network is the paper's."""
    row = paper.table(measurement.table).row(measurement.row)
    if row.weights != "imported":
        return None
    return Checkpoint(sha256=row.settings["sha256"], name=row.label, backbone=row.backbone, recipe=recipe.paper)


def _in_parts(stage: Stage) -> bool:
    """Whether a stage trained on batches in parts."""
    training = (stage.config.get(name, {}) for name in ("pretraining", "finetuning", "question_answering"))
    return any(settings.get("optimisation", {}).get("at_once") for settings in training)


def _columns(paper: Paper, measurement: Measurement, scores: dict[str, float]) -> list[str]:
    """The columns of a measurement; a score of one class, one type of question or one subtask is not asked for where there is
    none."""
    table = paper.table(measurement.table)
    cells = {name: table.cell(measurement.row, name) for name in measurement.columns}
    return [
        name
        for name in measurement.columns
        if cells[name].metric in scores
        or not (cells[name].protocol in ("video-qa", "segment-scores") or cells[name].metric.startswith("accuracy_"))
    ]


def _identity(data: Data, dataset: str, behind: dict[str, Stage]) -> tuple[str, str]:
    """Scope and fingerprint of a result: of all data behind it, not only of those it was tested on.

    A network pretrained on a subset makes results of the subset, whatever it is tested on.
    """
    touched = sorted({name for stage in behind.values() for name in stage.data})
    scope = min((data.facts[name].scope for name in touched), key=SCOPES.index)
    alike = all(data.facts[name].scope == data.facts[dataset].scope for name in touched)
    # Word vectors are no dataset of the paper's, but another choice of them makes other results.
    if alike and scope != "subset" and "glove" not in touched:
        return scope, data.facts[dataset].fingerprint
    if touched == [dataset]:
        return scope, data.facts[dataset].fingerprint
    joined = "\n".join(data.facts[name].fingerprint for name in touched)
    return scope, f"{scope}-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"


def _short_videos(recipe, measurement: Measurement, behind: dict[str, Stage], sources: _Sources) -> list[str]:
    """Test videos that are shorter than a clip, and so were repeated from their start."""
    if measurement.protocol not in EVALUATED:
        return []
    features = behind.get(f"features:{measurement.dataset}")
    stride = features.config["stride"] if features else 1
    span = (recipe.settings.video.clip_length - 1) * stride + 1
    frames = sources.frames(measurement.stages[f"check-data:{measurement.dataset}"])
    tested = sources.dataset(measurement.dataset).splits[measurement.split].test
    return [video.name for video in tested if frames.get(video.name, span) < span]


def command_line() -> str:
    """How this process was asked, for the record; paths as they were given, bytes that are no UTF-8 as escapes."""
    words = " ".join(["python -m harness", *sys.argv[1:]])
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


def datasets_in(root: Path) -> list[str]:
    """Names of the datasets that a data root seems to hold. Raises UsageError when there are none."""
    from suite import datasets

    found = [name for name in datasets.NAMES if holds(root, name)]
    if not found:
        raise UsageError(
            f"{root}: holds none of the datasets {', '.join(datasets.NAMES)} in their official layouts; check --data-root"
        )
    return found


def scales() -> tuple[str, ...]:
    """Names of the scales, the paper's own first."""
    from suite import recipe

    return recipe.SCALES


def evaluation(
    checkpoint: Path,
    backbone: str,
    protocol: str,
    dataset: str,
    splits: tuple[int, ...],
    recipe,
    label: str | None = None,
) -> Paper:
    """One protocol on an imported checkpoint, as a table without printed numbers. Raises UsageError.

    The row's id is that of the content, so that two files of one name are two rows, and one file of two names is one;
    label: what reports call it, else the file's name.
    """
    from suite import backbones
    from suite.datasets import activitynet_qa

    if protocol not in EVALUATED:
        raise UsageError(f"--protocol {protocol}: choose one of {', '.join(EVALUATED)}")
    if backbone not in backbones.NAMES:
        raise UsageError(f"--backbone {backbone}: choose one of {', '.join(backbones.NAMES)}")
    if protocol in ABOUT:
        dataset, splits = ABOUT[protocol], (1,)
    elif dataset not in LABELLED:
        raise UsageError(f"--dataset {dataset}: choose one of {', '.join(LABELLED)}")
    if not checkpoint.is_file():
        raise UsageError(f"{checkpoint}: no such checkpoint; give the file with --checkpoint")
    with open(checkpoint, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    by_clips = protocol.endswith("retrieval")
    if (by_clips or protocol == "video-qa") and recipe.settings.retrieval is None:
        raise UsageError(
            f"--paper {recipe.paper}: its recipe has no features of clips; name a paper that has, such as vcop"
        )
    if by_clips:
        metrics = [f"top{k}" for k in recipe.settings.retrieval.top]
    elif protocol == "video-qa":
        metrics = [*activitynet_qa.TYPES, "all"]
    else:
        metrics = ["accuracy"]
    label = label or printable(checkpoint.name)
    figure = {
        "id": protocol,
        "title": f"{protocol} of {label}",
        "where": f"protocol of {recipe.paper}",
        "protocol": protocol,
        "columns": [
            {"id": metric, "label": metric, "metric": metric, "unit": "percent", "better": "high", "protocol": protocol}
            | {"dataset": dataset, "splits": list(splits)}
            for metric in metrics
        ],
        "rows": [
            {
                "id": f"{backbone}-{sha256[:16]}",
                "label": label,
                "source": "own",
                "backbone": backbone,
                "weights": "imported",
            }
            | {"settings": {"sha256": sha256}}
        ],
    }
    title = "Checkpoints of other code bases"
    return Paper.model_validate({"key": "imported", "title": title, "citation": label, "figures": [figure]})


def describe_import(built: Plan, runs: Path) -> list[str]:
    """What was read of an imported checkpoint: by whose names, under what, behind what, and what played no part by module."""
    lines = []
    for stage in built.stages.values():
        if stage.kind == "import":
            facts = _result(stage, runs)["result"]["facts"]
            found = [f"checkpoint layout: {facts['layout']}"]
            # Keys are another's: whatever they hold, it is shown as text.
            found += [f"under {facts['wrapper']!r}"] if facts["wrapper"] else []
            found += [f"prefix {facts['prefix']!r}"] if facts["prefix"] else []
            if facts["counters_absent"]:
                found.append(f"without {facts['counters_absent']} num_batches_tracked, as before PyTorch 0.4.1")
            parts = [f"{repr(module)[1:-1]} ({count})" for module, count in facts["not_used"].items()]
            unused = ", ".join(parts[:20]) + (f" and {len(parts) - 20} more" if len(parts) > 20 else "")
            lines.append(f"{', '.join(found)}; recognised keys that play no part: {unused or 'none'}")
    return lines


def regression_slice(paper: str, runs: Path) -> dict[str, dict]:
    """A paper's regression slice, computed anew: numbers by kind and name. Raises UsageError and StageError."""
    results: dict[str, dict] = {kind: {} for kind in golden.KINDS}
    for facts in _regression(paper, runs, (), (0,)).values():
        for kind, numbers in facts.items():
            results[kind] |= numbers
    return results


def regression_spread(paper: str, runs: Path) -> dict[str, dict[str, float]]:
    """The slice's trained scores with two seeds under every instruction set: name -> setting -> score.

    Raises UsageError for a slice without trained scores.
    """
    from suite import regression

    with suite_errors():
        if "trained" not in regression.parts(paper):
            raise UsageError(f"the slice of {paper} has no trained scores; leave --measure out")
    measured: dict[str, dict[str, float]] = {}
    for switch, value in golden.INSTRUCTION_SETS:
        before = os.environ.get(switch)
        # Read by the libraries when a stage's process starts.
        os.environ[switch] = value
        try:
            found = _regression(paper, runs, ("trained",), (0, 1))
        finally:
            os.environ.pop(switch)
            if before is not None:
                os.environ[switch] = before
        for (_, seed), facts in found.items():
            for name, number in facts["trained"].items():
                measured.setdefault(name, {})[f"seed {seed}, {switch}={value}"] = number["value"]
    return measured


def _regression(paper: str, runs: Path, parts: tuple[str, ...], seeds: tuple[int, ...]) -> dict[tuple[str, int], dict]:
    """Parts of a paper's slice (all if none is named), side by side where there are cores: (part, seed) -> numbers.

    Nothing of an earlier regression is used, since the code may have changed: its folder under `runs` is emptied first.
    """
    from suite import regression, stages

    recipe, folder = load_recipe(paper, "tiny"), runs / "regression"
    settings = recipe.settings.model_dump(mode="json", exclude_unset=True)
    threads = recipe.settings.compute.threads
    with suite_errors():
        costs, datasets = regression.parts(paper), regression.datasets(paper)
    with lock.locked(folder):
        for earlier in folder.iterdir():
            if earlier.is_dir():
                shutil.rmtree(earlier)
        data = synthetic_data(list(datasets), recipe, folder)
        built, wanted = Plan(), {}
        inputs = {}
        for name, facts in data.facts.items():
            inputs[f"synthetic:{name}"] = built.add(plan.synthetic_stage(name, facts.synthetic, stages.VERSIONS))
        for part in parts or costs:
            for seed in seeds:
                config = {"paper": paper, "part": part, "seed": seed, "threads": threads, "settings": settings}
                stage = Stage("regression", stages.VERSIONS["regression"], config, inputs, {}, "cpu", costs[part])
                wanted[part, seed] = built.stages[built.add(stage)]
        executors.execute(
            built, run_stage, data.roots, folder, machine("cpu", None, threads, False), lambda stage: None
        )
        return {key: _result(stage, folder)["result"]["facts"] for key, stage in wanted.items()}
