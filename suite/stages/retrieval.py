"""Stages of nearest-neighbour retrieval: features of clips, and searches among them."""

import json
from pathlib import Path

from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import starting_backbone


def features(job: Job) -> dict:
    import numpy as np

    from suite.evaluation import features

    config = job.config
    data = Data(job, config["dataset"])
    network = starting_backbone(job)
    source = data.source(config["video"]["resize"])
    split = data.dataset.splits[config["split"]]
    counts: dict[str, int] = {}
    for part, listed in (("train", split.train), ("test", split.test)):
        videos = data.readable(listed)
        extracted = features.extract(
            network,
            source,
            videos,
            data.frames,
            clip_length=config["video"]["clip_length"],
            clips=config["clips"],
            stride=config["stride"],
            crop=config["video"]["crop"],
            pooling=config["pooling"],
            bn=config["bn"],
            pixels=config["video"]["pixels"],
            device=job.runtime.device,
            workers=job.runtime.workers,
            progress=job.runtime.progress,
        )
        np.save(job.folder / f"{part}.npy", extracted)
        content = {
            "names": [v.name for v in videos],
            "labels": [v.label for v in videos],
            "groups": [v.group for v in videos],
            "classes": list(data.dataset.classes),
            "listed": len(listed),
        }
        (job.folder / f"{part}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
        counts |= {f"{part}_listed": len(listed), f"{part}_decoded": len(videos)}
        size = extracted.shape[-1]
    return {"counts": counts, "facts": {"feature_size": size, "clips": config["clips"]}}


class _Side:
    """One side of a retrieval: features [videos, clips, D] with names, labels and groups."""

    def __init__(self, folder: Path, part: str):
        import numpy as np

        self.features = np.load(folder / f"{part}.npy", mmap_mode="r")
        content = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        self.names, self.groups, self.classes = content["names"], content["groups"], content["classes"]
        self.labels, self.listed = np.array(content["labels"]), content["listed"]


def clip_retrieval(job: Job) -> dict:
    """Every clip of a test video queries every clip of the training videos."""
    import numpy as np

    from suite.evaluation import retrieval

    queries, gallery = _Side(job.inputs["features"], "test"), _Side(job.inputs["features"], "train")
    clips = queries.features.shape[1]
    top = list(job.config["top"])
    neighbours = retrieval.search(
        queries.features.reshape(-1, queries.features.shape[-1]),
        gallery.features.reshape(-1, gallery.features.shape[-1]),
        min(max(top), len(gallery.labels) * clips),
        job.runtime.device,
        job.runtime.progress,
    )
    hits = retrieval.score(neighbours, np.repeat(queries.labels, clips), np.repeat(gallery.labels, clips), top)
    return _retrieved(hits.reshape(len(queries.labels), clips, len(top)).sum(1), clips, top, queries)


def video_retrieval(job: Job) -> dict:
    """The mean of a video's clip features queries those of the training videos (Fig. 5); examples as a picture (Fig. 4)."""
    from suite.evaluation import retrieval

    queries, gallery = _Side(job.inputs["features"], "test"), _Side(job.inputs["features"], "train")
    top = list(job.config["top"])
    neighbours = retrieval.search(
        queries.features.mean(1),
        gallery.features.mean(1),
        min(max(top), len(gallery.labels)),
        job.runtime.device,
        job.runtime.progress,
    )
    hits = retrieval.score(neighbours, queries.labels, gallery.labels, top)
    result = _retrieved(hits.astype(int), 1, top, queries)
    dataset = job.config["dataset"]
    return result | _examples(job, (dataset, queries), (dataset, gallery), neighbours, judged=True)


def cross_retrieval(job: Job) -> dict:
    """Test videos of one dataset query the training videos of another (Fig. 6): pictures, since the classes differ."""
    from suite.evaluation import retrieval

    asked, searched = job.config["query_dataset"], job.config["gallery_dataset"]
    queries, gallery = _Side(job.inputs["query"], "test"), _Side(job.inputs["gallery"], "train")
    neighbours = retrieval.search(
        queries.features.mean(1),
        gallery.features.mean(1),
        min(5, len(gallery.labels)),
        job.runtime.device,
        job.runtime.progress,
    )
    asked_videos = len(queries.labels)
    result = {
        "scores": {"queries": asked_videos},
        "counts": {"listed": queries.listed, "decoded": asked_videos, "gallery": len(gallery.labels)},
    }
    return result | _examples(job, (asked, queries), (searched, gallery), neighbours, judged=False)


def feature_space(job: Job) -> dict:
    """How the test clips of five classes lie to each other (srop Fig. 4): t-SNE as a picture, the silhouette as a number."""
    import numpy as np

    from suite.evaluation import space

    side = _Side(job.inputs["features"], "test")
    shown = space.five_classes(len(side.classes))
    chosen = np.isin(side.labels, shown)
    clips = side.features.shape[1]
    features = side.features[chosen].reshape(int(chosen.sum()) * clips, -1)
    labels = np.repeat(side.labels[chosen], clips)
    points = space.embedding(features, 0)
    names = [side.classes[label] for label in shown]
    space.space_picture(points, labels, dict(zip(shown, names, strict=True)), job.folder / "space.png")
    return {
        # Times 100, as percentages are.
        "scores": {"silhouette": 100 * space.silhouette(features, labels)},
        "counts": {"listed": side.listed, "decoded": len(side.labels), "clips": len(labels)},
        "pictures": ["space.png"],
        "facts": {"classes": names},
    }


def _retrieved(hits, trials: int, top: list[int], queries: _Side) -> dict:
    total = len(queries.labels) * trials
    right = hits.sum(0)
    return {
        "scores": {f"top{k}": 100 * int(count) / total for k, count in zip(top, right, strict=True)},
        "counts": {"listed": queries.listed, "decoded": len(queries.labels), "total": total}
        | {f"correct_top{k}": int(count) for k, count in zip(top, right, strict=True)},
        "outcomes": {
            "groups": queries.groups,
            "trials": trials,
            "hits": {f"top{k}": [int(count) for count in hits[:, column]] for column, k in enumerate(top)},
        },
    }


def _examples(job: Job, asked: tuple[str, _Side], searched: tuple[str, _Side], neighbours, *, judged: bool) -> dict:
    """The first query of each of up to six classes with its nearest neighbours, as facts and as a picture."""
    from suite.evaluation import examples

    (query_dataset, queries), (gallery_dataset, gallery) = asked, searched
    data = {name: Data(job, name) for name in {query_dataset, gallery_dataset}}
    first_of_class = [int((queries.labels == label).argmax()) for label in sorted(set(queries.labels.tolist()))[:6]]
    shown, rows = [], []
    for query in first_of_class:
        found = [int(index) for index in neighbours[query][:3]]
        right = [bool(gallery.labels[i] == queries.labels[query]) if judged else None for i in found]
        shown.append(
            {
                "query": queries.names[query],
                "query_class": queries.classes[queries.labels[query]],
                "neighbours": [
                    {"video": gallery.names[i], "class": gallery.classes[gallery.labels[i]], "correct": ok}
                    for i, ok in zip(found, right, strict=True)
                ],
            }
        )
        rows.append(
            {
                "query": _central_frame(data[query_dataset], queries.names[query], job.config["resize"]),
                "query_class": shown[-1]["query_class"],
                "neighbours": [
                    (
                        _central_frame(data[gallery_dataset], gallery.names[i], job.config["resize"]),
                        entry["class"],
                        entry["correct"],
                    )
                    for i, entry in zip(found, shown[-1]["neighbours"], strict=True)
                ],
            }
        )
    examples.contact_sheet(rows, job.folder / "examples.png")
    return {"examples": shown, "pictures": ["examples.png"]}


def _central_frame(data: Data, name: str, resize):
    return data.source(resize).frames(name, [data.frames[name] // 2])[0].numpy()
