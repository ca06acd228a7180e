"""Figures: what is drawn of which results, that nothing drawn hides data or invents it, and that bytes are stable."""

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path

import pytest

from harness import tables
from harness.reporting import charts, figures, protocol_charts
from harness.reporting.figures import STYLE_VERSION, Figure, Line, Panel, draw, drawn_digest
from harness.reporting.sections import sections
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


def test_the_digest_is_that_of_every_field():
    figure = a_figure(Line("curve", (1, 2), (0.5, None), (0.4, None), (0.6, None), end_label="R3D"))
    content = json.dumps([STYLE_VERSION, asdict(figure)], sort_keys=True, separators=(",", ":"))
    assert figure.digest() == hashlib.sha256(content.encode()).hexdigest()


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
    figure = Figure("a.svg", "Slopes", "Slopes.", ((panel,) * 3, (panel,) * 3), share_y=False)
    draw(figure, tmp_path / "small")
    small = (tmp_path / "small" / "a.svg").read_text(encoding="utf-8")
    assert len(small.encode()) < 60_000
    monkeypatch.setattr(figures, "_compact", lambda svg: svg)
    draw(figure, tmp_path / "whole")
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
    draw(a_figure(Line("curve", (1, 2, 3, 4), (0.5, None, 0.7, 0.8), colour=2)), tmp_path)
    svg = with_styles((tmp_path / "a.svg").read_text(encoding="utf-8"))
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


def test_what_was_tuned_with_labels_is_no_baseline_of_what_was_not():
    reference = tables.load(Path(__file__).parents[3] / "reference_tables")
    assert charts.pairs(reference["vcop-curriculum"].table("table6")) == []
    # In both rows or in neither it is.
    aslan = [(a.id, b.id) for a, b in charts.pairs(reference["mas"].table("table5"))]
    assert ("c3d_scratch_label", "c3d_finetune_selfsup") in aslan
    assert len(aslan) == 2


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


# ---------------------------------------------------------------- long labels, bars, and the protocols' own charts


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
    draw(Figure("a.svg", "Slopes", "Slopes.", ((panel, panel),), share_y=False), tmp_path)
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


def test_slope_panels_stand_beside_each_other_as_far_as_their_labels_let_them(paper):
    found = section(paper, scale="paper", scope="full", seeds=3)
    assert [len(row) for row in next(f for f in charts.figures(found) if f.name.endswith("-slope.svg")).panels] == [3]
    assert figures.end_label_width([]) == figures.end_label_width([""]) == 0
    assert figures.end_label_width(["R3D 50.2"]) < figures.end_label_width(["R3D, fine-tuned 50.2"])
    assert (
        figures.wrapped("Skip-Clip + rotation + negative sampling 61.6")
        == "Skip-Clip + rotation +\nnegative sampling 61.6"
    )


def test_bars_start_at_zero_and_go_from_the_top_down(tmp_path):
    line = Line("R3D", (0, 1, 2), (80.0, None, 20.0), (75.0, None, 20.0), (85.0, None, 20.0))
    panel = Panel("", "", "accuracy (%)", (line,), ((0, "Archery"), (1, "Biking"), (2, "Diving")), bars=True)
    draw(a_figure(panels=((panel,),)), tmp_path)
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


@pytest.fixture(scope="module")
def reference():
    return tables.load(Path(__file__).parents[3] / "reference_tables")


def own(reference, key, table, changed=lambda record: record, **kinds):
    """The protocols' own figures of made-up records of one table of a real paper, by the end of their names."""
    made = [changed(results.with_protocol_scores(r)) for r in results.records(reference[key], tables=(table,), **kinds)]
    (found,) = [one for one in sections(reference[key], made) if one.records]
    return {f.name.rpartition(f"{table}-")[2]: f for f in protocol_charts.figures(found)}, found


def test_order_accuracy_by_class_is_sorted_and_has_the_classes_of_the_records(reference):
    def without_some(record):
        classes = {f"accuracy_{name}" for name in results.CLASSES}
        return record.model_copy(update={"scores": {k: v for k, v in record.scores.items() if k in classes}})

    found, _ = own(reference, "vcop-curriculum", "figure5", without_some, seeds=2)
    figure = found["classes.svg"]
    (panel,) = figure.panels[0]
    assert panel.bars
    assert [name for _, name in panel.ticks] == ["TaiChi", "Skijet", "JumpRope", "HulaHoop", "Diving", "Biking"]
    assert [line.label for line in panel.lines] == ["R3D", "R3D (sample-based)"]
    # 80 and 81 with the two seeds, and so on.
    assert panel.lines[0].y == (80.5, 70.5, 60.5, 50.5, 40.5, 30.5)
    assert (panel.lines[0].low[0], panel.lines[0].high[0]) == (80.0, 81.0)
    assert "chance 16.7 %" in figure.title


