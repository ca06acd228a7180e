"""Shuffle similarity: how alike two vectors are whatever the order of their parts (srop Sec. III-F, Algorithm 1).

Shapes: B queries and K keys of D values, P parts of a vector, d = ceil(D / P) values of a part.
    queries    [B, D]
    keys       [K, D]
    parts      [B, P, d] and [K, P, d]    of vectors of length 1, zeros behind the last where P does not divide D
    distances  [B, K, P, P]               Euclidean, of every part of a query to every part of a key
    result     [B, K]                     minus the sum of P of them, one in each row and column

The paper leaves open what to do where P does not divide D (128 by its best P, 3), and how a distance becomes a similarity;
the length of 1, the zeros and the minus are ours. The parts of two unit vectors are at most 2 sqrt(P) apart in all.
"""

import itertools
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Matching = Literal["greedy", "exact"]
# Differences are squared, not a² + b² - 2ab: that rounds a distance of 0 to some 3e-4 in float32. Near 0 the error is that
# of the unit vectors, below 1e-6. No differences are kept for the backward pass, and the gradient at distance 0 is 0.
BY_DIFFERENCES = "donot_use_mm_for_euclid_dist"


def shuffle_similarity(queries: Tensor, keys: Tensor, parts: int, *, matching: Matching) -> Tensor:
    """Similarity of every query to every key: [B, D] and [K, D] -> [B, K], from -2 sqrt(parts) to 0.

    In float32 under autocast too (float64 stays float64). Gradients flow through the distances that are matched, to
    queries and keys; which ones are matched is not differentiated.

    Args:
        parts: of each vector; the paper takes as many as a clip has segments.
        matching: "greedy" is Algorithm 1: the smallest distance first, then the smallest in the rows and columns left;
            of equal ones the first, by the query's part, then by the key's. "exact" is the pairing of all parts with the
            smallest sum, among parts! of them (an option of ours); of equal ones the first in lexicographic order.
    """
    rows, columns = _unit_parts(queries, parts), _unit_parts(keys, parts)
    distances = torch.cdist(rows.flatten(0, 1), columns.flatten(0, 1), compute_mode=BY_DIFFERENCES)
    distances = distances.reshape(len(queries), parts, len(keys), parts).transpose(1, 2)
    return -_matched(distances, matching)


def paired_similarity(queries: Tensor, keys: Tensor, parts: int, *, matching: Matching) -> Tensor:
    """Similarity of each query to the key at its place: [B, D] and [B, D] -> [B]; otherwise as `shuffle_similarity`."""
    if len(queries) != len(keys):
        raise ValueError(f"{len(queries)} queries and {len(keys)} keys are no pairs")
    rows, columns = _unit_parts(queries, parts), _unit_parts(keys, parts)
    return -_matched(torch.cdist(rows, columns, compute_mode=BY_DIFFERENCES), matching)


def _unit_parts(vectors: Tensor, parts: int) -> Tensor:
    """Vectors [N, D] at length 1, filled up with zeros and divided: [N, parts, d]."""
    if parts < 1:
        raise ValueError(f"a vector cannot be divided into {parts} parts")
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    size = vectors.shape[1]
    return F.pad(F.normalize(vectors, dim=1), (0, -size % parts)).reshape(len(vectors), parts, -(-size // parts))


def _matched(distances: Tensor, matching: Matching) -> Tensor:
    """The sum of the matched distances: [..., P, P] -> [...]."""
    if matching not in get_args(Matching):
        raise ValueError(f"matching is {matching!r}, not {', '.join(map(repr, get_args(Matching)))}")
    parts, flat = distances.shape[-1], distances.flatten(-2)
    with torch.no_grad():
        chosen = _greedy(flat, parts) if matching == "greedy" else _exact(flat, parts)
    return flat.gather(-1, chosen).sum(-1)


def _greedy(distances: Tensor, parts: int) -> Tensor:
    """Places of the matched distances in the order of Algorithm 1: [..., P * P], row by row -> int64 [..., P]."""
    left, places = distances.clone(), torch.arange(parts * parts, device=distances.device)
    rows, columns = places // parts, places % parts
    # Which places are used up with each: its row and its column.
    used = (rows[:, None] == rows) | (columns[:, None] == columns)
    chosen = []
    for _ in range(parts):
        # Of equal values argmin takes the first.
        chosen.append(left.argmin(-1))
        left.masked_fill_(used[chosen[-1]], torch.inf)
    return torch.stack(chosen, dim=-1)


def _exact(distances: Tensor, parts: int) -> Tensor:
    """Places of the distances whose sum is the smallest: [..., P * P], row by row -> int64 [..., P]."""
    columns = torch.tensor(list(itertools.permutations(range(parts))), device=distances.device)
    places = columns + parts * torch.arange(parts, device=distances.device)
    sums = distances.index_select(-1, places[:, 0])
    for row in range(1, parts):
        sums = sums + distances.index_select(-1, places[:, row])
    return places[sums.argmin(-1)]
