"""srop: segment sampling rates and order, with contrast between videos (TCSVT 2021, Sec. III-C to III-F, III-H).

Shapes: B videos, P clips of each (the query, and a second one where there is contrast), T frames, S x S pixels, n segments,
u the highest rate, D features, E values of a projection, K keys in the queue.
    clips     uint8 [B, P, T, S, S, 3]     of segments in the order seen
    colours   [B, P, 3]                    factors of brightness, contrast and saturation
    order     int64 [B]                    class of the query's order, lexicographic as in vcop
    rates     int64 [B, n]                 of the query's segments in the order seen
    features  [B, D]
    queries, keys [B, E] and queue [K, E]  unit vectors
    logits    [B, 1 + K]                   similarities over the temperature, the positive first

No code of the authors is public. What the paper leaves open and is decided here:
- The first frame of a segment comes one step of the rate of the segment before after that one's last frame. Thus every
  frame is followed, on the timeline, by the frame that its own segment's rate says, and no gap marks where segments meet.
  (Were it always the next frame of the video, two frames nearly alike would give away which segments are neighbours.)
- The rates to predict are in the order seen; the network cannot know of another before it has found the order.
- Key and query encoder see whole batches, each with its own batch statistics, on one device: MoCo's shuffling of batch norm
  needs several. A positive therefore shares its batch's statistics with the query, which the queue's keys do not.
"""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from suite.evaluation.features import frozen
from suite.loading import batches_of
from suite.papers.shuffle_similarity import paired_similarity, shuffle_similarity
from suite.papers.vcop import orders
from suite.seeding import generator
from suite.training import Outcome
from suite.video import transforms
from suite.video.clips import clip_indices

RateHead = Literal["regression", "classification"]
Similarity = Literal["cosine", "shuffle", "exact-shuffle"]
MATCHINGS = {"shuffle": "greedy", "exact-shuffle": "exact"}


# ---------------------------------------------------------------- which frames


class Segments(NamedTuple):
    """The frames of one clip, and what is to be predicted of it; segments in the order seen."""

    frames: list[int]
    lengths: tuple[int, ...]
    rates: tuple[int, ...]
    # Class of the order, an index into `vcop.orders`: orders(n)[order] says which segment of the timeline comes where.
    order: int


def draw_segments(
    draw: torch.Generator, frames: int, *, clip_length: int, segments: int, shortest: int, max_rate: int
) -> Segments:
    """Draw a clip of a video of `frames` frames (Fig. 1).

    Lengths are uniform over all compositions of `clip_length` into `segments` parts of at least `shortest`. Rates are
    uniform over the vectors of [1, max_rate] that fit the video at these lengths, which is the same as drawing from all
    vectors until one fits. First frame and order are uniform. A video shorter than the clip repeats from its start, at rate
    1. The span is 1 + the sum of length times rate, less the last segment's rate.

    Raises:
        ValueError: the video has no frame, or so many parts of that length make more than a clip.
    """
    lengths = _composition(draw, clip_length, segments, shortest)
    # Steps between frames that each rate counts for: no step follows the last frame.
    steps = [*lengths[:-1], lengths[-1] - 1]
    if frames < clip_length:
        rates = [1] * segments
        timeline = clip_indices(0, clip_length, frames)
    else:
        rates = _fitting_rates(draw, steps, frames - 1, max_rate)
        offsets = [0, *itertools.accumulate(np.repeat(rates, steps).tolist())]
        start = int(torch.randint(frames - offsets[-1], (), generator=draw))
        timeline = [start + offset for offset in offsets]
    starts = [0, *itertools.accumulate(lengths)]
    every_order = orders(segments)
    order = int(torch.randint(len(every_order), (), generator=draw))
    seen = every_order[order]
    return Segments(
        [frame for segment in seen for frame in timeline[starts[segment] : starts[segment + 1]]],
        tuple(lengths[segment] for segment in seen),
        tuple(rates[segment] for segment in seen),
        order,
    )


