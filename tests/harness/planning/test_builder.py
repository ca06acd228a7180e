"""Plans of the later papers: every cell is planned, stages are shared between papers, curricula are chains."""

from pathlib import Path

import pytest

from harness import plan, tables
from harness.errors import UsageError
from harness.planning import builder
from harness.running import door

ROOT = Path(__file__).parents[3]
DATASETS = ("ucf101", "hmdb51", "kinetics400", "aslan", "yupenn", "activitynet-qa")


def build(key: str, scale: str = "paper", **asked) -> plan.Plan:
    paper = tables.load_paper(ROOT / "reference_tables" / f"{key}.toml")
    recipe = door.load_recipe(key, scale)
    settings = recipe.settings.model_dump(mode="json")
    data = door.official_data(list(DATASETS)).facts
    return builder.build(paper, settings, data, door.suite_facts(recipe), plan.Request(**asked))


def of_kind(built: plan.Plan, kind: str) -> list[plan.Stage]:
    return [stage for stage in built.stages.values() if stage.kind == kind]


def stage_behind(built: plan.Plan, table: str, row: str, kind: str) -> plan.Stage:
    """The stage of that kind behind a row's first result."""
    found = next(one for one in built.measurements if (one.table, one.row) == (table, row))
    keys = [found.stage, *found.stages.values()]
    return next(built.stages[key] for key in keys if built.stages[key].kind == kind)


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("mas", [f"table{number}" for number in range(1, 7)]),
        ("vcop-curriculum", [f"table{number}" for number in range(1, 7)]),
        ("srop", [f"table{number}" for number in range(2, 12)]),
        ("skip-clip", ["table1", "table2", "table3"]),
    ],
)
def test_every_own_cell_of_a_papers_tables_is_planned(key, asked):
    built = build(key, everything=True)
    paper = tables.load_paper(ROOT / "reference_tables" / f"{key}.toml")
    for name in asked:
        own = {(cell.row, cell.column) for cell in paper.table(name).cells() if cell.source == "own" and cell.printed}
        planned = {(m.row, column) for m in built.measurements if m.table == name for column in m.columns}
        assert planned == own, name


@pytest.mark.parametrize("scale", ["paper", "small", "tiny"])
@pytest.mark.parametrize("network", ["c3d", "r3d", "r21d"])
def test_three_clips_at_eight_frames_are_trained_once_for_both_papers(scale, network):
    first, second = build("vcop", scale), build("vcop-curriculum", scale, everything=True)
    for table, kind in (("table2", "features"), ("table2", "pretrain")):
        shared = stage_behind(first, table, f"{network}_vcop", kind)
        assert shared.key == stage_behind(second, table, f"{network}_16_8_3", kind).key
    finetuned = stage_behind(first, "table4", f"{network}_vcop", "finetune")
    assert finetuned.key in {stage.key for stage in of_kind(second, "finetune")}


def test_a_task_based_curriculum_is_a_chain():
    built = build("vcop-curriculum", everything=True)
    last = stage_behind(built, "table2", "r3d_16_8_5", "features").inputs["pretrain"]
    lengths = []
    while last:
        stage = built.stages[last]
        lengths.append(stage.config["pretraining"]["tuple_length"])
        last = stage.inputs.get("pretrain")
    assert lengths == [5, 4, 3]
    # Three networks, eight curriculum stages of which sample-based is R3D's alone; C3D from scratch twice; 600 epochs.
    assert len(of_kind(built, "pretrain")) == 3 * 6 + 1 + 2 + 1


def test_a_result_names_every_stage_of_its_curriculum():
    built = build("vcop-curriculum", everything=True)

    def roles(table: str, row: str) -> set[str]:
        found = next(one for one in built.measurements if (one.table, one.row) == (table, row))
        return {role for role in found.stages if role.startswith("pretrain")}

    assert roles("table2", "r3d_16_8_5") == {"pretrain", "pretrain:16-8-3", "pretrain:16-8-4"}
    assert roles("figure9", "ucf101_to_hmdb51") == {"pretrain", "pretrain:16-8-3"}


