"""Networks from elsewhere behind the contract of `suite.backbones`: torchvision's by name, anybody's by a factory.

`torchvision:r3d_18` is torchvision's network up to its last map; its parameters keep torchvision's names, so that published
weight files fit, and the classifier's play no part. `package.module:factory` is whatever `factory()` returns, as long as it
keeps the contract, which `check` holds it to before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from suite import elsewhere
from suite.backbones import Facts, trying
from suite.backbones.staged import Staged
from suite.errors import InputError
from suite.video import inputs
from suite.video.inputs import NetworkInput, Pixels

TORCHVISION = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d")
# Stages, and the children of torchvision's residual networks.
RESNET_PARTS = {"conv1": "stem", "conv2": "layer1", "conv3": "layer2", "conv4": "layer3", "conv5": "layer4"}
# Stages, and places in the `features` of its s3d; a pooling belongs to the stage behind it.
S3D_PARTS = {"conv1": (0, 1), "conv2": (1, 4), "conv3": (4, 7), "conv4": (7, 13), "conv5": (13, 16)}
# What a network must have, and what it is for.
CONTRACT = {
    "forward": "[B, 3, T, H, W] -> features [B, feature_size]",
    "conv5_map": "[B, 3, T, H, W] -> the last map [B, C, t, h, w]",
    "stages": "[B, 3, T, H, W] -> a map [B, C, t, h, w] of each stage by its name, the last map last",
    "feature_size": "the number of values of a feature",
}
# What it may have.
OPTIONAL = {
    "probe_feature": "[B, 3, T, H, W] -> what probes take [B, D]",
    "stage_modules": "() -> a list of modules of each stage by its name",
}
# What torchvision says of a weight file in words alone, and the rate of Kinetics' videos that its rate is a part of.
CLIP_LENGTH, FRAME_RATE, KINETICS_RATE = re.compile(r"clip_len=(\d+)"), re.compile(r"frame_rate=(\d+)"), 30


class TorchvisionResNet(Staged):
    """torchvision's r3d_18, mc3_18 or r2plus1d_18 without its classifier: the stem is conv1, its four layers conv2 to conv5."""

    def __init__(self, network: Any):
        super().__init__()
        for part in RESNET_PARTS.values():
            setattr(self, part, getattr(network, part))
        self.feature_size = network.fc.in_features

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        for stage, part in RESNET_PARTS.items():
            x = getattr(self, part)(x)
            yield stage, x

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        return {stage: [getattr(self, part)] for stage, part in RESNET_PARTS.items()}

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 512]: the mean of the last layer, which torchvision's `fc` takes."""
        return self.conv5_map(x).mean((2, 3, 4))


