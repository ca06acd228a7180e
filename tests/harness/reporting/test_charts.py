"""Charts: what is drawn of which results."""

from itertools import product
from pathlib import Path

import pytest

from harness import tables
from harness.reporting import charts, drawing, protocol_charts
from harness.reporting.drawing import draw
from harness.reporting.sections import sections
from tests.harness import results


@pytest.fixture
def paper(tmp_path):
    return results.small_paper(tmp_path)


def section(paper, **kinds):
    return sections(paper, list(results.records(paper, **kinds)))[0]


def test_top_k_curves_show_random_and_pretrained_and_print_only_where_comparable(paper):
    tiny = next(f for f in charts.of_section(section(paper)) if f.name.endswith("-topk.svg"))
    (panel,) = tiny.panels[0]
    assert [(line.label, line.colour, line.dashed) for line in panel.lines] == [
        ("random", 0, True),
        ("order", 1, False),
    ]
    assert panel.lines[0].x == (1, 5, 10)
    assert "tiny scale, synthetic data · 2 seeds" in tiny.title
    full = section(paper, scale="paper", scope="full")
    printed = next(f for f in charts.of_section(full) if f.name.endswith("-topk.svg")).panels[0][0].lines
    assert [line.y for line in printed if line.points_only] == [(16.0, 22.5, 26.7), (12.5, 29.0, 39.0)]
    band = printed[0]
    judged = full.judgements["table1", "c3d_random", "top1"]
    assert band.low[0] == pytest.approx(judged.ours - judged.sd, abs=1e-4)


def test_slope_is_printed_to_ours_only_where_comparable(paper):
    def slope(found):
        return next(f for f in charts.of_section(found) if f.name.endswith("-slope.svg"))

    tiny = slope(section(paper, offset=3))
    assert [tick[1] for tick in tiny.panels[0][0].ticks] == ["random", "pretrained"]
    full = slope(section(paper, scale="paper", scope="full", seeds=3))
    lines = [line for row in full.panels for panel in row for line in panel.lines]
    assert [tick[1] for tick in full.panels[0][0].ticks] == ["printed", "ours"]
    assert {line.y[0] for line in lines} == {16.0, 12.5, 61.6, 65.6, 28.4}
    assert {line.label for line in lines} == {"REPRODUCED"}


def test_training_curves_are_means_with_a_range(paper):
    found = section(paper, seeds=2, datasets=("ucf101",))
    chart = next(f for f in charts.of_section(found) if f.name.endswith("-training.svg"))
    loss = chart.panels[0][0].lines[0]
    runs = [r.curves["train_loss"] for r in found.records if r.table == "table2" and r.row == "c3d_random"]
    assert loss.label == "random, training"
    assert loss.y[0] == pytest.approx(sum(run[0] for run in runs) / len(runs), abs=1e-4)
    assert loss.low[0] == pytest.approx(min(run[0] for run in runs), abs=1e-4)
    assert [panel.y_label for row in chart.panels for panel in row] == ["loss", "accuracy (%)"]


def test_long_training_curves_are_thinned_and_keep_their_end(paper):
    curves = {name: [float(i) for i in range(300)] for name in ("train_loss", "validation_loss")}
    chart = next(f for f in charts.of_section(section(paper, curves=curves)) if f.name.endswith("-training.svg"))
    line = chart.panels[0][0].lines[0]
    assert len(line.x) <= charts.POINTS + 1
    assert (line.x[0], line.x[-1]) == (1, 300)
    assert (line.y[0], line.y[-1]) == (0.0, 299.0)


def test_a_diverged_curve_is_a_gap(paper):
    curves = {"train_loss": [1.0, float("nan"), 0.5]}
    chart = next(
        f for f in charts.of_section(section(paper, seeds=1, curves=curves)) if f.name.endswith("-training.svg")
    )
    assert chart.panels[0][0].lines[0].y == (1.0, None, 0.5)


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


def test_no_records_no_charts(paper):
    assert charts.of_section(sections(paper, [])[0]) == []


def test_charts_are_few_and_small_whatever_the_number_of_records(tmp_path, paper):
    curves = {name: [1 / (1 + i) for i in range(300)] for name in ("train_loss", "validation_loss")}
    few = charts.of_section(section(paper, seeds=1, curves=curves))
    many = charts.of_section(section(paper, seeds=20, curves=curves))
    assert [f.name for f in few] == [f.name for f in many]
    for chart in many:
        draw(chart, tmp_path)
        assert (tmp_path / chart.name).stat().st_size < 60_000


def test_slope_panels_stand_beside_each_other_as_far_as_their_labels_let_them(paper):
    found = section(paper, scale="paper", scope="full", seeds=3)
    assert [len(row) for row in next(f for f in charts.of_section(found) if f.name.endswith("-slope.svg")).panels] == [
        3
    ]
    assert drawing.end_label_width([]) == drawing.end_label_width([""]) == 0
    assert drawing.end_label_width(["R3D 50.2"]) < drawing.end_label_width(["R3D, fine-tuned 50.2"])
    assert (
        drawing.wrapped("Skip-Clip + rotation + negative sampling 61.6")
        == "Skip-Clip + rotation +\nnegative sampling 61.6"
    )


@pytest.fixture(scope="module")
def reference():
    return tables.load(Path(__file__).parents[3] / "reference_tables")