def test_the_fifth_layer_is_the_retrieval_feature_itself():
    built = build("vcop-curriculum", everything=True)
    fifth = stage_behind(built, "table4", "r3d_layer5", "features")
    assert fifth == stage_behind(built, "table2", "r3d_16_8_3", "features")
    assert stage_behind(built, "table4", "r3d_layer2", "features").config["pooling"] == "layer2"


def test_the_freezing_ladder_shares_its_first_rung_with_table_5():
    built = build("vcop-curriculum", everything=True)
    rungs = [stage_behind(built, "figure10", f"finetune_from_conv{n}", "finetune") for n in range(1, 6)]
    assert [rung.config["finetuning"]["freeze_below"] for rung in rungs] == [f"conv{n}" for n in range(1, 6)]
    assert rungs[0] == stage_behind(built, "split1", "r3d_16_8_3", "finetune")


def test_a_scale_may_run_a_subset_and_says_so():
    default, everything = build("vcop-curriculum", "tiny"), build("vcop-curriculum", "tiny", everything=True)
    assert set(default.stages) < set(everything.stages)
    reason = default.left_out["table2", "c3d_random"]
    assert "--all" in reason
    # What is named is run, subset or not.
    assert build("vcop-curriculum", "tiny", rows=("c3d_random",)).measurements
    assert ("table2", "c3d_random") not in everything.left_out


def test_the_labels_decide_whether_flow_is_an_input():
    built = build("mas", "tiny")
    (flow,) = [stage for stage in of_kind(built, "flow") if stage.config["dataset"] == "ucf101"]
    for stage in of_kind(built, "pretrain"):
        if stage.config["pretraining"]["dataset"] == "ucf101":
            assert stage.inputs["flow:ucf101"] == flow.key
    assert flow.config["flow"]["method"] == "brox"
    assert "store" not in flow.config["flow"]


def test_another_method_of_flow_takes_none_of_the_first_ones_parameters():
    paper = tables.load_paper(ROOT / "reference_tables" / "mas.toml")
    recipe = door.load_recipe("mas", "tiny")
    settings = recipe.settings.model_dump(mode="json")
    settings["flow"]["method"] = "dis"
    data = door.official_data(list(DATASETS)).facts
    asked = plan.Request(tables=("statistics",))
    built = builder.build(paper, settings, data, door.suite_facts(recipe), asked)
    assert [stage.config["flow"] for stage in of_kind(built, "flow")] == [{"method": "dis"}]


def test_flow_on_the_fly_is_another_recipe():
    recipe = door.load_recipe("mas", "tiny")
    flow = recipe.settings.flow.model_copy(update={"store": False})
    other = recipe.model_copy(update={"settings": recipe.settings.model_copy(update={"flow": flow})})
    assert other.hash() != recipe.hash()


def test_the_extractors_of_the_similarity_probe():
    built = build("mas", tables=("table5",))

    def before(row: str) -> str | None:
        key = stage_behind(built, "table5", row, "probe-features").inputs.get("pretrain")
        return built.stages[key].kind if key else None

    assert before("c3d_random") is None
    assert before("c3d_selfsup") == "pretrain"
    assert before("c3d_scratch_label") == before("c3d_finetune_selfsup") == "finetune"
    supervised = stage_behind(built, "table5", "c3d_scratch_label", "probe-features").inputs["pretrain"]
    assert "pretrain" not in built.stages[supervised].inputs


def test_imagenet_weights_are_run_where_they_are_at_hand():
    paper = tables.load_paper(ROOT / "reference_tables" / "skip-clip.toml")
    recipe = door.load_recipe("skip-clip", "paper")
    settings = recipe.settings.model_dump(mode="json")
    data = door.official_data(["ucf101"]).facts
    asked = plan.Request(tables=("initialisation",))
    without = builder.build(paper, settings, data, door.suite_facts(recipe), asked)
    assert "imagenet/resnet18" in without.left_out["initialisation", "imagenet"]
    data = data | {"imagenet": plan.DataFacts("full-0123456789ab", "full", {}, 1000)}
    given = builder.build(paper, settings, data, door.suite_facts(recipe), asked)
    assert [stage.data for stage in of_kind(given, "inflate")] == [{"imagenet": "full-0123456789ab"}]


