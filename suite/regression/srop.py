"""srop's slice: segments and rates, both similarities, views, what fixed weights say of held-out videos, and first steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from suite import recipe
from suite.regression.generated import Given, Native, Painted
from suite.regression.numbers import FLOAT32, FLOAT64, Exact, Near, recipe_hashes, within
from suite.regression.pretexts import WEIGHTS, Pretext, batch_of, fix_weights, parameters, pretext_steps, step_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from suite.papers.srop.segment_network import SegmentNetwork
    from suite.settings import Scale
    from suite.stages import Job

DATASETS = ("ucf101",)
NETWORKS = ("c3d", "r3d", "r2plus1d", "s3dg")
# The backbone of the paper's ablations.
BACKBONE = "r2plus1d"
# The pretraining that is looked at: all three subtasks.
PRETRAINING = "full"
# Of test and training videos that fixed weights are asked about, every so many; clips of each in feature space.
EVERY, CLIPS = 3, 2
# Seed of the weights that are asked: of nine, the one that finds three orders, others one or two. Outputs that decide differ
# by 4e-4 of the largest, over 100 times what they move by between processors.
ASKED = 10
# Of small differences: contrast divides those of similarities by 0.07, a silhouette those of distances by themselves.
DIFFERENCES = 1e-4
# Vectors of the paper's length, by its best number of parts.
QUERIES, KEYS, SIZE, DIVIDED = 2, 3, 128, 3


def _data(job: Job, settings: Scale) -> dict:
    """Networks, what every random draw comes to, the classes of Fig. 4, and similarities of given vectors."""
    from suite.evaluation import space

    data = Native(job, "ucf101", settings)
    exact = recipe_hashes("srop") | {"fingerprint/ucf101": data.dataset.fingerprint()}
    exact |= _networks() | _segments()
    for classes in (101, 41, 40, 8, 3):
        exact[f"feature-space/of-{classes}-classes"] = space.five_classes(classes)
    drawn, colours = _drawn(data, settings)
    return {"exact": exact | drawn, "near": colours | _similarities()}


def _networks() -> Exact:
    """Parameters of each network with all subtasks, all and those that learn; of each subtask; of views' networks."""
    import torch

    from suite import backbones

    found: Exact = {}
    for scale in ("paper", "tiny"):
        settings = recipe.load("srop", scale).settings
        # Sizes need neither memory nor time.
        with torch.device("meta"):
            for name in NETWORKS:
                backbone = backbones.build(name, settings.width)
                network = Pretext(settings, PRETRAINING).network(backbone)
                learnt = sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad)
                found[f"parameters/{scale}/{name}"] = [parameters(backbone), parameters(network), learnt]
            backbone = backbones.build(BACKBONE, settings.width)
            for weights in ("order", "rate", "contrastive", "order-rate", "view-n5", "view-classification"):
                network = Pretext(settings, weights).network(backbone)
                found[f"parameters/{scale}/{weights}"] = parameters(network)
            made = Pretext(settings, "views").network(backbone)
            found[f"parameters/{scale}/views"] = [parameters(made.autoencoder), parameters(made.flow)]
    return found


def _segments() -> Exact:
    """Frames, lengths, rates and order of the paper's clips, of videos from very short to usual."""
    from suite.papers.srop import segment_clips
    from suite.seeding import generator

    pretext = Pretext(recipe.load("srop", "paper").settings, PRETRAINING)
    layout = {key: pretext.pretraining[key] for key in ("segments", "shortest", "max_rate")}
    layout["clip_length"] = pretext.video["clip_length"]
    found: Exact = {}
    for frames in (10, 16, 40, 186):
        for draw in range(2):
            clip = segment_clips.draw_segments(generator(0, draw), frames, **layout)
            found[f"segments/{frames}-frames-draw{draw}"] = [*clip.frames, *clip.lengths, *clip.rates, clip.order]
    return found


