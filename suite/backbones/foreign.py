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
    "stages": "[B, 3, T, H, W] -> a map of each stage by its name",
    "feature_size": "the number of values of a feature",
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
    except Exception as error:
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
    """Hold a network to the contract by one forward pass of two clips of (frames, height, width).

    On tensors without content where the network runs on these, else on real ones. The network is left as it was.

    Raises:
        InputError: something is missing or gives another shape than the contract says; names it.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network {name!r}: is a {type(network).__name__}, not a torch.nn.Module")
    for part, meaning in CONTRACT.items():
        if not hasattr(network, part):
            raise InputError(f"network {name!r}: has no {part} ({meaning}); add it")
    size = network.feature_size
    if not isinstance(size, int) or size < 1:
        raise InputError(f"network {name!r}: feature_size is {size!r}, not a number of values")
    try:
        features, last, maps = trying.passed(network, clip, ("forward", "conv5_map", "stages"))
    except InputError:
        raise
    except Exception as error:
        shape = "x".join(map(str, clip))
        raise InputError(f"network {name!r}: a clip of {shape} ends in {type(error).__name__}: {error}") from error
    if tuple(features.shape) != (2, size):
        raise InputError(f"network {name!r}: forward gives {list(features.shape)} for 2 clips, not {[2, size]}")
    if last.dim() != 5 or len(last) != 2:
        raise InputError(f"network {name!r}: conv5_map gives {list(last.shape)}, not {CONTRACT['conv5_map']}")
    if not isinstance(maps, dict) or not maps:
        raise InputError(f"network {name!r}: stages gives {type(maps).__name__}, not {CONTRACT['stages']}")
