"""Papers checked without running: what is in order has no fault, and every fault is a line that names its file."""

import re
from pathlib import Path

import pytest

from harness.commands import TABLES
from harness.running import new_paper, validation


@pytest.fixture
def papers(tmp_path, monkeypatch):
    """A folder of papers with one, known as such."""
    folder = tmp_path / "papers"
    folder.mkdir()
    monkeypatch.setenv("VIDEO_SSL_PAPERS", str(folder))
    # Modules of the folder are found anew in every test.
    monkeypatch.syspath_prepend(str(folder))
    return folder


def made(papers: Path, key: str) -> Path:
    new_paper.write(key, papers, {})
    return papers / key.replace("-", "_")


def faults(papers: Path) -> list[str]:
    return validation.check(TABLES, papers / "runs", papers).faults


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_is_new_is_in_order(papers):
    home = made(papers, "in-order")
    found = validation.check(TABLES, papers / "runs", papers)
    assert (found.faults, found.notes) == ([], [])
    assert sorted(found.checked) == [home / "claims.toml", home / "recipe.toml", home / "tables.toml"]
    assert not (papers / "runs").exists()


def test_the_papers_of_the_checkout_are_in_order(tmp_path):
    found = validation.check(TABLES, tmp_path)
    assert found.faults == []
    keys = {path.stem for path in TABLES.glob("*.toml")}
    assert {path.stem for path in found.checked if path.parent == TABLES} == keys
    assert {path.parent.name.replace("_", "-") for path in found.checked if path.name == "recipe.toml"} == keys
    # What no recipe runs is worth knowing, and no fault.
    assert any(
        note.startswith("skip-clip margins rank_low cannot be run: the recipe has no pretraining")
        for note in found.notes
    )


def test_every_fault_of_a_file_is_listed(papers):
    home = made(papers, "many-faults")
    spoil(home / "tables.toml", 'better = "high"', 'better = "higher"')
    spoil(home / "recipe.toml", "crop = 112", "crop = 1")
    spoil(home / "recipe.toml", "batch = 16", "batch = 0")
    (papers / "datasets").mkdir()
    (papers / "datasets/mine.toml").write_text('layout = "ucf101"\nframes = 0\n', encoding="utf-8")
    found = faults(papers)
    assert len(found) == len(set(found))
    for words in (
        "many_faults/tables.toml: table1 column accuracy: unknown better 'higher'",
        "many_faults/tables.toml: table3 column accuracy: unknown better 'higher'",
        "many_faults/recipe.toml: settings.video.crop = 1: input should be greater than or equal to 8",
        "many_faults/recipe.toml: settings.pretraining.speed.optimisation.batch = 0",
        "datasets/mine.toml: classes: field required",
        "datasets/mine.toml: splits: field required",
        "datasets/mine.toml: frames = 0",
    ):
        assert sum(words in one for one in found) == 1, f"{words} in {found}"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("claims.toml", "table2.speed", "table2.sped", r"claims\.toml: claim pretraining_helps: .*sped"),
        (
            "claims.toml",
            "printed_holds = true",
            "printed_holds = false",
            r"claims\.toml: claim pretraining_helps: printed_holds is false, and by the printed numbers it is true",
        ),
        ("claims.toml", "statement", "sentence", r"claims\.toml: claim pretraining_helps: unknown key 'sentence'"),
        ("claims.toml", 'paper = "', 'paper = "not-', r"claims\.toml: paper is 'not-"),
        ("tables.toml", 'key = "', 'key = "not-', r"tables\.toml: paper key is 'not-"),
        (
            "tables.toml",
            "values = [75.0]",
            "values = [75.0, 1.0]",
            r"tables\.toml: table1 row speed: 2 values for 1 columns",
        ),
        ("tables.toml", 'dataset = "ucf101"', 'dataset = "ucf-101"', r"tables\.toml: .*unknown dataset 'ucf-101'"),
        ("recipe.toml", 'key = "', 'key = "not-', r"recipe\.toml: its key is not"),
        ("recipe.toml", ".task", ".tusk", r"recipe\.toml: .*no module 'one_fault_\d+\.tusk'"),
        ("recipe.toml", "speeds = [1, 2]", "speeds = [1]", r"recipe\.toml: settings\.pretraining\.speed.*speeds"),
        ("recipe.toml", "speeds = [1, 2]", "rates = [1, 2]", r"recipe\.toml: settings\.pretraining\.speed"),
        ("task.py", "VERSION = 1", "", r"recipe\.toml: .*no VERSION"),
        ("task.py", "def samples(", "def sample(", r"recipe\.toml: .*samples"),
        ("task.py", "VERSION = 1", "VERSION = 1 / 0", r"recipe\.toml: .*cannot be imported \(ZeroDivisionError"),
        (
            "task.py",
            "VERSION = 1",
            "import torch\nVERSION = 1",
            r"one_fault_\d+\.task: its import loads .*torch.*within functions",
        ),
    ],
)
def test_a_fault_is_named_with_its_file(papers, request, file, old, new, words):
    # A key of its own: modules stay imported.
    home = made(papers, f"one-fault-{request.node.callspec.indices['words']}")
    spoil(home / file, old, new)
    found = faults(papers)
    assert found, "nothing was found"
    assert any(re.search(words, one) for one in found), found


