"""Exact nearest neighbours by cosine similarity, and top-k scores.

What is exact: neighbours are ranked by `similarities`, cosines in float64, equal ones by their place in the gallery.
float32 alone does not do: untrained networks give nearly collinear features (C3D: cosine distances of 3e-4 with gaps of
4e-6, against a float32 rounding of 6e-7), so it would rank by noise. Float64 products throughout cost too much. Hence:

1. A float32 product proposes candidates. Rounding grows with the length of vectors, so the mean m of the normalised
   gallery is taken off first: q.g = (q-m).(g-m) + m.(g-m) + q.m, where the last term is the same for a whole row. With
   nearly collinear features |q-m| |g-m| is thousands of times smaller than 1, and so is the error.
2. `_error_bound` bounds how far a proposed value may be from the true one, whatever the order of summation. Candidates
   are all items that may be among the first k under that bound. If the list that was kept does not reach that far, the
   query is searched in float64 in full.
3. Where the bound leaves the order of candidates open, float64 settles it. Where two are so close that even the
   rounding of float64 could swap them (equal features, as a rule), `similarities` itself decides.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from suite.errors import InputError
from suite.precision import full_precision

# Bytes of a part of the gallery in float32, and of its products with QUERIES.
GALLERY_BYTES = 1 << 30
PRODUCT_BYTES = 128 << 20
# Bytes of rows in float64. Small on a CPU, where fresh memory costs more than the arithmetic in it.
PIECE_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}
# Queries multiplied at once; more gain nothing.
QUERIES = 1024
# Proposals kept beyond the k that are wanted. Those that the bound does not reach cost next to nothing.
MARGIN = 100


def search(
    queries: np.ndarray,
    gallery: np.ndarray,
    k: int,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """The k nearest gallery items of each query by cosine similarity, nearest first: int64 [Q, min(k, N)].

    The ranking is that of `similarities`, exactly; equal similarities rank by index. It does not depend on the device.
    Features that differ in the last bits of float32 alone (a collapsed network's) are ranked as exactly, but slowly.

    Args:
        queries, gallery: float32 [Q, D] and [N, D], memory maps too; a vector of zeros is at similarity 0 to everything.
        progress: called with (done, total) in units of its own.

    Raises:
        InputError: a feature is NaN or infinite, or the gallery is empty.
    """
    if k < 1 or queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"k is {k}, queries are {queries.shape}, the gallery is {gallery.shape}: not [Q, D] and [N, D]"
        )
    if not len(gallery):
        raise InputError("the gallery is empty: no training video was left to retrieve")
    # Equal queries have equal answers: a collapsed network, whose features are all alike, is searched once.
    first, same = _distinct(queries)
    with torch.no_grad(), full_precision():
        engine = _Search(queries, gallery, min(k, len(gallery)), torch.device(device))
        return engine.run(first, progress)[same]


def similarities(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cosine similarities in float64 of a query [D] to rows [M, D]: [M]. 0 where either is zero.

    This is what `search` ranks by. NumPy adds up each row on its own in a fixed order, so a value depends on nothing
    but its two vectors, and equal rows are equally near.
    """
    return (_unit(rows) * _unit(query)).sum(axis=-1)


def score(
    neighbours: np.ndarray,
    query_labels: Sequence[int] | np.ndarray,
    gallery_labels: Sequence[int] | np.ndarray,
    ks: Sequence[int],
) -> np.ndarray:
    """Whether a query's class is among its k nearest (VCOP Sec. 4.1): bool [Q, len(ks)].

    Args:
        neighbours: as from `search`, at least max(ks) of them, or the whole gallery where it is smaller.
    """
    classes = np.asarray(gallery_labels)
    reach = min(max(ks), len(classes))
    if neighbours.shape[1] < reach:
        raise ValueError(f"{neighbours.shape[1]} neighbours of each query cannot score top-{max(ks)}")
    right = classes[neighbours] == np.asarray(query_labels)[:, None]
    return np.stack([right[:, :k].any(axis=1) for k in ks], axis=1)


class _Search:
    """One search: the gallery with its norms and centre, and the bounds that hold for it."""

    def __init__(self, queries: np.ndarray, gallery: np.ndarray, k: int, device: torch.device):
        self.queries, self.gallery, self.k, self.device = queries, gallery, k, device
        self.items, self.size = gallery.shape
        self.keep = min(self.items, k + MARGIN)
        self.piece_bytes = PIECE_BYTES[device.type]
        self.rows = max(1, self.piece_bytes // (8 * self.size))
        # Two float64 evaluations of one cosine differ by less: (2D + 6)u each for products and both norms, u = 2^-53.
        self.noise = 8 * (self.size + 4) * 2.0**-53
        self.norms = torch.empty(self.items, dtype=torch.float64, device=device)
        self.centre = torch.zeros(self.size, dtype=torch.float64, device=device)
        for low in range(0, self.items, self.rows):
            piece = self._piece(gallery, slice(low, low + self.rows))
            norms = self.norms[low : low + self.rows] = _norms(piece, "gallery")
            self.centre += piece.div_(norms[:, None]).sum(0) / self.items

    def run(self, wanted: np.ndarray, progress: Callable[[int, int], None]) -> np.ndarray:
        """Neighbours of the queries at indices `wanted`: [len(wanted), k]."""
        parts = range(0, self.items, max(1, min(GALLERY_BYTES // (4 * self.size), PRODUCT_BYTES // (4 * QUERIES))))
        total = len(wanted) * (len(parts) + 1)
        values = torch.full((len(wanted), self.keep), -torch.inf, device=self.device)
        indices = torch.full((len(wanted), self.keep), -1, dtype=torch.int64, device=self.device)
        bounds = torch.zeros(len(wanted), dtype=torch.float64, device=self.device)
        for part, start in enumerate(parts):
            centred, offsets = self._centred_gallery(start, min(start + parts.step, self.items))
            longest, largest = float(centred.norm(dim=1).max()), float(offsets.abs().max())
            for low in range(0, len(wanted), QUERIES):
                here = slice(low, low + QUERIES)
                asked = self._unit_queries(wanted[here]) - self.centre
                bound = _error_bound(self.size, asked.norm(dim=1), longest, largest) + 2 * self.noise
                bounds[here] = torch.maximum(bounds[here], bound)
                products = (asked.float() @ centred.T).add_(offsets)
                best, places = products.topk(min(self.keep, products.shape[1]), dim=1)
                both = torch.cat([values[here], best], dim=1)
                both_indices = torch.cat([indices[here], places + start], dim=1)
                values[here], chosen = both.topk(self.keep, dim=1)
                indices[here] = both_indices.gather(1, chosen)
                progress(part * len(wanted) + min(low + QUERIES, len(wanted)), total)
        return self._decide(wanted, values, indices, bounds, lambda done: progress(total - len(wanted) + done, total))

    def _decide(self, wanted, values, indices, bounds, progress: Callable[[int], None]) -> np.ndarray:
        """The true first k of each query, from its proposals where the bound proves them complete."""
        values, indices = values.double().cpu().numpy(), indices.cpu().numpy()
        bounds = 2 * bounds.cpu().numpy()[:, None]
        # Each of the first k proposals is truly above the k-th value less one bound; what was not kept is truly below it.
        candidates = values >= values[:, self.k - 1 : self.k] - bounds
        proven = ~candidates.all(axis=1) | (self.keep == self.items)
        # A gap of more than two bounds is a true one. The candidates between two such gaps are a group whose order is open.
        close = (values[:, :-1] - values[:, 1:] <= bounds) & candidates[:, 1:]
        groups = np.zeros(indices.shape, np.int64)
        np.cumsum(~close, axis=1, out=groups[:, 1:])
        open_ = _either(close)
        opened = open_.sum(axis=1)
        result = indices[:, : self.k].copy()
        done = int((proven & (opened == 0)).sum())
        progress(done)
        # Most open places first, so that queries of like counts share a batch.
        waiting = np.flatnonzero(proven & (opened > 0))
        waiting = waiting[np.argsort(-opened[waiting], kind="stable")]
        while len(waiting):
            most = int(opened[waiting[0]])
            size = max(1, self.piece_bytes // (8 * self.size * most))
            batch, waiting = waiting[:size], waiting[size:]
            places = np.argsort(~open_[batch], axis=1, kind="stable")[:, :most]
            near = np.zeros((len(batch), self.keep))
            near64 = self._candidate_similarities(wanted[batch], np.take_along_axis(indices[batch], places, axis=1))
            np.put_along_axis(near, places, near64, axis=1)
            for row, query in enumerate(batch):
                count = int(candidates[query].sum())
                result[query] = self._settle(
                    wanted[query], indices[query, :count], near[row, :count], groups[query, :count]
                )
            done += len(batch)
            progress(done)
        waiting = np.flatnonzero(~proven)
        size = max(1, PRODUCT_BYTES // (8 * self.items))
        for low in range(0, len(waiting), size):
            batch = waiting[low : low + size]
            for query, near in zip(batch, self._all_similarities(wanted[batch]), strict=True):
                last = np.partition(near, self.items - self.k)[self.items - self.k]
                chosen = np.flatnonzero(near >= last - 2 * self.noise)
                result[query] = self._settle(wanted[query], chosen, near[chosen], np.zeros_like(chosen))
            done += len(batch)
            progress(done)
        return result

    def _settle(self, query: int, items: np.ndarray, near: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """The first k of some items, by group and then by similarity; `similarities` decides what float64 leaves open."""
        order = np.lexsort((items, -near, groups))
        items, near, groups = items[order], near[order], groups[order]
        close = (near[:-1] - near[1:] <= 2 * self.noise) & (groups[:-1] == groups[1:])
        if close[: self.k].any():
            places = np.flatnonzero(_either(close))
            for low in range(0, len(places), self.rows):
                here = places[low : low + self.rows]
                near[here] = similarities(self.queries[query], self.gallery[items[here]])
            items = items[np.lexsort((items, -near, groups))]
        return items[: self.k]

    def _centred_gallery(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Normalised items less the centre, float32 [stop - start, D], and their products with the centre, float32."""
        centred = torch.empty(stop - start, self.size, device=self.device)
        offsets = torch.empty(stop - start, device=self.device)
        for low in range(start, stop, self.rows):
            high = min(low + self.rows, stop)
            piece = self._piece(self.gallery, slice(low, high)).div_(self.norms[low:high, None]).sub_(self.centre)
            centred[low - start : high - start] = piece
            offsets[low - start : high - start] = piece @ self.centre
        return centred, offsets

    def _candidate_similarities(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Float64 cosines of each query to its own items [B, C]: [B, C]."""
        rows = self._piece(self.gallery, items.ravel()).unflatten(0, items.shape)
        products = (rows @ self._unit_queries(queries)[:, :, None]).squeeze(2)
        return (products / self.norms[torch.from_numpy(items).to(self.device)]).cpu().numpy()

    def _all_similarities(self, queries: np.ndarray) -> np.ndarray:
        """Float64 cosines of queries to the whole gallery: [B, N]."""
        asked = self._unit_queries(queries)
        products = torch.empty(len(queries), self.items, dtype=torch.float64, device=self.device)
        for low in range(0, self.items, self.rows):
            piece = self._piece(self.gallery, slice(low, low + self.rows))
            products[:, low : low + self.rows] = asked @ piece.T
        return (products / self.norms).cpu().numpy()

    def _unit_queries(self, indices: np.ndarray) -> Tensor:
        """Normalised queries, float64 [len(indices), D]."""
        piece = self._piece(self.queries, indices)
        return piece.div_(_norms(piece, "query")[:, None])

    def _piece(self, features: np.ndarray, which: slice | np.ndarray) -> Tensor:
        """Some rows in float64 on the device."""
        return torch.from_numpy(np.array(features[which])).to(self.device, torch.float64)


def _norms(rows: Tensor, side: str) -> Tensor:
    """Norms of rows, 1 for those of zeros. Raises InputError if a row is not finite."""
    norms = rows.norm(dim=1)
    if not torch.isfinite(norms).all():
        raise InputError(f"a {side} feature is NaN or infinite; check the weights that the features were taken with")
    return torch.where(norms > 0, norms, 1.0)


def _error_bound(size: int, asked: Tensor, longest: float, largest: float) -> Tensor:
    """Greatest error of a float32 value a.b + t, for queries a of norms `asked`, |b| <= longest and |t| <= largest.

    Float32 rounds to a relative u = 2^-24. A sum of n products, in whatever order and with or without fused steps, is
    off by at most nu/(1-nu) |a||b| (Higham, Accuracy and Stability of Numerical Algorithms, Sec. 3.1). Rounding a, b
    and t beforehand and adding t at the end make 4u more of each; numbers below 2^-126, which some devices flush to
    zero, the last term. The factor covers the rounding of the norms and of this sum.
    """
    u = 2.0**-24
    summation = (size + 1) * u / (1 - (size + 1) * u)
    return 1.01 * ((summation + 4 * u) * asked * longest + 4 * u * largest) + size * 2.0**-124


def _either(close: np.ndarray) -> np.ndarray:
    """Which places have a close neighbour, from whether each place is close to the next: bool [..., M - 1] -> [..., M]."""
    nowhere = np.zeros((*close.shape[:-1], 1), bool)
    return np.concatenate([close, nowhere], axis=-1) | np.concatenate([nowhere, close], axis=-1)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Vectors [..., D] over their norms, in float64; zero vectors stay zero."""
    rows = np.array(rows, dtype=np.float64, order="C")
    norms = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1.0)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the first of each set of equal rows, and for every row its place among those."""
    places: dict[bytes, int] = {}
    first: list[int] = []
    same = np.empty(len(rows), np.int64)
    for index, row in enumerate(rows):
        # A digest, since rows as keys would hold all features a second time.
        key = hashlib.sha256(np.ascontiguousarray(row)).digest()
        same[index] = places.setdefault(key, len(first))
        if same[index] == len(first):
            first.append(index)
    return np.array(first, np.int64), same
