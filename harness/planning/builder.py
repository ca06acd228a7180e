"""Tables x recipe x scale -> stages: what has to run, and in which order.

Pure: data facts, stage versions and network costs come in as values.
"""

import math
from collections.abc import Iterable

from harness.errors import UsageError
from harness.plan import DataFacts, Measurement, Plan, Pretraining, Request, Stage, Suite, check_stage, synthetic_stage
from harness.tables import Cell, Paper, Table

# Forward and backward pass, in forward passes.
TRAINING_PASSES = 3
# Of ActivityNet-QA on average, and the values that its question model compares, for estimates only.
QUESTIONS_OF_VIDEO, WORDS_OF_QUESTION, COMPARED = 10, 9, 256
# Protocols that can be turned into stages, and the method of the builder that does it. Beside them are the scores of the
# pretrainings' tasks.
PROTOCOLS = {
    "training-curve": "_training_curve",
    "finetuning-curve": "_finetuning_curve",
    "clip-retrieval": "_retrieval",
    "layer-retrieval": "_retrieval",
    "video-retrieval": "_retrieval",
    "cross-retrieval": "_cross_retrieval",
    "feature-space": "_feature_space",
    "recognition": "_recognition",
    "aslan": "_probe",
    "yupenn": "_probe",
    "video-qa": "_question_answering",
    "cost": "_cost",
}
# What a network is counted at, whatever the scale: its width, and the clips that tables do not name another size for.
COUNTED_WIDTH, COUNTED_INPUT = 64, (112, 16)


def needed_datasets(
    paper: Paper, settings: dict, pretrainings: dict[str, Pretraining], request: Request
) -> dict[str, bool]:
    """Datasets that the request touches, and whether something is measured on them or they are only trained on."""
    names: dict[str, bool] = {}
    for table in _asked(paper, request):
        for cell in table.cells():
            if _runs(cell, pretrainings, request) and not _left_for_later(cell, table, settings, request):
                for name in _datasets_of(cell, pretrainings):
                    measured = name in (_dataset(cell, pretrainings), cell.settings.get("gallery"))
                    names[name] = names.get(name, False) or measured
    return dict(sorted(names.items()))


def _datasets_of(cell: Cell, pretrainings: dict[str, Pretraining]) -> set[str]:
    """Datasets behind a cell: measured, searched, fine-tuned and pretrained on."""
    others = (str(cell.settings[key]) for key in ("gallery", "finetuned_on") if key in cell.settings)
    names = {_dataset(cell, pretrainings), *others}
    todo = [cell.weights]
    while todo:
        if pretraining := pretrainings.get(todo.pop()):
            names.add(pretraining.dataset)
            todo += pretraining.networks.values()
    return names


def _dataset(cell: Cell, pretrainings: dict[str, Pretraining]) -> str:
    """The dataset that a cell is measured on; of a cost, the one that the network is, or would be, pretrained on."""
    return cell.dataset or pretrainings.get(cell.weights, next(iter(pretrainings.values()))).dataset


def _of_cell(settings: dict, cell: Cell) -> dict:
    """A scale's settings as a cell sees them: a row may be about clips of another size."""
    asked = (cell.settings.get("resolution"), cell.settings.get("clip_length"))
    own = settings["inputs"].get(f"{asked[0]}x{asked[1]}")
    return settings if own is None else settings | {"video": settings["video"] | own}


def build(
    paper: Paper,
    settings: dict,
    data: dict[str, DataFacts],
    suite: Suite,
    request: Request,
    unusable: dict[str, str] | None = None,
) -> Plan:
    """The stages behind every own row that the request asks for.

    Args:
        unusable: why datasets that are there cannot be used, by name; rows that need them are left out.

    Raises UsageError for an unknown table or row.
    """
    known_rows = {row.id for table in paper.tables_and_figures for row in table.rows}
    for name in request.rows:
        if name not in known_rows:
            raise UsageError(f"{paper.key} has no row {name!r}; rows: {', '.join(sorted(known_rows))}")
    for table in paper.tables_and_figures:
        for row in table.rows:
            if row.source == "own" and row.backbone not in {**suite.networks, **suite.unusable}:
                raise UsageError(
                    f"{paper.key} {table.id} row {row.id}: unknown backbone {row.backbone!r}; "
                    f"choose one of {', '.join(suite.networks)}"
                )
    plan = Plan()
    for table in _asked(paper, request):
        for cells in _measured_together(table):
            _Builder(_of_cell(settings, cells[0]), data, suite, request, plan, unusable or {}).add(table, cells)
    return plan


