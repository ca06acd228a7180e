"""Clip order prediction: what a tuple is, which class its order has, and the head that reads it."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite import backbones
from suite.papers.vcop import clip_order, order_network
from tests.suite.sampling import Named, all_alike


class Numbered:
    """A source whose frame i is all i, 4 x 6 pixels, with the column in the green channel."""

    def frames(self, name, indices):
        frames = torch.zeros(len(indices), 4, 6, 3, dtype=torch.uint8)
        frames[..., 0] = torch.tensor(indices, dtype=torch.uint8)[:, None, None]
        frames[..., 1] = torch.arange(6, dtype=torch.uint8)
        return frames


def tuples(frames: int = 64, *, tuple_length=3, seed=0, training=True, videos=1) -> order_network.ClipTuples:
    named = [Named(f"v{index}.avi") for index in range(videos)]
    return order_network.ClipTuples(
        Numbered(),
        named,
        {video.name: frames for video in named},
        clip_length=4,
        tuple_length=tuple_length,
        interval=2,
        crop=3,
        seed=seed,
        training=training,
    )


def test_orders_are_those_of_figure_2():
    assert ["".join(str(clip + 1) for clip in order) for order in order_network.orders(3)] == [
        "123",
        "132",
        "213",
        "231",
        "312",
        "321",
    ]
    assert [len(order_network.orders(length)) for length in (2, 3, 4, 5)] == [2, 6, 24, 120]


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 500), tuple_length=st.integers(2, 5))
def test_the_target_is_the_order_of_the_presented_clips(seed, epoch, tuple_length):
    clips, target = tuples(tuple_length=tuple_length, seed=seed)[epoch, 0]
    assert clips.shape == (tuple_length, 4, 3, 3, 3)
    starts = [int(clip[0, 0, 0, 0]) for clip in clips]
    # Position of each presented clip in time: <2,3,1> for clips c2, c3, c1.
    order = tuple(sorted(starts).index(start) for start in starts)
    assert order_network.orders(tuple_length)[target] == order
    # Frames are consecutive, clips do not overlap, and lie the interval apart.
    for clip, start in zip(clips, starts, strict=True):
        assert clip[:, 0, 0, 0].tolist() == list(range(start, start + 4))
    assert {later - earlier for earlier, later in zip(sorted(starts), sorted(starts)[1:], strict=False)} == {4 + 2}
    assert max(starts) + 4 <= 64


@given(seed=st.integers(0, 2**31))
def test_one_crop_for_all_frames_of_a_clip(seed):
    clips, _ = tuples(seed=seed)[0, 0]
    assert (clips[..., 1] == clips[:, :1, :1, :, 1]).all()


def test_each_clip_of_a_tuple_has_its_own_crop():
    lefts = {tuple(int(left) for left in tuples(seed=seed)[0, 0][0][:, 0, 0, 0, 1]) for seed in range(20)}
    assert any(len(set(of_tuple)) > 1 for of_tuple in lefts)


def test_outside_training_the_crop_is_central_and_the_tuple_fixed():
    held = tuples(training=False)
    clips, target = held[0, 0]
    assert (clips[..., 0, 1] == 2).all()
    again, same = held[0, 0]
    assert torch.equal(clips, again)
    assert target == same


def test_a_tuple_depends_on_seed_epoch_and_index_alone():
    many = tuples(videos=3)
    first = [many[epoch, index] for epoch in range(3) for index in range(3)]
    backwards = [many[epoch, index] for epoch in reversed(range(3)) for index in reversed(range(3))]
    for (clips, target), (other, same) in zip(first, reversed(backwards), strict=True):
        assert torch.equal(clips, other)
        assert target == same
    assert len({clips.numpy().tobytes() for clips, _ in first}) > 3


def test_no_order_and_no_start_is_preferred():
    drawn = tuples(frames=23)
    items = [drawn[epoch, 0] for epoch in range(3000)]
    orders = Counter(target for _, target in items)
    starts = Counter(int(clips[..., 0].min()) for clips, _ in items)
    # A span of 16 of 23 frames leaves eight starts.
    assert all_alike(orders, 6)
    assert all_alike(starts, 8)


def test_videos_shorter_than_the_span_are_left_out():
    videos = [Named("short"), Named("exact"), Named("long")]
    frames = {"short": 63, "exact": 64, "long": 300}
    kept = clip_order.long_enough(videos, frames, clip_length=16, tuple_length=3, interval=8)
    assert [video.name for video in kept] == ["exact", "long"]


def test_the_shortest_video_has_one_start():
    clips, _ = tuples(frames=16)[7, 0]
    assert int(clips[..., 0].min()) == 0


@pytest.mark.parametrize(
    ("name", "total"),
    [("c3d", 28_195_462), ("r3d", 14_895_814), ("r2plus1d", 14_899_325)],
)
def test_parameters_with_the_order_head(name, total):
    with torch.device("meta"):
        network = order_network.ClipOrderNetwork(backbones.build(name), tuple_length=3, hidden=512, dropout=0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == total
    assert sum(parameter.numel() for parameter in network.head.parameters()) == 534_022


@pytest.mark.parametrize("tuple_length", [2, 3, 4, 5])
def test_the_head_against_a_plain_loop(tuple_length):
    torch.manual_seed(1)
    head = order_network.OrderHead(7, tuple_length, hidden=5, dropout=0.5).double().eval()
    features = torch.randn(4, tuple_length, 7, dtype=torch.float64)
    rows = []
    for sample in features:
        hidden = []
        for first in range(tuple_length):
            for second in range(first + 1, tuple_length):
                pair = torch.cat([sample[first], sample[second]])
                hidden.append((head.pair.weight @ pair + head.pair.bias).clamp(min=0))
        rows.append(head.order.weight @ torch.cat(hidden) + head.order.bias)
    torch.testing.assert_close(head(features), torch.stack(rows))


def test_the_loss_is_the_cross_entropy_of_the_order():
    torch.manual_seed(2)
    network = order_network.ClipOrderNetwork(backbones.build("r3d", 4), tuple_length=3, hidden=8, dropout=0.0).eval()
    clips = torch.randint(0, 256, (2, 3, 8, 32, 32, 3), dtype=torch.uint8)
    target = torch.tensor([4, 1])
    logits = network(clips).double()
    by_hand = -sum(float(row[order] - row.logsumexp(0)) for row, order in zip(logits, target, strict=True)) / 2
    outcome = network.outcome(clips, target)
    assert float(outcome.loss.detach()) == pytest.approx(by_hand, rel=1e-5)
    assert int(outcome.correct) == sum(int(row.argmax()) == order for row, order in zip(logits, target, strict=True))


def test_the_network_sees_the_recipes_pixels():
    torch.manual_seed(2)
    settings = {"tuple_length": 3, "hidden": 8, "dropout": 0.0}
    pretraining = settings | {"optimisation": {}}
    clips = torch.randint(0, 256, (2, 3, 8, 32, 32, 3), dtype=torch.uint8)
    backbone = backbones.build("r3d", 4)
    network = clip_order.network(backbone, pretraining, {"pixels": "bgr-raw"}).eval()
    seen = clips.flatten(0, 1).flip(-1).permute(0, 4, 1, 2, 3).float()
    with torch.no_grad():
        torch.testing.assert_close(network(clips), network.head(backbone(seen).unflatten(0, (2, 3))))