def _composition(draw: torch.Generator, total: int, parts: int, least: int) -> list[int]:
    """`parts` numbers of at least `least` that add up to `total`, every such list equally likely."""
    spare = total - parts * least
    if spare < 0:
        raise ValueError(f"{parts} segments of at least {least} frames do not fit into {total}")
    # Bars among stars: where the bars stand says how the spare frames are dealt out.
    places = spare + parts - 1
    bars = sorted(torch.randperm(places, generator=draw)[: parts - 1].tolist())
    return [least + right - left - 1 for left, right in itertools.pairwise([-1, *bars, places])]


def _fitting_rates(draw: torch.Generator, steps: Sequence[int], most: int, max_rate: int) -> list[int]:
    """Rates in [1, max_rate] whose sum weighted by `steps` is at most `most`, every such list equally likely.

    At rate 1 they must fit. Drawn is the rank of a list among all that fit, in lexicographic order.
    """
    most = min(most, max_rate * sum(steps))
    # counts[i][left]: how many lists of the rates from i on take at most `left` frames.
    counts = [np.ones(most + 1, np.int64)]
    for step in reversed(steps):
        behind = np.zeros_like(counts[0])
        for rate in range(1, max_rate + 1):
            taken = min(rate * step, most + 1)
            behind[taken:] += counts[0][: most + 1 - taken]
        counts.insert(0, behind)
    rank = int(torch.randint(int(counts[0][most]), (), generator=draw))
    rates = []
    for step, behind in zip(steps, counts[1:], strict=True):
        rate = 1
        while rank >= behind[most - rate * step]:
            rank -= int(behind[most - rate * step])
            rate += 1
        rates.append(rate)
        most -= rate * step
    return rates


class SegmentClips(Dataset):
    """Clips of segments of each video, drawn anew in every epoch: the query, and a second one as its key.

    An item is asked for as (epoch, index) and depends on nothing else but the seed. Each clip has draws of its own: its
    segments and, in training, one crop, one mirroring and one change of colours. Outside training the crop is central and
    nothing is mirrored or coloured.

    Args:
        source: gives resized uint8 frames by video name and indices.
        frames: lengths of the videos by name, at least 1.
        layout: how `draw_segments` makes a clip: clip_length, segments, shortest, max_rate.
        pairs: whether there is a second clip. Without, the same queries come and fewer frames are read.
        flip: training clips are mirrored half of the time.
        jitter: training clips' factors of brightness, contrast and saturation are uniform in [1 - jitter, 1 + jitter].
    """

    def __init__(self, source, videos, frames, *, layout: dict, pairs, crop, flip, jitter, seed, training):
        self.source, self.videos, self.frames = source, list(videos), frames
        self.layout, self.pairs, self.crop, self.flip, self.jitter = dict(layout), pairs, crop, flip, jitter
        self.seed, self.training = seed, training

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """The video behind an item, for messages."""
        return self.videos[index].name

    def segments(self, key: tuple[int, int]) -> Segments:
        """What the query of an item shows; reads no frame."""
        return self._drawn(key, 1)[1]

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int, Tensor]:
        """Returns the clips, uint8 [P, T, crop, crop, 3], their colours, float32 [P, 3], and the query's order and rates."""
        # Generators of their own: the query is the same with and without a second clip. No 0 among the keys, which is the
        # stream that orders the videos of an epoch.
        draws, drawn = zip(*(self._drawn(key, clip) for clip in ((1, 2) if self.pairs else (1,))), strict=True)
        # Each frame is read once, and sources read fastest forwards.
        distinct, places = np.unique([clip.frames for clip in drawn], return_inverse=True)
        frames = self.source.frames(self.name(key[1]), distinct.tolist())
        places = torch.from_numpy(places.reshape(len(drawn), -1))
        clips = [self._cropped(frames, draw)[place] for draw, place in zip(draws, places, strict=True)]
        colours = [self._colours(draw) for draw in draws]
        return torch.stack(clips), torch.stack(colours), drawn[0].order, torch.tensor(drawn[0].rates)

    def _drawn(self, key: tuple[int, int], clip: int) -> tuple[torch.Generator, Segments]:
        """The segments of clip 1 (query) or 2 of an item, and the generator for the rest of the clip's draws."""
        draw = generator(self.seed, *key, clip)
        return draw, draw_segments(draw, self.frames[self.name(key[1])], **self.layout)

    def _cropped(self, frames: Tensor, draw: torch.Generator) -> Tensor:
        """All frames cropped and mirrored alike: [N, H, W, 3] -> [N, crop, crop, 3]."""
        if not self.training:
            return transforms.centre_crop(frames, self.crop)
        top, left = transforms.random_crop_offset(draw, frames.shape[1:3], self.crop)
        frames = transforms.crop(frames, top, left, self.crop)
        mirrored = self.flip and bool(torch.randint(2, (), generator=draw))
        return transforms.mirrored(frames) if mirrored else frames

    def _colours(self, draw: torch.Generator) -> Tensor:
        if not self.training:
            return torch.ones(3)
        return transforms.drawn_colours(draw, self.jitter)


