"""Departures from a paper that a run makes whatever the recipe says, and when each is in force."""

import hashlib
import shlex
from typing import TypedDict

from harness.plan import Part, Stage
from harness.records import Asked


class Departure(TypedDict):
    """As a recipe states one: what is done otherwise, why, and when."""

    id: str
    what: str
    reason: str
    scopes: list[str]


# In force where a run was told to go on without videos that do not decode.
SKIPPED: Departure = {
    "id": "unreadable-videos-skipped",
    "what": "Videos that do not decode are left out of training and tests.",
    "reason": "Asked for with --skip-unreadable; the counts say how many.",
    "scopes": ["where asked for"],
}
# In force where a dataset's lists name videos that are not there, and its own rules allow that.
MISSING: Departure = {
    "id": "missing-videos",
    "what": "Videos that are not in the data root play no part.",
    "reason": "Kinetics-400 and ActivityNet-QA are lists of links, and nobody has all of their videos any more; "
    "the counts say how many.",
    "scopes": ["where videos are missing"],
}
# In force where questions are read without pretrained word vectors.
LEARNT: Departure = {
    "id": "learnt-word-embeddings",
    "what": "Word embeddings start from random numbers and are learnt from the training questions.",
    "reason": "The paper takes GloVe's; --glove glove.6B.300d.txt does too. The file has 1 GB and is not at hand everywhere.",
    "scopes": ["without --glove"],
}
# In force where a recipe lets batches through in parts.
IN_PARTS: Departure = {
    "id": "batches-in-parts",
    "what": "Batches go through the network in parts (`at_once`), whose gradients add up.",
    "reason": "Memory. Batch norm, and whatever else compares the samples of a batch, sees a part alone.",
    "scopes": ["where a recipe says at_once"],
}
# In the order that pages show them in, after a recipe's own.
OF_RUNS = (SKIPPED, MISSING, LEARNT, IN_PARTS)


def of_part(part: Part) -> list[Asked]:
    """What a part of the data is, as a command asks for it; nothing where all are taken."""
    asked = []
    if part.limit:
        some = "the first video" if part.limit == 1 else f"the first {part.limit} videos"
        what = f"{some} of each class of every list"
        asked.append(Asked(id=f"limit-{part.limit}", option=f"--limit {part.limit}", what=what))
    if part.classes:
        named = ",".join(part.classes)
        digest = hashlib.sha256(named.encode()).hexdigest()[:8]
        what = f"videos of {len(part.classes)} classes: {', '.join(part.classes)}"
        asked.append(Asked(id=f"classes-{digest}", option=f"--classes {shlex.quote(named)}", what=what))
    return asked


def in_parts(stage: Stage) -> bool:
    """Whether a stage trained on batches in parts."""
    training = (stage.config.get(name, {}) for name in ("pretraining", "finetuning", "question_answering"))
    return any(settings.get("optimisation", {}).get("at_once") for settings in training)
