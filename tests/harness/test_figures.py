"""Figures: what is drawn of which results, that nothing drawn hides data or invents it, and that bytes are stable."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import pytest

from harness import charts
from harness.figures import Figure, Line, Panel, draw, drawn_digest
from harness.sections import sections
from tests.harness import results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def paper(tmp_path):
    return results.small_paper(tmp_path)


def section(paper, **kinds):
    return sections(paper, list(results.records(paper, **kinds)))[0]


def a_figure(*lines, **fields):
    panel = Panel("C3D", "epoch", "loss", lines or (Line("training", (1, 2, 3), (3.0, 2.0, 1.0)),))
    return Figure(**({"name": "a.svg", "title": "A title", "alt": "a", "panels": ((panel,),)} | fields))


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
    figure = a_figure()
    (panel,) = figure.panels[0]
    others = [
        replace(figure, title="Another"),
        replace(figure, share_y=False),
        a_figure(Line("training", (1, 2, 3), (3.0, 2.0, 1.0001))),
        a_figure(Line("training", (1, 2, 3), (3.0, None, 1.0))),
        replace(figure, panels=((replace(panel, y_label="accuracy (%)"),),)),
    ]
    digests = {figure.digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert a_figure().digest() == figure.digest()


def test_a_picture_says_what_it_was_drawn_from_and_is_not_drawn_twice(tmp_path):
    figure = a_figure()
    path = tmp_path / "a.svg"
    assert drawn_digest(path) is None
    assert draw(figure, tmp_path)
    assert drawn_digest(path) == figure.digest()
    first = path.read_bytes()
    assert not draw(figure, tmp_path)
    path.unlink()
    assert draw(figure, tmp_path)
    assert path.read_bytes() == first
    assert b"<dc:date>" not in first
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


def test_a_foreign_picture_has_no_digest(tmp_path):
    (tmp_path / "a.svg").write_text("<svg/>", encoding="utf-8")
    assert drawn_digest(tmp_path / "a.svg") is None


def test_a_users_matplotlibrc_changes_nothing(tmp_path):
    import matplotlib

    draw(a_figure(), tmp_path / "plain")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "svg.fonttype": "path"}):
        draw(a_figure(), tmp_path / "changed")
    assert (tmp_path / "plain" / "a.svg").read_bytes() == (tmp_path / "changed" / "a.svg").read_bytes()


def test_a_gap_is_a_gap(tmp_path):
    draw(a_figure(Line("curve", (1, 2, 3, 4), (0.5, None, 0.7, 0.8), colour=2)), tmp_path)
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    # Markers stand in groups of their own; the legend has one more.
    markers = [use for use in re.findall(r"<use [^>]*>", svg) if "#d55e00" in use]
    assert len(markers) == 3 + 1
    curve = next(
        d for d in re.findall(r'<path d="([^"]*)"[^>]*stroke: #d55e00', svg) if d.count("L") + d.count("M") > 2
    )
    assert curve.count("M") == 2


def test_a_figure_without_results_says_so(tmp_path):
    draw(a_figure(Line("curve", (1, 2), (None, None))), tmp_path)
    assert "no results" in [words for words, _, _ in texts(tmp_path / "a.svg")]


def test_end_labels_never_cover_each_other(tmp_path):
    lines = [Line("", (0, 1), (10.0, 50 + i / 100), end_label=f"network {i}") for i in range(9)]
    draw(a_figure(*lines), tmp_path)
    places = sorted(y for words, _, y in texts(tmp_path / "a.svg") if words.startswith("network"))
    assert len(places) == 9
    assert min(b - a for a, b in pairwise(places)) > 7  # of 7 point letters


def test_legend_and_title_stay_clear_of_the_panels(tmp_path):
    lines = [Line(f"weights number {i}", (1, 2, 3), (1.0, 2.0, 3.0), colour=i % 7) for i in range(7)]
    draw(a_figure(*lines), tmp_path)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    width = float(root.get("viewBox").split()[2])
    words = texts(tmp_path / "a.svg")
    lowest = max(y for word, _, y in words if word == "epoch")
    legend = [(x, y) for word, x, y in words if word.startswith("weights number")]
    assert len(legend) == 7
    assert all(y > lowest and x < width for x, y in legend)
    title = next(y for word, _, y in words if word == "A title")
    assert title < min(y for word, _, y in words if word == "C3D")


def test_top_k_curves_show_random_and_pretrained_and_print_only_where_comparable(paper):
    tiny = next(f for f in charts.figures(section(paper)) if f.name.endswith("-topk.svg"))
    (panel,) = tiny.panels[0]
    assert [(line.label, line.colour, line.dashed) for line in panel.lines] == [
        ("random", 0, True),
        ("order", 1, False),
    ]
    assert panel.lines[0].x == (1, 5, 10)
    assert "tiny scale, synthetic data · 2 seeds" in tiny.title
    full = section(paper, scale="paper", scope="full")
    printed = next(f for f in charts.figures(full) if f.name.endswith("-topk.svg")).panels[0][0].lines
    assert [line.y for line in printed if line.points_only] == [(16.0, 22.5, 26.7), (12.5, 29.0, 39.0)]
    band = printed[0]
    judged = full.judgements["table1", "c3d_random", "top1"]
    assert band.low[0] == pytest.approx(judged.ours - judged.sd, abs=1e-4)


def test_slope_is_printed_to_ours_only_where_comparable(paper):
    def slope(found):
        return next(f for f in charts.figures(found) if f.name.endswith("-slope.svg"))

    tiny = slope(section(paper, offset=3))
    assert [tick[1] for tick in tiny.panels[0][0].ticks] == ["random", "pretrained"]
    full = slope(section(paper, scale="paper", scope="full", seeds=3))
    lines = [line for row in full.panels for panel in row for line in panel.lines]
    assert [tick[1] for tick in full.panels[0][0].ticks] == ["printed", "ours"]
    assert {line.y[0] for line in lines} == {16.0, 12.5, 61.6, 65.6, 28.4}
    assert {line.label for line in lines} == {"REPRODUCED"}


def test_training_curves_are_means_with_a_range(paper):
    found = section(paper, seeds=2, datasets=("ucf101",))
    figure = next(f for f in charts.figures(found) if f.name.endswith("-training.svg"))
    loss = figure.panels[0][0].lines[0]
    runs = [r.curves["train_loss"] for r in found.records if r.table == "table2" and r.row == "c3d_random"]
    assert loss.label == "random, training"
    assert loss.y[0] == pytest.approx(sum(run[0] for run in runs) / len(runs), abs=1e-4)
    assert loss.low[0] == pytest.approx(min(run[0] for run in runs), abs=1e-4)
    assert [panel.y_label for row in figure.panels for panel in row] == ["loss", "accuracy (%)"]


def test_long_training_curves_are_thinned_and_keep_their_end(paper):
    curves = {name: [float(i) for i in range(300)] for name in ("train_loss", "validation_loss")}
    figure = next(f for f in charts.figures(section(paper, curves=curves)) if f.name.endswith("-training.svg"))
    line = figure.panels[0][0].lines[0]
    assert len(line.x) <= charts.POINTS + 1
    assert (line.x[0], line.x[-1]) == (1, 300)
    assert (line.y[0], line.y[-1]) == (0.0, 299.0)


def test_a_diverged_curve_is_a_gap(paper):
    curves = {"train_loss": [1.0, float("nan"), 0.5]}
    figure = next(f for f in charts.figures(section(paper, seeds=1, curves=curves)) if f.name.endswith("-training.svg"))
    assert figure.panels[0][0].lines[0].y == (1.0, None, 0.5)


def test_pairs_are_rows_of_one_network(paper):
    table = paper.table("table1")
    assert [(a.id, b.id) for a, b in charts.pairs(table)] == [("c3d_random", "c3d_order")]
    assert charts.pairs(paper.table("figure1")) == []


def test_no_records_no_figures(paper):
    assert charts.figures(sections(paper, [])[0]) == []


def test_figures_are_few_and_small_whatever_the_number_of_records(tmp_path, paper):
    curves = {name: [1 / (1 + i) for i in range(300)] for name in ("train_loss", "validation_loss")}
    few = charts.figures(section(paper, seeds=1, curves=curves))
    many = charts.figures(section(paper, seeds=20, curves=curves))
    assert [f.name for f in few] == [f.name for f in many]
    for figure in many:
        draw(figure, tmp_path)
        assert (tmp_path / figure.name).stat().st_size < 60_000
