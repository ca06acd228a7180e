"""Retrieval ranks exactly as float64 does, however the work is cut up."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suite import backbones
from suite.errors import InputError
from suite.evaluation import features, retrieval
from suite.video import clips, transforms


def reference(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Cosines pair by pair in float64, then a stable sort: equal ones by index."""

    def unit(vector):
        vector = vector.astype(np.float64)
        norm = np.sqrt((vector * vector).sum())
        return vector / norm if norm > 0 else vector

    units = [unit(item) for item in gallery]
    ranked = []
    for query in map(unit, queries):
        near = np.array([(item * query).sum() for item in units])
        ranked.append(np.argsort(-near, kind="stable")[:k])
    return np.stack(ranked)


def assert_exact(queries, gallery, k, **options) -> None:
    found = retrieval.search(queries, gallery, k, **options)
    assert found.dtype == np.int64
    assert np.array_equal(found, reference(queries, gallery, k))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.fixture
def no_float64_search(monkeypatch):
    """Fails a test whose queries need the search in float64: the bound would be too loose to be of use."""

    def forbidden(self, queries):
        raise AssertionError(f"{len(queries)} queries were not decided by their proposals")

    monkeypatch.setattr(retrieval._Search, "_all_similarities", forbidden)


@pytest.mark.usefixtures("no_float64_search")
@pytest.mark.parametrize("k", [1, 50, 700])
def test_random_features(k):
    assert_exact(normal(40, 300), normal(700, 300, seed=1), k)


@pytest.mark.usefixtures("no_float64_search")
@pytest.mark.parametrize("spread", [1e-1, 1e-2, 1e-3, 1e-4])
def test_nearly_collinear_features(spread):
    """Cosine distances from 1e-2 down to 1e-8, where float32 alone ranks by noise."""
    axis, directions = np.abs(normal(2048)), normal(10, 2048, seed=1)
    queries = axis + spread * (normal(30, 10, seed=2) @ directions)
    gallery = axis + spread * (normal(600, 10, seed=3) @ directions)
    assert_exact(queries, gallery, 50)


def test_float32_alone_would_be_wrong():
    """The premise of all this: a float32 product misranks nearly collinear features."""
    axis, directions = np.abs(normal(2048)), normal(10, 2048, seed=1)
    queries = axis + 1e-3 * (normal(30, 10, seed=2) @ directions)
    gallery = axis + 1e-3 * (normal(600, 10, seed=3) @ directions)
    units = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (queries, gallery)]
    plain = np.argsort(-(units[0] @ units[1].T), axis=1, kind="stable")
    assert not np.array_equal(plain[:, 0], reference(queries, gallery, 1)[:, 0])


def test_features_alike_to_the_last_bit_of_float32():
    """Beyond what the proposals can tell apart, float64 searches in full."""
    base = np.abs(normal(64))
    gallery = np.nextafter(np.tile(base, (400, 1)), np.where(normal(400, 64, seed=1) > 0, np.inf, 0).astype(np.float32))
    assert_exact(gallery[::40], gallery, 7)


# Small whole numbers make exact ties, duplicates, opposite and zero vectors likely.
small = st.integers(1, 5).flatmap(
    lambda size: st.tuples(
        arrays(np.float32, st.tuples(st.integers(1, 6), st.just(size)), elements=st.integers(-2, 2)),
        arrays(np.float32, st.tuples(st.integers(1, 24), st.just(size)), elements=st.integers(-2, 2)),
    )
)


@settings(max_examples=200, deadline=None)
@given(pair=small, k=st.integers(1, 24), margin=st.integers(0, 3), queries=st.integers(1, 4), columns=st.integers(1, 9))
def test_ties_duplicates_and_zeros_however_the_work_is_cut(pair, k, margin, queries, columns):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "MARGIN", margin)
        patch.setattr(retrieval, "QUERIES", queries)
        patch.setattr(retrieval, "PRODUCT_BYTES", 4 * queries * columns)
        patch.setitem(retrieval.PIECE_BYTES, "cpu", 64)
        assert_exact(*pair, k)


