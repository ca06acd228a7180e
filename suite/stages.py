"""The kinds of stage: what each one takes, and what it leaves in its folder.

A stage is a pure function of its configuration, the data it reads, and its inputs (folders of earlier stages). It writes
files into its own folder and returns a JSON-able result with some of these keys:

    scores    metric -> value (accuracies in percent)
    counts    what was listed, decoded, asked and right
    outcomes  per video: groups, hits of `trials` for each metric
    curves    name -> one number an epoch
    examples  retrieved neighbours, and `pictures`: PNG files in the folder
    facts     anything else that a reader of the record should see

A kind's version is raised whenever its results move. This module imports no torch until a stage runs.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suite import recipe
from suite.errors import InputError

VERSIONS = {
    "synthetic": 1,
    "check-data": 1,
    "frames": 1,
    "import": 1,
    "pretrain": 1,
    "order-accuracy": 1,
    "features": 1,
    "clip-retrieval": 1,
    "video-retrieval": 1,
    "cross-retrieval": 1,
    "finetune": 1,
    "recognition": 1,
    "regression": 1,
}


@dataclass(frozen=True)
class Runtime:
    """How a stage is run; none of it may change a number on the same device."""

    device: str = "cpu"
    # Loader processes of a training or feature stage.
    workers: int = 0
    progress: Callable[[int, int], None] = lambda done, total: None
    tensorboard: bool = False
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Job:
    """One stage to run: `inputs` are folders by role, `roots` the data roots by dataset name."""

    kind: str
    config: dict
    inputs: dict[str, Path]
    roots: dict[str, Path]
    folder: Path
    runtime: Runtime


def run(job: Job) -> dict:
    """Run one stage and return its result. Raises InputError on bad data, TrainingError on a loss that is not finite."""
    return _FUNCTIONS[job.kind](job)


# ---------------------------------------------------------------------------------------------------- data


def _synthetic(job: Job) -> dict:
    from suite.datasets import synthetic

    settings = {key: job.config[key] for key in ("height", "width", "seed")}
    synthetic.generate(job.config["dataset"], job.folder, settings, job.runtime.progress)
    return {}


def _check_data(job: Job) -> dict:
    from suite import datasets
    from suite.datasets import checking

    name = job.config["dataset"]
    dataset = datasets.load(name, job.roots[name])
    # Unreadable videos are found and counted here; whether a run goes on without them is the caller's choice.
    report = checking.check(dataset, True, max(job.runtime.workers, 1), job.runtime.progress)
    (job.folder / "videos.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    counts = {"listed": len(dataset.videos()), "decoded": report["decoded"], "unreadable": len(report["unreadable"])}
    facts = {"sha256": report["sha256"], "sizes": report["sizes"], "listed": report["listed"]}
    return {"counts": counts, "facts": facts | {"unreadable": report["unreadable"]}}


def _frames(job: Job) -> dict:
    from suite.video import decode, store

    data = _Data(job, job.config["dataset"])
    source = decode.ResizedVideos(data.root, data.dataset.videos(), tuple(job.config["resize"]))
    names = sorted(data.frames)

    def whole_videos():
        for done, name in enumerate(names):
            job.runtime.progress(done, len(names))
            yield name, source.frames(name, list(range(data.frames[name])))

    store.write(job.folder, whole_videos())
    return {"counts": {"videos": len(names), "frames": sum(data.frames.values())}}


class _Data:
    """A dataset with the frame counts that its check found, and a source of resized frames."""

    def __init__(self, job: Job, name: str):
        from suite import datasets

        self.root = job.roots[name]
        self.dataset = datasets.load(name, self.root)
        checked = json.loads((job.inputs[f"check-data:{name}"] / "videos.json").read_text(encoding="utf-8"))
        self.frames: dict[str, int] = checked["videos"]
        self._store = job.inputs.get(f"frames:{name}")

    def readable(self, videos) -> list:
        """The videos that decode; the others were counted when the data were checked."""
        return [video for video in videos if video.name in self.frames]

    def source(self, resize):
        from suite.video import decode, store

        if self._store is not None:
            return store.FrameStore(self._store)
        return decode.ResizedVideos(self.root, self.dataset.videos(), tuple(resize))


# ---------------------------------------------------------------------------------------------------- training


def _holdout_size(holdout: dict, scope: str, available: int) -> int:
    """The paper's number on complete lists, the same fraction elsewhere; at least one video."""
    if scope == "full":
        return holdout["videos"]
    return max(1, round(available * holdout["videos"] / holdout["of"]))


