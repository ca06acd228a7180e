"""The command line as a stranger meets it: output, exit codes, and one clear line for every fault."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness import __version__
from harness.commands import TABLES
from harness.records import Store
from suite import datasets
from suite.datasets import synthetic

ROOT = Path(__file__).parents[2]
NARROW = ("--tables", "table2", "--rows", "r3d_random", "--datasets", "ucf101", "--device", "cpu")


@pytest.fixture
def data(made, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def fails(result: tuple[int, str, str], *words: str) -> str:
    """Asserts the form of every fault: exit code 2, nothing on stdout, a last line on stderr that holds the words."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in last
    return last


def test_version_is_that_of_the_changelog(harness):
    assert harness("--version") == (0, f"video-ssl-reproductions {__version__}\n", "")
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert headings[0].split()[1].rstrip(",") == __version__


def test_without_a_command_the_help_is_printed(harness):
    code, out, err = harness()
    assert code == 2
    assert "check-data" in out
    assert err == "error: no command; name one of those above\n"


def test_commands_work_from_any_folder(tmp_path):
    """As after an editable install: tables come from the checkout, results and pages from the folder one is in."""

    def call(*words: str) -> subprocess.CompletedProcess:
        command, there = [sys.executable, "-m", "harness", *words], os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=there, capture_output=True, text=True, check=False)

    assert call("show", "vcop", "--table", "table2").stdout.startswith("\ntable2: ")
    checked = call("report", "--check")
    assert checked.returncode == 2
    assert checked.stderr == "error: reports/records: no such folder of records; run a paper first, or give --records\n"
    assert not list(tmp_path.iterdir())


def printed_numbers() -> dict[str, int]:
    """How many numbers the tables of each paper print, counted in the files themselves."""
    found = {}
    for path in TABLES.glob("*.toml"):
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("table", [])
        values = [value for table in tables for row in table.get("rows", []) for value in row["values"]]
        found[path.stem] = sum(value == value for value in values)
    return found


def test_list_names_every_paper_and_its_numbers(harness):
    code, out, _ = harness("list")
    assert code == 0
    numbers = {line.split()[0]: int(line.split()[2]) for line in out.splitlines()[2:]}
    assert numbers == printed_numbers()
    assert max(map(len, out.splitlines())) <= 100
    assert any(line.startswith("vcop ") and line.endswith("Xu et al., CVPR 2019") for line in out.splitlines())


def test_show_prints_cells_as_printed(harness):
    code, out, _ = harness("show", "vcop", "--table", "table1")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines() if " own " in line] == ["68.5", "68.4", "64.2"]


def test_show_gives_numbers_as_read_and_below_what_the_text_shows(harness):
    code, out, _ = harness("show", "srop", "--table", "table10")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("vcp_c3d ")]
    assert row.split()[-3:] == ["27.7", "68.5", "32.5†"]
    assert "† decimal point lost in the OCR: the text shows" in out
    assert 'vcp_c3d hmdb51 "325"' in out
    assert "325" not in row


def test_show_of_a_figure_names_its_cells(harness):
    code, out, _ = harness("show", "vcop", "--table", "figure5")
    assert code == 0
    assert "rows: c3d_random, c3d_vcop" in out
    assert "hmdb51_top50" in out


@pytest.fixture
def store(tmp_path):
    """Results of vcop: at tiny scale on three kinds of data, the one for table 2 alone twice over; at paper scale."""
    from harness import tables
    from tests.harness import results

    vcop, folder = tables.load(TABLES)["vcop"], Store(tmp_path / "records")
    for scale, scope, data, options in (
        ("tiny", "synthetic", "a", {"tables": ("table1", "table2", "table4"), "seeds": 1}),
        ("tiny", "subset", "b", {"tables": ("table2",), "datasets": ("ucf101",), "seeds": 1}),
        ("tiny", "subset", "c", {"tables": ("table2",), "datasets": ("ucf101",), "seeds": 2}),
        ("paper", "full", "d", {"seeds": 3}),
    ):
        fingerprint = f"{scope}-{data * 12}"
        for record in results.records(vcop, scale=scale, scope=scope, fingerprint=fingerprint, **options):
            folder.add(record)
    return folder.folder


def test_compare_fits_a_terminal_for_every_kind_of_data(harness, store):
    for scale, titles in (("tiny", ["a subset of the data (", "synthetic data"]), ("paper", ["the full data"])):
        code, out, _ = harness("compare", "vcop", "--scale", scale, "--records", store)
        assert code == 0
        assert max(map(len, out.splitlines())) <= 100
        assert all(title in out for title in titles)
        # what was quoted or never run is counted, and listed only where it is asked for
        assert "jigsaw" not in out
        assert "31 CITED" in out
    (line,) = [
        line for line in out.splitlines() if line.startswith("r3d_vcop  ") and " top1 " in line and " 14.1 " in line
    ]
    assert "±" in line
    code, out, _ = harness("compare", "vcop", "--records", store, "--verdict", "cited")
    assert code == 0
    assert "jigsaw" in out
    assert "r3d_vcop" not in out


