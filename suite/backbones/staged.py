"""What all backbones share: they are walked stage by stage, from conv1 to conv5."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn


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