def _asked(paper: Paper, request: Request) -> list[Table]:
    if request.tables:
        return [paper.table(name) for name in request.tables]
    return list(paper.tables_and_figures)


def _has_runner(protocol: str, pretrainings: dict[str, Pretraining]) -> bool:
    return protocol in PROTOCOLS or any(protocol in pretraining.scores for pretraining in pretrainings.values())


def _runs(cell: Cell, pretrainings: dict[str, Pretraining], request: Request) -> bool:
    return (
        cell.source == "own"
        and _has_runner(cell.protocol, pretrainings)
        and (not request.rows or cell.row in request.rows)
        and (
            not request.datasets or {cell.dataset, cell.settings.get("gallery", cell.dataset)} <= set(request.datasets)
        )
    )


def _left_for_later(cell: Cell, table: Table, settings: dict, request: Request) -> bool:
    """Whether a row is left out because the scale runs a subset by default, and nothing else was asked for."""
    if request.everything or request.tables or request.rows or not settings["subset"]:
        return False
    return cell.row not in settings["subset"].get(table.id, ())


def _measured_together(table: Table) -> Iterable[list[Cell]]:
    """Cells of a row that one evaluation fills: the same dataset, splits, weights, protocol and settings.

    A table's cell without a printed value was not measured by the paper, and is not measured here.
    """
    groups: dict[tuple, list[Cell]] = {}
    for cell in table.cells():
        if not table.is_figure and math.isnan(cell.value):
            continue
        same = (cell.row, cell.dataset, cell.splits, cell.weights, cell.protocol, tuple(sorted(cell.settings.items())))
        groups.setdefault(same, []).append(cell)
    return groups.values()