@settings(max_examples=60, deadline=None)
@given(
    pair=small.flatmap(
        lambda pair: st.tuples(
            *(arrays(np.float32, side.shape, elements=st.floats(-(2.0**100), 2.0**100, width=32)) for side in pair)
        )
    ),
    k=st.integers(1, 24),
)
def test_any_finite_values(pair, k):
    """Denormal and huge values too."""
    assert_exact(*pair, k)


def test_duplicates_at_size():
    gallery = normal(500, 64)
    gallery[100:200], gallery[400:450], gallery[300:302] = gallery[:100], 2 * gallery[50:100], 0
    queries = np.concatenate([gallery[:60], np.zeros((2, 64), np.float32), normal(20, 64, seed=1)])
    for k in (1, 20, 500):
        assert_exact(queries, gallery, k)


def test_a_collapsed_network_ranks_by_index():
    found = retrieval.search(np.ones((50, 8), np.float32), np.ones((400, 8), np.float32), 3)
    assert np.array_equal(found, np.tile([0, 1, 2], (50, 1)))


def test_a_zero_query_is_equally_far_from_everything():
    assert retrieval.search(np.zeros((1, 8), np.float32), normal(300, 8), 4).tolist() == [[0, 1, 2, 3]]


def test_without_a_margin_the_float64_search_decides(monkeypatch):
    """With nothing kept beyond k the bound can prove nothing: every query takes the other way to the same answer."""
    searched = []
    whole = retrieval._Search._all_similarities

    def counted(self, queries):
        searched.extend(queries)
        return whole(self, queries)

    monkeypatch.setattr(retrieval._Search, "_all_similarities", counted)
    monkeypatch.setattr(retrieval, "MARGIN", 0)
    queries = normal(25, 40)
    assert_exact(queries, normal(300, 40, seed=1), 10)
    assert sorted(searched) == list(range(25))


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 600), scale=st.floats(1e-6, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 1000))
def test_the_bound_holds(size, scale, shift, seed):
    """No float32 value is further from the true one than the bound says, with cancellation or without."""
    a = normal(20, size, seed=seed).astype(np.float64) * scale + shift
    b = normal(30, size, seed=seed + 1).astype(np.float64) + shift
    t = normal(30, seed=seed + 2).astype(np.float64) * 10
    a32, b32, t32 = (torch.from_numpy(x).float() for x in (a, b, t))
    values = (a32 @ b32.T).add_(t32).double().numpy()
    # Extended precision, so that the truth is much nearer to true than the bound is wide.
    truth = (a.astype(np.longdouble) @ b.T.astype(np.longdouble) + t).astype(np.float64)
    longest, largest = float(b32.norm(dim=1).max()), float(t32.abs().max())
    bound = retrieval._error_bound(size, torch.from_numpy(a).norm(dim=1), longest, largest).numpy()
    assert (np.abs(values - truth) <= bound[:, None]).all()


def test_a_similarity_depends_on_its_two_vectors_alone():
    rows, query = normal(37, 300), normal(300, seed=1)
    together = retrieval.similarities(query, rows)
    assert all(retrieval.similarities(query, rows[i : i + 1])[0] == together[i] for i in range(37))
    assert np.array_equal(retrieval.similarities(query, rows[::-1]), together[::-1])
    assert retrieval.similarities(query, query[None])[0] == pytest.approx(1)


def test_real_clips_through_an_untrained_c3d(shared_data: Path, monkeypatch):
    """The issue's hard case: real UCF101 clips, random weights, nearly collinear features."""
    torch.manual_seed(0)
    network = backbones.build("c3d", 16)
    videos = sorted((shared_data / "ucf101-six" / "UCF-101").glob("*/*.avi"))[::6][:24]
    assert len(videos) == 24

    @torch.no_grad()
    def clip_features(path: Path) -> torch.Tensor:
        with av.open(str(path)) as container:
            frames = [
                frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(64), strict=False)
            ]
        frames = transforms.centre_crop(transforms.resize(np.stack(frames), (36, 48)), 32)
        starts = clips.evenly_spaced_starts(len(frames), 8, 5)
        batch = torch.stack([frames[start : start + 8] for start in starts])
        return features.max_pool(network.conv5_map(transforms.to_network(batch)), (1, 2, 2)).flatten(1)

    network.eval()
    taken = torch.cat([clip_features(path) for path in videos]).numpy()
    queries, gallery = taken[:40], taken[40:]
    distance = 1 - retrieval.similarities(queries[0], gallery)
    assert np.median(distance) < 0.01
    for margin in (0, 5, 200):
        monkeypatch.setattr(retrieval, "MARGIN", margin)
        assert_exact(queries, gallery, 20)


