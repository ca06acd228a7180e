"""Runs after a power cut: what it damaged is said, set aside and computed again, and everything ends as if nothing was."""

import os
import random
import re
from pathlib import Path

import pytest

from harness.plan import Plan, Stage
from harness.running import stage_folders
from tests.campaign.kills import contents
from tests.harness.running.test_executors import ONE, result, run, stage

ASKED = ("--tables", "table2,figure5", "--rows", "r3d_random", "--datasets", "ucf101", "--device", "cpu")


@pytest.fixture
def harness(harness, monkeypatch, tmp_path):
    """Runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return harness


def cut(path: Path, draw: random.Random) -> None:
    """What a power cut may do to a file, or to the folder that it lies in."""
    how = draw.choice(("empty", "short", "gone"))
    if how == "gone":
        path.unlink()
    else:
        os.truncate(path, 0 if how == "empty" else draw.randrange(path.stat().st_size))


def test_what_a_power_cut_damaged_is_computed_again_to_the_same_bytes(harness, made, tmp_path):
    words = ("run", "vcop", *ASKED, "--data-root", made, "--runs", "runs")
    assert harness(*words)[0] == 0
    runs = tmp_path / "runs"
    expected = contents(runs)
    stages = sorted(path.parent for path in runs.glob("*/*/result.json"))
    assert len(stages) >= 4
    records = sorted((runs / "records").rglob("*.json"))
    assert records
    for seed in range(3):
        draw = random.Random(seed)
        spoilt = draw.sample(stages, 2)
        files = [draw.choice([path for path in folder.rglob("*") if path.stat().st_size]) for folder in spoilt]
        for path in files:
            cut(path, draw)
        os.truncate(records[seed % len(records)], 100)
        code, out, _ = harness("plan", "vcop", *ASKED, "--data-root", made, "--runs", "runs")
        assert code == 0
        # Where the check of the data is damaged, what the others are of is not known before it has run again.
        checked = any(folder.parent.name == "check-data" for folder in spoilt)
        assert sum(" damaged " in line for line in out.splitlines()) == (1 if checked else 2)
        kept = {folder: (folder / "result.json").stat().st_mtime_ns for folder in stages if folder not in spoilt}
        code, _, err = harness(*words)
        assert code == 0, err
        for path in files:
            assert re.search(
                rf"^damaged: {re.escape(str(path.relative_to(tmp_path)))} .*; set aside as ", err, re.MULTILINE
            )
        assert {folder: (folder / "result.json").stat().st_mtime_ns for folder in kept} == kept
        mended = contents(runs)
        assert {name: content for name, content in mended.items() if ".damaged-" not in name} == expected
    assert "Traceback" not in err


def test_a_folder_without_a_result_does_not_stop_a_run_for_ever(tmp_path, capsys):
    only = stage("only")
    only.folder(tmp_path).mkdir(parents=True)
    (only.folder(tmp_path) / "left").touch()
    built = Plan({only.key: only})
    assert run(built, tmp_path) == ["only"]
    assert (only.folder(tmp_path).with_name(f"{only.key}.damaged-1") / "left").exists()
    assert "result.json is missing; set aside as" in capsys.readouterr().err


def go_on(kind, config, inputs, roots, folder, device, workers, threads, tensorboard, progress):
    """A training that finds its checkpoint, damaged or not."""
    checkpoint = folder / "training.pt"
    if checkpoint.exists():
        raise DamagedError(f"{checkpoint}: checkpoint cannot be read")
    return {"anew": True}, {}


class DamagedError(Exception):
    """Known to the worker by its name, as the suite's is."""


def test_a_training_whose_checkpoint_is_damaged_starts_anew(tmp_path, capfd):
    from harness.running.executors import execute

    only = Stage("pretrain", 1, {"part": "only"}, {}, {}, "cpu")
    unfinished = stage_folders.begin(only.folder(tmp_path), resumes=True)
    (unfinished / "training.pt").write_bytes(b"half")
    execute(Plan({only.key: only}), go_on, {}, tmp_path, ONE, lambda one: None)
    assert result(only, tmp_path)["result"] == {"anew": True}
    aside = only.folder(tmp_path).with_name(f"{only.key}.damaged-1")
    assert (aside / "training.pt").read_bytes() == b"half"
    assert f"training.pt: checkpoint cannot be read; set aside as {aside.name}" in capfd.readouterr().err
