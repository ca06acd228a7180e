"""Networks and checkpoints from elsewhere: one as a table without printed numbers, and what was read of its file."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.plan import Plan, Setting
from harness.planning.protocols import OF_WHOLE_VIDEOS
from harness.running import door, stage_folders
from harness.tables import Paper
from harness.words import printable

if TYPE_CHECKING:
    from harness.running.door import Recipe

# What is measured here is of this paper, which printed nothing.
KEY, TITLE = "imported", "Networks from elsewhere"


def usual_paper(protocol: str) -> str:
    """The paper whose settings a protocol is measured with, unless another is named. Raises UsageError for an unknown protocol."""
    _refuse_unknown(protocol)
    return door.paper_that_evaluates(protocol)


def _refuse_unknown(protocol: str) -> None:
    if protocol not in OF_WHOLE_VIDEOS:
        raise UsageError(f"--protocol {protocol}: choose one of {', '.join(OF_WHOLE_VIDEOS)}")


def as_paper(
    checkpoint: Path | None,
    backbone: str,
    protocol: str,
    dataset: str | None,
    splits: tuple[int, ...],
    recipe: "Recipe",
    label: str | None = None,
) -> Paper:
    """One protocol on a network with the weights of a checkpoint, or random ones, as a table without printed numbers.

    The row's id is that of the file's content, so that two files of one name are two rows, and one file of two names is one;
    dataset: by default the one that the recipe pretrains on, where the protocol can be measured on it.
    label: what reports call it, else the file's or the network's name. Raises UsageError.
    """
    _refuse_unknown(protocol)
    if backbone not in (names := door.backbones()) and not door.from_elsewhere(backbone):
        raise UsageError(
            f"--backbone {backbone}: choose one of {', '.join(names)}; or name torchvision:NAME or package.module:factory"
        )
    measurable = door.measurable(protocol)
    if dataset is None:
        usual = next(iter(recipe.settings.pretraining.values())).dataset
        dataset = usual if usual in measurable else measurable[0]
    if dataset not in measurable:
        raise UsageError(f"--dataset {dataset}: {protocol} is measured on one of {', '.join(measurable)}")
    known = door.official_splits(dataset)
    if not set(splits) <= set(known):
        raise UsageError(
            f"--splits {','.join(map(str, splits))}: give official split numbers of {dataset}: {', '.join(map(str, known))}"
        )
    # A network's name as a part of a file's.
    row: dict[str, Any] = {
        "id": f"{re.sub('[^A-Za-z0-9-]+', '-', backbone)}-random",
        "source": "own",
        "backbone": backbone,
        "weights": "random",
    }
    if checkpoint is not None:
        sha256 = _sha256(checkpoint)
        row |= {
            "id": row["id"].removesuffix("random") + sha256[:16],
            "weights": "imported",
            "settings": {"sha256": sha256},
        }
    by_clips, retrieval = protocol.endswith("retrieval"), recipe.settings.retrieval
    if (by_clips or protocol == "video-qa") and retrieval is None:
        raise UsageError(
            f"--paper {recipe.paper}: its recipe has no features of clips; name a paper that has, such as vcop"
        )
    if by_clips and retrieval is not None:
        metrics = [f"top{k}" for k in retrieval.top]
    elif protocol == "video-qa":
        metrics = [*door.question_types(), "all"]
    else:
        metrics = ["accuracy"]
    label = label or (printable(checkpoint.name) if checkpoint is not None else f"{backbone}, random weights")
    figure = {
        "id": protocol,
        "title": f"{protocol} of {label}",
        "where": f"protocol of {recipe.paper}",
        "protocol": protocol,
        "columns": [
            {"id": metric, "label": metric, "metric": metric, "unit": "percent", "better": "high", "protocol": protocol}
            | {"dataset": dataset, "splits": list(splits)}
            for metric in metrics
        ],
        "rows": [row | {"label": label}],
    }
    return Paper.model_validate({"key": KEY, "title": TITLE, "citation": label, "figures": [figure]})


def refuse_other_weights(
    checkpoint: Path, backbone: str, recipe: "Recipe", changes: Iterable[Setting], stated: Mapping[str, object]
) -> None:
    """Refuse a file of another network or, where nobody stated its pixels, one that was trained on others than the recipe's.

    Before anything runs. Raises UsageError.
    """
    said = "pixels" in stated or any(change.keys[:2] == ("video", "pixels") for change in changes)
    door.refuse_other_weights(checkpoint, backbone, recipe, said)


def _sha256(checkpoint: Path) -> str:
    if not checkpoint.is_file():
        raise UsageError(f"{checkpoint}: no such checkpoint; give the file with --checkpoint")
    with open(checkpoint, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(built: Plan, runs: Path) -> list[str]:
    """What was read of an imported checkpoint: by whose names, under what, behind what, and what played no part by module."""
    lines = []
    for stage in built.stages.values():
        if stage.kind == "import":
            facts = stage_folders.read(stage.folder(runs))["result"]["facts"]
            found = [f"checkpoint layout: {facts['layout']}"]
            # Keys are another's: whatever they hold, it is shown as text.
            found += [f"under {facts['wrapper']!r}"] if facts["wrapper"] else []
            found += [f"prefix {facts['prefix']!r}"] if facts["prefix"] else []
            if facts["counters_absent"]:
                found.append(f"without {facts['counters_absent']} num_batches_tracked, as before PyTorch 0.4.1")
            parts = [f"{repr(module)[1:-1]} ({count})" for module, count in facts["not_used"].items()]
            unused = ", ".join(parts[:20]) + (f" and {len(parts) - 20} more" if len(parts) > 20 else "")
            lines.append(f"{', '.join(found)}; recognised keys that play no part: {unused or 'none'}")
    return lines
