"""Plans: what is shared, what a key depends on, what narrows, what it costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import plan, runner, tables
from harness.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def vcop():
    return tables.load_paper(ROOT / "reference_tables" / "vcop.toml")


def settings(scale: str) -> dict:
    return runner.load_recipe("vcop", scale).settings.model_dump(mode="json")


def build(paper, scale="paper", **asked) -> plan.Plan:
    data = runner.official_data(["ucf101", "hmdb51"]).facts
    return plan.build(paper, settings(scale), data, runner.suite_facts(), plan.Request(**asked))


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
    [("fingerprint", False), ("scope", True), ("device", False), ("epochs", False), ("version", False)],
)
def test_a_key_changes_with_what_can_change_the_result(vcop, what, same):
    data, suite, asked, chosen = (
        runner.official_data(["ucf101"]).facts,
        runner.suite_facts(),
        plan.Request(),
        settings("paper"),
    )
    narrow = replace(asked, tables=("table1",), rows=("r3d",))
    before = plan.build(vcop, chosen, data, suite, narrow)
    if what == "fingerprint":
        data = {"ucf101": replace(data["ucf101"], fingerprint="subset-000000000000")}
    elif what == "scope":
        data = {"ucf101": replace(data["ucf101"], scope="subset")}
    elif what == "device":
        narrow = replace(narrow, device_kind="cuda")
    elif what == "epochs":
        chosen = settings("paper")
        chosen["pretraining"]["vcop"]["optimisation"]["epochs"] += 1
    else:
        suite = replace(suite, versions=suite.versions | {"pretrain": suite.versions["pretrain"] + 1})
    after = plan.build(vcop, chosen, data, suite, narrow)
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


def test_needed_datasets(vcop):
    asked = plan.Request(datasets=("hmdb51",), rows=("c3d_random",))
    assert plan.needed_datasets(vcop, settings("paper"), asked) == ["hmdb51"]
    asked = plan.Request(datasets=("hmdb51",), rows=("c3d_vcop",))
    assert plan.needed_datasets(vcop, settings("paper"), asked) == ["hmdb51", "ucf101"]


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
    assert pretrain.gmacs == pytest.approx(300 * 9537 * 3 * 3 * 19.89)
    stated = plan.speed(Path("nowhere"), "paper", 20.0)
    assert (stated.unit, stated.origin) == ("GPU-hours", "stated")
    assert stated.hours(pretrain) == pytest.approx(2 * pretrain.gmacs * 1e9 / 20e12 / 3600)


def test_the_tiny_scale_counts_core_hours(vcop):
    assert plan.speed(Path("nowhere"), "tiny", None).unit == "core-hours"
    tiny = build(vcop, scale="tiny", tables=("table1",), rows=("r3d",))
    pretrain = next(stage for stage in tiny.stages.values() if stage.kind == "pretrain")
    paper = build(vcop, tables=("table1",), rows=("r3d",))
    at_paper = next(stage for stage in paper.stages.values() if stage.kind == "pretrain")
    assert pretrain.gmacs < at_paper.gmacs / 1000
