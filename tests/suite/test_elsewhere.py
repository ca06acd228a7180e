"""Places outside the checkout: which folders they are, and which module a name means."""

import os
import subprocess
import sys

import pytest

from suite import elsewhere
from suite.errors import InputError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two folders of papers, named by the variable; what is imported from them is forgotten again."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv(elsewhere.VARIABLE, os.pathsep.join(map(str, folders)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folders
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]


def test_folders_are_those_of_the_variable_in_its_order(places, monkeypatch):
    assert elsewhere.folders() == tuple(places)
    monkeypatch.delenv(elsewhere.VARIABLE)
    assert elsewhere.folders() == ()


def test_a_folder_that_is_not_there_is_named(places):
    places[1].rmdir()
    with pytest.raises(InputError, match=r"two: no such folder of papers; mend --papers"):
        elsewhere.folders()


def test_a_module_is_taken_from_its_home_before_anywhere_else(places):
    (places[0] / "lists.py").write_text("HERE = True\n")
    assert elsewhere.module("lists", "suite.datasets").__name__ == "suite.datasets.lists"
    assert elsewhere.module("lists", "suite.papers").HERE
    assert elsewhere.module("lists", "suite.papers").__name__ == "lists"


def test_a_module_lies_in_the_first_folder_that_has_it(places):
    for number, folder in enumerate(places):
        (folder / "own_paper").mkdir()
        (folder / "own_paper" / "task.py").write_text(f"NUMBER = {number}\n")
    assert elsewhere.module("own_paper.task", "suite.papers").NUMBER == 0


def test_a_module_that_is_nowhere_is_named(places):
    with pytest.raises(InputError, match=r"no module 'nothing\.here', neither in suite\.papers nor elsewhere"):
        elsewhere.module("nothing.here", "suite.papers")


def test_a_module_that_cannot_be_imported_says_why(places):
    (places[0] / "faulty_one.py").write_text("raise KeyError('what')\n")
    with pytest.raises(InputError, match=r"faulty_one: cannot be imported \(KeyError: 'what'\)"):
        elsewhere.module("faulty_one", "suite.papers")


def test_folders_are_added_for_this_process_and_its_children(places, tmp_path):
    more = tmp_path / "three"
    more.mkdir()
    elsewhere.extend([more, places[0]])
    assert elsewhere.folders() == (*places, more)
    told = subprocess.run(
        [sys.executable, "-c", "from suite import elsewhere; print(*elsewhere.folders())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [str(folder) for folder in (*places, more)]


@pytest.mark.parametrize(("name", "words"), [("four", "no such folder of papers"), ("a:b", "stands between folders")])
def test_a_folder_that_cannot_be_added_is_named(places, tmp_path, name, words):
    if ":" in name:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name}: .*{words}"):
        elsewhere.extend([tmp_path / name])


def test_files_of_papers_are_found_by_key(places):
    for folder, name in zip(places, ("own_paper", "other"), strict=True):
        (folder / name).mkdir()
        (folder / name / "recipe.toml").write_text("")
    (places[0] / "datasets").mkdir()
    assert elsewhere.files("tables.toml") == {}
    found = {"own-paper": places[0] / "own_paper/recipe.toml", "other": places[1] / "other/recipe.toml"}
    assert elsewhere.files("recipe.toml") == found


def test_a_paper_in_two_places_is_refused_by_both_files(places):
    for folder in places:
        (folder / "own").mkdir()
        (folder / "own" / "tables.toml").write_text("")
    with pytest.raises(
        InputError, match=r"two/own/tables\.toml: the paper 'own' is there already, in .*one/own/tables\.toml"
    ):
        elsewhere.files("tables.toml")


def test_the_source_of_a_module_is_that_of_its_package(places):
    (places[0] / "own").mkdir()
    (places[0] / "own/task.py").write_text("NUMBER = 1\n")
    (places[0] / "own/parts.py").write_text("NUMBER = 2\n")
    (places[0] / "alone.py").write_text("NUMBER = 3\n")
    task, alone = elsewhere.module("own.task"), elsewhere.module("alone")
    first = elsewhere.source(task), elsewhere.source(alone)
    assert [len(one) for one in first] == [12, 12]
    (places[0] / "own/parts.py").write_text("NUMBER = 4\n")
    assert elsewhere.source(task) != first[0]
    assert elsewhere.source(alone) == first[1]
    (places[0] / "own/parts.py").write_text("NUMBER = 2\n")
    assert elsewhere.source(task) == first[0]
