"""Extended soft attention beside what its authors' code gives (esa.json)."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from suite.evaluation.question_answering.network import SoftAttention, Standard
from tests.parity import reference

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def wanted():
    return reference.read("esa")


@pytest.fixture(scope="module")
def weights(wanted) -> Weights:
    listed = wanted["input"]["weights"]
    assert [name for name, _, _ in listed] == sorted(name for name, _, _ in listed)
    made = {}
    for number, (name, shape, first) in enumerate(listed):
        made[name] = 0.5 * np.random.RandomState(2000 + number).standard_normal(shape)
        assert made[name].flat[0] == pytest.approx(first, rel=1e-14)
    assert len(made) == 9
    return made


@pytest.fixture(scope="module")
def asked(wanted):
    """(words [6, 7] padded with 0, lengths [6], videos [6, 5, 16], answers [6])."""
    draw = np.random.RandomState(31)
    words, lengths = draw.randint(1, 40, size=(6, 7)), draw.randint(2, 8, size=6)
    videos, answers = draw.standard_normal((6, 5, 16)), draw.randint(0, 15, size=6)
    words[np.arange(7) >= lengths[:, None]] = 0
    assert words.tolist() == wanted["input"]["question_padded_with_0"]
    assert lengths.tolist() == wanted["input"]["lengths"]
    assert answers.tolist() == wanted["input"]["answers"]
    return words, lengths, videos, answers


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def answered(words: np.ndarray, video: np.ndarray, of: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One question, word by word: probabilities of the answers, attention, and the LSTM's last cell state."""
    cell = hidden = np.zeros(len(of["lstm/bias"]) // 4)
    for word in words:
        gates = np.concatenate([of["embedding"][word], hidden]) @ of["lstm/kernel"] + of["lstm/bias"]
        taken, new, kept, shown = np.split(gates, 4)
        cell = sigmoid(kept + 1) * cell + sigmoid(taken) * np.tanh(new)
        hidden = sigmoid(shown) * np.tanh(cell)
    question = np.tanh(cell @ of["transform_question/W"] + of["transform_question/b"])
    clips = np.tanh(video @ of["transform_video/W"] + of["transform_video/b"])
    attention = softmax(clips @ question)
    return softmax((question * (attention @ clips)) @ of["output/W"] + of["output/b"]), attention, cell


def test_a_plain_restatement_gives_the_authors_numbers(wanted, weights, asked):
    words, lengths, videos, answers = asked
    short, padded = wanted["test_time_batch_of_one_true_length"], wanted["training_padded_batch"]
    for theirs, ends in ((short, lengths), (padded, [7] * 6)):
        found = [answered(one[:end], video, weights) for one, end, video in zip(words, ends, videos, strict=True)]
        assert reference.furthest([one[0] for one in found], theirs["probabilities"]) <= 1e-10
        assert reference.furthest([one[1] for one in found], theirs["attention_weights"]) <= 1e-10
        if theirs is short:
            assert reference.furthest(found[0][2], short["lstm_cell_state_of_question_0"]) <= 1e-10
    # Those of the padded batch, as in training.
    given = np.stack([one[0] for one in found])
    hit = np.eye(15)[answers]
    log_loss = -(hit * np.log(given + 1e-7) + (1 - hit) * np.log(1 - given + 1e-7)).mean()
    assert log_loss == pytest.approx(padded["log_loss"], rel=1e-10)
    matrices = ("embedding", "transform_video/W", "transform_question/W", "output/W")
    l2 = sum((weights[name] ** 2).sum() / 2 for name in matrices)
    assert l2 == pytest.approx(padded["l2_of_the_four_matrices"], rel=1e-10)
    assert len(padded["loss_with_coefficient"]) == 3
    for coefficient, loss in padded["loss_with_coefficient"].items():
        assert log_loss + float(coefficient) * l2 == pytest.approx(loss, rel=1e-10)


@pytest.fixture(scope="module")
def ours(weights) -> SoftAttention:
    """The project's network with their weights; their forget gates have 1 added, which goes into the bias."""
    order = (0, 2, 1, 3)  # theirs: input, new value, forget, output; PyTorch's: input, forget, new value, output

    def gates(array: np.ndarray) -> torch.Tensor:
        blocks = np.split(array, 4, axis=-1)
        return torch.from_numpy(np.concatenate([blocks[place] for place in order], axis=-1).T.copy())

    network = SoftAttention(
        torch.from_numpy(weights["embedding"]).float(),
        15,
        Standard(torch.zeros(16), torch.ones(16)),
        hidden=12,
        common=8,
    )
    tensor: Callable[[str], torch.Tensor] = lambda name: torch.from_numpy(weights[name].T.copy())  # noqa: E731
    bias = gates(weights["lstm/bias"])
    bias[12:24] += 1
    state = {
        "embedding.weight": torch.from_numpy(weights["embedding"]),
        "lstm.weight_ih_l0": gates(weights["lstm/kernel"][:12]),
        "lstm.weight_hh_l0": gates(weights["lstm/kernel"][12:]),
        "lstm.bias_ih_l0": bias,
        "lstm.bias_hh_l0": torch.zeros(48),
        "mean": torch.zeros(16),
        "factor": torch.ones(16),
    }
    for name, theirs in (("question", "transform_question"), ("video", "transform_video"), ("answer", "output")):
        state |= {f"{name}.weight": tensor(f"{theirs}/W"), f"{name}.bias": tensor(f"{theirs}/b")}
    network.load_state_dict(state)
    return network.eval()


def ask(network: SoftAttention, asked, lengths) -> tuple[torch.Tensor, torch.Tensor]:
    words, _, videos, _ = asked
    with torch.no_grad():
        logits, attention = network(torch.from_numpy(words), torch.as_tensor(lengths), torch.from_numpy(videos).float())
    return logits.softmax(1), attention


def test_the_network_answers_as_theirs_at_the_test_and_if_padding_is_read(wanted, ours, asked):
    for key, lengths in (("test_time_batch_of_one_true_length", asked[1]), ("training_padded_batch", [7] * 6)):
        probabilities, attention = ask(ours, asked, lengths)
        # float32, as the run in TensorFlow.
        assert reference.furthest(probabilities, wanted[key]["probabilities"]) <= 2e-6
        assert reference.furthest(attention, wanted[key]["attention_weights"]) <= 2e-6


def test_departure_padding_is_not_read_in_training(wanted, ours, asked):
    # The same padded batch that their LSTM reads to its end.
    probabilities, _ = ask(ours.train(), asked, asked[1])
    ours.eval()
    assert (asked[0] == 0).any()
    assert reference.furthest(probabilities, wanted["test_time_batch_of_one_true_length"]["probabilities"]) <= 2e-6
    assert reference.furthest(probabilities, wanted["training_padded_batch"]["probabilities"]) > 0.1


def test_departure_the_loss_is_cross_entropy_without_l2(wanted, ours, asked):
    words, _, videos, answers = asked
    theirs = wanted["training_padded_batch"]
    question = (torch.from_numpy(words), torch.full((6,), 7), torch.from_numpy(videos).float())
    with torch.no_grad():
        loss = float(ours.outcome(*question, torch.from_numpy(answers), torch.zeros(6, dtype=torch.int64)).loss)
    assert loss == pytest.approx(theirs["cross_entropy_for_comparison"], rel=1e-6)
    assert abs(loss - theirs["log_loss"]) > 1