def test_margins_are_varied_at_tiny_scale_alone():
    assert len({m.row for m in build("skip-clip", "tiny").measurements if m.table == "margins"}) == 5
    assert {m.row for m in build("skip-clip").measurements if m.table == "margins"} == {"chosen"}


def test_views_are_made_by_a_network_that_was_pretrained_without_them():
    built = build("srop", everything=True)
    view = stage_behind(built, "table6", "full", "features").inputs["pretrain"]
    views = built.stages[built.stages[view].inputs["views"]]
    assert views.config["pretraining"]["pretext"] == "srop.view_synthesis"
    before = built.stages[views.inputs["pretrain"]]
    assert (
        before == built.stages[stage_behind(built, "table6", "order_rate_cntr_shuffle", "features").inputs["pretrain"]]
    )
    # What a pretraining starts from, or takes views from, is known by its key and not by its name.
    assert not {"start", "views"} & built.stages[view].config["pretraining"].keys()
    found = next(one for one in built.measurements if (one.table, one.row) == ("table11", "r21d_ours"))
    assert {role for role in found.stages if role.startswith("pretrain")} == {
        "pretrain",
        "pretrain:views",
        "pretrain:full",
    }


@pytest.mark.parametrize("scale", ["paper", "tiny"])
def test_segments_and_rates_are_varied_one_at_a_time(scale):
    built = build("srop", scale, everything=True)

    def pretraining(table: str, row: str) -> dict:
        found = next(one for one in built.measurements if (one.table, one.row) == (table, row))
        return built.stages[found.stages["pretrain"]].config["pretraining"]

    usual = pretraining("table3", "n3")
    assert usual == pretraining("table4", "p1_8") == pretraining("table5", "r21d_regression")
    assert [pretraining("table3", f"n{n}")["segments"] for n in (2, 3, 4, 5)] == [2, 3, 4, 5]
    rates = [pretraining("table4", f"p1_{u}")["max_rate"] for u in (4, 6, 8, 10)]
    assert rates == sorted(set(rates))
    assert rates == [4, 6, 8, 10] or scale == "tiny"
    differs = {key for key in usual if usual[key] != pretraining("table5", "r21d_classification")[key]}
    assert differs == {"rate_head"}


def test_a_row_about_other_clips_has_all_its_stages_at_their_size():
    built = build("srop", everything=True)
    for row, expected in (("r3d_112_16", (16, 112)), ("r3d_112_64", (64, 112)), ("s3dg_224_16", (16, 224))):
        recognition = stage_behind(built, "table9", row, "recognition")
        finetune = built.stages[recognition.inputs["finetune"]]
        view = built.stages[finetune.inputs["pretrain"]]
        chain = [recognition, finetune, view, built.stages[view.inputs["views"]]]
        for stage in chain:
            video = stage.config["video"]
            assert (video["clip_length"], video["crop"]) == expected
            assert video["resize"][0] * 112 == pytest.approx(video["crop"] * 128, abs=112)


def test_costs_are_counted_at_the_papers_size_whatever_the_scale():
    for scale in ("paper", "tiny"):
        built = build("srop", scale, everything=True)
        long = stage_behind(built, "table10", "ours_s3dg", "cost")
        assert (long.config["width"], long.config["video"]["clip_length"], long.config["video"]["crop"]) == (
            64,
            64,
            152,
        )
        plain = stage_behind(built, "table8", "ours_order_c3d", "cost")
        assert (plain.config["video"]["clip_length"], plain.config["video"]["crop"]) == (16, 112)
        assert not plain.inputs
        assert "networks" not in plain.config
        assert "clips" not in plain.config
        views = stage_behind(built, "table10", "ours_view_r3d", "cost").config["networks"]["views"]
        paper = door.load_recipe("srop", "paper").settings.pretraining["views"]
        assert (views["channels"], views["latent"]) == (paper.channels, paper.latent)