class TorchvisionS3D(Staged):
    """torchvision's s3d without its classifier, in the stages of `suite.backbones.s3dg`. Clips: 14 frames of 224x224 or more."""

    def __init__(self, network: Any):
        super().__init__()
        self.features: nn.Sequential = network.features
        self.avgpool = network.avgpool
        self.feature_size = network.classifier[1].in_channels

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        for stage, (first, end) in S3D_PARTS.items():
            x = self.features[first:end](x)
            yield stage, x

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        return {stage: list(self.features[first:end]) for stage, (first, end) in S3D_PARTS.items()}

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> features [B, 1024]: means over windows of 2x7x7 cells, and their mean (torchvision's pooling)."""
        last = self.conv5_map(x)
        if any(size < least for size, least in zip(last.shape[2:], self.avgpool.kernel_size, strict=True)):
            shape = "x".join(map(str, x.shape[2:]))
            raise InputError(
                f"torchvision:s3d: clips of {shape} are too small for its pooling; give it 14 frames of 224x224 or more"
            )
        return self.avgpool(last).mean((2, 3, 4))


def build(name: str) -> nn.Module:
    """The network that `torchvision:NAME` or `package.module:factory` means, freshly initialised.

    Raises InputError, naming it, for a network that torchvision does not have, and for a module or factory that cannot be
    found or fails.
    """
    home, _, made = name.partition(":")
    if home == "torchvision":
        _known(name)
        from torchvision.models import video

        network = getattr(video, made)()
        return TorchvisionS3D(network) if made == "s3d" else TorchvisionResNet(network)
    factory = getattr(_module(name), made, None)
    if factory is None:
        raise InputError(f"network {name!r}: {home} has no {made!r}; name it package.module:factory")
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise InputError(f"network {name!r}: {made}() fails with {type(error).__name__}: {error}; mend it") from error


def _known(name: str) -> None:
    if name.removeprefix("torchvision:") not in TORCHVISION:
        raise InputError(f"unknown network {name!r}; of torchvision there are {', '.join(TORCHVISION)}")


def _module(name: str) -> ModuleType:
    """The module of `package.module:factory`, importable from here or from the folders of papers."""
    home = name.partition(":")[0]
    if not home:
        raise InputError(f"network {name!r}: name it package.module:factory, or torchvision:NAME")
    return elsewhere.module(home)


def facts(name: str, clip: tuple[int, int, int]) -> Facts:
    """What is known of a network, found out by building it and passing clips of (frames, height, width).

    Raises InputError where it cannot be built, or does not keep the contract.
    """
    network = build(name)
    check(network, name, clip)
    (maps,) = trying.passed(network, clip, ("stages",))
    modules = network.stage_modules() if hasattr(network, "stage_modules") else {}
    return Facts(
        gmacs=trying.multiply_accumulates(network, clip) / 1e9,
        clip=clip,
        width=None,
        stages=tuple(maps),
        freezable=tuple(stage for stage in modules if modules[stage]),
        source=_source(name),
    )


def video_input(name: str) -> NetworkInput:
    """What a network says it takes: its `video_input`, or what the transforms of torchvision's weights do.

    Frames and their rate torchvision gives in words: where they cannot be read, nothing is said of them.
    """
    home, _, made = name.partition(":")
    if home != "torchvision":
        return inputs.stated(getattr(build(name), "video_input", {}), f"network {name!r}")
    _known(name)
    from torchvision.models import get_model_weights

    weights = get_model_weights(made).DEFAULT
    preset, words = weights.transforms(), weights.meta["_docs"]
    length, rate = CLIP_LENGTH.search(words), FRAME_RATE.search(words)
    return NetworkInput(
        frames=int(length[1]) if length else None,
        stride=round(KINETICS_RATE / int(rate[1])) if rate else None,
        resize=tuple(preset.resize_size),
        crop=preset.crop_size[0],
        # Written into the preset itself.
        antialias=False,
        pixels=Pixels(mean=tuple(preset.mean), std=tuple(preset.std)),
    )


def _source(name: str) -> str:
    """12 digits of the code that a factory's network is made by."""
    return "" if name.startswith("torchvision:") else elsewhere.source(_module(name))


def check(network: nn.Module, name: str, clip: tuple[int, int, int]) -> None:
    """Hold a network to the contract by a forward pass of two clips of (frames, height, width) through each part of it.

    On tensors without content where the network runs on these, else on real ones. The network is left as it was.

    Raises:
        InputError: something is missing or gives another shape than the contract says; names it.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network {name!r}: is a {type(network).__name__}, not a torch.nn.Module")
    for part, meaning in CONTRACT.items():
        if not hasattr(network, part):
            raise InputError(f"network {name!r}: has no {part} ({meaning}); add it")
    size: Any = network.feature_size
    # True is no 1.
    if type(size) is not int or size < 1:
        raise InputError(f"network {name!r}: feature_size is {size!r}, not a number of values")
    features = _passed(network, name, "forward", clip)
    if not _is_of(features, 2) or tuple(features.shape) != (2, size):
        raise InputError(f"network {name!r}: forward gives {_shown(features)} for 2 clips, not {[2, size]}")
    last = _passed(network, name, "conv5_map", clip)
    if not _is_of(last, 5):
        raise InputError(f"network {name!r}: conv5_map gives {_shown(last)} for 2 clips, not {CONTRACT['conv5_map']}")
    _check_stages(_passed(network, name, "stages", clip), last, name)
    if getattr(network, "probe_feature", None) is not None:
        probed = _passed(network, name, "probe_feature", clip)
        if not _is_of(probed, 2):
            meaning = OPTIONAL["probe_feature"]
            raise InputError(f"network {name!r}: probe_feature gives {_shown(probed)} for 2 clips, not {meaning}")
    if hasattr(network, "stage_modules"):
        _check_modules(network, name)


def _passed(network: nn.Module, name: str, part: str, clip: tuple[int, int, int]) -> Any:
    """What one part of a network makes of two clips."""
    try:
        return trying.passed(network, clip, (part,))[0]
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        shape = "x".join(map(str, clip))
        raise InputError(
            f"network {name!r}: {part} of a clip of {shape} ends in {type(error).__name__}: {error}"
        ) from error


def _check_stages(maps: Any, last: Tensor, name: str) -> None:
    if not isinstance(maps, dict) or not maps:
        raise InputError(f"network {name!r}: stages gives {_shown(maps)}, not {CONTRACT['stages']}")
    for stage, made in maps.items():
        if not isinstance(stage, str):
            raise InputError(f"network {name!r}: stages has a stage {stage!r}; name it by a text")
        if not _is_of(made, 5):
            raise InputError(
                f"network {name!r}: stages gives {_shown(made)} as {stage!r} for 2 clips, not {CONTRACT['stages']}"
            )
    if made.shape != last.shape:
        raise InputError(
            f"network {name!r}: conv5_map gives {_shown(last)} and stages {_shown(made)} as its last, {stage!r}; "
            "give the last map both times"
        )


def _check_modules(network: Any, name: str) -> None:
    try:
        found = network.stage_modules()
    except (Exception, SystemExit) as error:
        raise InputError(f"network {name!r}: stage_modules ends in {type(error).__name__}: {error}") from error
    lists = (list, tuple, nn.Sequential, nn.ModuleList)
    if not isinstance(found, dict) or not all(isinstance(stage, str) for stage in found):
        raise InputError(f"network {name!r}: stage_modules gives {_shown(found)}, not {OPTIONAL['stage_modules']}")
    for stage, modules in found.items():
        if not isinstance(modules, lists) or not all(isinstance(one, nn.Module) for one in modules):
            raise InputError(
                f"network {name!r}: stage_modules gives {_shown(modules)} as {stage!r}, not {OPTIONAL['stage_modules']}"
            )


def _is_of(made: Any, axes: int) -> bool:
    """Whether something is made of two clips, with so many axes, as fractions."""
    return isinstance(made, Tensor) and made.is_floating_point() and made.dim() == axes and len(made) == 2


def _shown(made: Any) -> str:
    """A tensor as its shape, and its type where that is no fraction's; anything else as what it is."""
    if not isinstance(made, Tensor):
        return f"a {type(made).__name__}"
    return f"{list(made.shape)}" + ("" if made.is_floating_point() else f" of {made.dtype}")
