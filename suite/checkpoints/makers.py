"""What the code that wrote a file trained on: a file tells by its layout whose it is. Data, and what follows from them.

Only pixels are held against what a network would be given: nothing in a score tells that they were wrong, while clips of
another size are an evaluation of their own.
"""

from dataclasses import dataclass
from pathlib import Path

from suite import backbones
from suite.checkpoints.importing import Imported
from suite.errors import InputError
from suite.video.inputs import NAMED, NetworkInput, Pixels


@dataclass(frozen=True)
class Maker:
    """A code base, what tells its files, and what it trains on; an empty mark tells nothing."""

    name: str
    input: NetworkInput
    # Whose names the entries have, under which entry of the file the weights lie, and a part of what stands before their keys.
    layout: str = ""
    wrapper: str = ""
    prefix: str = ""

    def wrote(self, imported: Imported) -> bool:
        """Whether a file is this maker's."""
        marks = (
            (self.layout, [imported.layout]),
            (self.wrapper, imported.wrapper.split("/")),
            (self.prefix, imported.prefix.split(".")),
        )
        return all(mark in found for mark, found in marks if mark)


IMAGENET = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
MAKERS = (
    Maker(
        "VCOP's authors",
        NetworkInput(frames=16, stride=1, resize=(128, 171), crop=112, antialias=True, pixels=NAMED["unit"]),
        layout="vcop",
    ),
    # main_moco.py of MoCo; main_nce.py and main_coclr.py of CoCLR.
    Maker("MoCo and its kin (CoCLR)", NetworkInput(pixels=IMAGENET), prefix="encoder_q"),
    # DATA.MEAN and DATA.STD of its defaults.
    Maker(
        "PySlowFast",
        NetworkInput(pixels=Pixels(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))),
        wrapper="model_state",
    ),
)
# Entries that torchvision's video references put around weights.
TORCHVISION_WRAPPERS = ("", "model")


def maker(imported: Imported, backbone: str) -> Maker | None:
    """Whose a file is, if that can be told: one of `MAKERS`, or torchvision as it publishes weights of its networks."""
    for one in MAKERS:
        if one.wrote(imported):
            return one
    published = (
        imported.wrapper in TORCHVISION_WRAPPERS
        and not imported.prefix
        and set(imported.modules) & {"fc", "classifier"}
    )
    if backbone.startswith("torchvision:") and published:
        return Maker("torchvision", backbones.video_input(backbone))
    return None


def refuse_other_pixels(path: Path, imported: Imported, backbone: str, given: Pixels) -> None:
    """Hold the pixels that a network would be given against those that its weights were trained on.

    For pixels that nobody stated of this file: what a person states is taken.

    Raises InputError, with what is known and the options that state it, where they differ, or where nothing is known of a
    network from elsewhere.
    """
    wrote, own = maker(imported, backbone), backbones.video_input(backbone)
    if wrote is not None and wrote.input.pixels == given:
        return
    if wrote is not None:
        raise InputError(
            f"{path}: has the layout of {wrote.name}, which trains on {wrote.input.words()}, and would be given "
            f"{given.words()}; say what it takes: {wrote.input.options()}"
        )
    if not backbones.is_foreign(backbone) or (own.pixels is not None and not backbone.startswith("torchvision:")):
        return
    known = f"; torchvision's own weights take {own.options()}" if own.pixels is not None else ""
    raise InputError(
        f"{path}: nothing says what these weights were trained on; say it by --mean, --std, --channels and --range{known}"
    )