class _Builder:
    """Turns measurements into stages, one protocol at a time."""

    def __init__(
        self,
        settings: dict,
        data: dict[str, DataFacts],
        suite: Suite,
        request: Request,
        plan: Plan,
        unusable: dict[str, str],
    ):
        self.settings, self.data, self.suite, self.request, self.plan = settings, data, suite, request, plan
        self.unusable = unusable

    def add(self, table: Table, cells: list[Cell]) -> None:
        first = cells[0]
        if not _runs(first, self.suite.pretrainings, self.request):
            if first.source == "own" and not _has_runner(first.protocol, self.suite.pretrainings):
                self.plan.left_out[table.id, first.row] = (
                    f"protocol {first.protocol} has no runner: no pretraining of the recipe has such a score"
                )
            return
        if _left_for_later(first, table, self.settings, self.request):
            self.plan.left_out[table.id, first.row] = (
                "not among the rows that this scale runs by default; --all runs it"
            )
            return
        if absent := sorted(_datasets_of(first, self.suite.pretrainings) - self.data.keys()):
            refused = next((self.unusable[name] for name in absent if name in self.unusable), None)
            self.plan.left_out[table.id, first.row] = refused or f"the data root does not hold {', '.join(absent)}"
            return
        if reason := self._unfit(first):
            self.plan.left_out[table.id, first.row] = reason
            return
        if first.weights == "imagenet" and (reason := self._without_imagenet()):
            self.plan.left_out[table.id, first.row] = reason
            return
        if first.weights not in ("random", "imported", "imagenet") and first.weights not in self.suite.pretrainings:
            self.plan.left_out[table.id, first.row] = f"the recipe has no pretraining {first.weights!r}"
            return
        if reason := self._without_pretext(first):
            self.plan.left_out[table.id, first.row] = reason
            return
        measure = getattr(self, PROTOCOLS.get(first.protocol, "_pretext_test"))
        columns = tuple(cell.column for cell in cells)
        dataset = _dataset(first, self.suite.pretrainings)
        for split in first.splits:
            if split not in self.data[dataset].sizes:
                self.plan.left_out[table.id, first.row] = f"the data root has no lists of split {split} of {dataset}"
                continue
            for seed in range(self._seeds(first)):
                key = measure(first, split, seed)
                behind = self._behind(key)
                needs = frozenset([*behind.values(), *self._generated(dataset).values()])
                self.plan.measurements.append(
                    Measurement(table.id, first.row, columns, dataset, split, seed, first.protocol, key, behind, needs)
                )

    def _unfit(self, cell: Cell) -> str:
        """Why a cell's backbone cannot be measured as it asks; empty if it can."""
        name = str(cell.backbone)
        if name in self.suite.unusable:
            return self.suite.unusable[name]
        network = self.suite.networks[name]
        layer, frozen = f"conv{cell.settings.get('layer', 5)}", self._freezes_below(cell)
        if cell.protocol == "layer-retrieval" and not {layer, "conv5"} <= set(network.stages):
            stages = ", ".join(network.stages)
            return f"{name} has no stages {layer} and conv5, but {stages}; layers are not searched with it"
        if frozen not in ("conv1", *network.freezable):
            return f"{name} does not say what its stage {frozen} is made of (stage_modules); nothing is frozen below it"
        return ""

    def _freezes_below(self, cell: Cell) -> str:
        """The first stage that a cell's fine-tuning lets learn; the very first where there is none."""
        if cell.protocol not in ("recognition", "finetuning-curve") and "finetuned_on" not in cell.settings:
            return "conv1"
        return str(cell.settings.get("finetune_from", self.settings["finetuning"]["freeze_below"]))

    def _without_pretext(self, cell: Cell) -> str:
        """Why a cell about a pretext task cannot be run; empty if it can, or is about something else."""
        if cell.protocol in PROTOCOLS and cell.protocol != "training-curve":
            return ""
        pretraining = self.suite.pretrainings.get(cell.weights)
        if pretraining is None:
            return f"{cell.protocol} asks a pretext network, and {cell.weights} weights have none"
        if cell.protocol not in (*pretraining.scores, "training-curve"):
            return f"the task of {cell.weights} has no score {cell.protocol}; it has {', '.join(pretraining.scores)}"
        if (cell.dataset, cell.splits) != (pretraining.dataset, (pretraining.split,)):
            return "a pretext task is tested on the test list of the pretraining split"
        return ""

    def _without_imagenet(self) -> str:
        """Why inflated ImageNet weights cannot be run; empty if they can."""
        if self.settings["width"] != 64:
            return "ImageNet weights fit networks of the paper's width alone"
        if "imagenet" not in self.data:
            return "the data root has no imagenet/resnet18-f37072fd.pth (torchvision's weights)"
        return ""

    def _seeds(self, cell: Cell) -> int:
        """Runs of a cell: untrained networks are measured more often, fixed weights in a search only once."""
        if cell.protocol == "cost":
            return 1
        trains = cell.protocol in ("recognition", "finetuning-curve", "video-qa") or "finetuned_on" in cell.settings
        if cell.weights == "imported" and not trains:
            return 1
        if cell.weights == "random" and not trains:
            return max(self.request.seeds, self.settings["compute"]["baseline_seeds"])
        return self.request.seeds

    def _behind(self, key: str) -> dict[str, str]:
        """The stages behind a result by their roles, but for frame stores, which play no part in it.

        Of a curriculum the last pretraining has the plain role; what it starts from is told apart by its name.
        """
        behind: dict[str, str] = {}
        for stage in (self.plan.stages[name] for name in dict.fromkeys([*self._before(key), key])):
            if stage.kind == "frames":
                continue
            if earlier := behind.get(stage.role()):
                behind[f"{stage.role()}:{self.plan.stages[earlier].config['weights']}"] = earlier
            behind[stage.role()] = stage.key
        return behind

    def _before(self, key: str) -> list[str]:
        found: list[str] = []
        for earlier in self.plan.stages[key].inputs.values():
            found += [*self._before(earlier), earlier]
        return found

    # ------------------------------------------------------------------------------------------------ protocols

    def _pretext_test(self, cell: Cell, split: int, seed: int) -> str:
        pretraining = self.suite.pretrainings[cell.weights]
        pretrain = self._pretrain(cell.backbone, cell.weights, seed)
        clips = self._size(pretraining.dataset, split)[1] * self._clips_of_sample(pretraining)
        inputs = self._pretext_inputs(pretraining, cell.backbone, seed) | {"pretrain": pretrain}
        config, datasets = self.plan.stages[pretrain].config, [pretraining.dataset]
        version = pretraining.scores[cell.protocol]
        return self._stage(cell.protocol, config, inputs, datasets, self._gmacs(cell.backbone, clips), version=version)

    def _training_curve(self, cell: Cell, split: int, seed: int) -> str:
        pretrain = self._pretrain(cell.backbone, cell.weights, seed)
        return self._stage("training-curve", {}, {"pretrain": pretrain}, [cell.dataset])

    def _finetuning_curve(self, cell: Cell, split: int, seed: int) -> str:
        finetune = self._finetune(cell, cell.dataset, split, seed, self.settings["finetuning"]["freeze_below"])
        return self._stage("finetuning-curve", {}, {"finetune": finetune}, [cell.dataset])

    def _retrieval(self, cell: Cell, split: int, seed: int) -> str:
        features = self._features(cell, cell.dataset, split, seed)
        config = {"dataset": cell.dataset, "split": split, "top": list(self.settings["retrieval"]["top"])}
        inputs = {"features": features}
        if cell.protocol == "video-retrieval":
            config["resize"] = list(self.settings["video"]["resize"])
            inputs |= self._data_inputs(cell.dataset)
        kind = "clip-retrieval" if cell.protocol == "layer-retrieval" else cell.protocol
        return self._stage(kind, config, inputs, [cell.dataset])

    def _cross_retrieval(self, cell: Cell, split: int, seed: int) -> str:
        gallery = str(cell.settings["gallery"])
        inputs = {
            "query": self._features(cell, cell.dataset, split, seed),
            "gallery": self._features(cell, gallery, split, seed),
        }
        inputs |= self._data_inputs(cell.dataset) | self._data_inputs(gallery)
        config = {
            "query_dataset": cell.dataset,
            "gallery_dataset": gallery,
            "resize": list(self.settings["video"]["resize"]),
        }
        return self._stage("cross-retrieval", config, inputs, [cell.dataset, gallery])

    def _feature_space(self, cell: Cell, split: int, seed: int) -> str:
        features = self._features(cell, cell.dataset, split, seed)
        return self._stage("feature-space", {"dataset": cell.dataset}, {"features": features}, [cell.dataset])

    def _recognition(self, cell: Cell, split: int, seed: int) -> str:
        frozen = str(cell.settings.get("finetune_from", self.settings["finetuning"]["freeze_below"]))
        finetune = self._finetune(cell, cell.dataset, split, seed, frozen)
        inputs = self._data_inputs(cell.dataset) | {"finetune": finetune}
        clips = self.settings["finetuning"]["test_clips"] or self._clips(cell.dataset)
        cost = self._gmacs(cell.backbone, self._size(cell.dataset, split)[1] * clips)
        return self._stage("recognition", self.plan.stages[finetune].config, inputs, [cell.dataset], cost)

    def _probe(self, cell: Cell, split: int, seed: int) -> str:
        network, inputs = self._network(cell, seed)
        probes = self.settings["probes"]
        config = network | {
            "dataset": cell.dataset,
            "video": self._video(),
            "step": probes["step"],
            "stride": probes["stride"],
            "threads": self.settings["compute"]["threads"],
        }
        videos = sum(self._size(cell.dataset, split))
        # Windows overlap by half: twice as many as clips that follow each other.
        cost = self._gmacs(cell.backbone, videos * self._clips(cell.dataset) * 2)
        inputs |= self._data_inputs(cell.dataset)
        features = self._stage("probe-features", config, inputs, [cell.dataset], cost)
        config = {
            "dataset": cell.dataset,
            **{key: value for key, value in probes.items() if key not in ("step", "stride")},
        }
        inputs = self._data_inputs(cell.dataset) | {"features": features}
        return self._stage(cell.protocol, config, inputs, [cell.dataset])

    def _question_answering(self, cell: Cell, split: int, seed: int) -> str:
        answering = self.settings["question_answering"]
        features = self._features(cell, cell.dataset, split, seed, clips=answering["clips"], pooling="global")
        config = {
            "dataset": cell.dataset,
            "seed": seed,
            "video": self._video(),
            "question_answering": _given({key: value for key, value in answering.items() if key != "clips"}),
            "threads": self.settings["compute"]["threads"],
        }
        inputs, datasets = self._data_inputs(cell.dataset), [cell.dataset]
        if "glove" in self.data:
            datasets.append("glove")
        # An LSTM over the words; 512 values of every clip, brought to those that are compared.
        words = WORDS_OF_QUESTION * 8 * answering["hidden"] ** 2
        clips = answering["clips"] * 8 * self.settings["width"] * COMPARED
        passes = answering["optimisation"]["epochs"] * TRAINING_PASSES
        passes *= self._size(cell.dataset, split)[0] * QUESTIONS_OF_VIDEO
        baseline = self._stage("question-baseline", config, inputs, datasets, passes * words / 1e9)
        inputs = inputs | {"features": features, "baseline": baseline}
        return self._stage("video-qa", config, inputs, datasets, passes * (words + clips) / 1e9)

    def _cost(self, cell: Cell, split: int, seed: int) -> str:
        crop, clip_length = (
            int(cell.settings.get(key, usual))
            for key, usual in zip(("resolution", "clip_length"), COUNTED_INPUT, strict=True)
        )
        config = self._backbone(cell.backbone, COUNTED_WIDTH) | {
            "seed": seed,
            "video": self._video() | {"clip_length": clip_length, "crop": crop},
        }
        if "clips" in cell.settings:
            # Of a network that sees several clips of a video at a time.
            config["clips"] = int(cell.settings["clips"])
        if pretraining := self.suite.pretrainings.get(cell.weights):
            config["pretraining"] = pretraining.counted
            if others := _others(pretraining):
                config["networks"] = {role: self.suite.pretrainings[name].counted for role, name in others.items()}
        return self._stage("cost", config, {}, [_dataset(cell, self.suite.pretrainings)])

    # ------------------------------------------------------------------------------------------------ stages

    def _pretrain(self, backbone: str, weights: str, seed: int) -> str:
        pretraining = self.suite.pretrainings[weights]
        dataset = pretraining.dataset
        inputs = self._pretext_inputs(pretraining, backbone, seed)
        if start := pretraining.networks.get("pretrain"):
            inputs["pretrain"] = self._pretrain(backbone, start, seed)
        config = self._backbone(backbone) | {
            "weights": weights,
            "seed": seed,
            "video": self._video(),
            "pretraining": pretraining.settings,
            "task_version": pretraining.version,
            "holdout": self.settings["holdout"].get(dataset),
            "threads": self.settings["compute"]["threads"],
        }
        if pretraining.flow:
            config["flow"] = self._flow()
        clips = self._size(dataset, pretraining.split)[0] * self._clips_of_sample(pretraining)
        passes = pretraining.passes * clips * TRAINING_PASSES
        return self._stage("pretrain", config, inputs, [dataset], self._gmacs(backbone, passes))

    def _pretext_inputs(self, pretraining: Pretraining, backbone: str, seed: int) -> dict[str, str]:
        """The data of a pretext task, with optical flow, and the networks that it needs but for the one it starts from."""
        dataset = pretraining.dataset
        inputs = self._data_inputs(dataset)
        if pretraining.flow and self.settings["flow"]["store"]:
            config = {"dataset": dataset, "split": pretraining.split, "flow": self._flow()}
            config["resize"] = list(self.settings["video"]["resize"])
            config |= self._plainly_resized()
            frames = sum(self._size(dataset, pretraining.split)) * self.data[dataset].frames
            gigabytes = frames * 2 * config["resize"][0] * config["resize"][1] / 1e9
            inputs[f"flow:{dataset}"] = self._stage("flow", config, dict(inputs), [dataset], 0.0, gigabytes)
        for role, name in _others(pretraining).items():
            inputs[role] = self._pretrain(backbone, name, seed)
        return inputs

    def _flow(self) -> dict:
        """The settings of optical flow that can change it; all but the method are those of "brox"."""
        flow = _given(self.settings["flow"])
        return {key: flow[key] for key in flow if key != "store" and (key == "method" or flow["method"] == "brox")}

    def _finetune(self, cell: Cell, dataset: str, split: int, seed: int, freeze_below: str) -> str:
        finetuning = self.settings["finetuning"] | {"freeze_below": freeze_below}
        network, inputs = self._pretrained(cell, seed)
        config = network | {
            "dataset": dataset,
            "split": split,
            "video": self._video(),
            "finetuning": _given(finetuning),
            "holdout": self.settings["holdout"].get(dataset),
            "threads": self.settings["compute"]["threads"],
        }
        trained = self._size(dataset, split)[0]
        if finetuning["videos_per_class"]:
            trained = min(trained, finetuning["videos_per_class"] * self.data[dataset].classes)
        clips = trained * (self._clips(dataset) if finetuning["clips"] == "all" else 1)
        passes = finetuning["optimisation"]["epochs"] * clips * TRAINING_PASSES
        inputs |= self._data_inputs(dataset)
        return self._stage("finetune", config, inputs, [dataset], self._gmacs(cell.backbone, passes))

    def _features(
        self, cell: Cell, dataset: str, split: int, seed: int, *, clips: int | None = None, pooling: str | None = None
    ) -> str:
        """Features of evenly spaced clips, as many and pooled as in retrieval unless said otherwise."""
        retrieval = self.settings["retrieval"]
        network, inputs = self._network(cell, seed)
        clips = clips or int(cell.settings.get("clips", retrieval["clips"]))
        config = network | {
            "dataset": dataset,
            "split": split,
            "video": self._video(),
            "clips": clips,
            "stride": int(cell.settings.get("stride", retrieval["stride"])),
            "pooling": pooling or self._pooling(cell),
            "bn": retrieval["random_bn"]
            if cell.weights == "random" and "finetuned_on" not in cell.settings
            else "running",
            "threads": self.settings["compute"]["threads"],
        }
        cost = self._gmacs(cell.backbone, sum(self._size(dataset, split)) * clips)
        videos = sum(self._size(dataset, split))
        # 9,216 numbers of 4 bytes at the paper's input.
        video = self.settings["video"]
        cells = max(video["clip_length"] // 8, 1) * max(video["crop"] // 32, 1) ** 2
        gigabytes = videos * clips * 8 * self.settings["width"] * cells * 4 / 1e9
        return self._stage("features", config, inputs | self._data_inputs(dataset), [dataset], cost, gigabytes)

    def _pooling(self, cell: Cell) -> str:
        """What of the maps is the feature; that of the fifth layer is the usual one (vcop-curriculum Table IV)."""
        layer = cell.settings.get("layer", 5)
        return self.settings["retrieval"]["pooling"] if layer == 5 else f"layer{layer}"

    def _network(self, cell: Cell, seed: int) -> tuple[dict, dict[str, str]]:
        """Configuration and inputs of the network whose features a cell is about."""
        if "finetuned_on" not in cell.settings:
            return self._pretrained(cell, seed)
        dataset = str(cell.settings["finetuned_on"])
        finetune = self._finetune(cell, dataset, 1, seed, self.settings["finetuning"]["freeze_below"])
        config = self._backbone(cell.backbone) | {"weights": cell.weights, "seed": seed}
        return config | {"finetuned_on": dataset}, {"pretrain": finetune}

    def _pretrained(self, cell: Cell, seed: int) -> tuple[dict, dict[str, str]]:
        """Configuration and inputs of a cell's network before any training with labels."""
        config = self._backbone(cell.backbone) | {"weights": cell.weights, "seed": seed}
        if cell.weights == "random":
            return config, {}
        if cell.weights == "imported":
            imported = self._backbone(cell.backbone) | {"sha256": cell.settings["sha256"]}
            return config, {"pretrain": self._stage("import", imported, {}, [])}
        if cell.weights == "imagenet":
            return config, {"pretrain": self._stage("inflate", {}, {}, ["imagenet"])}
        return config, {"pretrain": self._pretrain(cell.backbone, cell.weights, seed)}

    def _data_inputs(self, dataset: str) -> dict[str, str]:
        """The check of a dataset and, where the recipe stores frames, its frame store; generated data come first."""
        check = check_stage(dataset, self.data[dataset], self.suite.versions, self._generated(dataset))
        inputs = {f"check-data:{dataset}": self.plan.add(check)}
        if self.settings["video"]["store"]:
            config = {"dataset": dataset, "resize": list(self.settings["video"]["resize"])} | self._plainly_resized()
            inputs[f"frames:{dataset}"] = self._stage("frames", config, dict(inputs), [dataset])
        return inputs

    def _generated(self, dataset: str) -> dict[str, str]:
        """The stage that generates a dataset, where it is generated."""
        synthetic = self.data[dataset].synthetic
        if synthetic is None:
            return {}
        return {"synthetic": self.plan.add(synthetic_stage(dataset, synthetic, self.suite.versions))}

    def _stage(
        self,
        kind: str,
        config: dict,
        inputs: dict,
        datasets: list[str],
        gmacs: float = 0.0,
        gigabytes: float = 0.0,
        *,
        version: int | None = None,
    ) -> str:
        """Add a stage; its version is that of its kind, unless it is said otherwise."""
        data = {name: self.data[name].fingerprint for name in datasets}
        version = self.suite.versions[kind] if version is None else version
        known_as, device = self._known_as(inputs), self.request.device_kind
        return self.plan.add(Stage(kind, version, config, inputs, data, device, gmacs, gigabytes, known_as))

    def _known_as(self, inputs: dict[str, str]) -> dict[str, str]:
        """Of inputs that are checks of data on disk, by role: the contents they found, and the version that found them."""
        checks = {role: self.data[role.partition(":")[2]].contents for role in inputs if role.startswith("check-data:")}
        version = self.suite.versions["check-data"]
        return {role: f"v{version} {contents}" for role, contents in checks.items() if contents}

    def _clips(self, dataset: str) -> int:
        """Clips that follow each other in a video, for estimates."""
        return max(1, self.data[dataset].frames // self.settings["video"]["clip_length"])

    def _clips_of_sample(self, pretraining: Pretraining) -> float:
        """Clips at the size of `video` that cost as much as what goes through the networks for a video and epoch."""
        return pretraining.clips_of_sample(self._clips(pretraining.dataset))

    def _video(self) -> dict:
        video = {key: self.settings["video"][key] for key in ("clip_length", "resize", "crop", "pixels")}
        return video | self._plainly_resized()

    def _plainly_resized(self) -> dict:
        """Said of frames only where they are not smoothed as they are made smaller."""
        return {} if self.settings["video"]["antialias"] else {"antialias": False}

    def _size(self, dataset: str, split: int) -> tuple[int, int]:
        try:
            return self.data[dataset].sizes[split]
        except KeyError:
            raise UsageError(f"{dataset}: the data root has no lists of split {split}; add its list files") from None

    def _gmacs(self, backbone: str, clips: int) -> float:
        """Cost of that many forward passes at this scale's clip size and, where the network comes in several, width."""
        video, network = self.settings["video"], self.suite.networks[backbone]
        volume = video["clip_length"] * video["crop"] ** 2 / math.prod(network.clip)
        wider = 1.0 if network.width is None else (self.settings["width"] / network.width) ** 2
        return clips * network.gmacs * volume * wider

    def _backbone(self, name: str, width: int | None = None) -> dict:
        """What stages are told of a network. Code from elsewhere is part of it: a network that was changed is another."""
        source = self.suite.networks[name].source
        told = {"backbone": name, "width": width or self.settings["width"]}
        return told | ({"source": source} if source else {})


def _given(settings: dict) -> dict:
    """Settings without those that are None, in tables within tables too: a key stays when a new option is left alone."""
    given = {key: value for key, value in settings.items() if value is not None}
    return {key: _given(value) if isinstance(value, dict) else value for key, value in given.items()}


def _others(pretraining: Pretraining) -> dict[str, str]:
    """The networks that a pretraining needs, but for the one it starts from."""
    return {role: name for role, name in pretraining.networks.items() if role != "pretrain"}
