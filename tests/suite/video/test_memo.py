"""The memo of checks: what it remembers, and what it survives."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import InputError
from suite.video.memo import Memo


def kept(path, asked) -> dict:
    with Memo(path) as memo:
        return {key: memo.finding(*key) for key in asked}


def test_a_finding_holds_for_its_stamp_alone(tmp_path):
    path = tmp_path / "folder" / "memo.jsonl"
    with Memo(path) as memo:
        memo.note("a/caf\udce9.avi", "1 2 3 4", {"frames": 5})
        memo.note("gone.avi", "", {"frames": 6})
        assert memo.finding("a/caf\udce9.avi", "1 2 3 4") == {"frames": 5}
    asked = [("a/caf\udce9.avi", "1 2 3 4"), ("a/caf\udce9.avi", "1 2 3 5"), ("gone.avi", ""), ("other.avi", "1 2 3 4")]
    assert list(kept(path, asked).values()) == [{"frames": 5}, None, None, None]


@given(cut=st.integers(0, 200))
def test_a_memo_that_was_cut_off_anywhere_keeps_its_whole_lines_and_takes_new_ones(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("memo") / "memo.jsonl"
    with Memo(path) as memo:
        for number in range(5):
            memo.note(f"{number}.avi", "s", number)
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    whole = {number for number in range(5) if f'["{number}.avi","s",{number}]'.encode() in content[:cut]}
    with Memo(path) as memo:
        memo.note("new.avi", "s", "new")
    found = kept(path, [*((f"{number}.avi", "s") for number in range(5)), ("new.avi", "s")])
    assert found == {(f"{n}.avi", "s"): n if n in whole else None for n in range(5)} | {("new.avi", "s"): "new"}


def test_lines_that_later_ones_replaced_are_dropped(tmp_path):
    path = tmp_path / "memo.jsonl"
    for turn in range(30):
        with Memo(path) as memo:
            memo.note("a.avi", str(turn), turn)
            memo.note("b.avi", "s", "b")
            memo.tidy()
    assert path.stat().st_size < 14 * 20
    assert kept(path, [("a.avi", "29"), ("b.avi", "s")]) == {("a.avi", "29"): 29, ("b.avi", "s"): "b"}


def test_a_pipe_in_its_place_is_refused(tmp_path):
    os.mkfifo(tmp_path / "memo.jsonl")
    with pytest.raises(InputError, match="named pipe"), Memo(tmp_path / "memo.jsonl"):
        pass
