"""What a plan will cost: hours, at a speed that is stated, measured on finished stages, or taken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.plan import Stage

# TFLOP/s taken where nothing is measured or stated. GPU: fp32 without TF32, half of an A100's peak of 19.5. CPU: one core.
TAKEN_TFLOPS = {"cuda": 10.0, "cpu": 0.03}


@dataclass(frozen=True)
class Speed:
    """What a stage's cost is counted in."""

    tflops: float
    # "stated", "measured on this machine" or "taken"
    origin: str
    # "GPU-hours" or "core-hours"
    unit: str

    def hours(self, stage: Stage) -> float:
        """Hours of a stage at this speed; two operations to a multiply-accumulate."""
        return 2 * stage.gmacs / self.tflops / 1000 / 3600


def speed(finished: Iterable[dict[str, Any]], settings: dict[str, Any], kind: str, stated: float | None) -> Speed:
    """The speed to plan by: stated, else that of `finished` pretrainings (what their stages left) on the same kind of
    device, of the same width, clip size and precision, else taken from TAKEN_TFLOPS.
    """
    unit = "core-hours" if kind == "cpu" else "GPU-hours"
    if stated is not None:
        return Speed(stated, "stated", unit)
    gmacs = seconds = 0.0
    for done in finished:
        if done["device_kind"] == kind and _alike(done["config"], settings):
            gmacs, seconds = gmacs + done["gmacs"], seconds + done["seconds"]
    if seconds:
        return Speed(2 * gmacs / seconds / 1000, "measured on this machine", unit)
    return Speed(TAKEN_TFLOPS[kind], "taken; --tflops states another", unit)


def _alike(config: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether a pretraining ran at the width, clip size and precision of these settings."""
    precisions = {pretraining["optimisation"]["precision"] for pretraining in settings["pretraining"].values()}
    return (
        config["width"] == settings["width"]
        and all(config["video"][key] == settings["video"][key] for key in ("clip_length", "crop"))
        and config["pretraining"]["optimisation"]["precision"] in precisions
    )
