"""Questions are answered from the right clip, and counted by type."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite import checkpoints
from suite.datasets.activitynet_qa import TYPES
from suite.errors import InputError
from suite.evaluation.question_answering.answers import answer, by_type, most_frequent
from suite.evaluation.question_answering.network import QuestionItems
from suite.evaluation.question_answering.vocabulary import PADDING
from tests.suite.evaluation.question_answering.asked import World, question, rows, world
from tests.suite.sampling import Stopped, stop_at


def test_the_answer_in_one_clip_is_found_and_looked_at(learnt):
    found = answer(learnt.network, learnt.test, 64, "cpu")
    assert found.hits.mean() > 0.9
    assert (found.attention.argmax(1) == learnt.places).mean() > 0.9
    assert found.attention[np.arange(400), learnt.places].mean() > 0.8


def test_the_question_alone_stays_near_chance(tmp_path):
    small = World(video=False)
    small.fit(tmp_path, epochs=3)
    found = answer(small.network, small.test, 64, "cpu")
    # Four colours: 400 questions scatter by 2 points about 25 %.
    assert 0.15 < found.hits.mean() < 0.35
    assert not found.attention.any()


def test_what_is_frozen_does_not_move(tmp_path):
    small = World(videos=30)
    before = {name: tensor.clone() for name, tensor in small.network.state_dict().items()}
    features = small.training.features.copy()
    small.fit(tmp_path, epochs=1)
    after = small.network.state_dict()
    assert np.array_equal(small.training.features, features)
    assert {name for name in before if torch.equal(before[name], after[name])} == {"mean", "factor"}
    # Words learn, padding stays zero.
    assert not after["embedding.weight"][PADDING].any()
    assert not small.training[0, 0][2].requires_grad
    assert {"mean", "factor"}.isdisjoint(dict(small.network.named_parameters()))


@pytest.mark.parametrize("at", [1, 7, 12])
def test_a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not(tmp_path, at):
    # 40 videos of 4 questions in batches of 32: 5 steps an epoch, with dropout drawn in each.
    whole = World(videos=40, dropout=0.4).fit(tmp_path / "whole", epochs=3)
    with pytest.raises(Stopped):
        World(videos=40, dropout=0.4).fit(tmp_path / "again", epochs=3, checkpoint_seconds=0.0, progress=stop_at(at))
    torch.manual_seed(99)
    assert World(videos=40, dropout=0.4).fit(tmp_path / "again", epochs=3) == whole
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert whole["best_epoch"] == int(np.argmax(whole["curves"]["validation_accuracy"]))


def test_saved_weights_answer_as_the_network_that_saved_them(learnt, tmp_path):
    checkpoints.save(learnt.network.state_dict(), tmp_path / "w.safetensors", {})
    other = World(videos=10)
    # Statistics of the training videos are in the weights: those given at first do not count.
    other.network.load_state_dict(checkpoints.load(tmp_path / "w.safetensors"))
    there, here = (answer(each.network, learnt.test, 64, "cpu") for each in (other, learnt))
    assert np.array_equal(there.predictions, here.predictions)
    assert np.array_equal(there.attention, here.attention)


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 0), (7, 1), (64, 2)])
def test_answers_equal_one_question_at_a_time(learnt, batch, workers):
    questions, features, _ = world(3, 2)
    questions[4] = question("what is the ball doing", "flying", 0, "v1", "v1_0")
    items = QuestionItems(questions, learnt.vocabulary, learnt.answers, features, rows(3), training=False)
    seen, before = [], torch.get_rng_state()
    learnt.network.train()
    found = answer(learnt.network, items, batch, "cpu", lambda *at: seen.append(at), workers=workers)
    assert torch.equal(torch.get_rng_state(), before)
    assert learnt.network.training
    learnt.network.eval()
    for index, each in enumerate(questions):
        words, length, clips, *_ = items[0, index]
        with torch.no_grad():
            logits, attention = learnt.network(words[None], torch.tensor([length]), clips[None])
        assert found.predictions[index] == int(logits.argmax())
        assert found.hits[index] == (learnt.answers[int(logits.argmax())] == each.answer)
        np.testing.assert_allclose(found.attention[index], attention[0].numpy(), atol=1e-5)
    assert not found.hits[4]
    assert found.hits.sum() >= 9
    assert found.hits.dtype == bool
    assert seen == [(min(done + batch, 12), 12) for done in range(0, 12, batch)]


def test_no_question_at_all_is_refused(learnt):
    items = QuestionItems([], learnt.vocabulary, learnt.answers, np.zeros((0, 20, 12)), {}, training=False)
    with pytest.raises(InputError, match="no question to answer"):
        answer(learnt.network, items, 8, "cpu")


def test_accuracy_by_type_by_hand():
    found = by_type([True, False, True, True, False, False], [3, 3, 0, 3, 8, 4])
    assert found == {"motion": (1, 1), "free_yn": (2, 3), "free_color": (0, 1), "free_other": (0, 1), "all": (3, 6)}
    assert list(found) == ["motion", "free_yn", "free_color", "free_other", "all"]
    assert (found["all"].correct, found["all"].total) == (3, 6)
    assert by_type(np.array([True]), torch.tensor([5])) == {"free_obj": (1, 1), "all": (1, 1)}
    assert by_type([], []) == {"all": (0, 0)}
    with pytest.raises(ValueError, match="zip"):
        by_type([True], [])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=50))
def test_types_add_up_to_all(asked):
    found = by_type([hit for hit, _ in asked], [kind for _, kind in asked])
    everything = found.pop("all")
    assert everything == (sum(tally.correct for tally in found.values()), sum(tally.total for tally in found.values()))
    for kind, name in enumerate(TYPES):
        of_kind = [hit for hit, of in asked if of == kind]
        assert found.get(name) == ((sum(of_kind), len(of_kind)) if of_kind else None)


def test_most_frequent_answers_by_hand():
    seen = [question("", answer, kind) for answer, kind in (("yes", 3), ("yes", 3), ("no", 3), ("red", 4), ("blue", 4))]
    asked = [
        question("", answer, kind)
        for answer, kind in (("yes", 3), ("no", 3), ("no", 3), ("blue", 4), ("red", 4), ("yes", 5), ("dog", 5))
    ]
    found = most_frequent(seen, asked)
    assert found.overall == {"free_yn": (1, 3), "free_color": (0, 2), "free_obj": (1, 2), "all": (2, 7)}
    # Of "red" and "blue" the first in the alphabet; objects were never asked about, so that "yes" is all there is.
    assert found.of_type == {"free_yn": (1, 3), "free_color": (1, 2), "free_obj": (1, 2), "all": (3, 7)}


def test_most_frequent_answers_of_the_official_files(official):
    found = most_frequent(official["train"], official["test"])
    assert found.overall["all"] == (1102, 8000)
    assert found.of_type["all"] == (1947, 8000)
    assert found.of_type["free_yn"] == (1101, 2094)
    assert [found.of_type[name].total for name in TYPES] == [800, 800, 800, 2094, 697, 318, 386, 606, 1499]