def test_many_classes_go_on_in_the_next_panel(reference, tmp_path):
    def with_many(record):
        return record.model_copy(update={"scores": {f"accuracy_ActionClass{i}": i / 2 for i in range(101)}})

    figure = own(reference, "vcop-curriculum", "figure5", with_many, seeds=1)[0]["classes.svg"]
    assert [len(panel.ticks) for panel in figure.panels[0]] == [34, 34, 33]
    assert figure.panels[0][0].ticks[0][1] == "ActionClass100"
    draw(figure, tmp_path)
    assert (tmp_path / figure.name).stat().st_size < 60_000


def test_order_accuracy_without_classes_has_no_chart_of_them(reference):
    assert own(reference, "vcop-curriculum", "table1")[0] == {}


def test_validation_curves_stand_beside_chance(reference):
    found, everything = own(reference, "vcop-curriculum", "figure4", seeds=2)
    (panel,) = found["validation.svg"].panels[0]
    *curves, chance = panel.lines
    assert [line.label for line in curves] == ["C3D", "C3D, larger learning rate", "C3D (task-based)"]
    assert curves[0].y == tuple(20.5 + epoch for epoch in range(8))
    assert (curves[0].low[0], curves[0].high[0]) == (20.0, 21.0)
    assert chance.label == "chance (4.2 %)"
    assert chance.x == (1, 8)
    assert chance.y == pytest.approx((100 / 24, 100 / 24), abs=1e-3)
    assert not any(figure.name.endswith("-training.svg") for figure in charts.figures(everything))


def test_an_unknown_tuple_length_has_no_chance_level(reference):
    found, _ = own(reference, "vcop-curriculum", "figure4", lambda record: record.model_copy(update={"settings": {}}))
    assert len(found["validation.svg"].panels[0][0].lines) == 3


def test_retrieval_by_layer_is_a_line_for_each_network(reference):
    found, everything = own(reference, "vcop-curriculum", "table4", seeds=2)
    (panel,) = found["layer.svg"].panels[0]
    assert [line.label for line in panel.lines] == ["C3D", "R3D", "R(2+1)D"]
    assert panel.ticks == tuple((place, str(place + 1)) for place in range(5))
    judged = [everything.judgements["table4", f"r3d_layer{layer}", "top1"].ours for layer in range(1, 6)]
    assert panel.lines[1].y == pytest.approx(judged, abs=1e-4)
    assert panel.y_label == "Top1 (%)"
    assert not any(figure.name.endswith("-topk.svg") for figure in charts.figures(everything))
    full, _ = own(reference, "vcop-curriculum", "table4", scale="paper", scope="full")
    printed = [line for line in full["layer.svg"].panels[0][0].lines if line.points_only]
    assert printed[0].y[:3] == (18.4, 20.5, 23.3)


def test_recognition_by_the_first_stage_that_learns(reference):
    found, everything = own(reference, "vcop-curriculum", "figure10", seeds=2)
    (panel,) = found["finetune-from.svg"].panels[0]
    assert [name for _, name in panel.ticks] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    judged = [everything.judgements["figure10", f"finetune_from_conv{n}", "accuracy"].ours for n in range(1, 6)]
    assert panel.lines[0].y == pytest.approx(judged, abs=1e-4)
    # Recognition of networks as a whole has no such steps.
    assert own(reference, "vcop-curriculum", "split1")[0] == {}


def test_the_other_interval_stands_beside_a_figures_own(reference):
    made = list(results.records(reference["vcop-curriculum"], tables=("figure6", "table2"), seeds=1))
    (found,) = [one for one in sections(reference["vcop-curriculum"], made) if one.records]
    figure = next(f for f in charts.figures(found) if "figure6" in f.name)
    r3d = next(panel for panel in figure.panels[0] if panel.title == "R3D")
    assert [(line.label, line.dashed) for line in r3d.lines] == [
        (f"16-{interval}-{length}", interval == 8) for length in (3, 4, 5) for interval in (16, 8)
    ]
    assert r3d.lines[0].x == (1, 5, 10)
    judged = [found.judgements["table2", "r3d_16_8_4", f"top{k}"].ours for k in (1, 5, 10)]
    assert r3d.lines[3].y == pytest.approx(judged, abs=1e-4)
    assert r3d.lines[2].colour == r3d.lines[3].colour
    # Table 2 itself is as the paper has it.
    table2 = next(f for f in charts.figures(found) if "table2" in f.name)
    assert {line.label for panel in table2.panels[0] for line in panel.lines} >= {"random", "16-8-3"}
    assert "16-16-3" not in {line.label for panel in table2.panels[0] for line in panel.lines}


def test_the_score_of_each_target_is_drawn_in_the_order_of_time(reference):
    def with_ten(record):
        return record.model_copy(update={"scores": record.scores | {"score_10": 0.1}})

    found, _ = own(reference, "skip-clip", "ranking", with_ten, seeds=2)
    (panel,) = found["targets.svg"].panels[0]
    assert panel.lines[0].x == (1, 2, 3, 4, 5, 6, 10)
    assert panel.lines[0].y[0] == pytest.approx(0.755)
    assert [line.label for line in panel.lines] == [
        "Ranking alone",
        "Ranking and rotation",
        "Ranking, rotation and negatives",
    ]


