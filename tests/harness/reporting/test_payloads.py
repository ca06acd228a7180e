"""Words of any content in records: shown exactly on pages, never as markup; in HTML nothing runs, in LaTeX nothing is a command."""

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from harness import tables
from harness.commands import TABLES
from harness.records import Record, Store
from harness.reporting import html, latex, markdown, report, terminal
from harness.words import one_line, printable, seen
from tests.harness import results
from tests.harness.test_bad_inputs import called
from tests.harness.test_records import record

PAYLOADS = [
    "a|b",
    "`code` ``two``",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#60; & &copy;",
    "> quoted",
    "# heading",
    "- item",
    "1. item",
    "12) item",
    "---",
    "===",
    "[x](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "![](y) [a][b] [c]: d",
    "[c]: http://example.org",
    "x] y [z",
    "$x^2$ $$y$$",
    "back\\slash \\| \\` \\",
    "{curly} %percent ~tilde~ ~~two~~ ^hat",
    "*a* **b** _c_ __d__ a.__b__ _",
    "\"double\" 'single'",
    "two\nlines\r\nand\tmore",
    "\x00\x07\x1b[31mred\x7f",
    "left\u202eright\u2066\u200bzero\ufeff",
    "line\u2028paragraph\u2029",
    "\ue000private \ud7ffedge",
    "ünïcödé 视频 عربي",
    "long " * 500,
    "<a href='javascript:alert(1)'>x</a>",
    "<javascript:alert(1)> <http://example.org>",
    "```sh\nrm\n```",
    "~~~",
    "\\end{table}\\input{/etc/passwd}",
    "[",
    "]",
    "!",
    "",
]


def shown(markup: str) -> tuple[str, set[str]]:
    """What a reader sees of markdown, and the tags it was made of."""
    tags, words = set(), []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            words.extend(value for name, value in attrs if name == "alt")

        def handle_data(self, data):
            words.append(data)

    Reader().feed(html._parser().render(markup))
    return " ".join("".join(words).split()), tags


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda words: ascii(words)[:30])
def test_words_are_shown_and_are_no_markup(payload):
    expected = printable(payload).strip()
    for function, extra in ((markdown.text, set()), (markdown.inside, set()), (markdown.code, {"code"})):
        marked = function(payload)
        assert marked.isprintable()
        seen, tags = shown(marked)
        assert seen == expected
        assert tags <= {"p"} | extra
        seen, tags = shown(f"- {marked}")
        assert seen == expected
        assert tags <= {"p", "ul", "li"} | extra
        seen, tags = shown(markdown.table(["A", "B"], [["x", marked]], words=(0, 1)))
        assert seen == f"A B x {expected}".strip()
        assert tags <= {"div", "table", "thead", "tbody", "tr", "th", "td"} | extra
    seen, tags = shown(f"![{markdown.inside(payload)}](figures/a.svg)")
    assert tags == {"p", "img"}
    assert seen == expected


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda words: ascii(words)[:30])
def test_an_address_is_one_address(payload):
    (image,) = re.findall('src="([^"]*)"', html._parser().render(f"![x]({markdown.address(f'a/{payload}.png')})"))
    assert re.fullmatch(r"[A-Za-z0-9/._~+,=%-]*", image)


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda words: ascii(words)[:30])
def test_latex_sees_no_command(payload):
    escaped = latex.escape(payload)
    # Every backslash begins a command or a letter that we wrote, and no special letter stands alone.
    left = re.sub(r"\\(text[a-z]+\{\}|[&%$#_{}])|\{\[\}|\$(-|\\pm|\\rightarrow|\\times)\$", "", escaped)
    assert not set(left) & set('\\&%$#_{}~^<>|"`')
    assert escaped.isprintable()


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda words: ascii(words)[:30])
def test_a_message_is_one_line(payload):
    assert len(one_line(payload).splitlines()) <= 1
    assert len(one_line(payload * 1000)) < 1100


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda words: ascii(words)[:30])
def test_a_terminal_sees_letters_alone(payload):
    shown = seen(f"  a  {payload}\nb")
    assert shown.startswith("  a  ")
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == payload.count("\n") + 1
    # In a table a cell is on one line, whatever is in it.
    assert len(seen(terminal.grid([[payload, 1], ["x", None]], ["A", "B"])).split("\n")) == 4


