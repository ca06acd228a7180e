"""Counts what the suite's own networks cost and writes it to counted.toml, so that a plan needs no torch to know it.

python -m suite.backbones.counting
"""

from pathlib import Path

import torch

from suite import backbones
from suite.backbones import trying

HEAD = f"""\
# Written by python -m suite.backbones.counting, never by hand; a test counts again.
# Of each network at width {backbones.COUNTED_WIDTH}: parameters, without head or classifier, and multiply-accumulates of one clip of
# {backbones.COUNTED_CLIP[0]} frames of {backbones.COUNTED_CLIP[1]}x{backbones.COUNTED_CLIP[2]} (the papers call them FLOPs).
"""


def counted() -> str:
    """The content of counted.toml, from the networks themselves."""
    tables = []
    for name in backbones.NAMES:
        with torch.device("meta"):
            network = backbones.build(name, backbones.COUNTED_WIDTH, backbones.COUNTED_CLIP)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        cost = trying.multiply_accumulates(network, backbones.COUNTED_CLIP)
        tables.append(f"\n[{name}]\nparameters = {parameters:_}\nmultiply_accumulates = {cost:_}\n")
    return HEAD + "".join(tables)


def main() -> None:
    """Write the file anew."""
    Path(backbones.COUNTED).write_text(counted(), encoding="utf-8")


if __name__ == "__main__":
    main()
