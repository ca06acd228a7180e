"""What a kind of stage reaches, shown on packages of a few lines and on the suite; and whether its version was looked at."""

import pytest

from tests.suite.stages import sources

PACKAGE = {
    "made/__init__.py": "",
    "made/start.py": '''
        """Runs."""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from made import tools
        from made.numbers import SIZE, double

        if TYPE_CHECKING:
            from made.unused import Never

        def run(size: int = SIZE) -> Never:
            """Runs."""
            from made.late import Late

            return Late(double(size)), tools.sharp(size)

        def other():
            return tools.blunt()
        ''',
    "made/tools/__init__.py": '''
        import made.unused
        EDGE = 3
        def sharp(blunt):
            return blunt + EDGE
        def blunt():
            return 0
        ''',
    "made/numbers.py": '''
        SIZE = 2
        def double(value):  # twice
            return 2 * value
        ''',
    "made/late.py": '''
        class Base:
            step = 1
        class Late(Base):
            width: int = 3
            def __init__(self, value):
                self.value = value
        ''',
    "made/unused.py": "class Never: ...",
    "made/homes/__init__.py": "",
    "made/homes/first.py": "def build(): return 1",
    "made/homes/deep/__init__.py": "",
    "made/homes/deep/third.py": "FACTOR = 3",
    "made/homes/second.py": "FACTOR = 2",
    "made/choosing.py": '''
        from importlib import import_module
        def by_prefix(name):
            return import_module(f"made.homes.{name}")
        def by_home(name):
            return find(name, "made.homes")
        def by_name():
            return find("made.homes.first.build")
        def passed():
            from made.homes import first
            return find(first)
        def find(name, home=None):
            return name
        ''',
}  # fmt: skip


@pytest.fixture
def reached(tmp_path):
    """What is reached in the package with some of its words replaced: file -> digest."""

    def call(start: str = "made.start.run", file: str = "", old: str = "", new: str = "") -> dict[str, str]:
        for name, text in PACKAGE.items():
            lines = text.strip("\n").split("\n")
            indent = len(lines[0]) - len(lines[0].lstrip())
            text = "\n".join(line[indent:] for line in lines) + "\n"
            if name == file:
                assert old in text
                text = text.replace(old, new)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return sources.Sources(tmp_path, "made").reached(start)

    return call


def test_names_are_followed_to_where_they_are_defined(reached):
    assert list(reached()) == ["made/late.py", "made/numbers.py", "made/start.py", "made/tools/__init__.py"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("made/numbers.py", "2 * value", "value + value"),
        ("made/numbers.py", "SIZE = 2", "SIZE = 3"),
        ("made/late.py", "step = 1", "step = 2"),
        ("made/late.py", "width: int", "width: float"),
        ("made/tools/__init__.py", "EDGE = 3", "EDGE = 4"),
        ("made/start.py", "size: int = SIZE", "size: int = 5"),
    ],
)
def test_what_is_reached_counts_and_names_its_file(reached, file, old, new):
    before, after = reached(), reached("made.start.run", file, old, new)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    # A default that is no longer taken from another file is a change of both.
    assert file in changed
    assert changed <= {file, "made/numbers.py"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("made/start.py", '"""Runs."""', '"""Walks."""'),
        ("made/start.py", "size: int", "size: float"),
        ("made/start.py", "tools.blunt()", "tools.blunt() + 1"),
        ("made/numbers.py", "  # twice", ""),
        ("made/numbers.py", "(value):", "( value ) :"),
        ("made/tools/__init__.py", "return 0", "return 1"),
        ("made/unused.py", "...", "size = 1"),
    ],
)
def test_what_is_not_reached_or_only_written_otherwise_does_not_count(reached, file, old, new):
    assert reached() == reached("made.start.run", file, old, new)


HOMES = ["made/homes/first.py", "made/homes/second.py"]


@pytest.mark.parametrize(
    ("start", "files"),
    [("by_prefix", HOMES), ("by_home", HOMES), ("by_name", HOMES[:1]), ("passed", HOMES[:1])],
)
def test_modules_named_in_strings_or_handed_on_are_followed(reached, start, files):
    assert [file for file in reached(f"made.choosing.{start}") if "/homes/" in file and "__init__" not in file] == files