# ---------------------------------------------------------------- contrast


def contrastive_logits(
    queries: Tensor, keys: Tensor, queue: Tensor, *, similarity: Similarity, parts: int, temperature: float
) -> Tensor:
    """Similarity of each query to its key and to every key of the queue, over the temperature: [B, 1 + K] (Eq. 8).

    In the precision of the vectors, under autocast too.

    Args:
        similarity: "cosine"; "shuffle", minus the distance of the best matched parts by Algorithm 1; "exact-shuffle", with
            the matching that is best of all.
        parts: of a vector, for the last two.
    """
    with torch.autocast(queries.device.type, enabled=False):
        if similarity == "cosine":
            positive, negatives = (queries * keys).sum(1), queries @ queue.T
        else:
            matching = MATCHINGS[similarity]
            positive = paired_similarity(queries, keys, parts, matching=matching)
            negatives = shuffle_similarity(queries, queue, parts, matching=matching)
        return torch.cat([positive.unsqueeze(1), negatives], dim=1) / temperature


def info_nce(logits: Tensor) -> Tensor:
    """Cross-entropy of the positive, which comes first, of each query: [B, 1 + K] -> [B]."""
    return torch.logsumexp(logits, dim=1) - logits[:, 0]


def positive_first(logits: Tensor) -> Tensor:
    """Whether each query is more similar to its key than to any of the queue; a tie is not: [B, 1 + K] -> bool [B]."""
    return logits[:, 0] > logits[:, 1:].amax(1)


# ---------------------------------------------------------------- the network


