"""Measured checkpoints of other code bases: their content is their identity, and they have a page of their own."""

import pytest

from harness import report, runner
from harness.records import Checkpoint, Store
from tests.harness import results
from tests.harness.test_records import record


def measured(name: str, digit: str, **changes):
    checkpoint = Checkpoint(sha256=digit * 64, name=name, backbone="r3d", recipe="vcop")
    fields = {"paper": "imported", "table": "clip-retrieval", "row": f"r3d-{digit * 16}", "checkpoint": checkpoint}
    return record(**fields | changes)


def test_a_name_is_not_what_tells_checkpoints_apart(tmp_path):
    recipe = runner.load_recipe("vcop", "tiny")
    rows = {}
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "model_20.pt"
        path.write_bytes(content)
        paper = runner.evaluation(path, "r3d", "clip-retrieval", "ucf101", (1,), recipe, f"run {folder}")
        (row,) = paper.figures[0].rows
        assert row.label == f"run {folder}"
        rows[folder] = row.id
    assert rows["a"] == rows["c"] != rows["b"]
    long = tmp_path / ("x" * 240 + ".pt")
    long.write_bytes(b"3")
    (row,) = runner.evaluation(long, "r3d", "clip-retrieval", "ucf101", (1,), recipe).figures[0].rows
    assert row.label == long.name
    assert len(row.id) < 40


def test_their_page_is_made_of_records_alone(tmp_path):
    store = Store(tmp_path / "records")
    for one in (
        measured("model_20.pt", "a", scores={"top1": 10.0, "top5": 20.0}),
        measured("model_20.pt", "a", scores={"top1": 12.0, "top5": 30.0}, seed=1),
        measured("model|20.pt", "b"),
        record(paper="imported", row="older"),
    ):
        store.add(one)
    paper = results.small_paper(tmp_path)
    built = report.build({"small": paper}, store.read(), {}, [], folder=tmp_path / "out", store=store.folder)
    page = built.pages["imported.md"]
    assert "[4 results](imported.md)" in built.pages["README.md"]
    (first,) = [line for line in page.splitlines() if "`aaaaaaaaaaaaaaaa`" in line]
    assert [cell.strip() for cell in first.split("|")][-4:-1] == ["11.0 ± 1.4", "25.0 ± 7.1", "2"]
    assert "model\\|20.pt" in page
    assert "| older " in page
    report.write(built, tmp_path / "out")
    assert report.check(built, tmp_path / "out") == []


@pytest.mark.parametrize("name", ["README.md", "small.md"])
def test_without_any_nothing_is_said_of_them(tmp_path, name):
    built = report.build({"small": results.small_paper(tmp_path)}, [], {}, [], folder=tmp_path, store=tmp_path)
    assert "imported" not in built.pages[name]
    assert "imported.md" not in built.pages
