"""What the campaign of kills (tests/campaign/kills.py) compares."""

from tests.campaign import kills


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
