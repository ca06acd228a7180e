"""Checks of data on disk through the command line: what is read again, and what keys know of the contents."""

import json
import os
import shutil
from pathlib import Path

import pytest

from harness import plan
from harness.plan import Request
from harness.planning import builder
from harness.records import Store
from harness.running import checks, door, preparation, stage_folders
from suite.datasets import synthetic
from tests.harness.test_cli import fails


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Generated UCF101 and HMDB51 that are taken for real ones."""
    root = tmp_path_factory.mktemp("made")
    for name in ("ucf101", "hmdb51"):
        synthetic.generate(name, root, {"classes": 1}, lambda done, total: None)
    (root / "SYNTHETIC.json").unlink()
    return root


@pytest.fixture
def data(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def video(root: Path, number: int = 1) -> Path:
    return sorted((root / "UCF-101").rglob("*.avi"))[number]


def rewrite(path: Path, content: bytes) -> None:
    """Other bytes of the same size under the same modification time, as a copy that keeps times would leave them."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def lines_of_memo(runs: Path) -> int:
    (memo,) = (runs / checks.MEMOS).glob("*/ucf101.jsonl")
    return sum(line != b"\n" for line in memo.read_bytes().splitlines(keepends=True))


def test_a_repaired_file_is_read_again_and_a_damaged_one_too(harness, data, tmp_path):
    words = ("check-data", "--data-root", data, "--runs", tmp_path / "runs", "--datasets", "ucf101")
    path = video(data)
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    fails(harness(*words), path.name, "--skip-unreadable")
    rewrite(path, good)
    code, out, err = harness(*words)
    assert code == 0, err
    repaired = out
    assert lines_of_memo(tmp_path / "runs") == 39  # 38 videos, and the one that was read twice
    path.write_bytes(os.urandom(len(good)))
    fails(harness(*words), path.name)
    path.write_bytes(good)
    code, out, err = harness(*words)
    assert (code, out) == (0, repaired)


def test_only_what_moved_is_read_and_again_reads_all(harness, data, tmp_path):
    runs = tmp_path / "runs"
    words = ("check-data", "--data-root", data, "--runs", runs, "--datasets", "ucf101")
    first = harness(*words)
    assert (first[0], lines_of_memo(runs)) == (0, 38)
    assert harness(*words)[:2] == first[:2]
    assert lines_of_memo(runs) == 38
    # Another inode, and nothing else.
    os.replace(shutil.copy2(video(data), data / "new.avi"), video(data))
    assert harness(*words)[:2] == first[:2]
    assert lines_of_memo(runs) == 39
    assert harness(*words, "--again")[:2] == first[:2]
    assert lines_of_memo(runs) == 38


def test_what_the_file_system_does_not_tell_is_found_by_again_alone(harness, data, tmp_path):
    from suite.datasets import lists

    runs = tmp_path / "runs"
    words = ("check-data", "--data-root", data, "--runs", runs, "--datasets", "ucf101")
    first = harness(*words)
    assert first[0] == 0
    path = video(data)
    path.write_bytes(bytes(path.stat().st_size))
    # The memo says what it would if no time and no number of the file had moved, as after a fault of the disk.
    (memo,) = (runs / checks.MEMOS).glob("*/ucf101.jsonl")
    entries = [json.loads(line) for line in memo.read_text().splitlines() if line]
    for entry in entries:
        if entry[0] == path.relative_to(data).as_posix():
            entry[1] = lists.stamp(data, entry[0])
    memo.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    assert harness(*words)[:2] == first[:2]
    assert lines_of_memo(runs) == 38
    fails(harness(*words, "--again"), path.name, "cannot be decoded")
    # And then it is known.
    fails(harness(*words), path.name, "cannot be decoded")


