"""Stages that ask how well a pretext task was learnt, on videos that it was not learnt from."""

import json
from dataclasses import replace

from suite.errors import InputError
from suite.stages import Job
from suite.stages.data import Data
from suite.stages.networks import pretext_network
from suite.stages.training import CURVES


def order_accuracy(job: Job) -> dict:
    """How many test videos' clips or segments are put in the right order."""
    from suite.evaluation import order

    network, samples, videos, counts, data = _held_out(job)
    right, loss = order.test(
        network,
        samples,
        job.config["pretraining"]["optimisation"]["batch"],
        job.runtime.device,
        job.runtime.progress,
        workers=job.runtime.workers,
    )
    hits = [int(value) for value in right]
    of_class = order.per_class(right, [video.label for video in videos], data.dataset.classes)
    scores = {f"accuracy_{name}": 100 * tally.correct / tally.total for name, tally in of_class.items()}
    return {
        "scores": {"accuracy": 100 * sum(hits) / len(hits), "loss": loss} | scores,
        "facts": {"classes": {name: list(tally) for name, tally in of_class.items()}},
        "counts": counts | {"total": len(hits), "correct": sum(hits)},
        "outcomes": {"groups": [video.group for video in videos], "trials": 1, "hits": {"accuracy": hits}},
    }


