"""Order accuracy equals a slow reference, whatever the batches and workers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite import backbones
from suite.errors import InputError
from suite.evaluation import order
from suite.papers.vcop import order_network
from tests.suite.sampling import Named, noise

LENGTHS = {f"v{index}": 16 + index for index in range(7)}
SPAN = {"clip_length": 4, "tuple_length": 3, "interval": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("store"), LENGTHS)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    built = order_network.ClipOrderNetwork(backbones.build("r3d", 4), tuple_length=3, hidden=8, dropout=0.5)
    # Running statistics that differ from the initial ones.
    built.train()(torch.randint(0, 256, (4, 3, 4, 32, 32, 3), dtype=torch.uint8))
    return built


def tuples(source, lengths=LENGTHS) -> order_network.ClipTuples:
    videos = [Named(name) for name in lengths]
    return order_network.ClipTuples(source, videos, lengths, crop=32, seed=0, training=False, **SPAN)


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_equals_one_tuple_at_a_time(source, network, batch):
    asked, seen = tuples(source), []
    right, loss = order.test(network, asked, batch, "cpu", lambda *at: seen.append(at))
    assert network.training
    network.eval()
    with torch.no_grad():
        items = [asked[0, index] for index in range(7)]
        rows = [(network(clips[None])[0].double(), target) for clips, target in items]
    network.train()
    assert right == [int(row.argmax()) == target for row, target in rows]
    assert loss == pytest.approx(np.mean([float(row.logsumexp(0) - row[target]) for row, target in rows]), rel=1e-5)
    assert seen == [(min(done + batch, 7), 7) for done in range(0, 7, batch)]


def test_the_number_of_workers_changes_no_bit(source, network):
    alone, one, two = (
        order.test(network, tuples(source), 3, "cpu", lambda *at: None, workers=workers) for workers in (0, 1, 2)
    )
    assert alone == one == two


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_cannot_be_read_is_named_in_one_line(source, network, workers):
    # A length that the video does not have: the tuple may start behind its end.
    asked = tuples(source, LENGTHS | {"v4": 5000})
    with pytest.raises(InputError) as caught:
        order.test(network, asked, 3, "cpu", lambda *at: None, workers=workers)
    assert str(caught.value).startswith("v4: has 20 frames, frame ")
    assert "\n" not in str(caught.value)


def test_accuracy_of_each_action_class_by_hand():
    right = [True, False, True, True, False, False]
    found = order.per_class(right, [2, 0, 2, 0, 2, 3], ["Biking", "Diving", "HulaHoop", "Skijet"])
    # No video of Diving is long enough: it is left out, and is not 0 %.
    assert found == {"Biking": (1, 2), "HulaHoop": (2, 3), "Skijet": (0, 1)}
    assert list(found) == ["Biking", "HulaHoop", "Skijet"]
    assert found["HulaHoop"].correct == 2
    assert found["HulaHoop"].total == 3


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40))
def test_classes_add_up_to_the_whole(asked):
    right, labels = [hit for hit, _ in asked], [label for _, label in asked]
    found = order.per_class(right, labels, list("abcde"))
    assert sum(tally.correct for tally in found.values()) == sum(right)
    assert sum(tally.total for tally in found.values()) == len(right)
    for label, name in enumerate("abcde"):
        of_class = [hit for hit, of in asked if of == label]
        assert found.get(name) == ((sum(of_class), len(of_class)) if of_class else None)


def test_a_label_for_every_video():
    with pytest.raises(ValueError, match="zip"):
        order.per_class([True, False], [0], ["Biking"])