def _backbone(job: Job):
    """The network a stage starts from: freshly initialised by the seed, or trained by an input stage."""
    from suite import backbones, checkpoints
    from suite.seeding import seed_everything

    config = job.config
    seed_everything(config["seed"])
    network = backbones.build(config["backbone"], config["width"])
    if "pretrain" in job.inputs:
        state = checkpoints.load(job.inputs["pretrain"] / "best.safetensors")
        prefix = "backbone."
        network.load_state_dict({name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)})
    return network


def _clip_order(job: Job):
    """The clip-order network of a configuration, and the settings of its tuples."""
    from suite.papers import vcop

    pretraining = job.config["pretraining"]
    network = vcop.ClipOrderNetwork(
        _backbone(job),
        tuple_length=pretraining["tuple_length"],
        hidden=pretraining["hidden"],
        dropout=pretraining["dropout"],
    )
    span = {
        "clip_length": job.config["video"]["clip_length"],
        "tuple_length": pretraining["tuple_length"],
        "interval": pretraining["interval"],
    }
    return network, span


def _pretrain(job: Job) -> dict:
    from suite.evaluation import finetuning
    from suite.papers import vcop

    config, pretraining = job.config, job.config["pretraining"]
    data = _Data(job, pretraining["dataset"])
    network, span = _clip_order(job)
    listed = data.dataset.splits[pretraining["split"]].train
    decoded = data.readable(listed)
    eligible = vcop.long_enough(decoded, data.frames, **span)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(eligible))
    if len(eligible) <= held:
        raise InputError(
            f"{data.root}: {len(eligible)} training videos are long enough for a tuple of "
            f"{pretraining['tuple_length']} clips, and {held} are held out; this needs more or longer videos"
        )
    learnt, validation = finetuning.hold_out(eligible, held, config["seed"])
    counts = {"listed": len(listed), "decoded": len(decoded), "eligible": len(eligible)}
    result = _fit(job, data, network, vcop.ClipTuples, learnt, validation, pretraining["optimisation"], span)
    return result | {"counts": counts | result["counts"]}


def _finetune(job: Job) -> dict:
    from suite.evaluation import finetuning

    config, settings = job.config, job.config["finetuning"]
    data = _Data(job, config["dataset"])
    network = finetuning.RecognitionNetwork(_backbone(job), len(data.dataset.classes))
    listed = data.dataset.splits[config["split"]].train
    decoded = data.readable(listed)
    held = _holdout_size(config["holdout"], data.dataset.scope, len(decoded))
    rest, validation = finetuning.hold_out(decoded, held, config["seed"])
    learnt = finetuning.few_per_class(rest, settings["videos_per_class"], config["seed"])
    counts = {"listed": len(listed), "decoded": len(decoded)}
    length = {"clip_length": config["video"]["clip_length"]}
    result = _fit(job, data, network, finetuning.RandomClips, learnt, validation, settings["optimisation"], length)
    return result | {"counts": counts | result["counts"]}


