"""Drawing: nothing drawn hides data or invents it, and bytes are stable."""

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from harness.reporting import drawing
from harness.reporting.drawing import STYLE_VERSION, Chart, Line, Panel, draw, drawn_digest

SVG = "{http://www.w3.org/2000/svg}"


def a_chart(*lines, **fields):
    panel = Panel("C3D", "epoch", "loss", lines or (Line("training", (1, 2, 3), (3.0, 2.0, 1.0)),))
    return Chart(**({"name": "a.svg", "title": "A title", "alt": "a", "panels": ((panel,),)} | fields))


def texts(path):
    """(words, x, y) of every text in a picture."""
    found = []
    for text in ElementTree.parse(path).iter(f"{SVG}text"):
        at = text.get("transform") or ""
        x, y = text.get("x"), text.get("y")
        if x is None:
            x, y = re.search(r"translate\(([\d.]+) ([\d.]+)\)", at).groups()
        found.append(("".join(text.itertext()), float(x), float(y)))
    return found


def test_the_digest_covers_every_number_and_word():
    chart = a_chart()
    (panel,) = chart.panels[0]
    others = [
        replace(chart, title="Another"),
        replace(chart, share_y=False),
        a_chart(Line("training", (1, 2, 3), (3.0, 2.0, 1.0001))),
        a_chart(Line("training", (1, 2, 3), (3.0, None, 1.0))),
        replace(chart, panels=((replace(panel, y_label="accuracy (%)"),),)),
    ]
    digests = {chart.digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert a_chart().digest() == chart.digest()


def test_the_digest_is_that_of_every_field():
    chart = a_chart(Line("curve", (1, 2), (0.5, None), (0.4, None), (0.6, None), end_label="R3D"))
    content = json.dumps([STYLE_VERSION, asdict(chart)], sort_keys=True, separators=(",", ":"))
    assert chart.digest() == hashlib.sha256(content.encode()).hexdigest()


def test_a_picture_says_what_it_was_drawn_from_and_is_not_drawn_twice(tmp_path):
    chart = a_chart()
    path = tmp_path / "a.svg"
    assert drawn_digest(path) is None
    assert draw(chart, tmp_path)
    assert drawn_digest(path) == chart.digest()
    first = path.read_bytes()
    assert not draw(chart, tmp_path)
    path.unlink()
    assert draw(chart, tmp_path)
    assert path.read_bytes() == first
    assert b"<dc:date>" not in first
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


def test_a_foreign_picture_has_no_digest(tmp_path):
    (tmp_path / "a.svg").write_text("<svg/>", encoding="utf-8")
    assert drawn_digest(tmp_path / "a.svg") is None


def test_a_users_matplotlibrc_changes_nothing(tmp_path):
    import matplotlib

    draw(a_chart(), tmp_path / "plain")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "svg.fonttype": "path"}):
        draw(a_chart(), tmp_path / "changed")
    assert (tmp_path / "plain" / "a.svg").read_bytes() == (tmp_path / "changed" / "a.svg").read_bytes()


def with_styles(svg: str) -> str:
    """The picture with each class written out as the style that it stands for."""
    rules = dict(re.findall(r"\.(s\d+)\{([^}]*)\}", svg))
    return re.sub(r'class="(s\d+)"', lambda found: f'style="{rules[found[1]]}"', svg)


def test_a_crowded_slope_chart_is_small_and_every_style_is_kept(tmp_path, monkeypatch):
    lines = tuple(
        Line("a verdict", (0, 1), (10 + i, 11 + i), (None, 10.5 + i), (None, 11.5 + i), i % 4, end_label=f"R3D ({i})")
        for i in range(15)
    )
    panel = Panel("Table V", "", "accuracy (%)", lines, ((0, "printed"), (1, "ours")))
    chart = Chart("a.svg", "Slopes", "Slopes.", ((panel,) * 3, (panel,) * 3), share_y=False)
    draw(chart, tmp_path / "small")
    small = (tmp_path / "small" / "a.svg").read_text(encoding="utf-8")
    assert len(small.encode()) < 60_000
    monkeypatch.setattr(drawing, "_compact", lambda svg: svg)
    draw(chart, tmp_path / "whole")
    whole = (tmp_path / "whole" / "a.svg").read_text(encoding="utf-8")

    def drawn(svg: str) -> list[tuple[str, str]]:
        """Every shape in its order, with its stroke's and filling's colour, or its words."""
        root = ElementTree.fromstring(with_styles(svg))
        shapes = [node for node in root.iter() if node.tag.rpartition("}")[2] in ("path", "use", "text", "rect")]
        return [
            (node.tag, node.text or "".join(re.findall("(?:fill|stroke): [^;]+", node.get("style", ""))))
            for node in shapes
        ]

    assert drawn(small) == drawn(whole)


