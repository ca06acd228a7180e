"""The curricula's slice: tuples of every length, which videos are easy, features of each layer, first steps on four clips,
and questions about videos."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from suite import recipe
from suite.regression.generated import Given, Native, Painted, identity
from suite.regression.numbers import FLOAT32, Exact, Near, digest, recipe_hashes, within
from suite.regression.pretexts import WEIGHTS, Pretext, batch_of, fix_weights, parameters
from suite.regression.vcop import order_steps, retrieved, shown

if TYPE_CHECKING:
    from suite.evaluation.features import Pooling
    from suite.settings import Scale
    from suite.stages import Job

NETWORKS = ("c3d", "r3d", "r2plus1d")
DATASETS = ("ucf101", "activitynet-qa")
LAYERS: tuple[Pooling, ...] = ("layer1", "layer2", "layer3", "layer4", "layer5")
# The task-based curriculum: each starts from the one before.
TASKS = ("16-8-3", "16-8-4", "16-8-5")
# Every so many videos are taken with fixed weights, and of each so many clips.
EVERY, CLIPS = 6, 3
# Softmax of the right order of eight videos in three recorded epochs; below 0.25 the order was wrong. The fourth equals the
# recipe's threshold once, the sixth is right with less, the seventh always just above.
SOFTMAX = (
    (0.9, 0.95, 0.99),
    (0.9, 0.95, 0.3),
    (0.1, 0.2, 0.3),
    (0.9, 0.8, 0.99),
    (1.0, 1.0, 1.0),
    (0.7, 0.95, 0.9),
    (0.81, 0.82, 0.83),
    (0.85, 0.1, 0.85),
)
# Values of the drawn features that questions are answered from.
FEATURE_SIZE = 32


def _data(job: Job, settings: Scale) -> dict:
    """Tuples of every pretraining, networks, layers' features, hold-outs and draws along the curriculum, easy videos."""
    data = Native(job, "ucf101", settings)
    exact = recipe_hashes("vcop-curriculum") | {"fingerprint/ucf101": data.dataset.fingerprint()}
    exact |= _tuples() | _networks(settings) | _drawn(data, settings) | _easy(settings)
    return {"exact": exact}


def _tuples() -> Exact:
    """Clip length, clips, interval, frames from first to last, and orders of each pretraining; and all orders."""
    from suite.papers.vcop import order_network
    from suite.video import clips

    found: Exact = {}
    for scale in recipe.SCALES:
        settings = recipe.load("vcop-curriculum", scale).settings
        length = settings.video.clip_length
        chosen: Any
        for weights, chosen in settings.pretraining.items():
            span = clips.tuple_span(chosen.tuple_length, length, chosen.interval)
            several = len(order_network.orders(chosen.tuple_length))
            found[f"tuples-of/{scale}/{weights}"] = [length, chosen.tuple_length, chosen.interval, span, several]
    for number in (3, 4, 5):
        orders = order_network.orders(number)
        found[f"orders/{number}-clips"] = digest(orders)
        found[f"orders/{number}-clips-last-but-one"] = list(orders[-2])
        found[f"tuple-starts/{number}-clips"] = clips.tuple_starts(7, number, 16, 8)
    return found


def _networks(settings: Scale) -> Exact:
    """Parameters of the networks of each tuple length, what learns of R3D above a frozen stage, and features of each layer."""
    import torch
    from torch import nn

    from suite import backbones
    from suite.backbones import STAGES
    from suite.evaluation import features, finetuning

    found: Exact = {}
    for scale, chosen in (("paper", recipe.load("vcop-curriculum", "paper").settings), ("tiny", settings)):
        clip = (chosen.video.clip_length, chosen.video.crop, chosen.video.crop)
        # Sizes need neither memory nor time.
        with torch.device("meta"):
            inputs = torch.empty(1, 3, *clip)
            for name in NETWORKS:
                backbone = backbones.build(name, chosen.width).eval()
                sizes = [features.pooled(backbone, inputs, layer).shape[1] for layer in LAYERS]
                found[f"layer-features/{scale}/{name}"] = sizes
                for weights in TASKS:
                    network = Pretext(chosen, weights).network(backbone)
                    found[f"parameters/{scale}/{name}-{weights}"] = parameters(network)
            for stage in STAGES:
                backbone = backbones.build("r3d", chosen.width)
                size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
                frozen = finetuning.RecognitionNetwork(backbone, nn.Linear(size, 101), freeze_below=stage)
                learnt = sum(each.numel() for each in frozen.parameters() if each.requires_grad)
                found[f"parameters/{scale}/r3d-learnt-from-{stage}"] = learnt
    return found


