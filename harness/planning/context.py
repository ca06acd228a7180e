"""What the planning of every protocol shares: the facts it is given, the stages it adds, and what they will cost."""

import math
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
from harness.plan import DataFacts, Plan, Request, Stage, Suite, check_stage, synthetic_stage
from harness.tables import Cell

# Forward and backward pass, in forward passes.
TRAINING_PASSES = 3


@dataclass(frozen=True)
class Trial:
    """One cell, or several of one evaluation, on one split with one seed."""

    cell: Cell
    backbone: str
    weights: str
    # What it is measured on; of a cost, what the network is, or would be, pretrained on.
    dataset: str
    split: int
    seed: int


@dataclass(frozen=True)
class Context:
    """A scale's settings as a cell sees them, the facts around them, and the plan that grows."""

    settings: dict[str, Any]
    data: dict[str, DataFacts]
    suite: Suite
    request: Request
    plan: Plan

    # ------------------------------------------------------------------------------------------------ stages

    def stage(
        self,
        kind: str,
        config: dict[str, Any],
        inputs: dict[str, str],
        datasets: list[str],
        gmacs: float = 0.0,
        gigabytes: float = 0.0,
        *,
        version: int | None = None,
    ) -> str:
        """Add a stage and return its key; its version is that of its kind, unless it is said otherwise."""
        data = {name: self.data[name].fingerprint for name in datasets}
        version = self.suite.versions[kind] if version is None else version
        known_as, device = self._known_as(inputs), self.request.device_kind
        return self.plan.add(Stage(kind, version, config, inputs, data, device, gmacs, gigabytes, known_as))

    def _known_as(self, inputs: dict[str, str]) -> dict[str, str]:
        """Of inputs that are checks of data on disk, by role: the contents they found, and the version that found them."""
        checks = {role: self.data[role.partition(":")[2]].contents for role in inputs if role.startswith("check-data:")}
        version = self.suite.versions["check-data"]
        return {role: f"v{version} {contents}" for role, contents in checks.items() if contents}

    def data_inputs(self, dataset: str) -> dict[str, str]:
        """The check of a dataset and, where the recipe stores frames, its frame store; generated data come first."""
        check = check_stage(dataset, self.data[dataset], self.suite.versions, self.generated(dataset))
        inputs = {f"check-data:{dataset}": self.plan.add(check)}
        if self.settings["video"]["store"]:
            config = {"dataset": dataset, "resize": self.resize()} | self.plainly_resized()
            inputs[f"frames:{dataset}"] = self.stage("frames", config, dict(inputs), [dataset])
        return inputs

    def generated(self, dataset: str) -> dict[str, str]:
        """The stage that generates a dataset, where it is generated."""
        synthetic = self.data[dataset].synthetic
        if synthetic is None:
            return {}
        return {"synthetic": self.plan.add(synthetic_stage(dataset, synthetic, self.suite.versions))}

    # ------------------------------------------------------------------------------------------------ settings

    def video(self) -> dict[str, Any]:
        """The clips that networks see."""
        video = {key: self.settings["video"][key] for key in ("clip_length", "resize", "crop", "pixels")}
        return video | self.plainly_resized()

    def resize(self) -> list[int]:
        """Height and width of frames."""
        return list(self.settings["video"]["resize"])

    def plainly_resized(self) -> dict[str, Any]:
        """Said of frames only where they are not smoothed as they are made smaller."""
        return {} if self.settings["video"]["antialias"] else {"antialias": False}

    def threads(self) -> int:
        """Threads of a stage, which change its result's last digits."""
        return int(self.settings["compute"]["threads"])

    def backbone(self, name: str, width: int | None = None) -> dict[str, Any]:
        """What stages are told of a network. Code from elsewhere is part of it: a network that was changed is another."""
        source = self.suite.networks[name].source
        told = {"backbone": name, "width": width or self.settings["width"]}
        return told | ({"source": source} if source else {})

    # ------------------------------------------------------------------------------------------------ estimates

    def videos(self, dataset: str, split: int) -> tuple[int, int]:
        """Training and test videos of a split."""
        try:
            return self.data[dataset].sizes[split]
        except KeyError:
            raise UsageError(f"{dataset}: the data root has no lists of split {split}; add its list files") from None

    def clips(self, dataset: str) -> int:
        """Clips that follow each other in a video."""
        return max(1, self.data[dataset].frames // int(self.settings["video"]["clip_length"]))

    def gmacs(self, backbone: str, clips: float) -> float:
        """Cost of that many forward passes at this scale's clip size and, where the network comes in several, width."""
        video, network = self.settings["video"], self.suite.networks[backbone]
        volume = video["clip_length"] * video["crop"] ** 2 / math.prod(network.clip)
        wider = 1.0 if network.width is None else (self.settings["width"] / network.width) ** 2
        return float(clips * network.gmacs * volume * wider)


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that are None, in tables within tables too: a key stays when a new option is left alone."""
    there = {key: value for key, value in settings.items() if value is not None}
    return {key: given(value) if isinstance(value, dict) else value for key, value in there.items()}
