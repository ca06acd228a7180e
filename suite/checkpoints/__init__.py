"""Weights on disk: ours, and those of other code, with every key accounted for. No pickled code is ever executed.

Our files are safetensors with string metadata (saving.py). A file of other code is read (reading.py, after survey.py has looked
at its pickle), its weights are found among what it holds (finding.py) by the names that code bases give them (layouts.py), and
each tensor is checked (importing.py). Whose a file is tells what its network was trained on (makers.py).
"""

from suite.checkpoints.importing import Imported, import_backbone, import_imagenet
from suite.checkpoints.layouts import vcop_name
from suite.checkpoints.makers import refuse_other_pixels
from suite.checkpoints.reading import read
from suite.checkpoints.saving import load, save

__all__ = ["Imported", "import_backbone", "import_imagenet", "load", "read", "refuse_other_pixels", "save", "vcop_name"]