def _drawn(data: Native, settings: Scale) -> Exact:
    """Videos that are long enough, hold-outs that follow each other, and tuples as seed 0 draws them."""
    from suite.evaluation import finetuning

    found: Exact = {}
    train, holdout = data.dataset.splits[1].train, settings.holdout["ucf101"]
    given = Given(data.frames, Painted(*settings.video.resize))
    before: list[str] = []
    for weights in TASKS:
        pretext = Pretext(settings, weights)
        eligible = pretext.eligible(train, data.frames)
        held = round(len(eligible) * holdout.videos / holdout.of)
        _, validation = finetuning.hold_out(eligible, held, 0, frozenset(before))
        names = [each.name for each in validation]
        found[f"counts/{weights}/long-enough"] = len(eligible)
        found[f"counts/{weights}/held-out-before"] = len({*names} & {*before})
        found[f"hold-out/{weights}"] = digest(names)
        before = names
        for where, sample in pretext.drawn(given, eligible, epochs=1):
            found[f"tuples/{weights}/{where}"] = shown(sample)
    return found


def _easy(settings: Scale) -> Exact:
    """Which videos of given softmax values are easy at three thresholds, and what is drawn of the others afterwards."""
    import torch

    from suite.datasets import Video
    from suite.papers.vcop_curriculum import hard_samples

    chosen: Any = settings.pretraining["16-8-3-sample"]
    pretext = Pretext(settings, "16-8-3-sample")
    videos = [Video(f"{index}.avi", f"{index}.avi", 0, str(index)) for index in range(len(SOFTMAX))]
    confidence = torch.tensor(SOFTMAX, dtype=torch.float64)
    recorded = hard_samples.Recorded(tuple(each.name for each in videos), confidence, confidence > 0.25)
    found: Exact = {}
    for threshold in (0.0, 0.5, chosen.sample.threshold):
        found[f"easy-videos/above-{threshold}"] = recorded.easy(threshold).int().tolist()
    given = Given({each.name: 48 for each in videos}, Painted(*settings.video.resize))
    samples = pretext.samples(given, videos, training=True)
    first = chosen.optimisation.epochs + chosen.sample.record_epochs
    hard = hard_samples.HardSamples(samples, recorded.easy(chosen.sample.threshold), first)
    found["hard-videos/kept"] = [int(hard.name(index).removesuffix(".avi")) for index in range(len(hard))]
    for epoch, index in itertools.product((0, 1), (0, 3)):
        found[f"hard-videos/epoch{epoch}-sample{index}"] = shown(hard[epoch, index])
    return found


# ---------------------------------------------------------------------------------------------------- fixed weights


def _evaluation(job: Job, settings: Scale) -> dict:
    """Retrieval by each layer of R3D, and the softmax that a sample-based curriculum records, with fixed weights."""
    import numpy as np

    from suite import backbones
    from suite.evaluation import features
    from suite.papers.vcop_curriculum import hard_samples

    exact: Exact = {}
    moving: dict[str, float] = {}
    data = Native(job, "ucf101", settings)
    split = data.dataset.splits[1]
    sides = split.test[::EVERY], split.train[::EVERY]
    backbone = fix_weights(backbones.build("r3d", settings.width), WEIGHTS)
    taken: dict[str, Any] = {"clip_length": settings.video.clip_length, "crop": settings.video.crop, "clips": CLIPS}
    assert settings.retrieval is not None  # the recipe has it
    for done, layer in enumerate(LAYERS):
        job.runtime.progress(done, len(LAYERS) + 1)
        found = [features.extract(backbone, data.source, side, data.frames, pooling=layer, **taken) for side in sides]
        queries, gallery = (side.reshape(-1, side.shape[-1]) for side in found)
        counted = retrieved("clip", queries, gallery, sides, settings.retrieval.top[:3])
        exact |= {f"evaluation/{key}/{layer}": value for key, value in counted.items()}
        moving[f"evaluation/feature-size/{layer}"] = float(np.abs(found[0]).mean(dtype=np.float64))

    pretext = Pretext(settings, "16-8-3-sample")
    network = fix_weights(pretext.network(backbone), WEIGHTS)
    videos = pretext.eligible(sides[1], data.frames)
    samples = pretext.samples(Given(data.frames, data.source), videos, training=True)
    recorded = hard_samples.record(network, samples, (5, 6), pretext.optimisation.batch, "cpu")
    exact["evaluation/recorded/right"] = recorded.right.int().sum(0).tolist()
    exact["evaluation/recorded/videos"] = len(recorded.names)
    moving["evaluation/recorded/softmax"] = recorded.confidence.mean().item()
    return {"exact": exact, "near": within(FLOAT32, moving)}