@pytest.mark.parametrize(
    "method", ["passes(self)", "clips_of_sample(self, clips)", "networks(self)", "fault(self, scale)"]
)
def test_a_method_of_a_task_that_fails_is_a_fault_that_names_the_task(papers, method):
    name = method.partition("(")[0]
    home = made(papers, f"failing-{name.replace('_', '-')}")
    spoil(home / "task.py", "\n\ndef eligible(", f"    def {method}:\n        return [][0]\n\n\ndef eligible(")
    found = faults(papers)
    words = f"failing_{name}.task: {name}() of its Settings fails with IndexError: list index out of range; mend it"
    assert found, "nothing was found"
    assert all(words in one for one in found), found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({'layout = "ucf101"': 'layout = "nowhere.layout"'}, r"no module 'nowhere\.layout'"),
        ({'layout = "ucf101"': 'layout = "selecting"'}, r"layout 'selecting' of mine: has no read\(description"),
        ({'synthetic = "ucf101"': 'synthetic = "drawing"'}, r"synthetic 'drawing' of mine: has no (plan|sizes)"),
    ],
)
def test_a_dataset_is_checked_with_the_modules_it_names(papers, changes, words):
    (papers / "datasets").mkdir()
    text = 'layout = "ucf101"\nclasses = 2\nsplits = { 1 = [2, 2] }\nframes = 10\nsynthetic = "ucf101"\nlists = ["l"]\n'
    path = papers / "datasets/mine.toml"
    path.write_text(text, encoding="utf-8")
    assert faults(papers) == []
    for old, new in changes.items():
        spoil(path, old, new)
    (found,) = faults(papers)
    assert found.startswith(f"{path}: ")
    assert re.search(words, found)


def test_a_protocol_that_nothing_measures_is_found(papers):
    home = made(papers, "no-protocol")
    spoil(home / "tables.toml", 'protocol = "speed-accuracy"', 'protocol = "speed-acuracy"')
    found = validation.check(TABLES, papers / "runs", papers)
    assert any("speed-acuracy" in one for one in (*found.faults, *found.notes))


def test_a_paper_without_tables_is_a_fault(papers):
    home = made(papers, "no-tables")
    (home / "tables.toml").unlink()
    assert any("no_tables: has no tables.toml" in one for one in faults(papers))


def test_broken_papers_stand_in_the_way_of_no_other(harness, papers, tmp_path):
    made(papers, "quite-sound")
    for number, file in enumerate(("tables.toml", "claims.toml", "recipe.toml")):
        (made(papers, f"broken-{number}") / file).write_text("[paper\n", encoding="utf-8")
    runs = ("--runs", tmp_path / "runs")
    for key in ("vcop", "quite-sound"):
        for words in (("show", key), ("plan", key, *runs), ("compare", key, "--scale", "tiny", "--records", tmp_path)):
            code, _, err = harness(*words)
            assert code == 0, err
    code, out, err = harness("run", "quite-sound", *runs, "--device", "cpu", "--tables", "table2", "--rows", "random")
    assert code == 0, err
    assert "report: " in out


def test_list_shows_all_papers_that_can_be_read_and_ends_with_the_others(harness, papers):
    home = made(papers, "unread-one")
    made(papers, "read-one")
    (home / "tables.toml").write_text("[paper\n", encoding="utf-8")
    code, out, err = harness("list")
    assert code == 2
    assert {"vcop", "mas", "read-one"} <= {line.split()[0] for line in out.splitlines() if line.strip()}
    assert "unread-one" not in out
    assert err.startswith(f"error: {home / 'tables.toml'}: ")
    assert err.endswith(f"; `validate {papers}` lists every fault\n")
    assert err.count("\n") == 1
    assert harness("show", "unread-one")[1:] == ("", err)