def _drawn(data: Native, settings: Scale) -> tuple[Exact, Near]:
    """Order, rates, query and second clip of samples as seed 0 draws them, clips of fine-tuning, and colours of both."""
    from suite.evaluation import finetuning

    found: Exact = {}
    colours: dict[str, float] = {}
    given = Given(data.frames, Painted(*settings.video.resize))
    train = data.dataset.splits[1].train
    for weights in ("full", "view-n5"):
        # The paper mirrors; at the tiny scale a mirrored action is another one.
        pretext = Pretext(settings, weights, flip=True)
        videos = pretext.eligible(train, data.frames)
        found[f"counts/{weights}/eligible"] = len(videos)
        for where, (clips, factors, order, rates) in pretext.drawn(given, videos):
            name = f"samples/{weights}/{where}"
            found[name] = [order, *rates.tolist(), *_shown(clips[0]), *_shown(clips[1])]
            if name.startswith("samples/full/epoch0"):
                colours |= _colours(name, factors.flatten())
    tuning, video = settings.finetuning, settings.video
    shown: dict[str, Any] = {"clip_length": video.clip_length, "crop": video.crop, "seed": 0, "training": True}
    tuned = finetuning.ActionClips(given.source(None), train, data.frames, flip=True, jitter=tuning.jitter, **shown)
    for index in range(3):
        clip, label, factors = cast("tuple[Tensor, int, Tensor]", tuned[0, index])
        found[f"action-clips/sample{index}"] = [label, *_shown(clip)]
        colours |= _colours(f"action-clips/sample{index}", factors)
    return found, within(FLOAT32, colours)


def _shown(clip: Tensor) -> list[int]:
    """Frames of a painted clip [T, H, W, 3], then its top row, left and right column."""
    return [*clip[:, 0, 0, 0].tolist(), *clip[0, 0, 0, 1:].tolist(), int(clip[0, 0, -1, 2])]


def _colours(where: str, factors: Tensor) -> dict[str, float]:
    return {f"colours/{where}/factor{place}": factor for place, factor in enumerate(factors.tolist())}


def _similarities() -> Near:
    """Similarities of drawn vectors, and InfoNCE, by the cosine and by both matchings of parts, in float64."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    from suite.papers.srop import segment_network

    draw = np.random.Generator(np.random.PCG64(WEIGHTS))
    queries, keys, queue = (
        normalize(torch.from_numpy(2 * draw.random((count, SIZE)) - 1), dim=1) for count in (QUERIES, QUERIES, KEYS)
    )
    # A key whose parts are nearly the query's in another order: a cosine does not see that they are alike.
    first, second, third = queries[0].split(-(-SIZE // DIVIDED))
    keys[0] = normalize(torch.cat([second, first, third]) + keys[0] / 8, dim=0)
    found = {}
    for similarity in ("cosine", "shuffle", "exact-shuffle"):
        logits = segment_network.contrastive_logits(
            queries, keys, queue, similarity=similarity, parts=DIVIDED, temperature=0.07
        )
        found[f"similarity/{similarity}/info-nce"] = segment_network.info_nce(logits).mean().item()
        for row, values in enumerate(logits.tolist()):
            found |= {f"similarity/{similarity}/query{row}-{place}": value for place, value in enumerate(values)}
    return within(FLOAT64, found)


# ---------------------------------------------------------------------------------------------------- fixed weights


def _evaluation(job: Job, settings: Scale) -> dict:
    """What fixed weights say of test videos' order, rates and second clips, and how their features lie in space."""
    from statistics import fmean

    import numpy as np

    from suite import backbones
    from suite.evaluation import features, space
    from suite.papers.srop import segment_network

    data = Native(job, "ucf101", settings)
    split = data.dataset.splits[1]
    tested, learnt = split.test[::EVERY], split.train[::EVERY]
    pretext, given = Pretext(settings, PRETRAINING), Given(data.frames, data.source)
    samples, gallery = (pretext.samples(given, side, training=False) for side in (tested, learnt))
    network = fix_weights(_network(settings), ASKED)
    found = segment_network.pretext_scores(network, samples, gallery, pretext.optimisation.batch, "cpu")
    job.runtime.progress(1, 2)

    # All three subtasks are on.
    assert found.order_hits is not None
    assert found.positive_first is not None
    assert found.queue is not None
    assert found.rate_errors is not None
    assert found.constant_rate is not None
    assert found.constant_rate_errors is not None
    assert found.contrastive_losses is not None
    clips: dict[str, Any] = {"clip_length": settings.video.clip_length, "crop": settings.video.crop, "clips": CLIPS}
    labels = np.repeat([each.label for each in tested], CLIPS)
    moving = {
        "evaluation/rate-error": fmean(found.rate_errors),
        "evaluation/constant-rate": found.constant_rate,
        "evaluation/constant-rate-error": fmean(found.constant_rate_errors),
        "evaluation/contrastive-loss": fmean(found.contrastive_losses),
    }
    for name, backbone in (("s3dg", backbones.build("s3dg", settings.width)), (BACKBONE, network.backbone)):
        taken = features.extract(
            fix_weights(backbone, WEIGHTS), data.source, tested, data.frames, pooling="global", **clips
        )
        moving[f"evaluation/feature-size/{name}"] = float(np.abs(taken).mean(dtype=np.float64))
    lie = {"evaluation/silhouette": space.silhouette(taken.reshape(len(labels), -1), labels)}
    exact = {
        "evaluation/order-found": [int(hit) for hit in found.order_hits],
        "evaluation/positive-first": [int(hit) for hit in found.positive_first],
        "evaluation/queue": found.queue,
    }
    return {"exact": exact, "near": within(FLOAT32, moving) | within(DIFFERENCES, lie)}


