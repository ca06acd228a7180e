"""Stages of the linear probes: features of whole videos by a frozen network, and the classifiers on them."""

import json

from suite.stages import Job
from suite.stages.data import Data, cores
from suite.stages.networks import starting_backbone


def probe_features(job: Job) -> dict:
    """One feature of unit length for each video of a dataset."""
    import numpy as np

    from suite.evaluation import features

    config = job.config
    data = Data(job, config["dataset"])
    listed = data.dataset.videos()
    videos = data.readable(listed)
    extracted = features.video_features(
        starting_backbone(job),
        data.source(config["video"]["resize"]),
        videos,
        data.frames,
        clip_length=config["video"]["clip_length"],
        overlap=config["video"]["clip_length"] - config["step"],
        stride=config["stride"],
        crop=config["video"]["crop"],
        pixels=config["video"]["pixels"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
    np.save(job.folder / "features.npy", extracted)
    names = [video.name for video in videos]
    (job.folder / "videos.json").write_text(json.dumps(names) + "\n", encoding="utf-8")
    counts = {"listed": len(listed), "decoded": len(videos)}
    return {"counts": counts, "facts": {"feature_size": extracted.shape[1]}}


def _by_name(job: Job) -> dict:
    """The features of an input stage by the name of their video."""
    import numpy as np

    folder = job.inputs["features"]
    names = json.loads((folder / "videos.json").read_text(encoding="utf-8"))
    return dict(zip(names, np.load(folder / "features.npy"), strict=True))


def aslan(job: Job) -> dict:
    """Same action or not, over the ten folds of ASLAN's View 2 (MAS Sec. 4.4)."""
    from suite.datasets import aslan
    from suite.evaluation import similarity

    features, name = _by_name(job), job.config["dataset"]
    folds = aslan.pairs(job.roots[name], name)
    readable = [[pair for pair in fold if pair.first in features and pair.second in features] for fold in folds]
    found = similarity.score(features, readable, floor=job.config["floor"], c=job.config["svm_c"])
    hits = [[int(right) for right in fold] for fold in found.right]
    judged = sum(len(fold) for fold in hits)
    # Videos return in many pairs of a fold, but never in another fold: the fold is the unit that is drawn. The accuracy
    # is the mean over folds, which is that over pairs only where all folds have one size.
    outcomes = {
        "groups": [f"fold {number}" for number, fold in enumerate(hits, start=1) for _ in fold],
        "trials": 1,
        "hits": {"accuracy": [right for fold in hits for right in fold]},
    }
    return {
        "scores": {"accuracy": 100 * found.accuracy, "standard_error": 100 * found.standard_error, "auc": found.auc},
        "counts": {
            "listed": sum(len(fold) for fold in folds),
            "decoded": judged,
            "total": judged,
            "correct": sum(sum(fold) for fold in hits),
        },
        "outcomes": outcomes if len({len(fold) for fold in hits}) == 1 else None,
        "facts": {
            "fold_accuracies": [100 * value for value in found.fold_accuracies],
            "fold_aucs": found.fold_aucs,
        },
    }


def yupenn(job: Job) -> dict:
    """The class of each video by classifiers that saw all others (MAS Sec. 4.5)."""
    import numpy as np

    from suite.evaluation import scenes

    data = Data(job, job.config["dataset"])
    features = _by_name(job)
    listed = data.dataset.videos()
    videos = [video for video in listed if video.name in features]
    found = scenes.leave_one_out(
        np.stack([features[video.name] for video in videos]),
        [video.label for video in videos],
        data.dataset.classes,
        c=job.config["svm_c"],
        workers=cores(),
        progress=job.runtime.progress,
    )
    hits = [int(guess == video.label) for guess, video in zip(found.predictions, videos, strict=True)]
    return {
        "scores": {"accuracy": 100 * found.accuracy},
        "counts": {"listed": len(listed), "decoded": len(videos), "total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
        "facts": {"class_accuracies": {name: 100 * value for name, value in found.class_accuracies.items()}},
    }
