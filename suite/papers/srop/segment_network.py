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

No code of the authors is public. What the paper leaves open and is decided here (segment_clips.py has what it leaves open of clips):
- The rates to predict are in the order seen; the network cannot know of another before it has found the order.
- Key and query encoder see whole batches, each with its own batch statistics, on one device: MoCo's shuffling of batch norm
  needs several. A positive therefore shares its batch's statistics with the query, which the queue's keys do not.
"""

import copy
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.evaluation.asking import ask, one_progress
from suite.papers.srop.segment_clips import SegmentClips
from suite.papers.srop.shuffle_similarity import paired_similarity, shuffle_similarity
from suite.training import Outcome, total_of
from suite.video import transforms

RateHead = Literal["regression", "classification"]
Similarity = Literal["cosine", "shuffle", "exact-shuffle"]
MATCHINGS: dict[str, Literal["greedy", "exact"]] = {"shuffle": "greedy", "exact-shuffle": "exact"}


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

    queue: Tensor
    oldest: Tensor

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
        self.order_head: nn.Module | None = None
        self.rate_head: nn.Module | None = None
        self.projection: nn.Module | None = None
        size: int = backbone.feature_size  # type: ignore[assignment]  # by the contract of backbones
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
        assert self.projection is not None  # asked of networks that learn contrast
        return F.normalize(self.projection(features).float(), dim=1)

    @torch.no_grad()
    def keys(self, inputs: Tensor) -> Tensor:
        """float32 [B, 3, T, S, S] -> float32 [B, E], of length 1, by the key encoder."""
        return F.normalize(self.key_projection(self.key_backbone(inputs)).float(), dim=1)

    def logits(self, queries: Tensor, keys: Tensor, queue: Tensor) -> Tensor:
        """As `contrastive_logits`, with this network's settings."""
        return contrastive_logits(
            queries, keys, queue, similarity=self.similarity, parts=self.segments, temperature=self.temperature
        )

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
        loss = total_of(weight * parts[f"{name}_loss"] for name, weight in self.weights.items())
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
        assert self.projection is not None  # asked of networks that learn contrast
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
    contrast = network.projection is not None
    size = min(len(network.queue), len(gallery)) if contrast else 0
    kept = [(0, place * len(gallery) // size) for place in range(size)]
    of_gallery, of_samples = one_progress(progress, len(kept), len(samples))
    constant = float(np.mean([gallery.segments((0, index)).rates for index in range(len(gallery))]))
    found: dict[str, list] = {"hits": [], "rates": [], "constants": [], "losses": [], "first": []}

    def second(clips: Tensor, colours: Tensor, *_: Tensor) -> Tensor:
        return _exact(network.keys(network.inputs(clips[:, 1], colours[:, 1])))

    def judged(clips: Tensor, colours: Tensor, order: Tensor, rates: Tensor) -> None:
        features = network(clips[:, 0], colours[:, 0])
        if network.order_head is not None:
            found["hits"] += (network.order_head(features).argmax(1) == order).tolist()
        if network.rate_head is not None:
            predicted = network.predicted_rates(network.rate_head(features))
            found["rates"] += (predicted - rates).square().mean(1).tolist()
            found["constants"] += (constant - rates.double()).square().mean(1).tolist()
        if contrast:
            logits = network.logits(_exact(network.queries(features)), second(clips, colours), negatives)
            found["losses"] += info_nce(logits).tolist()
            found["first"] += positive_first(logits).tolist()

    queue = ask(network, second, gallery, batch, device, of_gallery, workers=workers, keys=kept)
    negatives = torch.cat(queue) if contrast else torch.empty(0)
    ask(network, judged, samples, batch, device, of_samples, workers=workers)
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
