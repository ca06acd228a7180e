"""What is put on a backbone's feature beside one linear layer."""

import math

from torch import nn

from suite.backbones.c3d5 import C3D5

# The three fully connected layers at the paper's width 64: inputs, and deviation and bias that they start from (authors' code).
INPUTS = (4096, 2048, 2048)
STD = (0.005, 0.005, 0.01)
BIAS = (1.0, 1.0, 0.0)


def fully_connected(backbone: nn.Module, outputs: int) -> nn.Sequential:
    """Three layers over a backbone's feature, D -> 2048 -> 2048 -> outputs at the paper's width, initialised as the authors do.

    A branch of the pretext network, and at fine-tuning the classifier that is put anew on the convolutions (Sec. 4.1).
    """
    size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
    width = backbone.width if isinstance(backbone, C3D5) else max(size // 8, 1)
    hidden = INPUTS[1] * width // 64
    layers = [nn.Linear(size, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
    for layer, full, std, bias in zip(layers, INPUTS, STD, BIAS, strict=True):
        # Fewer inputs than at the paper's size have larger weights, so that their sum starts as large.
        nn.init.normal_(layer.weight, std=std * math.sqrt(full / layer.in_features))
        nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
