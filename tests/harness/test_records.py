"""Records: what is written comes back, the path is the key, and a file that is no record is named."""

import gc
import json
import math
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import UsageError
from harness.records import SCHEMA_VERSION, Checkpoint, Outcomes, Record, Store, load

HISTORIC = Path(__file__).parents[1] / "fixtures" / "records"


def record(**changes) -> Record:
    fields = {
        "paper": "vcop",
        "table": "table2",
        "row": "c3d_vcop",
        "columns": ["top1", "top5"],
        "dataset": "ucf101",
        "split": 1,
        "seed": 0,
        "scale": "tiny",
        "scope": "synthetic",
        "fingerprint": "synthetic-0123456789ab",
        "lists": {"testlist01.txt": "ab" * 32},
        "protocol": "clip-retrieval",
        "protocol_version": 2,
        "recipe_hash": "00c0ffee" * 8,
        "device_kind": "cpu",
        "scores": {"top1": 12.5, "top5": 50.0},
        "counts": {"listed": 4, "decoded": 4, "total": 8},
        "outcomes": Outcomes(groups=["a", "a", "b", "c"], trials=2, hits={"top1": [0, 1, 0, 0], "top5": [2, 0, 1, 1]}),
        "curves": {"train_loss": [1.79, 1.75]},
        "examples": [{"query": "Archery/v_Archery_g01_c01.avi", "query_class": "Archery", "neighbours": []}],
        "pictures": ["c3d_vcop.png"],
        "stages": {"pretrain": "5f"},
        "settings": {"epochs": 2, "crop": {"size": 32}},
        "departures": ["narrow"],
        "environment": {"torch": "2.11.0"},
        "commit": "c0ffee",
        "dirty": False,
        "created": "2026-01-01T00:00:00Z",
        "seconds": 12.5,
        "command": "python -m harness run vcop --scale tiny",
    }
    return Record(**fields | changes)


KEY = "vcop/tiny/synthetic-0123456789ab/table2/c3d_vcop__top1__ucf101-split1__seed0__00c0ffee__v2__cpu.json"


def test_what_is_added_is_read_back(tmp_path):
    store = Store(tmp_path)
    path = store.add(record())
    assert path == tmp_path / KEY
    assert store.read() == [record()]
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@given(
    st.dictionaries(st.text(max_size=8), st.floats(-1e30, 1e30), max_size=4),
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=4), st.lists(st.integers(0, 9), max_size=3), max_size=3),
)
@settings(deadline=None)
def test_any_content_is_read_back_exactly(tmp_path_factory, scores, command, settings):
    store = Store(tmp_path_factory.mktemp("records"))
    one = record(scores=scores, command=command, settings=settings)
    store.add(one)
    assert store.read() == [one]


def test_the_file_has_a_line_per_field(tmp_path):
    lines = Store(tmp_path).add(record()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(Record.model_fields) + 2
    assert ' "scores": {"top1": 12.5, "top5": 50.0},' in lines


@pytest.mark.parametrize(
    "change",
    [
        {"paper": "srop"},
        {"table": "table3"},
        {"row": "r3d_vcop"},
        {"columns": ["top10"]},
        {"dataset": "hmdb51"},
        {"split": 2},
        {"seed": 1},
        {"scale": "small"},
        {"fingerprint": "synthetic-ba9876543210"},
        {"recipe_hash": "deadbeef"},
        {"protocol_version": 3},
        {"device_kind": "cuda"},
    ],
    ids=str,
)
def test_everything_that_tells_results_apart_is_in_the_key(tmp_path, change):
    store = Store(tmp_path)
    assert store.add(record()) != store.add(record(**change))
    assert len(store.read()) == 2


def test_a_repeat_replaces_the_earlier_run(tmp_path):
    store = Store(tmp_path)
    store.add(record())
    store.add(record(scores={"top1": 25.0}, created="2026-01-02T00:00:00Z"))
    assert [one.scores for one in store.read()] == [{"top1": 25.0}]


def test_a_write_that_fails_leaves_the_earlier_run(tmp_path, monkeypatch):
    store = Store(tmp_path)
    path = store.add(record())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.add(record(seconds=99.0))
    assert store.read() == [record()]
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def _add_many(folder: str, seed: int) -> None:
    for attempt in range(20):
        Store(folder).add(record(seed=seed, seconds=float(attempt)))
        Store(folder).add(record(seed=9, seconds=float(attempt)))


def test_processes_that_write_at_the_same_time(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_many, args=(str(tmp_path), seed)) for seed in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [one.seed for one in Store(tmp_path).read()] == [0, 1, 9]


def test_one_paper_can_be_read_alone(tmp_path):
    store = Store(tmp_path)
    store.add(record())
    store.add(record(paper="srop"))
    assert [one.paper for one in store.read("srop")] == ["srop"]
    assert [one.paper for one in store.read()] == ["srop", "vcop"]
    assert store.read("mas") == Store(tmp_path / "none").read() == []


def test_pictures_and_halves_of_writes_are_no_records(tmp_path):
    store = Store(tmp_path)
    path = store.add(record())
    path.with_name("c3d_vcop.png").write_bytes(b"\x89PNG")
    path.with_name(f".{path.name}.77.part").write_text("{", encoding="utf-8")
    path.with_name("._c3d.json").write_bytes(b"\0\5\x16\7")  # left by macOS archives
    assert len(store.read()) == 1


def test_a_run_sets_aside_records_that_are_not_whole(tmp_path, capsys):
    store = Store(tmp_path)
    whole, empty, half = (store.add(record(seed=seed)) for seed in (0, 1, 2))
    empty.write_bytes(b"")
    half.write_bytes(half.read_bytes()[:-3])
    other = store.add(record(paper="srop"))
    other.write_bytes(b"")
    # Of a process that is gone, and of one that may yet finish it.
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    whole.with_name(f".{gone.pid}.part").write_bytes(b"{")
    whole.with_name(f".{os.getpid()}.part").write_bytes(b"{")
    store.mend("vcop")
    assert store.read("vcop") == [record()]
    names = {whole.name, f".{os.getpid()}.part", *(f"{path.name}.damaged-1" for path in (empty, half))}
    assert {path.name for path in whole.parent.iterdir()} == names
    assert other.exists()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" is no whole record; ")[0] for line in lines] == [
        f"damaged: {path}" for path in sorted((empty, half))
    ]