class SegmentNetwork(nn.Module):
    """Query encoder (`backbone`) with one head a subtask, and for contrast a key encoder that follows it and a queue.

    A subtask whose weight is 0 is not built and costs nothing.

    `views` may be set to a frozen generator of views, float [B, 3, T, S, S] in [0, 1] to the same shape: in training the
    key is then, half of the time for each video, the view of the query (Sec. III-G). It is used in evaluation mode, learns
    nothing, and is not part of the state dict: it belongs to the stage that trained it.

    Args:
        segments, max_rate: as in `draw_segments`.
        rate_head: "regression" (mean squared error, Eq. 7), or "classification" of each rate among 1 to max_rate.
        hidden, projection: widths of the layer inside the order head and the projection, and of what that gives.
        similarity, temperature: as in `contrastive_logits`; a vector has as many parts as a clip has segments.
        queue: keys in the queue, at least as many as a batch has.
        momentum: share of itself that the key encoder keeps at each step.

    Raises:
        ValueError: all weights are 0, or pixels are not "unit": colours are changed in [0, 1].
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        segments: int,
        max_rate: int,
        order_weight: float,
        rate_weight: float,
        contrastive_weight: float,
        rate_head: RateHead,
        hidden: int,
        projection: int,
        similarity: Similarity,
        temperature: float,
        queue: int,
        momentum: float,
        pixels: transforms.Pixels = "unit",
    ):
        super().__init__()
        if pixels != "unit":
            raise ValueError(f"srop changes colours of pixels in [0, 1]: pixels must be 'unit', not {pixels!r}")
        weights = {"order": order_weight, "rate": rate_weight, "contrastive": contrastive_weight}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        if not self.weights:
            raise ValueError("all weights are 0: nothing would be learnt")
        self.backbone, self.segments, self.max_rate = backbone, segments, max_rate
        self.similarity, self.temperature, self.momentum = similarity, temperature, momentum
        self.order_head = self.rate_head = self.projection = None
        size = backbone.feature_size
        if "order" in self.weights:
            self.order_head = _two_layers(size, hidden, math.factorial(segments))
        if "rate" in self.weights:
            outputs = (segments,) if rate_head == "regression" else (segments, max_rate)
            self.rate_head = nn.Sequential(nn.Linear(size, math.prod(outputs)), nn.Unflatten(1, outputs))
        if "contrastive" in self.weights:
            self.projection = _two_layers(size, hidden, projection)
            self.key_backbone, self.key_projection = copy.deepcopy(backbone), copy.deepcopy(self.projection)
            self.key_backbone.requires_grad_(False)
            self.key_projection.requires_grad_(False)
            self.register_buffer("queue", F.normalize(torch.randn(queue, projection), dim=1))
            # Where the next key goes: the place of the oldest.
            self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))
        self.views: nn.Module | None = None
        self.register_state_dict_post_hook(_leave_out_views)
        self.register_load_state_dict_post_hook(_do_not_miss_views)

    def train(self, mode: bool = True) -> "SegmentNetwork":
        """The generator of views stays in evaluation mode."""
        super().train(mode)
        if self.views is not None:
            self.views.eval()
        return self

    def inputs(self, clips: Tensor, colours: Tensor) -> Tensor:
        """uint8 [B, T, S, S, 3] and [B, 3] -> float32 [B, 3, T, S, S] in [0, 1]."""
        return transforms.coloured(transforms.to_network(clips), colours)

    def forward(self, clips: Tensor, colours: Tensor) -> Tensor:
        """Features of the queries: uint8 [B, T, S, S, 3] and [B, 3] -> [B, D]."""
        return self.backbone(self.inputs(clips, colours))

    def predicted_rates(self, outputs: Tensor) -> Tensor:
        """What the rate head's outputs say: [B, n] as they are, or [B, n, u] the likeliest rate. Float [B, n].

        Not the expectation over the classes: a classifier is asked for a class.
        """
        return outputs if outputs.dim() == 2 else outputs.argmax(2).float() + 1

    def queries(self, features: Tensor) -> Tensor:
        """[B, D] -> float32 [B, E], of length 1."""
        return F.normalize(self.projection(features).float(), dim=1)

    @torch.no_grad()
    def keys(self, inputs: Tensor) -> Tensor:
        """float32 [B, 3, T, S, S] -> float32 [B, E], of length 1, by the key encoder."""
        return F.normalize(self.key_projection(self.key_backbone(inputs)).float(), dim=1)

    def logits(self, queries: Tensor, keys: Tensor, queue: Tensor) -> Tensor:
        """As `contrastive_logits`, with this network's settings."""
        settings = {"similarity": self.similarity, "parts": self.segments, "temperature": self.temperature}
        return contrastive_logits(queries, keys, queue, **settings)

    def outcome(self, clips: Tensor, colours: Tensor, order: Tensor, rates: Tensor) -> Outcome:
        """The weighted sum of the losses that are on (Eq. 17), each of them as a part, and how good each task is.

        Parts: order_loss, order_accuracy (percent); rate_loss, rate_error (mean square); contrastive_loss, positive_first
        (percent of queries more similar to their key than to the whole queue).

        In training, the key encoder moves first and the keys enter the queue last, once for every call (a batch that is let
        through in parts makes several); which keys are views is drawn from torch's own generator, which checkpoints hold.
        Outside training nothing moves and the key is the second clip.
        """
        shown = self.inputs(clips[:, 0], colours[:, 0])
        features = self.backbone(shown)
        parts, correct = {}, None
        if self.order_head is not None:
            logits = self.order_head(features).float()
            correct = (logits.argmax(1) == order).sum()
            parts["order_loss"] = F.cross_entropy(logits, order)
            parts["order_accuracy"] = 100 * correct / len(order)
        if self.rate_head is not None:
            outputs = self.rate_head(features).float()
            error = F.mse_loss(self.predicted_rates(outputs), rates.float())
            classes = outputs.dim() == 3
            parts["rate_loss"] = F.cross_entropy(outputs.flatten(0, 1), rates.flatten() - 1) if classes else error
            parts["rate_error"] = error.detach()
        if self.projection is not None:
            if self.training:
                self._follow()
            keys = self.keys(self._key_inputs(shown, self.inputs(clips[:, 1], colours[:, 1])))
            # A copy: the queue moves on before the gradient is asked for.
            logits = self.logits(self.queries(features), keys, self.queue.clone())
            parts["contrastive_loss"] = info_nce(logits).mean()
            parts["positive_first"] = 100 * positive_first(logits).float().mean()
            if self.training:
                self._enqueue(keys)
        loss = sum(weight * parts[f"{name}_loss"] for name, weight in self.weights.items())
        return Outcome(loss, correct, parts)

    @torch.no_grad()
    def _key_inputs(self, queries: Tensor, seconds: Tensor) -> Tensor:
        """What the key encoder sees of each video: its second clip, or half of the time the view of its query."""
        if self.views is None or not self.training:
            return seconds
        # On the CPU, so that it is the same on every device. Views of all queries: a batch keeps its shape.
        viewed = torch.randint(2, (len(queries), 1, 1, 1, 1)).bool().to(queries.device)
        return torch.where(viewed, self.views(queries).to(queries.dtype), seconds)

    @torch.no_grad()
    def _follow(self) -> None:
        """The key encoder's parameters move towards the query encoder's (Eq. 18). Its batch norm has statistics of its own."""
        for follower, leader in ((self.key_backbone, self.backbone), (self.key_projection, self.projection)):
            for key, query in zip(follower.parameters(), leader.parameters(), strict=True):
                key.mul_(self.momentum).add_(query, alpha=1 - self.momentum)

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """The keys take the places of the oldest ones."""
        size = len(self.queue)
        if len(keys) > size:
            raise ValueError(f"a queue of {size} keys is too short for a batch of {len(keys)}")
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % size
        self.queue[places] = keys
        self.oldest.copy_((self.oldest + len(keys)) % size)


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _leave_out_views(network: SegmentNetwork, state: dict, prefix: str, metadata: dict) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}views.")]:
        del state[name]