def test_the_cost_of_a_tuple_is_counted_beside_that_of_a_clip():
    built = build("srop", "tiny", tables=("macs",))
    found = {one.row: built.stages[one.stage].config for one in built.measurements if one.table == "macs"}
    assert len(found) == len(of_kind(built, "cost")) == 6
    for network, backbone in (("c3d", "c3d"), ("r3d", "r3d"), ("r21d", "r2plus1d")):
        order, vcop = found[f"{network}_order"], found[f"{network}_vcop"]
        assert (order["backbone"], order.get("clips"), vcop["backbone"], vcop["clips"]) == (backbone, None, backbone, 3)
    # The count of Table VIII itself.
    assert found["r21d_order"] == stage_behind(build("srop", "tiny"), "table8", "ours_order_r21d", "cost").config


@pytest.mark.parametrize("scale", ["paper", "tiny"])
def test_errors_of_all_ranges_stand_beside_a_constant_of_the_same_stage(scale):
    built = build("srop", scale, everything=True)
    for row in ("p1_4", "p1_6", "p1_10"):
        scores = stage_behind(built, "pretext_scores", row, "segment-scores")
        assert scores == stage_behind(built, "table4", row, "segment-scores")


def test_questions_are_answered_from_twenty_clips_and_the_baseline_is_shared():
    built = build("vcop-curriculum", tables=("table6",))
    answered = of_kind(built, "video-qa")
    assert len(answered) == 6
    assert len({stage.inputs["baseline"] for stage in answered}) == 1
    for stage in answered:
        features = built.stages[stage.inputs["features"]].config
        assert (features["dataset"], features["clips"], features["pooling"]) == ("activitynet-qa", 20, "global")
    pretrained = stage_behind(built, "table6", "c3d_pretrained", "features")
    assert built.stages[pretrained.inputs["pretrain"]].kind == "finetune"


def test_questions_are_among_what_the_tiny_scale_runs_by_default():
    built = build("vcop-curriculum", "tiny")
    rows = {(one.table, one.row) for one in built.measurements if one.protocol == "video-qa"}
    assert rows == {(t, f"r3d_{weights}") for t in ("table6", "qa_baselines") for weights in ("pretrained", "ssvcop")}
    # What stands beside the baselines is the result of the table, not another run.
    assert len(of_kind(built, "video-qa")) == 2
    assert len(of_kind(built, "question-baseline")) == 1


def test_questions_have_a_cost():
    built = build("vcop-curriculum", tables=("table6",))
    (baseline,), (answered, *_) = of_kind(built, "question-baseline"), of_kind(built, "video-qa")
    # By hand: 50,000 questions, forward and backward, 40 epochs; 300 values to 4 gates of 300, of 9 words and the state.
    words = 50_000 * 3 * 40 * 9 * 2 * 300 * 4 * 300
    assert baseline.gmacs == pytest.approx(words / 1e9)
    assert answered.gmacs == pytest.approx((words + 50_000 * 3 * 40 * 20 * 512 * 256) / 1e9)


@pytest.mark.parametrize("content", ["the 1 2\n", "400000 300\n", "the 1 2 3 4\nand 1 2 3\n", "\n", ""])
def test_word_vectors_of_another_size_are_refused_before_anything_runs(tmp_path, content):
    path = tmp_path / "glove.txt"
    path.write_text(content, encoding="utf-8")
    data = door.official_data(["activitynet-qa"])
    with pytest.raises(UsageError, match=r"glove\.txt: its first line has \d numbers?, not 3; give glove\.6B\.3d\.txt"):
        door.with_glove(data, path, 3)
    path.write_text("the 1 2 3\nand 4 5 6\n", encoding="utf-8")
    assert door.with_glove(data, path, 3).roots["glove"] == path
    with pytest.raises(UsageError, match=r"none\.txt: no such file; give glove\.6B\.3d\.txt"):
        door.with_glove(data, tmp_path / "none.txt", 3)