def test_what_a_kill_left_of_a_memo_does_no_harm(harness, data, tmp_path):
    runs = tmp_path / "runs"
    words = ("check-data", "--data-root", data, "--runs", runs, "--datasets", "ucf101")
    first = harness(*words)
    (memo,) = (runs / checks.MEMOS).glob("*/ucf101.jsonl")
    memo.write_bytes(memo.read_bytes()[: memo.stat().st_size // 2])
    shutil.rmtree(runs / "check-data")
    assert harness(*words)[:2] == first[:2]


def plan_of(data: Path, runs: Path, table: str = "table1") -> plan.Plan:
    recipe, paper = door.load_recipe("vcop", "tiny"), preparation.paper_of("vcop", Path("reference_tables"))
    request = Request(tables=(table,), rows=("r3d",))
    run = preparation.work_out(paper, recipe, data, request, runs)
    return preparation.checked(run, runs).built


def keys(built: plan.Plan) -> set[str]:
    return {stage.key for stage in built.stages.values() if stage.kind != "check-data"}


def test_keys_know_contents_and_nothing_else_of_the_files(data, tmp_path):
    runs = tmp_path / "runs"
    before = plan_of(data, runs)
    assert {stage.kind for stage in before.stages.values()} >= {"check-data", "frames", "pretrain", "order-accuracy"}
    # Touched, or elsewhere: the same.
    os.utime(video(data))
    assert keys(plan_of(data, runs)) == keys(before)
    shutil.copytree(data, tmp_path / "moved", copy_function=shutil.copyfile)
    assert keys(plan_of(tmp_path / "moved", tmp_path / "other")) == keys(before)
    # Other bytes of the same size: everything that reads them is another.
    content = bytearray(video(data).read_bytes())
    content[-1] ^= 1
    rewrite(video(data), bytes(content))
    assert not keys(plan_of(data, runs)) & keys(before)


def test_a_plan_reads_nothing_and_says_what_was_not_checked(harness, data, tmp_path):
    runs = tmp_path / "runs"
    words = ("plan", "vcop", "--data-root", data, "--runs", runs, "--tables", "table1", "--rows", "r3d")
    code, out, err = harness(*words)
    assert code == 0, err
    assert "ucf101 changed since it was checked, or never was" in out
    assert not runs.exists()
    assert harness("check-data", "--data-root", data, "--runs", runs, "--datasets", "ucf101")[0] == 0
    code, out, _ = harness(*words)
    assert "changed since" not in out
    (check,) = [line for line in out.splitlines() if line.startswith("check-data")]
    assert "done" in check
    os.utime(video(data))
    assert "ucf101 changed since it was checked" in harness(*words)[1]


def test_keys_of_generated_data_are_what_they_were():
    facts = plan.DataFacts("synthetic-0123456789ab", "synthetic", {1: (27, 11)}, 4, {"seed": 1})
    made = plan.synthetic_stage("ucf101", {"seed": 1}, {"synthetic": 1})
    check = plan.check_stage("ucf101", facts, {"check-data": 1}, {"synthetic": made.key})
    old = plan.Stage("check-data", 1, {"dataset": "ucf101"}, check.inputs, check.data, "cpu")
    assert check.key == old.key
    assert check.known_as == {}


def test_a_file_that_the_system_would_not_give_is_asked_for_again(data, tmp_path):
    runs = tmp_path / "runs"
    found = checks.bring_up_to_date(door.real_data(["ucf101"], data), runs)
    stage = checks.stages(found)["ucf101"]
    assert checks.known(found, runs).facts["ucf101"].contents
    # A disk that fails for a while leaves no trace on the files.
    path = stage.folder(runs) / stage_folders.RESULT
    path.write_text(path.read_text().replace('"refused": 0', '"refused": 1'))
    unknown = door.real_data(["ucf101"], data)
    assert not checks.known(unknown, runs).facts["ucf101"].contents
    assert checks.bring_up_to_date(unknown, runs).facts["ucf101"].contents == found.facts["ucf101"].contents
    assert '"refused": 0' in path.read_text()


def test_a_dataset_with_bad_lists_stops_what_needs_it_and_nothing_else(harness, data, tmp_path):
    (bad,) = list((data / "testTrainMulti_7030_splits").glob("*_test_split1.txt"))[:1]
    bad.write_text("no list\n")
    words = ("--data-root", data, "--runs", tmp_path / "runs")
    code, out, err = harness("check-data", *words)
    assert code == 2
    assert "ucf101: subset-" in out
    assert bad.name in err.splitlines()[-1]
    code, out, err = harness("plan", "vcop", *words, "--tables", "table1,table4", "--rows", "r3d_vcop,r3d")
    assert code == 2
    assert "order-accuracy" in out or "recognition" in out
    assert bad.name in err.splitlines()[-1]
    fails(harness("plan", "vcop", *words, "--datasets", "hmdb51", "--tables", "table4"), bad.name)


def test_rows_of_an_unusable_dataset_are_left_out_with_its_fault():
    paper = preparation.paper_of("vcop", Path("reference_tables"))
    recipe = door.load_recipe("vcop", "paper")
    settings = recipe.settings.model_dump(mode="json")
    data = door.official_data(["ucf101"]).facts
    request = Request(tables=("table4",), everything=True)
    built = builder.build(
        paper, settings, data, door.suite_facts(recipe), request, {"hmdb51": "x.txt, line 1: no list"}
    )
    assert {measurement.dataset for measurement in built.measurements} == {"ucf101"}
    assert set(built.left_out.values()) == {"x.txt, line 1: no list"}


def test_test_videos_with_the_bytes_of_training_videos_are_listed(harness, data, tmp_path):
    split = door.real_data(["ucf101"], data)
    assert split.facts["ucf101"].sizes[1] == (27, 11)
    train = (data / "ucfTrainTestlist" / "trainlist01.txt").read_text().split()[0]
    test = (data / "ucfTrainTestlist" / "testlist01.txt").read_text().split()[0]
    shutil.copyfile(data / "UCF-101" / train, data / "UCF-101" / test)
    runs = tmp_path / "runs"
    code, out, err = harness("check-data", "--data-root", data, "--runs", runs, "--datasets", "ucf101")
    assert code == 0, err
    assert "split 1: test videos with the bytes of a training video: 1" in out
    assert f"{test} (test) = {train} (train)" in out
    assert " = ".join(sorted([test, train])) in out


RANDOM = ("--tables", "table2,table3", "--rows", "r3d_random", "--device", "cpu")


def test_the_same_bytes_on_both_sides_are_in_the_record_and_on_the_page(harness, data, tmp_path):
    train = (data / "ucfTrainTestlist" / "trainlist01.txt").read_text().split()[0]
    test = (data / "ucfTrainTestlist" / "testlist01.txt").read_text().split()[0]
    shutil.copyfile(data / "UCF-101" / train, data / "UCF-101" / test)
    runs = tmp_path / "runs"
    code, _, err = harness("run", "vcop", *RANDOM, "--datasets", "ucf101", "--data-root", data, "--runs", runs)
    assert code == 0, err
    (record,) = Store(runs / "records").read("vcop")
    assert record.counts["duplicates_across"] == 1
    page = (runs / "reports" / "vcop.md").read_text(encoding="utf-8")
    assert "1 test video with the bytes of a training video" in page


@pytest.mark.parametrize("fault", ["list", "video"])
def test_a_run_does_and_shows_what_needs_no_faulty_dataset(harness, data, tmp_path, fault):
    if fault == "list":
        bad = min((data / "testTrainMulti_7030_splits").glob("*_test_split1.txt"))
        bad.write_text("no list\n")
    else:
        bad = min((data / "hmdb51").rglob("*.avi"))
        bad.write_bytes(b"")
    runs = tmp_path / "runs"
    code, out, err = harness("run", "vcop", *RANDOM, "--data-root", data, "--runs", runs)
    assert code == 2
    assert err.splitlines()[-1].startswith("error: ")
    assert bad.name in err.splitlines()[-1]
    assert "Traceback" not in err
    (record,) = Store(runs / "records").read("vcop")
    assert (record.table, record.dataset) == ("table2", "ucf101")
    page = (runs / "reports" / "vcop.md").read_text(encoding="utf-8")
    for text in (out, page):
        assert f"{record.scores['top1']:.1f}" in text
    assert str(runs / "reports" / "vcop.md") in out