def _do_not_miss_views(network: SegmentNetwork, keys) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if not name.startswith("views.")]


# ---------------------------------------------------------------- what a recipe's pretraining asks for


def eligible(videos: Sequence, frames: dict[str, int], pretraining: dict, video: dict) -> list:
    """All videos with a frame: rates shrink to what fits, and a video shorter than a clip repeats."""
    return [each for each in videos if frames[each.name] >= 1]


def network(backbone: nn.Module, pretraining: dict, video: dict) -> SegmentNetwork:
    """The network of a recipe's pretraining."""
    keys = ("segments", "max_rate", "order_weight", "rate_weight", "contrastive_weight", "rate_head", "hidden")
    keys += ("projection", "similarity", "temperature", "queue", "momentum")
    return SegmentNetwork(backbone, **{key: pretraining[key] for key in keys}, pixels=video["pixels"])


def samples(data, videos: Sequence, pretraining: dict, video: dict, *, seed: int, training: bool) -> SegmentClips:
    """The clips of a recipe's pretraining. `data` holds frame counts and gives a source of resized frames."""
    layout = {key: pretraining[key] for key in ("segments", "shortest", "max_rate")}
    return SegmentClips(
        data.source(video["resize"]),
        videos,
        data.frames,
        layout=layout | {"clip_length": video["clip_length"]},
        pairs=pretraining["contrastive_weight"] > 0,
        crop=video["crop"],
        flip=pretraining["flip"],
        jitter=pretraining["jitter"],
        seed=seed,
        training=training,
    )