def test_a_home_can_be_left_to_versions_of_its_own(tmp_path, reached):
    reached()
    found = sources.Sources(tmp_path, "made", apart=("made.homes",))
    assert (
        list(found.reached("made.choosing.by_home"))
        == list(found.reached("made.choosing.by_prefix"))
        == ["made/choosing.py"]
    )
    assert list(found.reached("made.choosing.by_home", "made.homes.first.build")) == [
        "made/choosing.py",
        "made/homes/first.py",
    ]


def test_modules_and_names_can_be_left_out(tmp_path, reached):
    reached()
    found = sources.Sources(tmp_path, "made", apart=("made.tools", "made.numbers.double")).reached("made.start.run")
    assert list(found) == ["made/late.py", "made/numbers.py", "made/start.py"]
    # The default SIZE is left of numbers.
    assert found["made/numbers.py"] != reached()["made/numbers.py"]


def test_a_version_is_about_the_functions_behind_it_and_what_they_rest_on():
    _, reached = sources.present()
    for kind, (_, starts) in sources.starts().items():
        for start in starts:
            module = start.rpartition(".")[0].replace(".", "/")
            assert reached[kind].keys() & {f"{module}.py", f"{module}/__init__.py"}, (kind, start)
    assert {"suite/training.py", "suite/video/decode.py", "suite/backbones/r3d.py"} <= reached["pretrain"].keys()
    assert "suite/training.py" not in reached["flow"]
    behind = {
        file: [kind for kind, files in reached.items() if file in files] for files in reached.values() for file in files
    }
    assert behind["suite/evaluation/similarity.py"] == ["aslan"]
    assert behind["suite/papers/srop/view_network.py"] == [
        "task srop.segment_order",
        "task srop.view_synthesis",
        "view-scores",
    ]


def test_a_change_wants_a_new_version_or_a_reason(tmp_path):
    path = tmp_path / "sources.toml"
    first = {"flow": {"a.py": "1"}, "cost": {"a.py": "1", "b.py": "2"}}
    sources.write(sources.read(path), {"flow": 1, "cost": 1}, first, {}, path)
    looked = sources.read(path)
    assert looked.reached == first
    assert sources.changed(looked, first) == {}
    second = {"flow": {"a.py": "1"}, "cost": {"a.py": "1", "b.py": "3", "c.py": "4"}}
    assert sources.changed(looked, second) == {"cost": ["b.py", "c.py"]}
    written = path.read_bytes()
    with pytest.raises(ValueError, match=r"^cost \(version 1\): b.py, c.py$"):
        sources.write(looked, {"flow": 1, "cost": 1}, second, {"flow": "not asked"}, path)
    assert path.read_bytes() == written
    sources.write(looked, {"flow": 1, "cost": 1}, second, {"cost": 'renamed "x"'}, path)
    looked = sources.read(path)
    assert [one.partition(": ")[2] for one in looked.kept["cost"]] == ['renamed "x"']
    assert looked.kept["flow"] == []
    # A new version needs no reason, and ends the old ones.
    sources.write(looked, {"flow": 1, "cost": 2}, {"flow": {"a.py": "1"}, "cost": {"d.py": "5"}}, {}, path)
    looked = sources.read(path)
    assert looked.kept["cost"] == []
    assert looked.versions == {"flow": 1, "cost": 2}


def test_the_sources_of_every_kind_are_those_that_its_version_was_looked_at_for():
    looked, (versions, reached) = sources.read(), sources.present()
    differing = [
        f"{kind} (version {versions[kind]}): {', '.join(files)}"
        for kind, files in sources.changed(looked, reached).items()
    ]
    assert not differing, (
        "the sources behind these kinds of stage have changed. Where results can differ, raise the kind's version in "
        "suite/stages/__init__.py; where they cannot, say why. Then: "
        'python -m tests.suite.stages.sources KIND="why results are the same" ... (or all="...")\n'
        + "\n".join(differing)
    )
    # Sources of a kind that was raised, or is no more, are written anew without a reason.
    assert looked.versions == versions, "python -m tests.suite.stages.sources all="