def test_latex_takes_the_most_complete_of_several_data(harness, store):
    words = ("report", "--format", "latex", "--scale", "tiny", "--records", store, "--table")
    code, out, err = harness(*words, "vcop.table4")
    assert code == 0
    assert "Tiny scale, synthetic data, 1 seed" in out
    assert "table4: Tiny scale, synthetic data, with 12 cells measured; not Tiny scale, a subset" in err
    # as many cells each, but twice the runs
    code, out, err = harness(*words, "vcop.table2")
    assert code == 0
    assert "a subset of the data" in out
    assert "2 seeds" in out
    # one set of results: nothing to say
    words = ("report", "--format", "latex", "--scale", "paper", "--records", store, "--table")
    code, out, err = harness(*words, "vcop.table2")
    assert (code, err) == (0, "")


def test_plan_says_what_is_missing_and_what_it_costs(harness, tmp_path):
    code, out, _ = harness("plan", "vcop", "--scale", "paper", "--runs", tmp_path, "--tflops", "20")
    assert code == 0
    assert "GPU-hours at 20 TFLOP/s (stated)" in out
    stages = [line for line in out.splitlines() if " missing " in line and not line.startswith("not planned")]
    assert sum(line.startswith("pretrain") for line in stages) == 3
    assert sum(line.startswith("finetune") for line in stages) == 36


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "vcopp"], ["unknown paper 'vcopp'", "skip-clip"]),
        (["show", "vcop", "--table", "table9"], ["no table 'table9'", "table4"]),
        (["plan", "vcop", "--scale", "huge"], ["unknown scale 'huge'", "paper, small, tiny"]),
        (["plan", "vcop", "--tables", "table7"], ["no table 'table7'"]),
        (["plan", "vcop", "--rows", "r4d"], ["no row 'r4d'"]),
        (["plan", "vcop", "--datasets", "kinetics"], ["'kinetics'", "hmdb51, ucf101"]),
        (["plan", "vcop", "--device", "tpu"], ["--device tpu"]),
        (["run", "vcop", "--scale", "paper"], ["--data-root"]),
        (["run", "vcop", "--data-root", "/no/such/root"], ["/no/such/root", "no such data root"]),
        (["check-data"], ["--data-root"]),
        (["run", "vcop", "--seeds", "0"], ["--seeds"]),
        (
            ["run", "vcop-curriculum", "--glove", "/no/such/glove.txt"],
            ["--glove /no/such/glove.txt", "glove.6B.300d.txt"],
        ),
        (["report", "--format", "pdf"], ["--format pdf"]),
        (["report", "--format", "latex"], ["--table PAPER.TABLE"]),
        (["compare", "vcop", "--records", "/no/such/records"], ["/no/such/records"]),
        (["compare", "vcop", "--verdict", "FOO"], ["--verdict FOO", "REPRODUCED, NEAR", "NOT RUN, CITED"]),
        (["regression", "vcopp"], ["unknown paper 'vcopp'"]),
        (["export", "--records", "--from", "/no/such/records"], ["/no/such/records", "--from"]),
        (["export", "cell"], ["choose cells or records"]),
        (["export", "cells", "--out", "/no/such/folder/cells.json"], ["/no/such/folder"]),
        (
            ["evaluate", "--checkpoint", "x.pt", "--backbone", "r3d", "--protocol", "recognition", "--splits", "1,two"],
            ["--splits 1,two"],
        ),
        (["export", "cells", "--format", "parquet"], ["--out"]),
        (["plan", "vcop", "--set", "video.crop"], ["--set video.crop: give a key"]),
        (["plan", "vcop", "--set", "video.crop=5"], ["--set video.crop=5: ", "greater than or equal to 8"]),
        (["run", "vcop", "--set", "video.crap=5"], ["no 'crap' in video; there are clip_length"]),
        (["regression", "vcop", "--set", "video.crop=24"], ["No such option: --set"]),
        (["plan", "vcop", "--limit", "0"], ["--limit 0: give a whole number from 1"]),
        (["run", "vcop", "--classes", "MoveUpp,grow"], ["'MoveUpp' is no class of hmdb51 or ucf101; near it: MoveUp"]),
        (["plan", "mas", "--limit", "1", "--datasets", "aslan"], ["nothing", "aslan: its videos have no classes"]),
        (
            ["evaluate", "--backbone", "r3d", "--protocol", "aslan", "--scale", "tiny", "--limit", "1"],
            ["nothing", "aslan: its videos have no classes", "without --limit and --classes"],
        ),
        (
            ["evaluate", "--backbone", "r3d", "--protocol", "yupenn", "--scale", "tiny", "--limit", "1"],
            ["nothing", "take at least two classes and two videos of each (--limit 2)"],
        ),
        (["plan", "vcop", "--scale", "paper", "--classes", "golf"], ["--classes needs --data-root"]),
        (["regression", "vcop", "--limit", "2"], ["No such option: --limit"]),
        (["unknown-command"], ["unknown-command"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words(harness, words, said):
    fails(harness(*words), *said)


def test_a_paper_without_a_recipe(harness, monkeypatch, tmp_path):
    from suite import recipe

    shutil.copytree(recipe.FOLDER / "vcop", tmp_path / "vcop")
    original = recipe.load
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    monkeypatch.setattr(recipe, "load", lambda paper, scale: original(paper, scale, tmp_path))
    assert fails(harness("run", "srop"), "no recipe for paper 'srop'").endswith("papers with a recipe: vcop")


def test_unknown_recipe_key(harness, monkeypatch, tmp_path):
    from suite import recipe

    text = (recipe.FOLDER / "vcop/recipe.toml").read_text(encoding="utf-8")
    (tmp_path / "vcop").mkdir()
    (tmp_path / "vcop/recipe.toml").write_text(
        text.replace("[paper.video]", "[paper.video]\nframe_rate = 25"), encoding="utf-8"
    )
    original = recipe.load
    monkeypatch.setattr(recipe, "load", lambda paper, scale: original(paper, scale, tmp_path))
    fails(harness("plan", "vcop"), "vcop/recipe.toml", "settings.video.frame_rate")


def test_plan_says_what_is_asked_for_otherwise(harness, tmp_path):
    code, out, err = harness("plan", "vcop", "--runs", tmp_path, "--set", "video.crop=24", "--set", "video.pixels=unit")
    assert code == 0, err
    assert "asked for otherwise, and compared with no printed number: video.crop = 24 instead of 32\n" in out


def test_a_run_under_other_settings_is_kept_apart(harness, made, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    words = ("vcop", *NARROW, "--data-root", made, "--runs", runs)
    for more in ((), ("--set", "video.crop=24", "--set", "retrieval.top=[1, 5]")):
        code, _, err = harness("run", *words, *more)
        assert code == 0, err
    assert "asked for otherwise, and compared with no printed number: video.crop = 24" in err
    plain, other = sorted(Store(runs / "records").read("vcop"), key=lambda one: len(one.asked))
    assert (plain.asked, [one.id for one in other.asked]) == ([], ["set-video.crop", "set-retrieval.top"])
    assert set(other.departures) - set(plain.departures) == {"set-video.crop", "set-retrieval.top"}
    assert plain.recipe_hash != other.recipe_hash
    assert plain.stages["features:ucf101"] != other.stages["features:ucf101"]
    assert plain.stages["check-data:ucf101"] == other.stages["check-data:ucf101"]
    page = (runs / "reports/vcop.md").read_text(encoding="utf-8")
    assert "--scale tiny --set video.crop=24 --set 'retrieval.top=[1, 5]'\n" in page
    code, out, _ = harness("compare", "vcop", "--scale", "tiny", "--records", runs / "records")
    assert code == 0
    assert "asked for otherwise: video.crop = 24 instead of 32" in out
    monkeypatch.setattr("harness.commands.REPORTS", runs / "reports")
    shutil.move(runs / "records", runs / "reports/records")
    for check in ((), ("--check",)):
        fails(
            harness("report", "--records", runs / "reports/records", *check), "video.crop = 24 instead of 32", "--out"
        )


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        (("mas", "--limit", "1"), ("aslan: its videos have no classes", "yupenn: has no training videos")),
        (("vcop-curriculum", "--limit", "1"), ("activitynet-qa: its videos have no classes",)),
        (("vcop", "--classes", "MoveUp"), ("hmdb51 has none of the classes MoveUp",)),
        (("mas", "--scale", "paper", "--limit", "2"), ("aslan: its videos have no classes",)),
    ],
    ids=" ".join,
)
def test_what_gives_nothing_to_a_part_is_left_out_and_the_rest_is_planned(harness, tmp_path, words, reasons):
    code, out, err = harness("plan", *words, "--runs", tmp_path)
    assert code == 0, err
    told = [" ".join(part.split()) for part in out.split("not planned: ")[1:]]
    for reason in reasons:
        assert any(one.startswith(reason) for one in told), told
    assert "recognition" in out.split("not planned: ")[0], "the rest is planned"


def test_what_gives_nothing_to_a_part_is_not_checked(harness, made, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(made, root, symlinks=True)
    small = {"height": 48, "width": 64, "seed": 1}
    synthetic.generate("aslan", root, small, lambda done, total: None)
    words = ("check-data", "--data-root", root, "--runs", tmp_path / "runs", "--limit", "1", "--datasets")
    code, out, err = harness(*words, "ucf101,aslan")
    assert code == 0, err
    assert "not checked: aslan: its videos have no classes" in err
    assert "ucf101: " in out
    fails(harness(*words, "aslan"), "aslan: its videos have no classes")


def test_a_part_of_the_data_is_measured_and_kept_apart(harness, made, tmp_path, monkeypatch):
    """A partial download serves: of two classes one has two videos of each list, and the other three."""
    runs, root = tmp_path / "runs", tmp_path / "data"
    shutil.copytree(made / "ucfTrainTestlist", root / "ucfTrainTestlist")
    for count, name in ((2, "MoveRight"), (3, "MoveUpRight")):
        for video in datasets.load("ucf101", made, datasets.Selection(count, (name,))).videos():
            (root / video.path).parent.mkdir(parents=True, exist_ok=True)
            (root / video.path).symlink_to(made / video.path)
    words = ("vcop", *NARROW, "--data-root", root, "--runs", runs)
    fails(harness("run", *words), "no such video, named in trainlist01.txt, line 3")
    fails(harness("check-data", "--data-root", root, "--limit", "3", "--runs", runs), "no such video")
    code, out, err = harness("check-data", "--data-root", root, "--limit", "2", "--runs", runs)
    assert code == 0, err
    assert "ucf101: subset-" in out
    assert "split 1: 4 train, 4 test" in out
    code, _, err = harness("run", *words, "--limit", "2", "--classes", "MoveUpRight,MoveRight")
    assert code == 0, err
    asked = "the first 2 videos of each class of every list; videos of 2 classes: MoveRight, MoveUpRight"
    assert f"compared with no printed number: {asked}" in err
    (record,) = Store(runs / "records").read("vcop")
    assert record.scope == "subset"
    assert [one.option for one in record.asked] == ["--limit 2", "--classes MoveRight,MoveUpRight"]
    assert {one.id for one in record.asked} <= set(record.departures)
    assert (record.counts["listed"], record.counts["decoded"]) == (4, 4)
    code, _, err = harness("run", *words, "--limit", "1")
    assert code == 0, err
    (fewer,) = (one for one in Store(runs / "records").read("vcop") if one.counts["listed"] == 2)
    assert fewer.fingerprint != record.fingerprint
    assert fewer.stages["features:ucf101"] != record.stages["features:ucf101"]
    page = (runs / "reports/vcop.md").read_text(encoding="utf-8")
    assert asked in page
    assert "--limit 2 --classes MoveRight,MoveUpRight --data-root DATA\n" in page
    code, out, _ = harness("compare", "vcop", "--scale", "tiny", "--records", runs / "records")
    assert code == 0
    assert "NOT COMPARABLE" in out
    monkeypatch.setattr("harness.commands.REPORTS", runs / "reports")
    shutil.move(runs / "records", runs / "reports/records")
    fails(harness("report", "--records", runs / "reports/records"), "of each class", "--out")


def test_export_of_cells(harness, tmp_path):
    code, out, _ = harness("export", "cells")
    cells = json.loads(out)
    assert code == 0
    assert sum(cell["value"] is not None for cell in cells) == sum(printed_numbers().values())
    assert set(cells[0]) == {"paper", "table", "row", "column", "value", "printed", "source"}
    for form in ("csv", "parquet"):
        assert harness("export", "cells", "--format", form, "--out", tmp_path / form)[0] == 0
    import pandas

    assert len(pandas.read_csv(tmp_path / "csv")) == len(pandas.read_parquet(tmp_path / "parquet")) == len(cells)


def test_export_of_records(harness, store):
    code, out, _ = harness("export", "--records", "--from", store)
    scores = json.loads(out)
    assert code == 0
    records = list(Store(store).read())
    assert len(scores) == sum(len(record.scores) for record in records)
    assert scores[0]["value"] == next(iter(records[0].scores.values()))
    assert {"paper", "table", "row", "metric", "split", "seed", "scale", "fingerprint"} <= set(scores[0])
    assert harness("export", "records", "--from", store) == harness("export", "cells", "--records", "--from", store)
    # the folder that is committed
    assert harness("export", "--records")[0] == 0


# ---------------------------------------------------------------------------------------------------- faults in the data


def test_a_root_without_the_dataset(harness, data, tmp_path):
    fails(harness("run", "vcop", "--data-root", data, "--runs", tmp_path / "runs"), "hmdb51")
    assert not (tmp_path / "runs").exists()


def spoil(path: Path, old: str, new: str) -> None:
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("MoveRight/v_MoveRight_g99_c01.avi", ["v_MoveRight_g99_c01.avi"]),
        ("../../v_MoveRight_g08_c01.avi", ["trainlist01.txt", ".."]),
        ("MoveRight", ["trainlist01.txt"]),
    ],
    ids=["absent", "climbing", "malformed"],
)
def test_a_wrong_list_file(harness, data, tmp_path, new, said):
    spoil(data / "ucfTrainTestlist/trainlist01.txt", "MoveRight/v_MoveRight_g08_c01.avi", new)
    fails(harness("run", "vcop", *NARROW, "--data-root", data, "--runs", tmp_path / "runs"), *said)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("how", ["truncated", "empty", "text"])