def test_a_gap_is_a_gap(tmp_path):
    draw(a_chart(Line("curve", (1, 2, 3, 4), (0.5, None, 0.7, 0.8), colour=2)), tmp_path)
    svg = with_styles((tmp_path / "a.svg").read_text(encoding="utf-8"))
    # Markers stand in groups of their own; the legend has one more.
    markers = [use for use in re.findall(r"<use [^>]*>", svg) if "#d55e00" in use]
    assert len(markers) == 3 + 1
    curve = next(
        d for d in re.findall(r'<path d="([^"]*)"[^>]*stroke: #d55e00', svg) if d.count("L") + d.count("M") > 2
    )
    assert curve.count("M") == 2


def test_a_chart_without_results_says_so(tmp_path):
    draw(a_chart(Line("curve", (1, 2), (None, None))), tmp_path)
    assert "no results" in [words for words, _, _ in texts(tmp_path / "a.svg")]


def test_end_labels_never_cover_each_other(tmp_path):
    lines = [Line("", (0, 1), (10.0, 50 + i / 100), end_label=f"network {i}") for i in range(9)]
    draw(a_chart(*lines), tmp_path)
    places = sorted(y for words, _, y in texts(tmp_path / "a.svg") if words.startswith("network"))
    assert len(places) == 9
    assert min(b - a for a, b in pairwise(places)) > 7  # of 7 point letters


def test_legend_and_title_stay_clear_of_the_panels(tmp_path):
    lines = [Line(f"weights number {i}", (1, 2, 3), (1.0, 2.0, 3.0), colour=i % 7) for i in range(7)]
    draw(a_chart(*lines), tmp_path)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    width = float(root.get("viewBox").split()[2])
    words = texts(tmp_path / "a.svg")
    lowest = max(y for word, _, y in words if word == "epoch")
    legend = [(x, y) for word, x, y in words if word.startswith("weights number")]
    assert len(legend) == 7
    assert all(y > lowest and x < width for x, y in legend)
    title = next(y for word, _, y in words if word == "A title")
    assert title < min(y for word, _, y in words if word == "C3D")


def boxes(path):
    """(words, left, right, y) of every text in a picture, in points; letters as wide as DejaVu Sans has them."""
    from matplotlib.textpath import TextPath

    svg = with_styles(path.read_text(encoding="utf-8"))
    sizes = [float(size) for size in re.findall(r"<text [^>]*font-size: ([\d.]+)px", svg)]
    found = []
    for (words, x, y), size in zip(texts(path), sizes, strict=True):
        found.append((words, x, x + TextPath((0, 0), words, size=size).get_extents().width, y))
    return found


def test_long_end_labels_end_before_the_next_panel_and_the_edge(tmp_path):
    name = "Classification, R(2+1)D with a name that goes on and on"
    lines = tuple(Line("", (0, 1), (10.0, 20.0 + i), end_label=f"{name} {i}") for i in range(3))
    panel = Panel("Table V", "", "accuracy (%)", lines, ((0, "printed"), (1, "ours")))
    draw(Chart("a.svg", "Slopes", "Slopes.", ((panel, panel),), share_y=False), tmp_path)
    width = float(ElementTree.parse(tmp_path / "a.svg").getroot().get("viewBox").split()[2])
    found = boxes(tmp_path / "a.svg")
    titles = sorted(left for words, left, _, _ in found if words == "Table V")
    labels = [box for box in found if set(box[0].split()) & {"Classification,", "name", "that", "on"}]
    assert len({words for words, _, _, _ in labels}) > 3  # wrapped
    first = [right for _, left, right, _ in labels if left < titles[1]]
    assert first
    # The vertical axis's numbers and label stand to the left of a panel's title.
    assert max(first) < titles[1] - 30
    assert max(right for _, _, right, _ in labels) < width
    rows = sorted(y for words, left, _, y in labels if left < titles[1])
    assert min(b - a for a, b in pairwise(rows)) > 7


def test_bars_start_at_zero_and_go_from_the_top_down(tmp_path):
    line = Line("R3D", (0, 1, 2), (80.0, None, 20.0), (75.0, None, 20.0), (85.0, None, 20.0))
    panel = Panel("", "", "accuracy (%)", (line,), ((0, "Archery"), (1, "Biking"), (2, "Diving")), bars=True)
    draw(a_chart(panels=((panel,),)), tmp_path)
    places = {words: y for words, _, y in texts(tmp_path / "a.svg")}
    assert places["Archery"] < places["Biking"] < places["Diving"]
    assert "0" in places
    svg = with_styles((tmp_path / "a.svg").read_text(encoding="utf-8"))
    bars = [
        [float(x) for x, _ in re.findall(r"([\d.]+) ([\d.]+)", path)]
        for path in re.findall(r'<path d="([^"]*)"[^>]*fill: #0072b2', svg)
    ]
    lengths = sorted(max(xs) - min(xs) for xs in bars)[-2:]
    assert len(bars) == 3  # two bars and the legend's
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=0.01)
