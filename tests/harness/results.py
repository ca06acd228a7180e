"""Made-up results for tests: a small paper, and records of any paper at any scale, with every field that a real one has."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.records import Outcomes, Record
from harness.tables import Paper, load_paper

SMALL = """
[paper]
key = "small"
title = "Small Paper"
citation = "Doe et al., Small Paper, 2020"

[[table]]
id = "table1"
title = "Retrieval on UCF101"
where = "Table 1, Sec. 4"
protocol = "clip-retrieval"
notes = ["The text says 12; the table says 12.5."]
[table.tolerance]
points = 2.0
prior_sd = 1.5
reason = "made up"
[table.shared]
dataset = "ucf101"
splits = [1]
unit = "percent"
better = "high"
[[table.columns]]
id = "top1"
label = "Top1"
metric = "top1"
[[table.columns]]
id = "top5"
label = "Top5"
metric = "top5"
[[table.columns]]
id = "top10"
label = "Top10"
metric = "top10"
[[table.rows]]
id = "jigsaw"
label = "Jigsaw [27]"
source = "cited"
values = [19.7, 28.5, nan]
[[table.rows]]
id = "c3d_random"
label = "C3D (random)"
source = "own"
backbone = "c3d"
weights = "random"
values = [16.0, 22.5, 26.7]
[[table.rows]]
id = "c3d_order"
label = "C3D"
source = "own"
backbone = "c3d"
weights = "order"
values = [12.5, 29.0, 39.0]
printed = { top1 = "125" }
erratum = { top1 = "the decimal point is lost" }

[[table]]
id = "table2"
title = "Recognition & transfer"
where = "Table 2, Sec. 5"
protocol = "recognition"
[table.tolerance]
points = 3.0
prior_sd = 2.0
reason = "made up"
[table.shared]
metric = "accuracy"
splits = [1, 2]
unit = "percent"
better = "high"
[[table.columns]]
id = "ucf101"
label = "UCF101"
dataset = "ucf101"
[[table.columns]]
id = "hmdb51"
label = "HMDB51"
dataset = "hmdb51"
[[table.rows]]
id = "c3d_random"
label = "C3D (random)"
source = "own"
backbone = "c3d"
weights = "random"
values = [61.6, nan]
[[table.rows]]
id = "c3d_order"
label = "C3D"
source = "own"
backbone = "c3d"
weights = "order"
values = [65.6, 28.4]

