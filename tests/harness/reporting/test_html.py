"""The HTML report: one file that needs nothing else, readable on a wide screen and on a phone."""

import re
import shutil
import subprocess
from html import escape

import pytest

from harness.reporting import html, report
from tests.harness import results

# Started without a window: each of them is a browser that can do without one.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    paper = results.small_paper(folder)
    records = [
        *results.records(paper, seeds=2),
        *results.records(paper, seeds=2, scale="paper", scope="full", offset=-9),
    ]
    built = report.build({"small": paper}, records, {}, [results.RECIPE], folder=folder, store=folder / "records")
    report.write(built, folder)
    return html.render(built.pages, folder)


def test_it_needs_nothing_else(document):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', document)
    assert addresses
    assert {a.partition(":")[0] if a.startswith("data:") else a[:1] for a in addresses} == {"data", "#"}
    assert "http" not in re.sub(r'src="data:[^"]*"', "", document)
    for word in ("<script", "@import", "url(", "<link"):
        assert word not in document


def test_every_link_has_a_place_to_go(document):
    ids = re.findall(r' id="([^"]+)"', document)
    assert len(ids) == len(set(ids))
    targets = {a[1:] for a in re.findall(r'href="(#[^"]*)"', document)}
    assert targets <= set(ids)
    assert {"index", "small", "small--tiny-scale-synthetic-data", "index--method"} <= targets


def test_pictures_are_inside(document):
    assert document.count('src="data:image/svg+xml;base64,') == 6
    assert "picture not there" not in document
    assert all(alt for alt in re.findall(r'<img alt="([^"]*)"', document))


def test_tables_have_a_box_of_their_own(document):
    assert document.count("<table>") == document.count('<div class="scroll" tabindex="0">\n<table>') > 5


def test_verdicts_are_marked(document):
    for verdict in ("NOT COMPARABLE", "BELOW"):
        name = verdict.lower().replace(" ", "-")
        assert re.search(f'<td [^>]*class="verdict {name}"[^>]*>{verdict}</td>', document)


def test_verdicts_of_claims_in_lists_are_marked_as_in_tables(tmp_path):
    shown = html.render(
        {"README.md": "# T\n\n- **HOLDS** `a`: b\n- **NOT MEASURED** here: `c`\n- **bold** words"}, tmp_path
    )
    assert '<strong class="verdict holds">HOLDS</strong>' in shown
    assert '<strong class="verdict not-measured">NOT MEASURED</strong>' in shown
    assert "<strong>bold</strong>" in shown


def test_raw_html_is_shown_not_obeyed(tmp_path):
    shown = html.render({"README.md": "# Title\n\n<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))"}, tmp_path)
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert 'href="javascript' not in shown


def test_a_picture_that_is_gone_is_named(tmp_path):
    assert "[picture not there: a curve]" in html.render({"README.md": "# T\n\n![a curve](figures/no.svg)"}, tmp_path)


def test_links_to_other_files_become_words(tmp_path):
    shown = html.render(
        {"README.md": "# T\n\n[one](a.md#part), [two](records/x.json)", "a.md": "# A\n\n## Part"}, tmp_path
    )
    assert '<a href="#a--part">one</a>' in shown
    assert "<a>two</a>" in shown


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_screen(document, tmp_path, width):
    """Wide tables and figures scroll in their boxes; the page itself never does."""
    # In a frame of that width: some windows are never narrower than 500 pixels.
    frame = f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{escape(document)}" onload="measure()">'
    script = (
        "function measure() { const shown = document.querySelector('iframe').contentWindow; "
        "document.title = shown.document.documentElement.scrollWidth + ' of ' + shown.innerWidth }"
    )
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><body><script>{script}</script>{frame}</iframe></body>", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *flags, "--window-size=1400,1000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found, screen = map(int, re.search(r"<title>(\d+) of (\d+)</title>", done.stdout).groups())
    assert screen == width
    assert found <= screen