# --- srop: several protocols in a table, and columns of different weights


def measured_apart(reference, table, seeds=2, **changes):
    """Figures of a table of srop, of a record for each protocol, weights, dataset and split, as runs write them."""
    paper, made = reference["srop"], []
    for row in paper.table(table).rows:
        cells: dict[tuple, list] = {}
        for column in paper.table(table).columns:
            cell = paper.table(table).cell(row.id, column.id)
            cells.setdefault((cell.protocol, cell.weights, cell.dataset, cell.splits), []).append(cell)
        for (*_, dataset, splits), group in cells.items():
            for split, seed in product(splits, range(seeds)):
                where = (paper, table, row.id, dataset, split, seed, group, "tiny", "synthetic", 0.0, 0.5, 40, changes)
                made.append(results.record(*where))
    (found,) = [one for one in sections(paper, made) if one.records]
    return {f.name.rpartition(f"{table}-")[2]: f for f in protocol_charts.figures(found)}, found


@pytest.mark.parametrize(
    ("table", "setting", "rows", "ticks"),
    [
        ("table3", "segments", ("n2", "n3", "n4", "n5"), ("2", "3", "4", "5")),
        ("table4", "max-rate", ("p1_4", "p1_6", "p1_8", "p1_10"), ("4", "6", "8", "10")),
    ],
)
def test_scores_by_segments_and_by_rates(reference, table, setting, rows, ticks):
    found, everything = measured_apart(reference, table)
    assert set(found) == {f"{setting}.svg"}
    panels = [panel for row in found[f"{setting}.svg"].panels for panel in row]
    names = ["Order acc. (%)", "Samp. error", "Cntr. loss", "Top-1 (%)", "Recog. acc. (%)"]
    assert [panel.y_label for panel in panels] == names
    columns = [column.id for column in reference["srop"].table(table).columns]
    for panel, column in zip(panels, columns, strict=True):
        assert tuple(name for _, name in panel.ticks) == ticks
        (line,) = panel.lines
        judged = [everything.judgements[table, row, column] for row in rows]
        assert line.y == pytest.approx([one.ours for one in judged], abs=1e-3)
        assert all(low <= y <= high for low, y, high in zip(line.low, line.y, line.high, strict=True))


def test_random_beside_pretrained_is_a_pair_of_bars_for_each_row_that_ran(reference, tmp_path):
    found, everything = measured_apart(reference, "table2")
    figure = found["sides.svg"]
    (panel,) = figure.panels[0]
    assert panel.bars
    assert panel.y_label == "accuracy (%)"
    names = ["C3D, UCF101", "C3D, HMDB51", "R3D, UCF101", "R3D, HMDB51", "R(2+1)D, UCF101", "R(2+1)D, HMDB51"]
    assert [name for _, name in panel.ticks] == names
    assert [line.label for line in panel.lines] == ["Random", "Self-supervised"]
    for line, column in zip(panel.lines, ("random", "self_supervised"), strict=True):
        judged = [
            everything.judgements["table2", row.id, column].ours for row in reference["srop"].table("table2").rows
        ]
        assert line.y == pytest.approx(judged, abs=1e-3)
    draw(figure, tmp_path)
    some = [record for record in everything.records if record.row == "r3d_ucf101"]
    (subset,) = [one for one in sections(reference["srop"], some) if one.records]
    (figure,) = protocol_charts.figures(subset)
    assert [name for _, name in figure.panels[0][0].ticks] == ["R3D, UCF101"]


def test_fine_tuning_with_and_without_pretraining_by_epoch(reference):
    curves = {"validation_accuracy": [12.5, 25.0, 50.0]}
    found, everything = measured_apart(reference, "finetune_epochs_to_plateau", curves=curves)
    (panel,) = found["validation.svg"].panels[0]
    # Nobody guesses orders here: no level of chance.
    assert [line.label for line in panel.lines] == ["Ours (view), R(2+1)D", "Random, R(2+1)D"]
    assert all(line.y == (12.5, 25.0, 50.0) for line in panel.lines)
    assert not any(figure.name.endswith("-training.svg") for figure in charts.figures(everything))


def test_losses_of_view_synthesis_by_epoch(reference):
    curves = {f"validation_{name}": [0.5, 0.4, 0.3] for name in ("photometric", "kl", "info_max", "view_similarity")}
    found, everything = measured_apart(reference, "views", curves=curves | {"train_loss": [1.0, 0.9, 0.8]})
    panels = [panel for row in found["views.svg"].panels for panel in row]
    assert [panel.y_label for panel in panels] == list(protocol_charts.VIEW_CURVES.values())
    assert all(line.y == (0.5, 0.4, 0.3) for panel in panels for line in panel.lines)
    assert not any(figure.name.endswith("-training.svg") for figure in charts.figures(everything))
    assert measured_apart(reference, "views")[0] == {}