def _network(settings: Scale) -> SegmentNetwork:
    from suite import backbones

    return Pretext(settings, PRETRAINING).network(backbones.build(BACKBONE, settings.width))


# ---------------------------------------------------------------------------------------------------- training


def _steps(job: Job, settings: Scale) -> dict:
    """First steps with all three subtasks, what the queue and the key encoder come to, and losses of view synthesis."""
    pretext, data = Pretext(settings, PRETRAINING), Native(job, "ucf101", settings)
    videos = pretext.eligible(data.dataset.splits[1].train, data.frames)
    samples = pretext.samples(Given(data.frames, data.source), videos, training=True)
    built: list[SegmentNetwork] = []

    def build() -> SegmentNetwork:
        built.append(_network(settings))
        return built[-1]

    first, steps = pretext_steps(build, samples, pretext.optimisation, _loss)
    # Against keys that are random numbers the positive is first by far: what is left of its loss is rounding.
    numbers = {"all": first.loss.item()} | {name: first.parts[name].item() for name in ("order_loss", "rate_loss")}
    # The network of the steps in float64.
    stepped = built[-1]
    next_place = int(stepped.oldest)
    steps["queue"] = stepped.queue[:next_place].abs().mean().item()
    first_convolution = stepped.key_backbone.get_parameter("conv1.conv.spatial.weight")
    steps["key-encoder"] = first_convolution.abs().mean().item()
    job.runtime.progress(1, 2)
    batch = batch_of(samples, 0, pretext.optimisation.batch)
    return {
        "exact": {"queue/next-place": next_place},
        "near": step_numbers(numbers, steps) | _views(settings, batch),
    }


def _loss(network: SegmentNetwork, clips: Tensor, colours: Tensor, order: Tensor, rates: Tensor) -> Tensor:
    """The weighted sum of the three losses in float64; the key encoder moves before, and the queue after it."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss, normalize

    from suite.papers.srop import segment_network
    from suite.training import total_of
    from suite.video import transforms

    query, second = (
        transforms.coloured(transforms.to_network(clips[:, place]).double(), colours[:, place].double())
        for place in (0, 1)
    )
    # All three subtasks are on.
    assert network.projection is not None
    assert network.order_head is not None
    assert network.rate_head is not None
    features = network.backbone(query)
    network._follow()
    with torch.no_grad():
        keys = normalize(network.key_projection(network.key_backbone(second)), dim=1)
    logits = network.logits(normalize(network.projection(features), dim=1), keys, network.queue.clone())
    network._enqueue(keys)
    losses = {
        "order": cross_entropy(network.order_head(features), order),
        "rate": mse_loss(network.rate_head(features), rates.double()),
        "contrastive": segment_network.info_nce(logits).mean(),
    }
    return total_of(weight * losses[name] for name, weight in network.weights.items())


def _views(settings: Scale, batch: tuple[Tensor, ...]) -> Near:
    """Losses of view synthesis with fixed weights, the latent as it is; and contrast with its views among the keys."""
    import torch

    from suite import backbones
    from suite.seeding import seed_everything

    synthesis = Pretext(settings, "views").network(backbones.build(BACKBONE, settings.width))
    network = fix_weights(_network(settings), WEIGHTS).train()
    network.views = fix_weights(synthesis, WEIGHTS).eval().autoencoder
    seed_everything(0)
    with torch.no_grad():
        parts = synthesis.outcome(*batch).parts
        contrast = network.outcome(*batch).parts["contrastive_loss"]
    found = {f"views/{name}": parts[name].item() for name in ("photometric", "kl", "info_max", "info_min")}
    return within(FLOAT32, found) | within(DIFFERENCES, {"views/contrastive-loss": contrast.item()})


PARTS = {
    "evaluation": (_evaluation, 60.0),
    "steps": (_steps, 40.0),
    "data": (_data, 10.0),
}
