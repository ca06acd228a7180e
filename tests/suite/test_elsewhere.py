"""Places outside the checkout: which folders they are, and which module a name means."""

import os
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
    before = set(sys.modules)
    yield folders
    for name in set(sys.modules) - before:
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