def _fit(
    job: Job, data: _Data, network, samples, learnt: list, validation: list, optimisation: dict, lengths: dict
) -> dict:
    """Train a network on `samples` of the training videos, watched on those of the validation videos."""
    from suite import training

    config = job.config
    source = data.source(config["video"]["resize"])
    common = lengths | {"crop": config["video"]["crop"], "seed": config["seed"]}
    fitted = training.fit(
        network,
        samples(source, learnt, data.frames, training=True, **common),
        samples(source, validation, data.frames, training=False, **common),
        recipe.Optimisation(**optimisation),
        job.folder,
        seed=config["seed"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        checkpoint_seconds=job.runtime.checkpoint_seconds,
        progress=job.runtime.progress,
        tensorboard=job.runtime.tensorboard,
    )
    (job.folder / "validation.txt").write_text("".join(f"{video.name}\n" for video in validation), encoding="utf-8")
    return {
        "curves": fitted["curves"],
        "counts": {"trained": len(learnt), "held_out": len(validation)},
        "facts": {"best_epoch": fitted["best_epoch"], "steps": fitted["steps"]},
    }


def _import(job: Job) -> dict:
    """A checkpoint of another code base, rewritten as if it had been pretrained here."""
    from suite import checkpoints

    config = job.config
    imported = checkpoints.import_backbone(job.roots["checkpoint"], config["backbone"], config["width"])
    state = {f"backbone.{name}": tensor for name, tensor in imported.state.items()}
    checkpoints.save(state, job.folder / "best.safetensors", {"source": job.roots["checkpoint"].name})
    return {"facts": {"layout": imported.layout, "not_used": list(imported.unused)}}


def _order_accuracy(job: Job) -> dict:
    from suite import checkpoints
    from suite.evaluation import order
    from suite.papers import vcop

    config, pretraining = job.config, job.config["pretraining"]
    data = _Data(job, pretraining["dataset"])
    network, span = _clip_order(job)
    network.load_state_dict(checkpoints.load(job.inputs["pretrain"] / "best.safetensors"))
    listed = data.dataset.splits[pretraining["split"]].test
    videos = vcop.long_enough(data.readable(listed), data.frames, **span)
    if not videos:
        raise InputError(
            f"{data.root}: no test video is long enough for a tuple of {pretraining['tuple_length']} clips"
        )
    source = data.source(config["video"]["resize"])
    # Seed 0 always: every run is asked about the same tuples.
    tuples = vcop.ClipTuples(source, videos, data.frames, crop=config["video"]["crop"], seed=0, training=False, **span)
    right, loss = order.test(
        network,
        tuples,
        pretraining["optimisation"]["batch"],
        job.runtime.device,
        job.runtime.progress,
        workers=job.runtime.workers,
    )
    hits = [int(value) for value in right]
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits), "loss": loss},
        "counts": {
            "listed": len(listed),
            "decoded": len(data.readable(listed)),
            "total": len(hits),
            "correct": sum(hits),
        },
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }


def _recognition(job: Job) -> dict:
    from suite import checkpoints
    from suite.evaluation import finetuning, recognition

    config = job.config
    data = _Data(job, config["dataset"])
    network = finetuning.RecognitionNetwork(_backbone(job), len(data.dataset.classes))
    network.load_state_dict(checkpoints.load(job.inputs["finetune"] / "best.safetensors"))
    listed = data.dataset.splits[config["split"]].test
    videos = data.readable(listed)
    logits = recognition.test(
        network,
        data.source(config["video"]["resize"]),
        videos,
        data.frames,
        clip_length=config["video"]["clip_length"],
        clips=config["finetuning"]["test_clips"],
        crop=config["video"]["crop"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
    hits = [int(row.argmax() == video.label) for row, video in zip(logits, videos, strict=True)]
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits)},
        "counts": {"listed": len(listed), "decoded": len(videos), "total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }


# ---------------------------------------------------------------------------------------------------- retrieval


def _features(job: Job) -> dict:
    import numpy as np

    from suite.evaluation import features

    config = job.config
    data = _Data(job, config["dataset"])
    network = _backbone(job)
    source = data.source(config["video"]["resize"])
    split = data.dataset.splits[config["split"]]
    counts = {}
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
            device=job.runtime.device,
            workers=job.runtime.workers,
            progress=job.runtime.progress,
        )
        np.save(job.folder / f"{part}.npy", extracted)
        content = {
            "names": [v.name for v in videos],
            "labels": [v.label for v in videos],
            "groups": [v.group for v in videos],
        }
        content |= {"classes": list(data.dataset.classes), "listed": len(listed)}
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


def _clip_retrieval(job: Job) -> dict:
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


def _video_retrieval(job: Job) -> dict:
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


def _cross_retrieval(job: Job) -> dict:
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
    data = {name: _Data(job, name) for name in {query_dataset, gallery_dataset}}
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


def _central_frame(data: _Data, name: str, resize):
    return data.source(resize).frames(name, [data.frames[name] // 2])[0].numpy()


def _regression(job: Job) -> dict:
    from suite import regression

    return regression.run(job)


_FUNCTIONS = {
    "synthetic": _synthetic,
    "check-data": _check_data,
    "frames": _frames,
    "import": _import,
    "pretrain": _pretrain,
    "order-accuracy": _order_accuracy,
    "features": _features,
    "clip-retrieval": _clip_retrieval,
    "video-retrieval": _video_retrieval,
    "cross-retrieval": _cross_retrieval,
    "finetune": _finetune,
    "recognition": _recognition,
    "regression": _regression,
}
