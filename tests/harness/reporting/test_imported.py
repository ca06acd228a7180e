"""Measured checkpoints of other code bases: their content is their identity, and they have a page of their own."""

import json
import shutil

import pytest

from harness.records import Checkpoint, Store
from harness.reporting import report
from harness.running import door, evaluation
from suite.datasets import synthetic
from tests.harness import results
from tests.harness.test_bad_inputs import called
from tests.harness.test_records import record


def measured(name: str, digit: str, **changes):
    checkpoint = Checkpoint(sha256=digit * 64, name=name, backbone="r3d", recipe="vcop")
    fields = {"paper": "imported", "table": "clip-retrieval", "row": f"r3d-{digit * 16}", "checkpoint": checkpoint}
    return record(**fields | changes)


def test_a_name_is_not_what_tells_checkpoints_apart(tmp_path):
    recipe = door.load_recipe("vcop", "tiny")
    rows = {}
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "model_20.pt"
        path.write_bytes(content)
        paper = evaluation.as_paper(path, "r3d", "clip-retrieval", "ucf101", (1,), recipe, f"run {folder}")
        (row,) = paper.figures[0].rows
        assert row.label == f"run {folder}"
        rows[folder] = row.id
    assert rows["a"] == rows["c"] != rows["b"]
    long = tmp_path / ("x" * 240 + ".pt")
    long.write_bytes(b"3")
    (row,) = evaluation.as_paper(long, "r3d", "clip-retrieval", "ucf101", (1,), recipe).figures[0].rows
    assert row.label == long.name
    assert len(row.id) < 40


ASKED = {"id": "set-video.crop", "option": "--set video.crop=56", "what": "video.crop = 56 instead of 112"}


def test_their_page_is_made_of_records_alone(tmp_path):
    store = Store(tmp_path / "records")
    for one in (
        measured("model_20.pt", "a", scores={"top1": 10.0, "top5": 20.0}),
        measured("model_20.pt", "a", scores={"top1": 12.0, "top5": 30.0}, seed=1),
        measured("model|20.pt", "b"),
        measured("model_20.pt", "c", asked=[ASKED]),
        record(paper="imported", row="older"),
    ):
        store.add(one)
    paper = results.small_paper(tmp_path)
    built = report.build({"small": paper}, store.read(), {}, [], folder=tmp_path / "out", store=store.folder)
    page = built.pages["imported.md"]
    assert "[5 results](imported.md)" in built.pages["README.md"]
    (first,) = [line for line in page.splitlines() if "`aaaaaaaaaaaaaaaa`" in line]
    assert [cell.strip() for cell in first.split("|")][-4:-1] == ["11.0 ± 1.4", "25.0 ± 7.1", "2"]
    assert "model\\|20.pt" in page
    assert "| older " in page
    (otherwise,) = [line for line in page.splitlines() if "`cccccccccccccccc`" in line]
    assert "; video.crop = 56 instead of 112 |" in otherwise
    assert "video.crop" not in first
    report.write(built, tmp_path / "out")
    assert report.check(built, tmp_path / "out") == []


@pytest.mark.parametrize("name", ["README.md", "small.md"])
def test_without_any_nothing_is_said_of_them(tmp_path, name):
    built = report.build({"small": results.small_paper(tmp_path)}, [], {}, [], folder=tmp_path, store=tmp_path)
    assert "imported" not in built.pages[name]
    assert "imported.md" not in built.pages


def rows(page: str) -> list[list[str]]:
    """Cells of the lines of a page that are about a checkpoint."""
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| model")
    ]


def test_two_checkpoints_of_one_file_name_from_evaluate_to_the_page(tmp_path):
    import torch

    from suite import backbones

    size = {"height": 48, "width": 64, "seed": 1, "classes": 2}
    synthetic.generate("ucf101", tmp_path / "data", size, lambda done, total: None)
    for folder, seed in (("first", 0), ("second", 1)):
        torch.manual_seed(seed)
        (tmp_path / folder).mkdir()
        torch.save(backbones.build("r3d", 16).state_dict(), tmp_path / folder / "model_20.pt")
    (tmp_path / "copy").mkdir()
    shutil.copyfile(tmp_path / "first/model_20.pt", tmp_path / "copy/model_again.pt")

    words = "--backbone r3d --protocol clip-retrieval --scale tiny --device cpu --data-root $T/data --runs $T/runs"
    for checkpoint, label in (("first/model_20.pt", ""), ("second/model_20.pt", "--name 'model|two'")):
        code, _, err = called(f"evaluate --checkpoint $T/{checkpoint} {words} {label}", tmp_path)
        assert code == 0, err
    code, _, err = called("report --records $T/runs/records --out $T/pages", tmp_path)
    assert code == 0, err
    scores = {one.checkpoint.name: one.scores for one in Store(tmp_path / "runs/records").read("imported")}
    assert set(scores) == {"model_20.pt", "model|two"}
    assert scores["model_20.pt"] != scores["model|two"]
    page = (tmp_path / "pages/imported.md").read_text(encoding="utf-8").replace("\\|", "/")
    assert {row[0].replace("\\_", "_"): row[8] for row in rows(page)} == {
        name.replace("|", "/"): f"{found['top1']:.1f}" for name, found in scores.items()
    }

    assert {row[4] for row in rows(page)} == {"8 frames, resized to 37x49, centre 32x32, RGB of 0 to 1"}

    # The same content under another name is the same checkpoint: its record is written again, under the last name.
    code, _, err = called(f"evaluate --checkpoint $T/copy/model_again.pt {words}", tmp_path)
    assert code == 0, err
    again = {one.checkpoint.name: one.scores for one in Store(tmp_path / "runs/records").read("imported")}
    assert again == {"model_again.pt": scores["model_20.pt"], "model|two": scores["model|two"]}
    code, out, err = called("export records --from $T/runs/records", tmp_path)
    assert code == 0, err
    found = {(one["row"], one["metric"]): one["value"] for one in json.loads(out) if one["paper"] == "imported"}
    assert len(found) == sum(map(len, again.values()))
    assert {value for (_, metric), value in found.items() if metric == "top1"} == {
        one["top1"] for one in again.values()
    }
