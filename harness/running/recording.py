"""Records made of the results of stages, each as soon as all that it is made of is done."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness import durable, plan
from harness.errors import StageError, UsageError
from harness.plan import Measurement, Plan, Stage
from harness.planning.protocols import OF_WHOLE_VIDEOS
from harness.records import Checkpoint, Record, Store, fault
from harness.running import departures, door, evaluation, stage_folders
from harness.running.door import Data
from harness.running.preparation import Prepared
from harness.running.scheduling import Failure
from harness.tables import Paper

if TYPE_CHECKING:
    from harness.running.door import Dataset, Recipe

# From the weakest to what the paper used.
SCOPES = ("synthetic", "subset", "full")


class Written:
    """The records of a run, each written when the last of the stages that it needs is done."""

    def __init__(self, prepared: Prepared, runs: Path, store: Store, command: str):
        self._prepared, self._built = prepared, prepared.built
        self._runs, self._store, self._command = runs, store, command
        self._sources = _Sources(prepared.data, prepared.built, runs)
        self._done: set[str] = set()
        # By the measurement's place in the plan: its record, or why there is none.
        self._records: dict[int, Record] = {}
        self._faults: dict[int, Failure] = {}
        self._needing: dict[str, list[int]] = {}
        for index, measurement in enumerate(self._built.measurements):
            for key in measurement.needs:
                self._needing.setdefault(key, []).append(index)

    def finished(self, stage: Stage) -> None:
        """Take note of a stage that is done. Raises UsageError for bad data.

        A record that cannot be made is no fault of the stage that happened to end last: see `failure`.
        """
        if stage.kind == "check-data" and not self._prepared.request.skip_unreadable:
            refuse_unreadable(stage, self._runs)
        self._done.add(stage.key)
        for index in self._needing.get(stage.key, []):
            if self._built.measurements[index].needs <= self._done:
                try:
                    with door.suite_errors():
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
        record = _record(self._prepared, measurement, self._sources, self._command)
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

    def _dataset(self, name: str) -> "Dataset":
        """A dataset as its lists describe it."""
        return door.dataset(name, self._data)

    def _result(self, key: str) -> dict[str, Any]:
        """What a stage left."""
        return stage_folders.read(self._built.stages[key].folder(self._runs))

    def _frames(self, key: str) -> dict[str, int]:
        """Frames of each video that a check of a dataset decoded, by the video's name."""
        found = self._built.stages[key].folder(self._runs) / "videos.json"
        frames: dict[str, int] = json.loads(found.read_text(encoding="utf-8"))["videos"]
        return frames


def refuse_unreadable(stage: Stage, runs: Path) -> None:
    """Raise UsageError if a finished check of a dataset found videos that do not decode."""
    unreadable = stage_folders.read(stage.folder(runs))["result"]["facts"]["unreadable"]
    if unreadable:
        name, reason = next(iter(sorted(unreadable.items())))
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise UsageError(
            f"{stage.config['dataset']}: {name}{more}: {reason}; mend the file, or go on without it by --skip-unreadable"
        )


def _record(prepared: Prepared, measurement: Measurement, sources: _Sources, command: str) -> Record:
    """The record of one measurement, from the results of all stages behind it.

    Raises StageError, naming stage and field, where they make none.
    """
    paper, recipe, data, built = prepared.paper, prepared.recipe, prepared.data, prepared.built
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
    in_force = [d.id for d in recipe.departures if not d.scopes or scope in d.scopes]
    if unreadable := sum(check["result"]["counts"]["unreadable"] for check in checks):
        counts["unreadable"] = unreadable
        in_force.append(departures.SKIPPED["id"])
    if missing := sum(check["result"]["counts"].get("missing", 0) for check in checks):
        counts["missing"] = missing
        in_force.append(departures.MISSING["id"])
    if check := results.get(f"check-data:{measurement.dataset}"):
        across = check["result"]["facts"].get("duplicates_across", {}).get(str(measurement.split))
        if across and across["count"]:
            counts["duplicates_across"] = across["count"]
    if measurement.protocol == "video-qa" and "glove" not in last.data:
        in_force.append(departures.LEARNT["id"])
    if any(departures.in_parts(stage) for stage in behind.values()):
        in_force.append(departures.IN_PARTS["id"])
    in_force += [one.id for one in departures.of_part(prepared.request.part)]
    # The curves of the training that this protocol is about: its own, or else fine-tuning where there is one.
    # What asks a pretext network takes it as it was trained; features and what is made of them come in between elsewhere.
    trained = results.get("finetune") or (results.get("pretrain") if "pretrain" in last.inputs else None)
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
        "checkpoint": _checkpoint(paper, measurement, recipe, behind),
        "stages": measurement.stages,
        "settings": recipe.settings.model_dump(mode="json"),
        "departures": in_force,
        "asked": prepared.otherwise,
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


def _checkpoint(
    paper: Paper, measurement: Measurement, recipe: "Recipe", behind: dict[str, Stage]
) -> Checkpoint | None:
    """The network from elsewhere that was measured, with its weights and input; None where the network is the paper's."""
    if paper.key != evaluation.KEY:
        return None
    row = paper.table(measurement.table).row(measurement.row)
    content = {
        "sha256": row.settings.get("sha256"),
        "name": row.label,
        "backbone": row.backbone,
        "recipe": recipe.paper,
    }
    return Checkpoint.model_validate(content | {"input": door.input_words(*_seen(measurement, behind))})


def _seen(measurement: Measurement, behind: dict[str, Stage]) -> tuple[dict[str, Any], int]:
    """The settings of `video` that a network was tested with, and the stride of its clips."""
    for role in (f"features:{measurement.dataset}", f"probe-features:{measurement.dataset}"):
        if role in behind:
            return behind[role].config["video"], behind[role].config["stride"]
    config = behind["recognition"].config
    return config["video"], config["finetuning"]["stride"]


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


def _short_videos(recipe: "Recipe", measurement: Measurement, behind: dict[str, Stage], sources: _Sources) -> list[str]:
    """Test videos that are shorter than a clip, and so were repeated from their start."""
    if measurement.protocol not in OF_WHOLE_VIDEOS:
        return []
    video, stride = _seen(measurement, behind)
    span = (video["clip_length"] - 1) * stride + 1
    frames = sources.frames(measurement.stages[f"check-data:{measurement.dataset}"])
    tested = sources.dataset(measurement.dataset).splits[measurement.split].test
    return [video.name for video in tested if frames.get(video.name, span) < span]
