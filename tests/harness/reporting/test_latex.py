"""Tables for papers: well-formed LaTeX that says what the page says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.reporting import latex
from harness.reporting.sections import sections
from tests.harness import results


@pytest.fixture
def paper(tmp_path):
    return results.small_paper(tmp_path)


def section(paper, **kinds):
    return sections(paper, list(results.records(paper, **kinds)))[0]


def body(text):
    """The cells of all rows, stripped."""
    rows = [line.strip() for line in text.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row.removesuffix(r"\\"))] for row in rows]


def assert_well_formed(text):
    code = re.sub(r"(?m)^%.*$", "", text)
    bare = re.sub(r"\\[{}%&#_$\\]", "", code)
    assert bare.count("{") == bare.count("}")
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert bare.count("$") % 2 == 0
    assert "%" not in bare
    assert "#" not in bare
    assert not re.search(r"_(?![^$]*\$)", bare)
    open_environments = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", code):
        if what == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert open_environments == []
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", code)[1])
    assert {len(row) for row in body(text)} == {columns}
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in code


@pytest.mark.parametrize("table", ["table1", "table2", "figure1"])
@pytest.mark.parametrize("kinds", [{}, {"scale": "paper", "scope": "full"}, {"tables": ("table1",)}])
def test_every_table_is_well_formed(paper, table, kinds):
    assert_well_formed(latex.render(section(paper, **kinds), table))


def test_comparable_results_stand_under_the_printed_ones(paper):
    text = latex.render(section(paper, scale="paper", scope="full", spread=0.0, offset=1.0), "table1")
    rows = body(text)
    assert ["Jigsaw [27]", "cited", "19.7", "28.5", "--"] in rows
    at = rows.index(["C3D", "printed", "12.5", "29.0", "39.0"])
    assert rows[at + 1] == ["", "ours", r"$13.5 \pm 0.0$", r"$30.0 \pm 0.0$", r"$40.0 \pm 0.0$"]
    assert "Not comparable" not in text


def test_other_results_stand_alone_and_say_so(paper):
    text = latex.render(section(paper), "table1")
    assert "Not comparable with the printed values." in text
    assert "printed &" not in text
    assert "Jigsaw" not in text


def test_nothing_run_gives_the_printed_table(paper):
    text = latex.render(sections(paper, [])[0], "table2")
    assert ["C3D (random)", "printed", "61.6", "--"] in body(text)
    assert "not run" in text
    assert r"Recognition \& transfer" in text


def test_an_unknown_table_is_a_usage_error(paper):
    with pytest.raises(UsageError, match="table9"):
        latex.render(sections(paper, [])[0], "table9")


def test_special_characters():
    assert latex.escape("50 % of a_b & #1 {x} ~^\\") == (
        r"50 \% of a\_b \& \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex.escape("– ± †") == r"-- $\pm$ \textdagger{}"
    assert latex.escape("[27] Jigsaw") == "{[}27] Jigsaw"


@given(st.text(alphabet="ab %_&#{}$~^\\<>|[]–±", max_size=30))
def test_escaped_words_hold_no_bare_special(words):
    bare = re.sub(
        r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", latex.escape(words)
    )
    bare = bare.replace(r"$\pm$", "").replace("{[}", "")
    assert re.sub(r"\\[%_&#{}$]", "", bare).translate(str.maketrans("", "", "ab [-]")) == ""
