"""Places outside the checkout: which folders they are, and which module a name means."""

import os
import re
import subprocess
import sys
from types import ModuleType

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
    (places[0] / "leaving_one.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(InputError, match=r"leaving_one: cannot be imported \(SystemExit: 0\)"):
        elsewhere.module("leaving_one", "suite.papers")


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


def test_folders_of_the_variable_are_those_of_where_it_was_read(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(elsewhere.VARIABLE, os.pathsep.join(["two", "one"]))
    elsewhere.extend([])
    monkeypatch.chdir("/")
    assert elsewhere.folders() == (places[1], places[0])
    monkeypatch.delenv(elsewhere.VARIABLE)
    elsewhere.extend([])
    assert elsewhere.VARIABLE not in os.environ


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


# A module, and what it imports: by every form of import that says what, at once and within functions, and through one another.
IMPORTED = {
    "own/__init__.py": "",
    "own/task.py": "from own import parts\nfrom .inner import deep\n\ndef f():\n    import beside\n",
    "own/parts.py": "from . import task, near\n",
    "own/near.py": "import importlib\nname = 'own.other'\nimportlib.import_module(name)\nimportlib.import_module('.told', 'own')\n",
    "own/told.py": "__import__('spoken')\n",
    "spoken.py": "",
    "own/inner/__init__.py": "from .behind import *\n",
    "own/inner/behind.py": "",
    "own/inner/deep.py": "from ..far.below import NUMBER\n",
    "own/far/below.py": "import json, torch\nNUMBER = 1\n",
    "beside.py": "class A:\n    def g(self):\n        from spaces.one import x\n",
    "../two/spaces/one.py": "x = 1\n",
}
# What lies beside them, and is imported by none.
NOT_IMPORTED = ("own/other.py", "other.py", "far.py", "deep.py", "spaces/two.py", "own/notes.txt")


@pytest.fixture
def code(places):
    """The files of IMPORTED and NOT_IMPORTED in the first folder."""
    for name, text in (IMPORTED | dict.fromkeys(NOT_IMPORTED, "")).items():
        path = places[0] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return places[0]


def test_the_source_of_a_module_is_its_code_and_all_that_it_imports(code):
    # Nothing of it is run: only where it lies counts.
    task = ModuleType("own.task")
    task.__file__ = str(code / "own/task.py")
    sys.path += map(str, elsewhere.folders())
    first = elsewhere.source(task)
    assert re.fullmatch("[0-9a-f]{12}", first)
    for name in (*IMPORTED, *NOT_IMPORTED):
        before = (code / name).read_text()
        (code / name).write_text(f"{before}# changed\n")
        assert (elsewhere.source(task) != first) == (name in IMPORTED), name
        (code / name).write_text(before)
        assert elsewhere.source(task) == first


def test_code_that_is_moved_is_another_source(code, places):
    module = elsewhere.module("beside")
    first = elsewhere.source(module)
    # Into another folder of papers: it is found there by the same name.
    (places[1] / "spaces/one.py").rename(code / "spaces/one.py")
    assert elsewhere.source(module) == first
    # Under another name, by which it is imported now: neither file says otherwise.
    (code / "spaces/one.py").rename(code / "spaces/two.py")
    (code / "beside.py").write_text((code / "beside.py").read_text().replace("spaces.one", "spaces.two"))
    moved = elsewhere.source(module)
    assert moved != first
    (code / "spaces/two.py").rename(code / "spaces/one.py")
    (code / "beside.py").write_text((code / "beside.py").read_text().replace("spaces.two", "spaces.one"))
    assert elsewhere.source(module) == first


def test_a_module_on_the_path_is_followed_in_the_folder_that_it_was_found_in(places, tmp_path, monkeypatch):
    here = tmp_path / "here"
    installed = here / ".venv/site-packages"
    installed.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.syspath_prepend(str(here))
    files = {
        here / "flat.py": "import flathelp\nimport suite.files\nimport packed\n",
        here / "flathelp.py": "",
        installed / "packed/__init__.py": "from packed import parts\nimport unpacked\n",
        installed / "packed/parts.py": "",
        installed / "unpacked.py": "",
    }
    (installed / "packed").mkdir()
    for path, text in files.items():
        path.write_text(text)

    def changing(module):
        """The names of files that the source of a module moves with."""
        first, found = elsewhere.source(module), set()
        for path, text in files.items():
            path.write_text(f"{text}# changed\n")
            found |= {path.name} if elsewhere.source(module) != first else set()
            path.write_text(text)
        return found

    # Of installed packages a module's own alone is followed.
    assert changing(elsewhere.module("flat")) == {"flat.py", "flathelp.py"}
    assert changing(elsewhere.module("packed")) == {"__init__.py", "parts.py"}


def test_code_that_cannot_be_read_has_a_source_all_the_same(places):
    (places[0] / "half.py").write_text("def f():\n    import broken\n    from .... import up\n")
    (places[0] / "broken.py").write_text("def (\n")
    first = elsewhere.source(elsewhere.module("half"))
    (places[0] / "broken.py").write_text("def (:\n")
    assert elsewhere.source(elsewhere.module("half")) != first
    # What is built in has no file.
    assert elsewhere.source(sys) == elsewhere.source(elsewhere.module("time"))