def test_an_unreadable_video(harness, data, tmp_path, how):
    video = data / "UCF-101/MoveRight/v_MoveRight_g01_c01.avi"
    content = video.read_bytes()
    video.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"not a video\n" * 100}[how])
    fails(harness("check-data", "--data-root", data, "--runs", tmp_path / "runs"), "v_MoveRight_g01_c01.avi")
    # What was found is kept: going on without the video decodes nothing anew.
    code, out, _ = harness("check-data", "--data-root", data, "--runs", tmp_path / "runs", "--skip-unreadable")
    assert code == 0
    assert "75 decoded, 1 unreadable" in out
    assert "v_MoveRight_g01_c01.avi" in out


def test_a_skipped_video_is_in_the_record_and_the_verdict(harness, data, tmp_path):
    (data / "UCF-101/MoveRight/v_MoveRight_g01_c01.avi").write_bytes(b"")
    runs = tmp_path / "runs"
    code, _, err = harness("run", "vcop", *NARROW, "--data-root", data, "--runs", runs, "--skip-unreadable")
    assert code == 0, err
    (record,) = Store(runs / "records").read("vcop")
    assert record.counts["unreadable"] == 1
    assert record.counts["decoded"] == record.counts["listed"] - 1
    assert "unreadable-videos-skipped" in record.departures
    page = (runs / "reports/vcop.md").read_text(encoding="utf-8")
    assert "1 unreadable video" in page
    assert "unreadable-videos-skipped" in page


