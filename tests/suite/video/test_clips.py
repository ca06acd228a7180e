"""Index arithmetic of clips, tuples and windows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.video import clips


@pytest.mark.parametrize("frames", range(16, 401))
def test_ten_clips_lie_where_the_authors_place_them(frames):
    expected = [int(i - 8) for i in np.linspace(8, frames - 8, 10)]
    assert clips.evenly_spaced_starts(frames, 16, 10) == expected


def test_ten_clips_by_hand():
    # 8 + 9k, less 8: no rounding.
    assert clips.evenly_spaced_starts(97, 16, 10) == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81]
    assert clips.evenly_spaced_starts(25, 16, 10) == list(range(10))
    # Sixteen frames hold one clip, and shorter videos not even that.
    assert clips.evenly_spaced_starts(16, 16, 10) == [0] * 10
    assert clips.evenly_spaced_starts(7, 16, 3) == [0, 0, 0]


@given(frames=st.integers(1, 2000), length=st.integers(1, 64), count=st.integers(2, 20))
def test_evenly_spaced_clips_stay_inside_and_reach_both_ends(frames, length, count):
    starts = clips.evenly_spaced_starts(frames, length, count)
    assert len(starts) == count
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert starts[-1] == max(frames - length, 0)


def test_clip_indices_by_hand():
    assert clips.clip_indices(5, 4, 20) == [5, 6, 7, 8]
    assert clips.clip_indices(5, 4, 20, stride=3) == [5, 8, 11, 14]
    assert clips.clip_indices(0, 7, 3) == [0, 1, 2, 0, 1, 2, 0]
    assert clips.clip_indices(2, 4, 5, stride=2) == [2, 4, 1, 3]
    with pytest.raises(ValueError, match="without frames"):
        clips.clip_indices(0, 4, 0)


@given(frames=st.integers(1, 300), length=st.integers(1, 40), stride=st.integers(1, 8), data=st.data())
def test_clips_that_fit_are_plain_ranges_and_others_loop(frames, length, stride, data):
    start = data.draw(st.integers(0, frames - 1))
    indices = clips.clip_indices(start, length, frames, stride)
    assert len(indices) == length
    assert all(0 <= index < frames for index in indices)
    last = start + (length - 1) * stride
    if last < frames:
        assert indices == list(range(start, last + 1, stride))
    assert all((after - before) % frames == stride % frames for before, after in itertools.pairwise(indices))


def test_tuples_by_hand():
    # Sec. 4 of the VCOP paper: three clips of 16 frames, 8 apart, take 64 frames.
    assert clips.tuple_span(3, 16, 8) == 64
    assert clips.tuple_starts(10, 3, 16, 8) == [10, 34, 58]


@given(start=st.integers(0, 500), count=st.integers(1, 6), length=st.integers(1, 64), interval=st.integers(0, 32))
def test_clips_of_a_tuple_never_overlap_and_fill_its_span(start, count, length, interval):
    starts = clips.tuple_starts(start, count, length, interval)
    frames = [frame for first in starts for frame in range(first, first + length)]
    assert len(set(frames)) == len(frames) == count * length
    assert frames == sorted(frames)
    assert frames[-1] - frames[0] + 1 == clips.tuple_span(count, length, interval)
    assert all(after - (before + length) == interval for before, after in itertools.pairwise(starts))


@given(frames=st.integers(1, 500), length=st.integers(1, 64), step=st.integers(1, 64))
def test_windows_are_all_that_fit(frames, length, step):
    starts = clips.windows(frames, length, step)
    fitting = [start for start in range(0, frames, step) if start + length <= frames]
    assert starts == (fitting or [0])


def test_windows_by_hand():
    assert clips.windows(48, 16, 16) == [0, 16, 32]
    assert clips.windows(47, 16, 8) == [0, 8, 16, 24]
    assert clips.windows(3, 16, 8) == [0]