def test_memory_maps_and_other_layouts(tmp_path):
    queries, gallery = normal(20, 6, 30), normal(50, 6, 30, seed=1)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r").reshape(-1, 30)
    expected = reference(queries.reshape(-1, 30), gallery.reshape(-1, 30), 5)
    assert np.array_equal(retrieval.search(queries.reshape(-1, 30), mapped, 5), expected)
    fortran = np.asfortranarray(gallery.reshape(-1, 30))
    assert np.array_equal(retrieval.search(queries.reshape(-1, 30), fortran, 5), expected)


def test_more_neighbours_than_items_gives_them_all():
    found = retrieval.search(normal(4, 8), normal(3, 8, seed=1), 50)
    assert np.array_equal(found, reference(normal(4, 8), normal(3, 8, seed=1), 3))


def test_reduced_precision_switches_are_overruled():
    torch.set_float32_matmul_precision("medium")
    try:
        assert_exact(normal(20, 100), normal(500, 100, seed=1), 10)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_progress_ends_at_its_total():
    seen = []
    retrieval.search(normal(30, 8), normal(400, 8, seed=1), 5, progress=lambda *at: seen.append(at))
    done = [at[0] for at in seen]
    assert done == sorted(done)
    assert seen[-1] == (60, 60)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["query", "gallery"])
def test_a_feature_that_is_not_finite_is_refused(value, side):
    queries, gallery = normal(5, 8), normal(6, 8)
    (queries if side == "query" else gallery)[3, 2] = value
    with pytest.raises(InputError, match=f"a {side} feature is NaN or infinite"):
        retrieval.search(queries, gallery, 2)


def test_faulty_arguments():
    with pytest.raises(InputError, match="gallery is empty"):
        retrieval.search(normal(3, 8), normal(0, 8), 2)
    with pytest.raises(ValueError, match=r"queries are \(3, 8\), the gallery is \(4, 9\)"):
        retrieval.search(normal(3, 8), normal(4, 9), 2)
    with pytest.raises(ValueError, match="k is 0"):
        retrieval.search(normal(3, 8), normal(4, 8), 0)
    assert retrieval.search(normal(0, 8), normal(4, 8), 2).shape == (0, 2)


def test_scores_by_hand():
    neighbours = np.array([[0, 1, 2], [3, 2, 1], [2, 0, 3]])
    right = retrieval.score(neighbours, [5, 5, 9], [5, 6, 7, 8], [1, 2, 3])
    assert right.tolist() == [[True, True, True], [False, False, False], [False, False, False]]
    right = retrieval.score(neighbours, [6, 6, 8], [5, 6, 7, 8], [1, 2, 3])
    assert right.tolist() == [[False, True, True], [False, False, True], [False, False, True]]


def test_top_k_beyond_a_small_gallery_counts_all_of_it():
    assert retrieval.score(np.array([[1, 0]]), [3], [3, 4], [1, 50]).tolist() == [[False, True]]


def test_too_few_neighbours_for_a_score_are_refused():
    with pytest.raises(ValueError, match="2 neighbours of each query cannot score top-3"):
        retrieval.score(np.array([[1, 0]]), [3], [3, 4, 5], [1, 3])


@given(
    data=arrays(np.int64, (4, 12), elements=st.integers(0, 11)),
    labels=arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_scores_never_fall_with_k(data, labels):
    right = retrieval.score(data, labels[:4], labels, [1, 3, 7, 12])
    assert (np.diff(right.astype(int), axis=1) >= 0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_a_gpu_ranks_as_the_cpu_does(spread):
    axis = np.abs(normal(512))
    queries, gallery = axis + spread * normal(200, 512, seed=1), axis + spread * normal(3000, 512, seed=2)
    gallery[100:200] = gallery[:100]
    assert_exact(queries, gallery, 50, device="cuda")
