"""Which frames are read beside what VCOP's authors' code reads (vcop_sampling.json)."""

import itertools
import random
from types import SimpleNamespace

import pytest
import torch

from suite.papers.vcop.order_network import ClipTuples, orders
from suite.video import clips
from tests.parity import reference

TUPLES = {"tuples_16_8_3": 137, "tuples_16_8_4": 15, "tuples_16_8_5": 12, "tuples_16_16_3": 16}


@pytest.fixture(scope="module")
def wanted():
    return reference.read("vcop_sampling")


def settings(key: str) -> tuple[int, int, int]:
    """Frames of a clip, frames between clips, clips."""
    length, interval, count = map(int, key.split("_")[1:])
    return length, interval, count


def tied(place: int, room: int, count: int) -> tuple[int, int]:
    """Start and order of the tuple of the video at a place of the list, both drawn from one seed."""
    random.seed(place)
    start = random.randint(0, room)
    random.seed(place)
    shuffled = list(range(count))
    random.shuffle(shuffled)
    return start, list(itertools.permutations(range(count))).index(tuple(shuffled))


@pytest.fixture(autouse=True)
def _python_random_is_put_back():
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.mark.parametrize("key", TUPLES)
def test_a_plain_restatement_draws_the_authors_tuples(wanted, key):
    length, interval, count = settings(key)
    span = length * count + interval * (count - 1)
    compared = 0
    for frames, theirs in wanted[key].items():
        drawn = [tied(place, int(frames) - span, count) for place in range(20)]
        assert [start for start, _ in drawn] == theirs["starts"], frames
        assert [order for _, order in drawn] == theirs["orders"], frames
        compared += len(drawn)
    assert compared >= 20 * 10
    assert len(wanted[key]) == TUPLES[key]


@pytest.mark.parametrize("key", TUPLES)
def test_the_shortest_video_and_the_numbers_of_orders_are_theirs(wanted, key):
    length, interval, count = settings(key)
    span = clips.tuple_span(count, length, interval)
    # The first length listed is that which holds one tuple alone.
    assert min(map(int, wanted[key])) == span
    assert set(wanted[key][str(span)]["starts"]) == {0}
    for frames, theirs in wanted[key].items():
        assert 0 <= min(theirs["starts"]) <= max(theirs["starts"]) <= int(frames) - span
    assert orders(count) == list(itertools.permutations(range(count)))


def starts_of_ten(frames: int) -> list[int]:
    """Ten centres from half a clip to half a clip before the end, each less half a clip, cut off to whole frames.

    Centres in float64, as steps from the first: exact fractions would put some starts a frame later.
    """
    step = (frames - 16) / 9
    centres = [8 + part * step for part in range(9)] + [float(frames - 8)]
    return [int(centre - 8) for centre in centres]


def test_the_ten_clips_of_a_video_start_where_theirs_do(wanted):
    theirs = wanted["ten_clip_starts"]
    assert sorted(map(int, theirs)) == list(range(16, 401))
    compared = 0
    for frames, starts in theirs.items():
        assert starts_of_ten(int(frames)) == starts, frames
        assert clips.evenly_spaced_starts(int(frames), 16, 10) == starts, frames
        compared += len(starts)
    assert compared == 3850


class Numbered:
    """A source whose pixels are the frame's number."""

    def frames(self, name: str, wanted: list[int]) -> torch.Tensor:
        return torch.tensor(wanted, dtype=torch.uint8)[:, None, None, None].expand(-1, 2, 2, 3)


def test_departure_start_and_order_are_drawn_apart():
    # A video of 70 frames has 7 starts; with 6 orders 42 pairs. One seed for both reaches 18 of them.
    theirs = {tied(place, 6, 3) for place in range(2000)}
    assert len(theirs) == 18
    videos = [SimpleNamespace(name=str(place)) for place in range(2000)]
    frames = {video.name: 70 for video in videos}
    places = {"clip_length": 16, "tuple_length": 3, "interval": 8, "crop": 2}
    tuples = ClipTuples(Numbered(), videos, frames, **places, seed=0, training=False)
    ours = set()
    for place in range(len(tuples)):
        shown, order = tuples[0, place]
        firsts = shown[:, 0, 0, 0, 0].tolist()
        start = min(firsts)
        assert firsts == [start + 24 * clip for clip in orders(3)[order]]
        ours.add((start, order))
    assert ours == set(itertools.product(range(7), range(6)))