def test_one_dataset_of_a_root_that_lacks_the_other(harness, data, tmp_path):
    code, out, err = harness("plan", "vcop", "--data-root", data, "--datasets", "ucf101", "--runs", tmp_path / "runs")
    assert code == 0, err
    assert "hmdb51" not in out.split("not planned")[0]


def test_a_large_scale_does_not_start_on_a_cpu_unasked(harness, data, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    words = ("--scale", "small", "--datasets", "ucf101", "--data-root", data, "--runs", tmp_path / "runs")
    fails(harness("run", "vcop", *words), "--device cpu")


def test_a_data_set_with_one_test_video_still_runs(harness, tmp_path, made):
    root = Path(shutil.copytree(made, tmp_path / "one"))
    lists = root / "ucfTrainTestlist/testlist01.txt"
    lists.write_text(lists.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    code, _, err = harness("run", "vcop", *NARROW, "--data-root", root, "--runs", tmp_path / "runs")
    assert code == 0, err
    (record,) = Store(tmp_path / "runs/records").read("vcop")
    assert record.counts["total"] == 10


# ---------------------------------------------------------------------------------------------------- runs


def start(*words, **keywords) -> subprocess.Popen:
    command = [sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords)


def test_a_killed_run_goes_on_and_two_cannot_share_a_folder(harness, made, tmp_path):
    runs = tmp_path / "runs"
    words = ("run", "vcop", *NARROW, "--data-root", made, "--runs", runs)
    running = start(*words)
    # The first stage is done; the run still holds its folder then.
    assert any(line.rstrip().endswith("done") for line in running.stderr)
    fails(harness(*words), str(runs), "another run")
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    code, out, err = harness(*words)
    assert code == 0, err
    (after_kill,) = Store(runs / "records").read("vcop")
    assert str(runs / "reports/vcop.md") in out
    whole = tmp_path / "whole"
    assert harness("run", "vcop", *NARROW, "--data-root", made, "--runs", whole)[0] == 0
    (never_killed,) = Store(whole / "records").read("vcop")
    assert after_kill.scores == never_killed.scores
    assert after_kill.outcomes == never_killed.outcomes
    # Nothing is run twice.
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("result.json")}
    assert harness(*words)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("result.json")} == before