# ---------------------------------------------------------------- what was learnt


class PretextScores(NamedTuple):
    """How a network does on one sample of each held-out video; None for what it was not trained for."""

    # Whether the order was found.
    order_hits: list[bool] | None
    # Squared error of the rates, mean over the segments; that of a constant prediction, and the constant.
    rate_errors: list[float] | None
    constant_rate_errors: list[float] | None
    constant_rate: float | None
    # InfoNCE, and whether the second clip is nearer than everything in the queue of so many keys.
    contrastive_losses: list[float] | None
    positive_first: list[bool] | None
    queue: int | None


def pretext_scores(
    network: SegmentNetwork,
    samples: SegmentClips,
    gallery: SegmentClips,
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int = 0,
) -> PretextScores:
    """Ask a network about `samples`; single precision, evaluation mode. The network and torch's generators stay as they are.

    Args:
        samples: held-out videos, of which epoch 0 is asked; there must be one.
        gallery: training videos, of which epoch 0 is asked; there must be one. The mean rate of their queries is the
            constant prediction. The keys of the second clips of evenly spaced ones fill a queue as long as the network's
            (shorter where there are fewer), instead of the keys that training left, which were made by older weights.
            Lists go by class: the last of them would be a few classes alone.
        workers: loader processes; none of the numbers depends on it.

    Raises:
        InputError: a video cannot be read.
    """
    network.to(device)
    contrast = network.projection is not None
    size = min(len(network.queue), len(gallery)) if contrast else 0
    kept = [place * len(gallery) // size for place in range(size)]
    total, done = len(kept) + len(samples), 0
    constant = float(np.mean([gallery.segments((0, index)).rates for index in range(len(gallery))]))
    queue: list[Tensor] = []
    found: dict[str, list] = {"hits": [], "rates": [], "constants": [], "losses": [], "first": []}
    with frozen(network):
        for clips, colours, _, _ in _batches(gallery, kept, batch, device, workers):
            queue.append(_exact(network.keys(network.inputs(clips[:, 1], colours[:, 1]))))
            done += len(clips)
            progress(done, total)
        negatives = torch.cat(queue) if contrast else None
        for clips, colours, order, rates in _batches(samples, range(len(samples)), batch, device, workers):
            features = network(clips[:, 0], colours[:, 0])
            if network.order_head is not None:
                found["hits"] += (network.order_head(features).argmax(1) == order).tolist()
            if network.rate_head is not None:
                predicted = network.predicted_rates(network.rate_head(features))
                found["rates"] += (predicted - rates).square().mean(1).tolist()
                found["constants"] += (constant - rates.double()).square().mean(1).tolist()
            if contrast:
                keys = _exact(network.keys(network.inputs(clips[:, 1], colours[:, 1])))
                logits = network.logits(_exact(network.queries(features)), keys, negatives)
                found["losses"] += info_nce(logits).tolist()
                found["first"] += positive_first(logits).tolist()
            done += len(clips)
            progress(done, total)
    rated = network.rate_head is not None
    return PretextScores(
        found["hits"] if network.order_head is not None else None,
        found["rates"] if rated else None,
        found["constants"] if rated else None,
        constant if rated else None,
        found["losses"] if contrast else None,
        found["first"] if contrast else None,
        len(negatives) if contrast else None,
    )


def _exact(vectors: Tensor) -> Tensor:
    """Unit vectors in double precision: those of an untrained network are so alike that their cosines are ties in single."""
    return F.normalize(vectors.double(), dim=1)


def _batches(samples: SegmentClips, indices: Sequence[int], batch: int, device: str, workers: int):
    """The items of epoch 0 at `indices`, in batches on the device."""
    keys = [(0, index) for index in indices]
    batches = [keys[low : low + batch] for low in range(0, len(keys), batch)]
    for tensors in batches_of(samples, batches, workers=workers):
        yield [tensor.to(device) for tensor in tensors]