def statistics_errors(job: Job) -> dict:
    """Squared errors of the 27 statistics on the test videos, by those of the constant predictor (MAS); one clip's picture.

    Below 1 something was learnt of a label. "motion" and "appearance" compare the sums over a branch, "joint" over both.
    """
    from suite.papers.mas import picture, statistics_network, statistics_regression
    from suite.video import clips, transforms

    network, samples, videos, counts, data = _held_out(job)
    pretraining, video = job.config["pretraining"], job.config["video"]
    learnt = data.readable(data.dataset.splits[pretraining["split"]].train)
    training = statistics_regression.samples(
        data,
        statistics_regression.eligible(learnt, data.frames, pretraining, video),
        pretraining,
        video,
        seed=0,
        training=False,
    )
    found = statistics_network.errors(
        network,
        training,
        samples,
        batch=pretraining["optimisation"]["batch"],
        device=job.runtime.device,
        workers=job.runtime.workers,
        progress=job.runtime.progress,
    )
    # A clip from the middle of the first test video, with its flow whatever the labels, and where the network looks.
    name, length = videos[0].name, video["clip_length"]
    windows = clips.windows(data.frames[name], length, length)
    first = windows[len(windows) // 2]
    clip = data.source(video["resize"]).frames(name, range(first, first + length))
    flow = data.flow(video["resize"]).flows(name, range(first, first + length - 1)).movedim(1, -1)
    clip, flow = (transforms.centre_crop(frames, video["crop"]) for frames in (clip, flow))
    attention = picture.attention_map(network.backbone, clip, video["pixels"])
    picture.clip_picture(clip, flow.movedim(-1, 1), job.folder / "clip.png", attention)
    return {
        "pictures": ["clip.png"],
        "scores": {name: error["network"] / error["constant"] for name, error in found.items() if error["constant"]},
        "counts": counts | {"videos": len(videos), "clips": len(samples)},
        "facts": {"errors": found, "picture": f"{name} from frame {first}"},
    }


def ranking_accuracy(job: Job) -> dict:
    """Pairs of coming frames of test videos that are ranked in their order (Skip-Clip), and similarity maps of four classes.

    Also before the first step, where chance is 50 %; in how many videos every score is below the one before; and how many
    turned targets are recognised, where the network has learnt that.
    """
    import torch
    from PIL import Image

    from suite.evaluation.asking import frozen
    from suite.papers.skip_clip import ranking_network

    network, samples, videos, counts, _ = _held_out(job)
    # Without its input of trained weights the stage starts from fresh ones.
    fresh = replace(job, inputs={role: folder for role, folder in job.inputs.items() if role != "pretrain"})
    batch, runtime = job.config["pretraining"]["optimisation"]["batch"], job.runtime
    ranked, untrained = (
        ranking_network.ranking_accuracy(
            asked, samples, batch, runtime.device, runtime.progress, workers=runtime.workers
        )
        for asked in (network, pretext_network(fresh))
    )
    # The first video of each class, as far as there is room.
    chosen = sorted({video.label: index for index, video in reversed(list(enumerate(videos)))}.values())[:4]
    context, targets = (torch.stack(frames) for frames in zip(*(samples[0, index] for index in chosen), strict=True))
    with frozen(network):
        maps = network(context.to(runtime.device), targets.to(runtime.device)).cpu()
    picture = Image.fromarray(ranking_network.similarity_picture(context, targets, maps))
    # Frames of 112 pixels are enough to look at.
    picture.reduce(max(1, context.shape[2] // 112)).save(job.folder / "similarity.png", optimize=True)
    hits = {
        "ranking_accuracy": [int(right) for right in ranked.hits],
        # A video counts with all of its pairs or with none.
        "monotone": [ranked.pairs * falls for falls in ranked.monotone()],
        "untrained_ranking_accuracy": [int(right) for right in untrained.hits],
    }
    total = len(videos) * ranked.pairs
    scores = {name: 100 * sum(right) / total for name, right in hits.items()}
    if ranked.rotations is not None:
        scores["rotation_accuracy"] = 100 * sum(ranked.rotations) / ranked.scores.size
    # Mean score of each target, from the nearest on: it should fall.
    scores |= {f"score_{step}": float(score) for step, score in enumerate(ranked.scores.mean(0), start=1)}
    return {
        "pictures": ["similarity.png"],
        "scores": scores,
        "counts": counts | {"total": total} | {f"correct_{name}": sum(right) for name, right in hits.items()},
        "outcomes": {"groups": [video.group for video in videos], "trials": ranked.pairs, "hits": hits},
        "facts": {"picture": ", ".join(videos[index].name for index in chosen)},
    }


def segment_scores(job: Job) -> dict:
    """Order, rates and contrast of test videos' segments (srop), and how the same network did before its first step."""
    from statistics import fmean

    from suite.papers.srop import segment_network, segment_order

    network, samples, videos, counts, data = _held_out(job)
    pretraining, video = job.config["pretraining"], job.config["video"]
    learnt = data.readable(data.dataset.splits[pretraining["split"]].train)
    gallery = segment_order.samples(data, learnt, pretraining, video, seed=0, training=False)
    batch, runtime = pretraining["optimisation"]["batch"], job.runtime
    # Without its input of trained weights the stage starts from fresh ones.
    before = replace(job, inputs={role: folder for role, folder in job.inputs.items() if role != "pretrain"})
    found, untrained = (
        segment_network.pretext_scores(
            asked, samples, gallery, batch, runtime.device, runtime.progress, workers=runtime.workers
        )
        for asked in (network, pretext_network(before))
    )
    scores, hits = {}, {}
    for prefix, asked in (("", found), ("untrained_", untrained)):
        for name, values, unit in (
            ("order_accuracy", asked.order_hits, 100),
            ("rate_error", asked.rate_errors, 1),
            ("contrastive_loss", asked.contrastive_losses, 1),
            ("positive_first", asked.positive_first, 100),
        ):
            if values is not None:
                scores[f"{prefix}{name}"] = unit * fmean(values)
    facts = {}
    if found.constant_rate is not None:
        scores["constant_rate_error"] = fmean(found.constant_rate_errors)
        facts["constant_rate"] = found.constant_rate
    if found.queue is not None:
        facts["queue"] = found.queue
    for name, right in (("order_accuracy", found.order_hits), ("positive_first", found.positive_first)):
        if right is not None:
            hits[name] = [int(one) for one in right]
    counts |= {"total": len(videos)} | {f"correct_{name}": sum(right) for name, right in hits.items()}
    outcomes = {"groups": [video.group for video in videos], "trials": 1, "hits": hits} if hits else None
    return {"scores": scores, "counts": counts, "outcomes": outcomes, "facts": facts}


def view_scores(job: Job) -> dict:
    """What synthesised views of test videos' clips keep of their motion and of their looks (srop), and a picture of one.

    Each also before training, and of a view of one grey: what carries nothing at all.
    """
    from suite.papers.srop import view_network

    network, samples, videos, counts, _ = _held_out(job)
    batch, runtime = job.config["pretraining"]["optimisation"]["batch"], job.runtime
    scores = {}
    for prefix, asked in (("", network), ("untrained_", pretext_network(job))):
        found = view_network.view_scores(
            asked, samples, batch, runtime.device, runtime.progress, workers=runtime.workers
        )
        scores |= {f"{prefix}{name}": value for name, value in found.items()}
    view_network.show_view(network, samples, 0, runtime.device, job.folder / "view.png")
    facts = {"picture": videos[0].name}
    return {"scores": scores, "counts": counts | {"total": len(videos)}, "pictures": ["view.png"], "facts": facts}


def training_curve(job: Job) -> dict:
    """What a pretraining's validation accuracy (percent) comes to along the way (vcop-curriculum Fig. 4).

    The paper speaks of epochs 1, 10 and 200 of 300; in runs of another length the second and third are those after the
    same share of it.
    """
    curves = json.loads((job.inputs["pretrain"] / CURVES).read_text(encoding="utf-8"))
    accuracy = curves["validation_accuracy"]
    tenth, two_hundredth = (max(1, round(len(accuracy) * epoch / 300)) for epoch in (10, 200))
    return {
        "scores": {
            "max_val_acc": max(accuracy),
            "min_val_acc_10_epochs": min(accuracy[:tenth]),
            "val_acc_epoch_1": accuracy[0],
            "val_acc_epoch_200": accuracy[two_hundredth - 1],
        },
        "counts": {"epochs": len(accuracy)},
    }


def _held_out(job: Job):
    """A pretext network as its training left it, and one sample of every test video: (network, samples, videos, counts, data)."""
    from suite import checkpoints, papers

    pretraining, video = job.config["pretraining"], job.config["video"]
    task = papers.pretext(pretraining["pretext"])
    data = Data(job, pretraining["dataset"])
    network = pretext_network(job)
    network.load_state_dict(checkpoints.load(job.inputs["pretrain"] / "best.safetensors"))
    listed = data.dataset.splits[pretraining["split"]].test
    decoded = data.readable(listed)
    videos = task.eligible(decoded, data.frames, pretraining, video)
    if not videos:
        raise InputError(f"{data.root}: no test video is long enough for the task {pretraining['pretext']}")
    # Seed 0 always: every run is asked about the same samples.
    samples = task.samples(data, videos, pretraining, video, seed=0, training=False)
    return network, samples, videos, {"listed": len(listed), "decoded": len(decoded)}, data