def test_names_of_folders_are_no_commands_of_a_terminal(tmp_path):
    name = "red\x1b[31m\x07\u202e"
    (tmp_path / name).mkdir()
    code, out, err = called(f"report --records '$T/{name}' --out '$T/{name}'", tmp_path)
    assert code == 0, err
    assert "red\\x1b[31m\\x07\\u202e" in out
    assert all(line.isprintable() for line in out.split("\n"))


KNOWN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "nav",
    "main",
    "section",
    "a",
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "em",
}
KNOWN |= {
    "strong",
    "code",
    "pre",
    "blockquote",
    "ul",
    "li",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "img",
}
ATTRIBUTES = {
    "lang",
    "charset",
    "name",
    "content",
    "href",
    "id",
    "class",
    "tabindex",
    "style",
    "alt",
    "src",
    "aria-label",
}


def test_a_report_of_records_with_anything_in_them(tmp_path):
    paper = results.small_paper(tmp_path)
    words = "".join(PAYLOADS[:-10])
    spoilt = [
        one.model_copy(
            update={
                "environment": {"cpu": payload, "torch": words},
                "lists": {payload or "x": "ab" * 32, words: "cd" * 32},
                "command": payload,
                "short_videos": [payload],
                "examples": [{payload: payload}],
                "scores": one.scores | {payload: 1.0, f"accuracy_{payload}": 2.0},
                "curves": one.curves | {payload: [1.0]},
                "commit": "unknown",
            }
        )
        for one in results.records(paper, seeds=1)
        for payload in PAYLOADS[:12]
    ]
    built = report.build({"small": paper}, spoilt, {}, [], folder=tmp_path, store=tmp_path / "records")
    report.write(built, tmp_path)
    assert all(line.isprintable() for page in built.pages.values() for line in page.splitlines())

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag in KNOWN
            for name, value in attrs:
                assert name in ATTRIBUTES
                assert name != "href" or value.startswith("#")
                assert name != "src" or value.startswith("data:image/")

    Reader().feed(html.render(built.pages, tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"pictures": ["a/b.png"]},
        {"pictures": [""]},
        {"pictures": ["../a.png"]},
        {"pictures": [".a.png"]},
        {"pictures": ["a|b.png"]},
        {"pictures": ["a.html"]},
        {"commit": "<b>"},
        {"commit": ""},
        {"environment": {"a|b": "c"}},
        {"environment": {"a\nb": "c"}},
        {"environment": {"cpu": "x" * 10_001}},
        {"counts": {"a`b": 1}},
        {"counts": {"a": 10**400}},
        {"lists": {"a": "`x`"}},
        {"departures": ["a`b"]},
        {"departures": ["[x](y)"]},
        {"stages": {"a b": "0"}},
        {"stages": {"a": "../b"}},
        {"row": "x" * 101},
        {"scores": {"x" * 401: 1.0}},
        {"curves": {"x" * 401: [1.0]}},
        {"seed": 10**30},
        {"split": 10**30},
        {"seconds": math.nan},
        {"seconds": -1.0},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_run_writes_is_no_record(changes):
    with pytest.raises(ValidationError):
        record(**changes)


@pytest.mark.parametrize("number", [1e308, -1e308, 1e200, 1e-320, -1e-320, math.nan, math.inf, 0.0])
def test_numbers_of_any_size_make_a_report(tmp_path, number):
    paper = results.small_paper(tmp_path)
    extreme = [
        type(one).model_validate(
            one.model_dump()
            | {"curves": {name: [number, *curve] for name, curve in one.curves.items()}}
            | {"scores": dict.fromkeys(one.scores, number), "outcomes": None}
        )
        for one in results.records(paper, seeds=2)
    ]
    built = report.build({"small": paper}, extreme, {}, [], folder=tmp_path, store=Path(tmp_path / "records"))
    report.write(built, tmp_path)
    assert report.check(built, tmp_path) == []


# Protocols whose charts look into what a record holds.
DRAWN = {"order-accuracy", "training-curve", "ranking-accuracy", "recognition"}
# What a record may hold by its schema, and no run of today writes.
STRANGE = {
    "settings without tables": {"settings": {"pretraining": 5}},
    "settings of lists": {"settings": {"pretraining": [1, 2]}},
    "pretrainings that are none": {"settings": {"pretraining": {"16-8-3": 5, "16-16-3": [], "16-8-4": None}}},
    "a tuple of less than none": {"settings": {"pretraining": {"16-8-3": {"tuple_length": -3}}}},
    "a tuple of a thousand million": {"settings": {"pretraining": {"16-8-3": {"tuple_length": 10**9}}}},
    "a tuple of words": {"settings": {"pretraining": {"16-8-3": {"tuple_length": "3"}}}},
    "examples of any shape": {"examples": [{"a": [{"b": None}]}, {}, {"query": 5, "neighbours": "none"}]},
    "a command of a megabyte": {"command": "x" * 1_000_000},
    "a day that is none": {"created": "2026-99-99T99:99:99Z"},
    "outcomes of nothing": {"outcomes": {"groups": [], "trials": 0, "hits": {}}},
    "outcomes of other lengths": {"outcomes": {"groups": ["a"], "trials": -5, "hits": {"accuracy": [1, 2, 3]}}},
    "curves of no epoch": {"curves": {"train_loss": [], "validation_accuracy": []}},
    "curves of no number": {"curves": {"train_loss": [None], "validation_accuracy": [None]}},
    "no scores": {"scores": {}},
    "scores of odd names": {"scores": {"accuracy_\x00\x1b[31m\u202e": 1.0, "accuracy_": 2.0, "accuracy_<b>&": 3.0}},
    "scores of targets that cannot be": {"scores": {f"score_{'9' * 390}": 1.0, "score_\u0663": 2.0, "score_-1": 3.0}},
    "scores of thousands of classes": {"scores": {f"accuracy_{number}": 1.0 for number in range(5000)}},
    "no counts": {"counts": {}},
    "columns of no table": {"columns": ["nothing"]},
    "a protocol of another table": {"protocol": "order-accuracy"},
    "a protocol that is none": {"protocol": "nothing"},
}


@pytest.mark.parametrize("changes", STRANGE.values(), ids=STRANGE)
def test_a_record_that_the_schema_takes_makes_a_report(tmp_path, monkeypatch, changes):
    folder = tmp_path / "reference_tables"
    (folder / "claims").mkdir(parents=True)
    for key in ("vcop-curriculum", "skip-clip"):
        for name in (f"{key}.toml", f"claims/{key}.toml"):
            shutil.copyfile(TABLES / name, folder / name)
    monkeypatch.setattr("harness.commands.TABLES", folder)
    store = Store(tmp_path / "records")
    for paper in tables.load(folder).values():
        drawn = [table.id for table in paper.tables_and_figures if DRAWN & {c.protocol for c in table.cells()}]
        for one in list(results.records(paper, seeds=1, tables=drawn))[:12]:
            whole = results.with_protocol_scores(one).model_dump()
            store.add(Record.model_validate(whole | changes))
    code, _, err = called("report --records $T/records --out $T/pages --format html", tmp_path)
    assert code == 0, err
    written = [*(tmp_path / "pages").glob("*.md"), *(tmp_path / "pages").rglob("*.svg")]
    assert len(written) >= 3
    for path in written:
        assert all(line.isprintable() for line in path.read_text(encoding="utf-8").splitlines()), path
        if path.suffix == ".svg":
            assert path.stat().st_size < 2_000_000
            ElementTree.parse(path)


def test_settings_without_end_are_no_record(tmp_path):
    one = json.loads(record().model_dump_json())
    path = tmp_path / "records" / record().key()
    path.parent.mkdir(parents=True)
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    path.write_text(json.dumps(one | {"settings": None}).replace('"settings": null', f'"settings": {deep}'))
    code, _, err = called("report --records $T/records --out $T/pages", tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    assert "no record: Invalid JSON: recursion limit" in err