def test_a_record_that_is_there_already_is_not_written_again(tmp_path):
    store = Store(tmp_path)
    before = store.add(record()).stat()
    after = store.add(record()).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, None])
def test_a_diverged_run_is_kept(tmp_path, score):
    store = Store(tmp_path)
    path = store.add(record(scores={"top1": score, "top5": 50.0}, curves={"train_loss": [1.0, score]}))
    (found,) = store.read()
    assert math.isnan(found.scores["top1"])
    assert found.scores["top5"] == 50.0
    assert found.curves["train_loss"][0] == 1.0
    assert math.isnan(found.curves["train_loss"][1])
    assert json.loads(path.read_text(encoding="utf-8"))["scores"]["top1"] is None


def spoilt(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"top1": 12.5', '"top1": NaN', "Invalid JSON"),
        ('"top1": 12.5', '"top1": Infinity', "Invalid JSON"),
        ('"top1": 12.5', '"top1": "high"', "scores.top1"),
        ('"top1": 12.5', '"top1": 12.5.', "Invalid JSON"),
        ('"seconds": 12.5', '"second": 12.5', "second"),
        (' "dirty": false,\n', "", "dirty: Field required"),
        ('"scale": "tiny"', '"scale": "huge"', "scale"),
        ('"row": "c3d_vcop"', '"row": "../c3d_vcop"', "row"),
        ('"columns": ["top1", "top5"]', '"columns": []', "columns"),
        ('"created": "2026-01-01T00:00:00Z"', '"created": "yesterday"', "created"),
        ('"seed": 0', '"seed": 1', "lies elsewhere"),
        ('"row": "c3d_vcop"', '"row": "r3d_vcop"', "lies elsewhere"),
        (f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99', "newer version"),
        (f'"schema_version": {SCHEMA_VERSION}', '"schema_version": "one"', "schema_version"),
    ],
)
def test_a_spoilt_file_is_named(tmp_path, old, new, what):
    path = Store(tmp_path).add(record())
    spoilt(path, old, new)
    with pytest.raises(UsageError) as caught:
        Store(tmp_path).read()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"paper": "vcop"', b"\xff\xfe", b"{}"])
def test_a_file_that_is_no_record_is_named(tmp_path, content):
    path = Store(tmp_path).add(record())
    path.write_bytes(content)
    with pytest.raises(UsageError, match=path.name) as caught:
        Store(tmp_path).read()
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "vcop.json"
    path.mkdir()
    with pytest.raises(UsageError, match=r"vcop\.json"):
        Store(tmp_path).read()


@pytest.mark.parametrize("name", ["../vcop", "", ".hidden", "a/b", "a b", "-x"])
def test_no_name_leads_out_of_the_store(name):
    for field in ("paper", "table", "row", "dataset", "fingerprint"):
        with pytest.raises(ValidationError):
            record(**{field: name})


def test_a_record_without_columns_or_with_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="columns"):
        record(columns=[])
    with pytest.raises(ValidationError, match="accuracy"):
        record(accuracy=65.6)


@pytest.mark.parametrize("path", sorted(HISTORIC.glob("schema-*.json")), ids=lambda path: path.stem)
def test_records_of_earlier_schemas_still_load(path):
    found = load(path)
    assert found.schema_version <= SCHEMA_VERSION
    assert (found.paper, found.row, found.scores["top1"]) == ("vcop", "c3d_vcop", 12.5)
    assert found.outcomes.hits["top1"] == [0, 1, 0, 0]


def test_this_schema_has_an_example():
    assert (HISTORIC / f"schema-{SCHEMA_VERSION}.json").is_file()


def test_every_field_is_explained():
    source = Path(__file__).parents[2].joinpath("harness", "records.py").read_text(encoding="utf-8").splitlines()
    for model in (Record, Outcomes, Checkpoint):
        for name in model.model_fields:
            (line,) = [i for i, text in enumerate(source) if text.startswith(f"    {name}: ")] or [0]
            group = line
            # what belongs together stands under one comment
            while source[group - 1].startswith("    ") and source[group - 1].strip() and "#" not in source[group - 1]:
                group -= 1
            assert source[group - 1].startswith("    # "), f"{model.__name__}.{name} has no comment above it"


def test_reading_leaves_the_collector_as_it_was(tmp_path):
    Store(tmp_path).add(record())
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    frozen = gc.get_freeze_count()
    assert gc.isenabled()
    with pytest.raises(UsageError, match="broken"):
        Store(tmp_path).read()
    assert gc.isenabled()
    (tmp_path / "broken.json").unlink()
    gc.disable()
    try:
        Store(tmp_path).read()
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert gc.get_freeze_count() <= frozen


@pytest.mark.parametrize("folder", [".", "./here", "here/../here"])
def test_a_store_may_be_named_in_any_way(tmp_path, monkeypatch, folder):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    Store(folder).add(record())
    assert Store(folder).read() == [record()]
    assert Store(folder).read("vcop") == [record()]
