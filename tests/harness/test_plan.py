"""Plans: what is shared, what a key depends on, what narrows, what it costs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import plan, tables
from harness.errors import UsageError
from harness.planning import builder, hours
from harness.planning.request import needed_datasets
from harness.running import door, stage_folders

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def vcop():
    return tables.load_paper(ROOT / "reference_tables" / "vcop.toml")


def settings(scale: str) -> dict:
    return door.load_recipe("vcop", scale).settings.model_dump(mode="json")


def suite_of(scale: str) -> plan.Suite:
    return door.suite_facts(door.load_recipe("vcop", scale))


def build(paper, scale="paper", **asked) -> plan.Plan:
    data = door.official_data(["ucf101", "hmdb51"]).facts
    return builder.build(paper, settings(scale), data, suite_of(scale), plan.Request(**asked))


def kinds(built: plan.Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for stage in built.stages.values():
        found[stage.kind] = found.get(stage.kind, 0) + 1
    return found


def test_the_whole_paper(vcop):
    count = kinds(build(vcop))
    assert count["pretrain"] == 3
    assert count["order-accuracy"] == 3
    # Three networks, random and pretrained, on two datasets with three splits.
    assert count["finetune"] == count["recognition"] == 3 * 2 * 2 * 3
    # Retrieval: untrained networks with three seeds, pretrained ones with one, on two datasets.
    assert count["video-retrieval"] == 2 * (3 * 3 + 3)
    assert count["check-data"] == 2
    assert "frames" not in count


def test_inputs_come_before_what_needs_them(vcop):
    seen = set()
    for key, stage in build(vcop, scale="tiny").stages.items():
        assert set(stage.inputs.values()) <= seen
        seen.add(key)


def test_tables_share_stages(vcop):
    retrieval = build(vcop, tables=("table2",), rows=("r3d_vcop",))
    recognition = build(vcop, tables=("table4",), rows=("r3d_vcop",))
    shared = set(retrieval.stages) & set(recognition.stages)
    assert {retrieval.stages[key].kind for key in shared} == {"check-data", "pretrain"}


def test_seeds_add_runs_and_keep_the_first(vcop):
    one, three = build(vcop), build(vcop, seeds=3)
    assert set(one.stages) < set(three.stages)
    assert kinds(three)["pretrain"] == 9
    assert kinds(three)["finetune"] == 108


@pytest.mark.parametrize(
    ("what", "same"),
    [
        ("fingerprint", False),
        ("scope", True),
        ("device", False),
        ("epochs", False),
        ("task", False),
        ("version", False),
    ],
)
def test_a_key_changes_with_what_can_change_the_result(vcop, what, same):
    data, suite, asked, chosen = (
        door.official_data(["ucf101"]).facts,
        suite_of("paper"),
        plan.Request(),
        settings("paper"),
    )
    narrow = replace(asked, tables=("table1",), rows=("r3d",))
    before = builder.build(vcop, chosen, data, suite, narrow)
    if what == "fingerprint":
        data = {"ucf101": replace(data["ucf101"], fingerprint="subset-000000000000")}
    elif what == "scope":
        data = {"ucf101": replace(data["ucf101"], scope="subset")}
    elif what == "device":
        narrow = replace(narrow, device_kind="cuda")
    elif what == "epochs":
        pretraining = suite.pretrainings["vcop"]
        optimisation = pretraining.settings["optimisation"] | {"epochs": 301}
        longer = replace(pretraining, settings=pretraining.settings | {"optimisation": optimisation})
        suite = replace(suite, pretrainings={"vcop": longer})
    elif what == "task":
        suite = replace(suite, pretrainings={"vcop": replace(suite.pretrainings["vcop"], version=2)})
    else:
        suite = replace(suite, versions=suite.versions | {"pretrain": suite.versions["pretrain"] + 1})
    after = builder.build(vcop, chosen, data, suite, narrow)
    pretrain = {stage.key for stage in before.stages.values() if stage.kind == "pretrain"}
    assert (pretrain <= set(after.stages)) == same
    # What comes after a changed stage changes with it.
    assert ({m.stage for m in before.measurements} == {m.stage for m in after.measurements}) == same


def test_data_stages_are_the_same_on_every_device(vcop):
    cpu, gpu = build(vcop, tables=("table1",)), build(vcop, tables=("table1",), device_kind="cuda")
    shared = set(cpu.stages) & set(gpu.stages)
    assert {cpu.stages[key].kind for key in shared} == {"check-data"}


def test_narrowing(vcop):
    built = build(vcop, tables=("table4",), rows=("c3d_vcop",), datasets=("hmdb51",))
    assert {(m.row, m.dataset) for m in built.measurements} == {("c3d_vcop", "hmdb51")}
    # It is still pretrained on UCF101.
    assert {stage.config["dataset"] for stage in built.stages.values() if stage.kind == "check-data"} == {
        "ucf101",
        "hmdb51",
    }


def test_a_dataset_that_is_not_asked_for_is_not_needed(vcop):
    # Cross-dataset retrieval asks both; it must not bring HMDB51 into a run on UCF101.
    asked = plan.Request(datasets=("ucf101",))
    assert needed_datasets(vcop, settings("paper"), suite_of("paper").pretrainings, asked) == {"ucf101": True}
    assert "cross-retrieval" not in kinds(build(vcop, datasets=("ucf101",)))
    assert kinds(build(vcop))["cross-retrieval"] == 2


def test_both_datasets_of_a_cross_retrieval_are_behind_it(vcop):
    crossed = [one for one in build(vcop).measurements if one.protocol == "cross-retrieval"]
    for measurement in crossed:
        assert {f"{kind}:{name}" for kind in ("check-data", "features") for name in ("ucf101", "hmdb51")} <= set(
            measurement.stages
        )


def test_splits_that_the_data_do_not_have_are_left_out(vcop):
    facts = door.official_data(["ucf101"]).facts["ucf101"]
    data = {"ucf101": replace(facts, sizes={1: facts.sizes[1]})}
    asked = plan.Request(datasets=("ucf101",), tables=("table4",), rows=("r3d_random",))
    built = builder.build(vcop, settings("paper"), data, suite_of("paper"), asked)
    assert {one.split for one in built.measurements} == {1}
    assert "no lists of split 3" in built.left_out["table4", "r3d_random"]


def test_a_frame_store_is_no_part_of_a_key(vcop):
    with_store, without = settings("tiny"), settings("tiny")
    without["video"]["store"] = False
    data, suite = door.official_data(["ucf101"]).facts, suite_of("tiny")
    asked = plan.Request(datasets=("ucf101",), tables=("table1",))
    stored, direct = (builder.build(vcop, chosen, data, suite, asked) for chosen in (with_store, without))
    assert "frames" in kinds(stored)
    assert "frames" not in kinds(direct)
    assert [one.stage for one in stored.measurements] == [one.stage for one in direct.measurements]


def test_a_speed_is_measured_only_on_runs_alike(tmp_path):
    chosen = settings("tiny")
    pretraining = chosen["pretraining"]["vcop"]
    config = {"width": chosen["width"], "video": chosen["video"], "pretraining": pretraining}
    for number, (name, changed) in enumerate({"alike": {}, "wider": {"width": 64}}.items()):
        folder = tmp_path / "pretrain" / name
        folder.mkdir(parents=True)
        done = {"device_kind": "cpu", "config": config | changed, "gmacs": 100.0, "seconds": 10.0 * (1 + 9 * number)}
        done["result"] = {}
        (folder / "result.json").write_text(json.dumps(done), encoding="utf-8")
    # What is damaged, and what is not done, tells nothing.
    for name, content in {"damaged": "", "half": '{"device', "alike.partial": json.dumps(done)}.items():
        (tmp_path / "pretrain" / name).mkdir()
        (tmp_path / "pretrain" / name / "result.json").write_text(content, encoding="utf-8")
    speed = hours.speed(stage_folders.results(tmp_path, "pretrain"), chosen, "cpu", None)
    assert speed.origin == "measured on this machine"
    assert speed.tflops == pytest.approx(0.02)


def test_needed_datasets(vcop):
    asked = plan.Request(datasets=("hmdb51",), rows=("c3d_random",))
    assert needed_datasets(vcop, settings("paper"), suite_of("paper").pretrainings, asked) == {"hmdb51": True}
    asked = plan.Request(datasets=("hmdb51",), rows=("c3d_vcop",))
    assert needed_datasets(vcop, settings("paper"), suite_of("paper").pretrainings, asked) == {
        "hmdb51": True,
        "ucf101": False,
    }


@pytest.mark.parametrize(
    ("asked", "message"), [({"rows": ("r4d",)}, "no row 'r4d'"), ({"tables": ("table9",)}, "no table 'table9'")]
)
def test_unknown_names(vcop, asked, message):
    with pytest.raises(UsageError, match=message):
        build(vcop, **asked)


def test_costs_by_hand(vcop):
    built = build(vcop, tables=("table1",), rows=("r3d",))
    pretrain = next(stage for stage in built.stages.values() if stage.kind == "pretrain")
    # 300 epochs of 9,537 tuples of 3 clips, forward and backward, 19.89 G multiply-accumulates a clip.
    assert pretrain.gmacs == pytest.approx(300 * 9537 * 3 * 3 * 19.89, rel=1e-3)
    stated = hours.speed([], settings("paper"), "cuda", 20.0)
    assert (stated.unit, stated.origin) == ("GPU-hours", "stated")
    assert stated.hours(pretrain) == pytest.approx(2 * pretrain.gmacs * 1e9 / 20e12 / 3600)


def test_the_tiny_scale_counts_core_hours(vcop):
    assert hours.speed([], settings("tiny"), "cpu", None).unit == "core-hours"
    tiny = build(vcop, scale="tiny", tables=("table1",), rows=("r3d",))
    pretrain = next(stage for stage in tiny.stages.values() if stage.kind == "pretrain")
    paper = build(vcop, tables=("table1",), rows=("r3d",))
    at_paper = next(stage for stage in paper.stages.values() if stage.kind == "pretrain")
    assert pretrain.gmacs < at_paper.gmacs / 1000
