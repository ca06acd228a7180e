"""A new paper's files: written once, whole, and in order."""

import re
import tomllib

import pytest

from harness.errors import UsageError
from harness.running import new_paper


def test_files_are_written_with_the_key_and_its_folder(tmp_path):
    written = new_paper.write("play-speed", tmp_path / "papers", {})
    home = tmp_path / "papers/play_speed"
    assert [path.name for path in written] == ["tables.toml", "claims.toml", "recipe.toml", "task.py", "parts.py"]
    assert sorted(home.iterdir()) == sorted(written)
    assert tomllib.loads((home / "tables.toml").read_text(encoding="utf-8"))["paper"]["key"] == "play-speed"
    recipe = tomllib.loads((home / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["paper"]["pretraining"]["speed"]["pretext"] == "play_speed.task"
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert "$" not in text, f"{path.name} holds a name that was not filled in"
        if path.suffix == ".py":
            compile(text, path, "exec")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "play_speed").mkdir()
    (tmp_path / "play_speed/task.py").write_text("mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match="play_speed: is there already, and nothing is overwritten"):
        new_paper.write("play-speed", tmp_path, {})
    assert [path.name for path in (tmp_path / "play_speed").iterdir()] == ["task.py"]
    assert (tmp_path / "play_speed/task.py").read_text(encoding="utf-8") == "mine\n"


@pytest.mark.parametrize(
    "key", ["", "Play", "play_speed", "play--speed", "-play", "play-", "../play", "2d", "a" * 51, "é"]
)
def test_a_key_is_a_word_of_small_letters(tmp_path, key):
    with pytest.raises(UsageError, match="give a key of small letters, digits and single -"):
        new_paper.write(key, tmp_path / "papers", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["json", "torch", "harness", "suite"])
def test_a_key_does_not_hide_behind_a_module_that_is_there(tmp_path, key):
    with pytest.raises(UsageError, match=f"a module '{key}' is there already"):
        new_paper.write(key, tmp_path, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["class", "import", "match", "datasets", "imported"])
def test_a_key_is_no_word_that_means_something_else(tmp_path, key):
    with pytest.raises(UsageError, match=f"new-paper {key}: '{key}' .*; take another key"):
        new_paper.write(key, tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_a_key_is_of_one_paper(tmp_path):
    there = {"play-speed": tmp_path / "others/play_speed/tables.toml"}
    with pytest.raises(UsageError, match=r"there already, in .*others/play_speed/tables\.toml; take another key"):
        new_paper.write("play-speed", tmp_path / "papers", there)
    assert not list(tmp_path.iterdir())


def test_papers_of_the_checkout_and_of_any_folder_are_known(harness, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_SSL_PAPERS", "")
    assert harness("new-paper", "play-speed", "--in", tmp_path / "a")[0] == 0
    for key, where in (("vcop", ()), ("play-speed", ("--papers", tmp_path / "a"))):
        code, out, err = harness("new-paper", key, "--in", tmp_path / "b", *where)
        assert (code, out) == (2, ""), err
        assert re.fullmatch(f"error: new-paper {key}: the paper is there already, in .*; take another key\\n", err)
    assert not (tmp_path / "b").exists()
