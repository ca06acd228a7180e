"""A few kills of the campaign (tests/campaign/kills.py) on little data, and what it compares; the whole of it takes hours."""

from suite.datasets import synthetic
from tests.campaign import kills


def test_killed_runs_end_as_one_never_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIEFLY_EPOCHS", "1")
    data = tmp_path / "data"
    synthetic.generate("ucf101", data, {"height": 48, "width": 64, "seed": 1, "classes": 2}, lambda done, total: None)
    asked = ("--tables", "table1,params", "--rows", "r3d", "--data-root", str(data))
    tally, files, _ = kills.campaign("vcop", asked, kills=3, seed=0, scratch=tmp_path)
    assert tally.faults() == []
    assert tally.kills.total() == 3
    assert files > 10


def test_what_should_not_be_is_found(tmp_path):
    for name, files in {
        "reference": {"a.json": b"1", "records/r.json": b'{\n "created": "1",\n "score": 1\n}', ".lock": b"7"},
        "run": {"b.json": b"1", "records/s.json": b"", "a.json": b"2"},
    }.items():
        for path, content in files.items():
            path = tmp_path / name / "runs" / "kind" / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    tally = kills.Tally()
    assert kills.compare(tmp_path / "run", tmp_path / "reference", tally) == 2
    assert tally.differing == [
        "run: kind/a.json differs",
        "run: kind/b.json is extra",
        "run: kind/records/r.json missing",
        "run: kind/records/s.json is extra",
    ]