# ---------------------------------------------------------------------------------------------------- questions


def _questions(job: Job, settings: Scale) -> dict:
    """The generated questions, words and answers, what questions alone give, and a fresh network on drawn features."""
    from suite.datasets import activitynet_qa
    from suite.evaluation.question_answering.answers import most_frequent
    from suite.evaluation.question_answering.vocabulary import Vocabulary, answer_vocabulary

    data = Native(job, "activitynet-qa", settings)
    exact = identity("activitynet-qa", data)
    listed = activitynet_qa.questions(data.dataset.root)
    for part, questions in listed.items():
        types = Counter(question.type for question in questions)
        exact[f"questions/{part}/of-type"] = [types[kind] for kind in range(len(activitynet_qa.TYPES))]
        exact[f"questions/{part}/all"] = digest(f"{q.id} {q.type} {q.text} | {q.answer}" for q in questions)
    texts = ("What color is the man's T-shirt?", *(listed["test"][place].text for place in (0, 3)))
    vocabulary = Vocabulary(question.text for question in listed["train"])
    answers = answer_vocabulary(listed["train"], settings.question_answering.answers)
    exact |= {"vocabulary/size": len(vocabulary), "vocabulary/words": digest(vocabulary.words)}
    exact |= {
        "vocabulary/counts": list(vocabulary.counts),
        "answers/size": len(answers),
        "answers/all": digest(answers),
    }
    exact |= {f"vocabulary/question{place}": vocabulary.encode(text) for place, text in enumerate(texts)}
    frequent = most_frequent(listed["train"], listed["test"])
    for name, tallies in zip(("most-frequent", "most-frequent-of-type"), frequent, strict=True):
        exact |= {f"{name}/{kind}": list(tally) for kind, tally in tallies.items()}
    return {"exact": exact, "near": _answering(data, listed, vocabulary, answers, settings)}


def _answering(data: Native, listed: dict, vocabulary, answers: tuple[str, ...], settings: Scale) -> Near:
    """Losses, gradients and attention of fresh networks with and without video, on drawn features of another scale each."""
    import numpy as np
    import torch

    from suite.evaluation.question_answering.answers import answer
    from suite.evaluation.question_answering.network import QuestionItems, SoftAttention, standard
    from suite.evaluation.question_answering.vocabulary import drawn
    from suite.seeding import seed_everything

    chosen = settings.question_answering
    rows = {video.name: row for row, video in enumerate(data.dataset.videos())}
    draw = np.random.Generator(np.random.PCG64(WEIGHTS))
    features = draw.random((len(rows), chosen.clips, FEATURE_SIZE)) * 10.0 ** np.arange(-8, 8, 0.5)
    given = vocabulary, answers, features.astype(np.float32), rows
    training, test = (QuestionItems(listed[part], *given, training=part == "train") for part in ("train", "test"))
    embeddings = drawn(vocabulary, chosen.hidden, 0)
    scale = standard(given[2][sorted({rows[question.video] for question in listed["train"]})])
    found = {"embedding": embeddings.vectors[-1].norm().item()}
    for name, video in (("video", True), ("question-only", False)):
        seed_everything(0)
        network = SoftAttention(
            embeddings.vectors, len(answers), scale, hidden=chosen.hidden, dropout=chosen.dropout, video=video
        )
        loss = network.outcome(*batch_of(training, 0, chosen.optimisation.batch)).loss
        loss.backward()
        norm = torch.stack([each.grad.norm() for each in network.parameters() if each.grad is not None]).norm()
        found |= {f"{name}/loss": loss.item(), f"{name}/gradient-norm": norm.item()}
        if video:
            attention = answer(network, test, chosen.optimisation.batch, "cpu").attention
            found["attention/largest"] = float(attention.max(1).mean(dtype=np.float64))
            found |= {f"attention/clip{place}": float(weight) for place, weight in enumerate(attention[0, :3])}
    return within(FLOAT32, {f"questions/{name}": value for name, value in found.items()})


# ---------------------------------------------------------------------------------------------------- training


def _steps(job: Job, settings: Scale) -> dict:
    """First steps of R3D on tuples of four clips."""
    return {"near": order_steps("r3d", Native(job, "ucf101", settings), settings, "16-8-4")}


PARTS = {
    "evaluation": (_evaluation, 100.0),
    "steps": (_steps, 60.0),
    "questions": (_questions, 20.0),
    "data": (_data, 10.0),
}
