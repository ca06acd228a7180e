"""Which protocols a plan knows: the usual ones and the scores of the recipe's tasks; what is neither is a slip."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import plan, tables
from harness.errors import UsageError
from harness.planning import builder, protocols
from harness.running import door

TABLE = Path(__file__).parents[3] / "reference_tables" / "vcop.toml"


@pytest.fixture(scope="module")
def recipe():
    return door.load_recipe("vcop", "paper")


@pytest.fixture
def written(tmp_path, recipe):
    """Plans VCOP's tables with the first table's protocol, or some of its weights, called otherwise."""

    def planned(found: str, instead: str, scores: dict[str, int] | None = None) -> plan.Plan:
        text = TABLE.read_text(encoding="utf-8")
        assert found in text
        path = tmp_path / "vcop.toml"
        path.write_text(text.replace(found, instead, 1), encoding="utf-8")
        suite = door.suite_facts(recipe)
        if scores is not None:
            pretrainings = {name: replace(one, scores=scores) for name, one in suite.pretrainings.items()}
            suite = replace(suite, pretrainings=pretrainings)
        data = door.official_data(["ucf101", "hmdb51"]).facts
        settings = recipe.settings.model_dump(mode="json")
        return builder.build(tables.load_paper(path), settings, data, suite, plan.Request(tables=("table1",)))

    return planned


def test_a_slip_in_a_protocol_is_refused_and_the_choices_are_listed(written):
    with pytest.raises(
        UsageError, match=r"^vcop table1 column accuracy: unknown protocol 'order-acuracy'; choose one of order-"
    ):
        written('"order-accuracy"', '"order-acuracy"')


def test_a_task_s_own_score_is_a_protocol_with_the_version_that_the_task_says(written):
    own = {"pace-accuracy": 7, "order-accuracy": 1}
    built = written('"order-accuracy"', '"pace-accuracy"', own)
    stages = [stage for stage in built.stages.values() if stage.kind == "pace-accuracy"]
    assert len(stages) == len(built.measurements) == 3
    assert {stage.version for stage in stages} == {7}
    assert {one.protocol for one in built.measurements} == {"pace-accuracy"}
    # A newer one is another result, of the same training.
    newer = written('"order-accuracy"', '"pace-accuracy"', own | {"pace-accuracy": 8})
    assert not {one.stage for one in built.measurements} & {one.stage for one in newer.measurements}
    assert {one.stages["pretrain"] for one in built.measurements} == {
        one.stages["pretrain"] for one in newer.measurements
    }


def test_what_is_told_of_a_task_and_not_run_is_left_out(written):
    built = written('"order-accuracy"', '"pretext"')
    assert not built.measurements
    assert set(built.left_out.values()) == {"protocol pretext has no runner"}


def test_a_network_without_a_task_has_no_score(written):
    built = written('weights = "vcop"', 'weights = "random"')
    assert list(built.left_out.values()) == ["order-accuracy asks a pretext network, and random weights have none"]


def test_a_task_without_the_score_is_named():
    srop = door.load_recipe("srop", "paper")
    paper = tables.load_paper(TABLE.with_name("srop.toml"))
    suite, data = door.suite_facts(srop), door.official_data(["ucf101", "hmdb51"]).facts
    # As if what learns had no such score, and what makes views had.
    scores = {name: {"view-scores": 1} for name in suite.pretrainings} | {"views": {"segment-scores": 2}}
    pretrainings = {name: replace(one, scores=scores[name]) for name, one in suite.pretrainings.items()}
    settings = srop.settings.model_dump(mode="json")
    asked = plan.Request(tables=("table3",), everything=True)
    built = builder.build(paper, settings, data, replace(suite, pretrainings=pretrainings), asked)
    # The table's other columns ask no task.
    assert {one.protocol for one in built.measurements} == {"clip-retrieval", "recognition"}
    assert ("table3", "n2") in built.left_out
    assert all("has no score segment-scores; it has view-scores" in reason for reason in built.left_out.values())


def test_the_usual_protocols_and_those_of_tasks():
    pretraining = door.pretraining_facts(door.load_recipe("mas", "tiny"))
    assert protocols.all_of(pretraining) == ("statistics-errors", *protocols.PROTOCOLS)
    assert not protocols.known("order-accuracy", pretraining)
    assert protocols.known("recognition", pretraining)
    assert [protocols.about_pretext(name) for name in ("statistics-errors", "training-curve", "cost")] == [
        True,
        True,
        False,
    ]


def test_versions_of_protocols_are_those_of_all_recipes():
    versions = door.protocol_versions()
    expected = {
        "order-accuracy": 1,
        "statistics-errors": 1,
        "ranking-accuracy": 2,
        "segment-scores": 2,
        "view-scores": 1,
    }
    assert expected.items() <= versions.items()
    assert door.stage_versions().items() <= versions.items()
    assert not expected.keys() & door.stage_versions().keys()