def own(reference, key, table, changed=lambda record: record, **kinds):
    """The protocols' own charts of made-up records of one table of a real paper, by the end of their names."""
    made = [changed(results.with_protocol_scores(r)) for r in results.records(reference[key], tables=(table,), **kinds)]
    (found,) = [one for one in sections(reference[key], made) if one.records]
    return {f.name.rpartition(f"{table}-")[2]: f for f in protocol_charts.of_section(found)}, found


def test_order_accuracy_by_class_is_sorted_and_has_the_classes_of_the_records(reference):
    def without_some(record):
        classes = {f"accuracy_{name}" for name in results.CLASSES}
        return record.model_copy(update={"scores": {k: v for k, v in record.scores.items() if k in classes}})

    found, _ = own(reference, "vcop-curriculum", "figure5", without_some, seeds=2)
    chart = found["classes.svg"]
    (panel,) = chart.panels[0]
    assert panel.bars
    assert [name for _, name in panel.ticks] == ["TaiChi", "Skijet", "JumpRope", "HulaHoop", "Diving", "Biking"]
    assert [line.label for line in panel.lines] == ["R3D", "R3D (sample-based)"]
    # 80 and 81 with the two seeds, and so on.
    assert panel.lines[0].y == (80.5, 70.5, 60.5, 50.5, 40.5, 30.5)
    assert (panel.lines[0].low[0], panel.lines[0].high[0]) == (80.0, 81.0)
    assert "chance 16.7 %" in chart.title


def test_many_classes_go_on_in_the_next_panel(reference, tmp_path):
    def with_many(record):
        return record.model_copy(update={"scores": {f"accuracy_ActionClass{i}": i / 2 for i in range(101)}})

    chart = own(reference, "vcop-curriculum", "figure5", with_many, seeds=1)[0]["classes.svg"]
    assert [len(panel.ticks) for panel in chart.panels[0]] == [34, 34, 33]
    assert chart.panels[0][0].ticks[0][1] == "ActionClass100"
    draw(chart, tmp_path)
    assert (tmp_path / chart.name).stat().st_size < 60_000


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
    assert not any(chart.name.endswith("-training.svg") for chart in charts.of_section(everything))


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
    assert not any(chart.name.endswith("-topk.svg") for chart in charts.of_section(everything))
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


def test_the_other_interval_stands_beside_a_charts_own(reference):
    made = list(results.records(reference["vcop-curriculum"], tables=("figure6", "table2"), seeds=1))
    (found,) = [one for one in sections(reference["vcop-curriculum"], made) if one.records]
    chart = next(f for f in charts.of_section(found) if "figure6" in f.name)
    r3d = next(panel for panel in chart.panels[0] if panel.title == "R3D")
    assert [(line.label, line.dashed) for line in r3d.lines] == [
        (f"16-{interval}-{length}", interval == 8) for length in (3, 4, 5) for interval in (16, 8)
    ]
    assert r3d.lines[0].x == (1, 5, 10)
    judged = [found.judgements["table2", "r3d_16_8_4", f"top{k}"].ours for k in (1, 5, 10)]
    assert r3d.lines[3].y == pytest.approx(judged, abs=1e-4)
    assert r3d.lines[2].colour == r3d.lines[3].colour
    # Table 2 itself is as the paper has it.
    table2 = next(f for f in charts.of_section(found) if "table2" in f.name)
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


def measured_apart(reference, table, seeds=2, **changes):
    """Charts of a table of srop, of a record for each protocol, weights, dataset and split, as runs write them."""
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
    return {f.name.rpartition(f"{table}-")[2]: f for f in protocol_charts.of_section(found)}, found


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
    chart = found["sides.svg"]
    (panel,) = chart.panels[0]
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
    draw(chart, tmp_path)
    some = [record for record in everything.records if record.row == "r3d_ucf101"]
    (subset,) = [one for one in sections(reference["srop"], some) if one.records]
    (chart,) = protocol_charts.of_section(subset)
    assert [name for _, name in chart.panels[0][0].ticks] == ["R3D, UCF101"]


def test_fine_tuning_with_and_without_pretraining_by_epoch(reference):
    curves = {"validation_accuracy": [12.5, 25.0, 50.0]}
    found, everything = measured_apart(reference, "finetune_epochs_to_plateau", curves=curves)
    (panel,) = found["validation.svg"].panels[0]
    # Nobody guesses orders here: no level of chance.
    assert [line.label for line in panel.lines] == ["Ours (view), R(2+1)D", "Random, R(2+1)D"]
    assert all(line.y == (12.5, 25.0, 50.0) for line in panel.lines)
    assert not any(chart.name.endswith("-training.svg") for chart in charts.of_section(everything))


def test_losses_of_view_synthesis_by_epoch(reference):
    curves = {f"validation_{name}": [0.5, 0.4, 0.3] for name in ("photometric", "kl", "info_max", "view_similarity")}
    found, everything = measured_apart(reference, "views", curves=curves | {"train_loss": [1.0, 0.9, 0.8]})
    panels = [panel for row in found["views.svg"].panels for panel in row]
    assert [panel.y_label for panel in panels] == list(protocol_charts.VIEW_CURVES.values())
    assert all(line.y == (0.5, 0.4, 0.3) for panel in panels for line in panel.lines)
    assert not any(chart.name.endswith("-training.svg") for chart in charts.of_section(everything))
    assert measured_apart(reference, "views")[0] == {}
