"""The markdown pages as one self-contained HTML file: pictures inside, system fonts, no script, nothing fetched."""

import base64
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from harness import files
from harness.errors import UsageError
from harness.judging.compare import VERDICTS
from harness.reporting.markdown import anchor

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_PICTURE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

# Cells of at most so many characters, such as numbers with their spread and dates, are never broken into lines.
SHORT = 28
# Cells of more characters, such as reasons, get room for several words a line where the table scrolls.
LONG = 48

# Verdict colours keep a contrast of 4.5 or more against both backgrounds; the word itself always stands in the cell.
_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --page: #fff; --soft: #f4f5f7; --line: #d5d9de; --link: #0b5cad;
  --good: #136c3b; --near: #7a5200; --bad: #b3261e; --above: #6a3fa0; --mute: #5c6670; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --page: #15181b; --soft: #1f2428; --line: #3a4249;
  --link: #7db8f5; --good: #6fcf97; --near: #e5b454; --bad: #ff8a80; --above: #c7a4f2; --mute: #a3adb6; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--text); background: var(--page); overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
nav { position: sticky; top: 0; z-index: 1; background: var(--soft); border-bottom: 1px solid var(--line);
  padding: .5rem 1rem; display: flex; gap: .25rem 1.1rem; overflow-x: auto; white-space: nowrap; }
main { max-width: 72rem; margin: 0 auto; padding: 0 1rem 4rem; }
section { border-top: 3px solid var(--line); margin-top: 3rem; padding-top: .5rem; }
section:first-child { border: 0; margin-top: 0; }
section, h2, h3, h4 { scroll-margin-top: 3.2rem; }
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.35rem; margin-top: 2.6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.1rem; margin-top: 2rem; }
h4 { font-size: 1rem; margin-bottom: .3rem; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: 4px solid var(--line); background: var(--soft); }
.scroll { overflow-x: auto; max-width: 100%; margin: .8rem 0; }
.scroll:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: normal; }
td { min-width: 3.2rem; max-width: 34rem; }
th { background: var(--soft); white-space: nowrap; }
code, pre { font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { overflow-x: auto; padding: .7rem .9rem; background: var(--soft); border: 1px solid var(--line); border-radius: 4px; }
code { background: var(--soft); padding: .1em .25em; border-radius: 3px; }
pre code { padding: 0; }
.scroll img { display: block; min-width: 40rem; max-width: none; background: #fff; }
.short { white-space: nowrap; }
.long { min-width: 19rem; }
.verdict { font-weight: 600; white-space: nowrap; color: var(--mute); }
.reproduced, .holds { color: var(--good); } .near, .undecided { color: var(--near); }
.below, .invalid, .missing, .incomplete, .fails { color: var(--bad); } .above { color: var(--above); }
@media (min-width: 60rem) { .scroll img { min-width: 0; max-width: 100%; } }
@media print { nav { display: none; } }
"""

_MARKED = frozenset(VERDICTS) | {"HOLDS", "FAILS", "UNDECIDED", "NOT MEASURED"}


def render(pages: dict[str, str], folder: Path, title: str = "Reproduction reports") -> str:
    """One HTML document of `pages` (file name -> markdown, the index first); pictures are read from `folder` and inlined.

    Links between pages become links inside the document; raw HTML in a page is shown as text. A picture that is not there is
    named in words.
    """
    parser = _parser()
    links, sections = [], []
    for name, text in pages.items():
        key = _page_id(name)
        tokens = parser.parse(text)
        heading = next((tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"), key)
        _adapt(tokens, key, frozenset(pages), folder)
        links.append(f'<a href="#{key}">{escape("Index" if key == "index" else heading.partition(":")[0])}</a>')
        sections.append(f'<section id="{key}">\n{parser.renderer.render(tokens, parser.options, {})}</section>')
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Pages">{" ".join(links)}</nav>\n<main>\n'
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A wide table scrolls in a box of its own, which the keyboard can reach, and the page stays as wide as the screen.
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0">\n<table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return parser


def _page_id(name: str) -> str:
    stem = Path(name).stem
    return "index" if stem == "README" else escape(stem)


def _adapt(tokens: "list[Token]", key: str, pages: frozenset[str], folder: Path) -> None:
    """Gives headings their ids and verdicts their class, turns links inward, and inlines pictures; in place."""
    used: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            name = anchor(tokens[i + 1].content)
            used[name] = used.get(name, -1) + 1
            token.attrSet("id", f"{key}--{name}" + (f"-{used[name]}" if used[name] else ""))
        elif token.type == "td_open":
            words = "".join(child.content for child in tokens[i + 1].children or [])
            if words in _MARKED:
                token.attrSet("class", _verdict_class(words))
            elif len(words) <= SHORT:
                token.attrSet("class", "short")
            elif len(words) > LONG:
                token.attrSet("class", "long")
        elif token.type == "inline":
            children = token.children or []
            for child, following in zip(children, [*children[1:], None], strict=True):
                if child.type == "link_open":
                    _turn_inward(child, key, pages)
                elif child.type == "strong_open" and following is not None and following.content in _MARKED:
                    child.attrSet("class", _verdict_class(following.content))
            token.children = [_inline_picture(child, folder) if child.type == "image" else child for child in children]


def _verdict_class(words: str) -> str:
    return "verdict " + words.lower().replace(" ", "-")


def _turn_inward(link: "Token", key: str, pages: frozenset[str]) -> None:
    page, _, place = str(link.attrs["href"]).partition("#")
    if page == "":
        link.attrs["href"] = f"#{key}--{place}"
    elif page in pages:
        link.attrs["href"] = f"#{_page_id(page)}" + (f"--{place}" if place else "")
    else:
        # A file beside the pages is not part of this document.
        del link.attrs["href"]


def _inline_picture(image: "Token", folder: Path) -> "Token":
    from markdown_it.token import Token

    words = "".join(child.content for child in image.children or [])
    path = folder / os.fsdecode(unquote_to_bytes(str(image.attrs["src"])))
    kind = _PICTURE_TYPES.get(path.suffix.lower())
    try:
        data = None if kind is None else base64.b64encode(files.read(path)).decode()
    except UsageError:
        data = None
    if data is None:
        return Token("text", "", 0, content=f"[picture not there: {words}]")
    alt = escape(words, quote=True)
    return Token(
        "html_inline",
        "",
        0,
        content=f'<span class="scroll" style="display:block" tabindex="0"><img alt="{alt}" src="data:{kind};base64,{data}"></span>',
    )
