"""What all backbones share: they are walked stage by stage, from conv1 to conv5."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from suite.backbones import STAGES


class Staged(nn.Module, ABC):
    """A network of five stages. Each of them says by `walk` what a stage makes of the one before."""

    @abstractmethod
    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and map of each stage in turn; a map that the caller drops is freed before the next one."""

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """[B, 3, T, H, W] -> the maps of conv1 to conv5, each [B, C, t, h, w]."""
        return dict(self.walk(x))

    def conv5_map(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> the last map [B, C, t, h, w], before any pooling behind it; holds no earlier map."""
        for _, stage in self.walk(x):  # noqa: B007 (the last one is wanted)
            pass
        return stage

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        """The modules of each stage: those whose name begins with it."""
        children = list(self.named_children())
        return {stage: [module for name, module in children if name.startswith(stage)] for stage in STAGES}


def modules_below(backbone: nn.Module, stage: str) -> list[nn.Module]:
    """The modules of a backbone's stages before `stage`; none before the first.

    Raises ValueError if it has no such stage, or does not say what its stages are made of.
    """
    if stage == STAGES[0]:
        return []
    found = backbone.stage_modules() if hasattr(backbone, "stage_modules") else {}
    if not found.get(stage):
        raise ValueError(f"{type(backbone).__name__} has no stage {stage!r} to freeze below")
    names = list(found)
    return [module for name in names[: names.index(stage)] for module in found[name]]


def probe_feature(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """What probes take of a backbone, [B, 3, T, H, W] -> [B, D]: its own `probe_feature`, else its last map, flattened."""
    own = getattr(backbone, "probe_feature", None)
    return own if own is not None else lambda x: backbone.conv5_map(x).flatten(1)