[[figure]]
id = "figure1"
title = "Video retrieval"
where = "Figure 1, Sec. 4"
protocol = "video-retrieval"
[figure.shared]
dataset = "ucf101"
splits = [1]
unit = "percent"
better = "high"
[[figure.columns]]
id = "top1"
label = "Top1"
metric = "top1"
[[figure.rows]]
id = "c3d_order"
label = "C3D"
source = "own"
backbone = "c3d"
weights = "order"
"""

CLAIMS = """
paper = "small"
[[claim]]
id = "pretraining_helps"
statement = "Pretraining helps in top-5 retrieval."
where = "Sec. 4"
kind = "ordering"
relation = 'V("table1.c3d_order.top5") > V("table1.c3d_random.top5")'
printed_holds = true
[[claim]]
id = "pretraining_helps_top1"
statement = "Pretraining helps in top-1 retrieval, too."
where = "Sec. 4"
kind = "ordering"
relation = 'V("table1.c3d_order.top1") > V("table1.c3d_random.top1")'
printed_holds = false
note = "12.5 against 16.0."
[[claim]]
id = "video_level"
statement = "Videos are found better than half of the time."
where = "Figure 1"
kind = "quantitative"
relation = 'M("figure1.c3d_order.top1") > 50'
"""

RECIPE = {
    "paper": "small",
    "scale": "tiny",
    "hash": "ab" * 32,
    "settings": {},
    "departures": [
        {
            "id": "tiny-networks",
            "what": "Narrow networks.",
            "reason": "Two CPU cores.",
            "effect": "5 points of Top1.",
            "scopes": [],
        },
        {"id": "not-in-force", "what": "Nothing.", "reason": "None.", "scopes": ["full"]},
    ],
    "decisions": [{"what": "Crop", "choice": "one for each clip", "source": "authors' code"}],
    "readings": [{"what": "Clips are 61 frames long.", "reading": "sixteen frames.", "argument": "Sec. 3 has 16."}],
}


def small_paper(folder: Path) -> Paper:
    """The paper above, read from a file as real ones are."""
    path = folder / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return load_paper(path)


def records(
    paper: Paper,
    *,
    scale: str = "tiny",
    scope: str = "synthetic",
    seeds: int = 2,
    offset: float = 0.0,
    spread: float = 0.5,
    tables: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    videos: int = 40,
    **fields,
) -> Iterator[Record]:
    """A record for every own row, dataset, split and seed: the printed values (or 50) plus `offset` and seed noise.

    Scores are shares of right answers, as in real records: of `videos` videos with ten clips each.
    """
    for table in paper.tables_and_figures:
        if tables and table.id not in tables:
            continue
        cells: dict[tuple, list] = {}
        for cell in table.cells():
            if cell.source == "own" and cell.dataset and (not datasets or cell.dataset in datasets):
                cells.setdefault((cell.row, cell.dataset, cell.splits), []).append(cell)
        for (row, dataset, splits), measured in cells.items():
            for split in splits:
                for seed in range(seeds):
                    yield record(
                        paper,
                        table.id,
                        row,
                        dataset,
                        split,
                        seed,
                        measured,
                        scale,
                        scope,
                        offset,
                        spread,
                        videos,
                        fields,
                    )


def record(paper, table, row, dataset, split, seed, cells, scale, scope, offset, spread, videos, fields) -> Record:
    """One record of `records`."""
    name = f"{table} {row} {dataset} {split} {seed}"
    noise = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    shift = offset + spread * noise.standard_normal()
    trials, scores, hits = 10, {}, {}
    for cell in cells:
        wanted = min(max((50.0 if np.isnan(cell.value) else cell.value) + shift, 0), 100)
        right = round(wanted / 100 * videos * trials)
        hits[cell.metric] = [right // videos + (video < right % videos) for video in range(videos)]
        scores[cell.metric] = 100 * right / (videos * trials)
    decay = np.exp(-np.arange(12) / 4)
    random = cells[0].weights == "random"
    content = {
        "paper": paper.key,
        "table": table,
        "row": row,
        "columns": [cell.column for cell in cells],
        "dataset": dataset,
        "split": split,
        "seed": seed,
        "scale": scale,
        "scope": scope,
        "fingerprint": f"{scope}-{hashlib.sha256(dataset.encode()).hexdigest()[:12]}",
        "lists": {f"testlist0{split}.txt": hashlib.sha256(f"{dataset}{split}".encode()).hexdigest()},
        "protocol": cells[0].protocol,
        "protocol_version": 1,
        "recipe_hash": "ab" * 32,
        "device_kind": "cpu",
        "scores": scores,
        "counts": {"listed": videos, "decoded": videos, "queries": videos, "total": videos * trials},
        "outcomes": Outcomes(groups=[f"g{video // 4:02d}" for video in range(videos)], trials=trials, hits=hits),
        "stages": {} if random else {"pretrain": f"pretrain{seed}"},
        "settings": {},
        "departures": ["tiny-networks"],
        "environment": {"python": "3.11.9", "torch": "2.11.0", "cpu": "a CPU"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "created": f"2026-01-0{1 + seed % 9}T10:00:00Z",
        "seconds": 12.5,
        "command": "python -m harness run small",
    }
    if cells[0].protocol in ("recognition", "order-accuracy"):
        content["curves"] = {
            "train_loss": list(0.2 + 2 * decay + 0.02 * seed),
            "validation_loss": list(0.4 + 2 * decay + 0.1 * random),
            "train_accuracy": list(90 - 70 * decay - seed),
            "validation_accuracy": list(80 - 65 * decay - 5 * random),
        }
    return Record(**(content | fields))


CLASSES = ("Biking", "Diving", "HulaHoop", "JumpRope", "Skijet", "TaiChi")
LABELS = (
    "pattern1_u_location",
    "pattern1_u_orientation",
    "global_u_frame",
    "pattern1_diverse_location",
    "global_colour",
)


def with_protocol_scores(record: Record) -> Record:
    """A record of `records` with the scores that its protocol's stage would have added, and its picture."""
    seed, update = record.seed, {}
    if record.protocol == "order-accuracy":
        shares = {f"accuracy_{one}": 30.0 + 10 * place + seed for place, one in enumerate(CLASSES)}
        update = {"scores": record.scores | shares, "counts": {"listed": 40, "decoded": 40}}
    elif record.protocol == "statistics-errors":
        # The first label is never learnt, the last with seed 0 only.
        ratios = {one: 0.9 - 0.1 * place for place, one in enumerate(LABELS)}
        ratios |= {LABELS[0]: 1.02 + 0.01 * seed, LABELS[-1]: 0.8 + 0.3 * seed}
        update = {"scores": {"motion": 0.9, "appearance": 0.7, "joint": 0.8} | ratios, "picture": "clip.png"}
    elif record.protocol == "aslan":
        update = {"scores": record.scores | {"standard_error": 1.5 + seed, "auc": 0.61 + 0.02 * seed}}
    elif record.protocol == "training-curve":
        update = {"curves": {"validation_accuracy": [20.0 + epoch + seed for epoch in range(8)]}}
    elif record.protocol == "ranking-accuracy":
        steps = {f"score_{step}": 0.8 - 0.05 * step + 0.01 * seed for step in range(1, 7)}
        update = {"scores": record.scores | steps, "picture": "similarity.png"}
    elif record.protocol == "cross-retrieval":
        update = {"picture": "examples.png"}
    if picture := update.pop("picture", None):
        update["pictures"] = [f"{Path(record.key()).stem}__{picture}"]
    if record.protocol in ("order-accuracy", "statistics-errors", "aslan", "ranking-accuracy"):
        update["outcomes"] = None
    pretraining = {
        f"16-{interval}-{length}{ending}": {"tuple_length": length}
        for interval in (8, 16)
        for length in (3, 4, 5)
        for ending in ("", "-sample", "-scratch", "-scratch-fast", "-600ep")
    }
    return record.model_copy(update=update | {"settings": {"pretraining": pretraining}})