def test_a_full_disk_is_one_line_and_loses_nothing(made, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    runs = tmp_path / "runs"
    (runs / "features").mkdir(parents=True)
    # A file size limit of 1 MiB stands for a full disk of this process and its workers: the frame store does not fit.
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));"
    limited += "from harness.cli import main; sys.argv[0] = 'harness'; main()"
    words = ["run", "vcop", *NARROW, "--data-root", made, "--runs", runs]
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "error: " in done.stderr.splitlines()[-1]
    assert "disk" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert len(list(runs.glob("check-data/*/result.json"))) == 1
    assert not list(runs.glob("frames/*/result.json"))
    assert not list(runs.glob("features/*/result.json"))


# ---------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02}q\x00."], ids=["empty", "text", "pickle"])
def test_a_foreign_checkpoint(harness, made, tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    words = (
        "--backbone",
        "r3d",
        "--protocol",
        "clip-retrieval",
        "--scale",
        "tiny",
        "--data-root",
        made,
        "--runs",
        tmp_path / "runs",
    )
    code, _, err = harness("evaluate", "--checkpoint", path, *words)
    assert code == 2
    assert "weights.pt" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_checkpoints_that_cannot_be_taken(harness, made, tmp_path):
    import torch

    from suite import backbones

    network = backbones.build("r3d", 16)
    state = network.state_dict()
    for content, words in (
        (dict(enumerate(state.values())), "key 0 is no name; save model.state_dict()"),
        ({key: tensor > 0 for key, tensor in state.items()}, "is of type bool; weights are float16"),
        ({key: tensor.to_sparse() for key, tensor in state.items()}, "is a sparse tensor"),
        ({key: -1 - tensor for key, tensor in state.items()}, "holds negative variances"),
        ({"student": state, "teacher": {key: tensor + 1 for key, tensor in state.items()}}, "two networks fit"),
        (network, "never executed here"),
    ):
        torch.save(content, tmp_path / "weights.pt")
        asked = ("--checkpoint", tmp_path / "weights.pt", "--backbone", "r3d", "--protocol", "clip-retrieval")
        # One folder: the data are checked once.
        where = ("--scale", "tiny", "--data-root", made, "--runs", tmp_path / "runs", "--device", "cpu")
        code, _, err = harness("evaluate", *asked, *where)
        assert code == 2
        assert words in err.splitlines()[-1]
        assert "Traceback" not in err


def test_evaluate_measures_an_imported_checkpoint(harness, made, tmp_path):
    import torch

    from suite import backbones, checkpoints

    torch.manual_seed(0)
    network = backbones.build("r3d", 16)
    renamed = {
        f"module.base_network.{checkpoints.vcop_name('r3d', key)}": value for key, value in network.state_dict().items()
    }
    renamed |= {"module.fc7.weight": torch.rand(2), "module.fc7.bias": torch.rand(2)}
    torch.save({"epoch": 3, "state_dict": renamed}, tmp_path / "vcop.pt")
    words = (
        "--backbone",
        "r3d",
        "--scale",
        "tiny",
        "--data-root",
        made,
        "--runs",
        tmp_path / "runs",
        "--device",
        "cpu",
    )
    code, out, err = harness("evaluate", "--checkpoint", tmp_path / "vcop.pt", "--protocol", "clip-retrieval", *words)
    assert code == 0, err
    assert "checkpoint layout: vcop, under 'state_dict', prefix 'module.base_network.'" in out
    assert "recognised keys that play no part: epoch (1), fc7 (2)" in out
    # The same weights as an untrained network of seed 0: the same score.
    code, _, err = harness("run", "vcop", *NARROW, "--data-root", made, "--runs", tmp_path / "runs")
    assert code == 0, err
    (imported,) = Store(tmp_path / "runs/records").read("imported")
    (random,) = Store(tmp_path / "runs/records").read("vcop")
    assert imported.scores == random.scores


@pytest.mark.parametrize(("protocol", "total"), [("aslan", 280), ("yupenn", 84)])
def test_evaluate_probes_any_backbone(harness, tmp_path, protocol, total):
    import torch

    from suite import backbones

    torch.manual_seed(0)
    torch.save(backbones.build("c3d5", 16, (8, 32, 32)).state_dict(), tmp_path / "c3d5.pt")
    words = ("--backbone", "c3d5", "--protocol", protocol, "--scale", "tiny", "--device", "cpu")
    code, out, err = harness("evaluate", "--checkpoint", tmp_path / "c3d5.pt", "--runs", tmp_path / "runs", *words)
    assert code == 0, err
    (record,) = Store(tmp_path / "runs/records").read("imported")
    assert (record.protocol, record.dataset, record.counts["total"]) == (protocol, protocol, total)
    assert f"{record.scores['accuracy']:.2f}" in out
    # The paper of the probes gives the settings unless another is named.
    assert record.settings["video"]["pixels"] == "rgb-mean"


def test_retrieval_on_a_probes_dataset_is_refused(harness, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"")
    words = ("--backbone", "r3d", "--protocol", "clip-retrieval", "--dataset", "aslan")
    fails(
        harness("evaluate", "--checkpoint", tmp_path / "x.pt", *words),
        "--dataset aslan: clip-retrieval is measured on one of hmdb51, kinetics400, ucf101",
    )


def vectors(path: Path, number: float, size: int = 300) -> Path:
    """A file of word vectors for two of the words that generated questions have."""
    lines = (" ".join([word, *[str(number)] * size]) for word in ("the", "object"))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_evaluate_asks_questions_with_and_without_word_vectors(harness, tmp_path):
    import torch

    from harness.plan import Request
    from harness.running import door, evaluation, preparation
    from suite import backbones
    from tests.suite.stages.test_paper_stages import ABSENT, ASKED, fewer_questions

    root, runs, path = tmp_path / "data", tmp_path / "runs", tmp_path / "r3d.pt"
    synthetic.generate("activitynet-qa", root, {"height": 48, "width": 64, "seed": 1}, lambda done, total: None)
    fewer_questions(root)
    torch.manual_seed(0)
    torch.save(backbones.build("r3d", 16).state_dict(), path)
    words = ("evaluate", "--checkpoint", path, "--backbone", "r3d", "--protocol", "video-qa", "--scale", "tiny")
    words = (*words, "--data-root", root, "--runs", runs, "--device", "cpu")
    glove = vectors(tmp_path / "glove.txt", 0.25)
    code, out, err = harness(*words, "--glove", glove)
    assert code == 0, err
    (given,) = Store(runs / "records").read("imported")
    assert (given.protocol, given.dataset, given.split) == ("video-qa", "activitynet-qa", 1)
    assert given.counts["total"] == len(given.outcomes.groups) == 9 * (ASKED["test"] - ABSENT["test"])
    assert given.counts["missing"] == sum(ABSENT.values())
    assert len(given.columns) == 9 + 1
    (row,) = [line for line in out.splitlines() if line.startswith("activitynet-qa")]
    assert [word for word in row.split() if "." in word] == [f"{given.scores[name]:.2f}" for name in given.columns]
    # What knows no video is measured too.
    assert {"question_only_all", "most_frequent_of_type_all"} <= set(given.scores)
    assert [picture.name.split("__")[-1] for picture in (runs / "records").rglob("*.png")] == ["attention.png"]

    # Without the file the last two stages are others; here the first ones' results stand in for theirs.
    recipe = door.load_recipe("vcop-curriculum", "tiny")
    asked = evaluation.as_paper(path, "r3d", "video-qa", None, (1,), recipe)
    plans = [
        preparation.work_out(asked, recipe, root, Request(everything=True), runs, glove=file).built.stages.values()
        for file in (glove, None)
    ]
    moved = [(done, missing) for done, missing in zip(*plans, strict=True) if done.key != missing.key]
    assert [missing.kind for _, missing in moved] == ["question-baseline", "video-qa"]
    for done, missing in moved:
        shutil.copytree(done.folder(runs), missing.folder(runs))
    code, _, err = harness(*words)
    assert code == 0, err
    # Another record beside the first, of the same data and the same scope.
    (learnt,) = [one for one in Store(runs / "records").read("imported") if one.fingerprint != given.fingerprint]
    assert (learnt.scope, learnt.lists, learnt.scores) == ("synthetic", given.lists, given.scores)
    assert given.scope == "synthetic"
    assert set(learnt.departures) - set(given.departures) == {"learnt-word-embeddings"}
    assert "missing-videos" in set(learnt.departures) & set(given.departures)


def test_questions_that_cannot_be_asked_so(harness, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"")
    words = ("evaluate", "--checkpoint", tmp_path / "x.pt", "--backbone", "r3d", "--protocol", "video-qa")
    words = (*words, "--runs", tmp_path / "runs", "--scale", "tiny")
    fails(harness(*words, "--paper", "mas"), "--paper mas: its recipe has no features of clips; name a paper that has")
    fails(harness(*words, "--glove", tmp_path / "glove.txt"), "glove.txt: no such file; give glove.6B.300d.txt")
    fails(harness(*words, "--glove", tmp_path), "no such file")
    narrow = vectors(tmp_path / "glove.6B.50d.txt", 0.5, 50)
    fails(harness(*words, "--glove", narrow), "its first line has 50 numbers, not 300; give glove.6B.300d.txt")
    assert not (tmp_path / "runs").exists()


def test_word_vectors_are_part_of_what_a_stage_is(tmp_path):
    from harness import tables
    from harness.plan import Request
    from harness.running import preparation

    paper = tables.load(TABLES)["vcop-curriculum"]
    request = Request(tables=("table6",), rows=("r3d_ssvcop",))

    def keys(glove: Path | None) -> dict[str, set[str]]:
        built = preparation.prepare(paper, "tiny", None, request, tmp_path / "runs", glove=glove).built
        kinds = {stage.kind for stage in built.stages.values()}
        return {kind: {key for key, stage in built.stages.items() if stage.kind == kind} for kind in kinds}

    learnt, given, other = keys(None), *(keys(vectors(tmp_path / "glove.txt", number)) for number in (0.5, 0.25))
    assert learnt.keys() == given.keys() >= {"pretrain", "features", "question-baseline", "video-qa"}
    for kind in learnt:
        keys_of_kind = {frozenset(found[kind]) for found in (learnt, given, other)}
        assert len(keys_of_kind) == (3 if kind in ("question-baseline", "video-qa") else 1)


def test_rows_that_train_on_what_is_not_there_are_left_out(harness, made, tmp_path):
    words = ("--tables", "table4", "--datasets", "ucf101", "--data-root", made, "--runs", tmp_path)
    code, out, err = harness("plan", "mas", *words)
    assert code == 0, err
    assert "not planned: the data root does not hold kinetics400: table4 ours_kinetics" in " ".join(out.split())
    fails(harness("plan", "mas", *words, "--rows", "ours_kinetics"), "nothing of what was asked for can be run")


# ---------------------------------------------------------------------------------------------- papers from outside


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder of papers with one: a table of VCOP's under another key, its recipe, and a claim."""
    monkeypatch.setenv("VIDEO_SSL_PAPERS", "")
    folder = tmp_path / "outside"
    (folder / "order_again").mkdir(parents=True)
    whole = (TABLES / "vcop.toml").read_text(encoding="utf-8")
    (folder / "order_again/tables.toml").write_text(
        whole.replace('key = "vcop"', 'key = "order-again"'), encoding="utf-8"
    )
    recipe = (ROOT / "suite/papers/vcop/recipe.toml").read_text(encoding="utf-8")
    (folder / "order_again/recipe.toml").write_text(
        recipe.replace('key = "vcop"', 'key = "order-again"'), encoding="utf-8"
    )
    claims = (TABLES / "claims/vcop.toml").read_text(encoding="utf-8")
    (folder / "order_again/claims.toml").write_text(
        claims.replace('"vcop"', '"order-again"').replace('"vcop.', '"order-again.'), encoding="utf-8"
    )
    return folder


def test_a_paper_from_outside_is_one_among_the_others(harness, outside, made, tmp_path):
    given = ("--papers", outside)
    runs = tmp_path / "runs"
    code, out, err = harness("list", *given)
    assert code == 0, err
    assert [line.split()[:4] for line in out.splitlines()][-1] == ["order-again", "4", "104", "yes"]
    assert harness("show", "order-again", "--table", "table2", *given)[0] == 0
    assert harness("plan", "order-again", *given, "--runs", runs)[0] == 0
    code, _, err = harness("run", "order-again", *NARROW, "--data-root", made, "--runs", runs, *given)
    assert code == 0, err
    text = (runs / "reports/order-again.md").read_text(encoding="utf-8")
    assert "python -m harness run order-again --papers DIR --tables table2 --scale tiny\n" in text
    assert "### Claims of the text" in text
    assert str(outside) not in text
    code, out, err = harness("compare", "order-again", "--scale", "tiny", "--records", runs / "records", *given)
    assert code == 0, err
    assert "NOT COMPARABLE" in out
    pages = tmp_path / "pages"
    code, out, err = harness("report", "--records", runs / "records", "--out", pages, *given)
    assert code == 0, err
    assert "[order-again](order-again.md)" in (pages / "README.md").read_text(encoding="utf-8")
    code, out, _ = harness("export", "cells", *given)
    assert {cell["paper"] for cell in json.loads(out)} == {*printed_numbers(), "order-again"}


def test_a_paper_from_outside_is_known_by_the_variable_too(harness, outside, monkeypatch):
    monkeypatch.setenv("VIDEO_SSL_PAPERS", str(outside))
    assert harness("show", "order-again")[0] == 0
    # Committed pages are those of the checkout, whatever else there is.
    assert harness("report", "--check") == (0, "reports is what the records give\n", "")


def test_places_that_cannot_be_taken(harness, outside, tmp_path):
    fails(harness("list", "--papers", tmp_path / "nowhere"), "nowhere: no such folder of papers")
    fails(harness("report", "--check", "--papers", outside), "reports shows the papers of the checkout alone", "--out")


def test_a_paper_that_is_there_twice_is_refused_by_both_files(harness, outside):
    (outside / "order_again").rename(outside / "vcop")
    for name in ("tables", "recipe", "claims"):
        path = outside / "vcop" / f"{name}.toml"
        path.write_text(path.read_text(encoding="utf-8").replace("order-again", "vcop"), encoding="utf-8")
    for command in (["list"], ["plan", "mas"], ["run", "vcop"], ["report", "--out", outside / "pages"]):
        fails(harness(*command, "--papers", outside), "the paper 'vcop' is there already", "vcop/", "/vcop")
