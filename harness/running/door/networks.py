"""Networks: their names, what they cost, the input that they take, files of weights."""

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plan
from harness.running.door.faults import suite_errors

if TYPE_CHECKING:
    from suite.recipe import Recipe


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


@cache
def network_facts(name: str, clip: tuple[int, int, int]) -> plan.Network:
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
