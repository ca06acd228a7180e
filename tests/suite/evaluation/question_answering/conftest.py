"""What the tests of question answering share."""

import pytest

from suite.datasets import activitynet_qa
from suite.datasets.activitynet_qa import Question
from tests.suite.evaluation.question_answering.asked import World


@pytest.fixture(scope="session")
def learnt(tmp_path_factory) -> World:
    small = World()
    small.fit(tmp_path_factory.mktemp("learnt"))
    return small


@pytest.fixture(scope="session")
def official(shared_data) -> dict[str, tuple[Question, ...]]:
    root = shared_data / "official-lists"
    if not (root / "activitynet-qa").is_dir():
        pytest.skip("the official question files are not on this machine")
    return activitynet_qa.questions(root)
