"""The network beside a slow reference, and what is asked of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from suite.errors import InputError
from suite.evaluation.question_answering.network import QuestionItems, SoftAttention, Standard, standard
from suite.evaluation.question_answering.vocabulary import PADDING, UNKNOWN, Vocabulary
from suite.seeding import generator
from tests.suite.evaluation.question_answering.asked import CLIPS, question

VOCABULARY = Vocabulary(["the man at the café", "the t-shirt of", "zebra the"])


# ---------------------------------------------------------------- items


def test_an_item_by_hand():
    questions = [
        question("is the man tall", "yes", 3, "b", "b_1"),
        question("color", "mauve", 4, "a", "a_1"),
        question("is the dog red", "no", 3, "a", "a_2"),
    ]
    vocabulary = Vocabulary(["is the man tall"])
    features = np.arange(2 * 3 * 2, dtype=np.float64).reshape(2, 3, 2)
    features.setflags(write=False)
    items = QuestionItems(questions, vocabulary, ("no", "yes"), features, {"a": 0, "b": 1}, training=False)
    found = [items[epoch, index] for epoch, index in ((0, 0), (5, 1), (1, 2))]
    assert [each[0].tolist() for each in found] == [[2, 5, 3, 4], [1, 0, 0, 0], [2, 5, 1, 1]]
    assert [each[1] for each in found] == [4, 1, 4]
    assert [each[2].tolist() for each in found] == [features[row].tolist() for row in (1, 0, 0)]
    assert found[0][2].dtype == torch.float32
    assert [each[3:] for each in found] == [(1, 3), (-1, 4), (0, 3)]
    assert items.left_out == 0
    assert (len(items), items.name(1)) == (3, "a_1")
    trained = QuestionItems(questions, vocabulary, ("no", "yes"), features, {"a": 0, "b": 1}, training=True)
    assert (len(trained), trained.left_out) == (2, 1)
    assert [trained[0, index][3:] for index in (0, 1)] == [(1, 3), (0, 3)]
    assert [trained.name(index) for index in (0, 1)] == ["b_1", "a_2"]


def test_features_must_be_there_and_finite():
    features = np.zeros((2, CLIPS, 4), np.float32)
    features[1, 3, 2] = np.nan

    def items(name, answer="yes"):
        asked = [question("is it", answer, 3, name)]
        return QuestionItems(asked, VOCABULARY, ("yes",), features, {"a": 0, "b": 1}, training=True)

    assert len(items("a")) == 1
    with pytest.raises(InputError, match=r"^c: .* has no features"):
        items("c")
    with pytest.raises(InputError, match=r"^b: a feature is NaN or infinite"):
        items("b")
    # Videos that nothing is asked about do not matter.
    assert len(items("b", "other")) == 0
    with pytest.raises(ValueError, match=r"not \[videos, clips, D\]"):
        QuestionItems([], VOCABULARY, (), features[0], {}, training=True)


def test_features_are_standardised_by_the_training_videos():
    draw = np.random.default_rng(0)
    features = (draw.standard_normal((30, 5, 6)) * [1, 1e-6, 1e4, 1, 1, 0] + [0, 3e-6, 1e5, 1e3, 0, 7]).astype(
        np.float32
    )
    features[..., 4] = 0
    # Untrained networks give values that vary by some 1e-4 of their mean; only what varies by rounding is not looked at.
    features[..., 3] = np.float32(1e3) + np.where(draw.random((30, 5)) < 0.5, 0, np.spacing(np.float32(1e3)))
    mean, factor = standard(features)
    found = ((torch.from_numpy(features) - mean) * factor).double().reshape(-1, 6)
    torch.testing.assert_close(found.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        found.std(0, correction=0), torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert torch.isfinite(factor).all()
    assert mean.dtype == factor.dtype == torch.float32


# ---------------------------------------------------------------- the network


def small_network(seed: int = 0, **how) -> SoftAttention:
    torch.manual_seed(seed)
    scale = Standard(torch.randn(6), torch.rand(6) + 0.5)
    return SoftAttention(torch.randn(12, 5), 7, scale, hidden=4, common=3, **how).eval()


def some_questions(batch: int = 6, length: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = generator(3)
    words = torch.randint(1, 12, (batch, length), generator=draw)
    lengths = torch.randint(1, length + 1, (batch,), generator=draw)
    words[torch.arange(length) >= lengths[:, None]] = PADDING
    return words, lengths, torch.randn(batch, CLIPS, 6, generator=draw)


def reference(network: SoftAttention, words, features) -> tuple[np.ndarray, np.ndarray]:
    """One question in float64, gate by gate and clip by clip: logits and attention."""
    weights = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    hidden = cell = np.zeros(4)
    for word in words:
        gates = weights["lstm.weight_ih_l0"] @ weights["embedding.weight"][word] + weights["lstm.bias_ih_l0"]
        gates = gates + weights["lstm.weight_hh_l0"] @ hidden + weights["lstm.bias_hh_l0"]
        enter, forget, new, out = np.split(gates, 4)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-enter))
        hidden = np.tanh(cell) / (1 + np.exp(-out))
    asked = np.tanh(weights["question.weight"] @ cell + weights["question.bias"])
    clips = [(clip - weights["mean"]) * weights["factor"] for clip in features.double().numpy()]
    clips = [np.tanh(weights["video.weight"] @ clip + weights["video.bias"]) for clip in clips]
    scores = np.array([np.exp(asked @ clip) for clip in clips])
    attention = scores / scores.sum()
    attended = sum(weight * clip for weight, clip in zip(attention, clips, strict=True))
    return weights["answer.weight"] @ (asked * attended) + weights["answer.bias"], attention


def test_the_network_equals_a_slow_reference():
    network = small_network(dropout=0.5)
    words, lengths, features = some_questions()
    with torch.no_grad():
        logits, attention = network(words, lengths, features)
    assert logits.shape == (6, 7)
    assert attention.shape == (6, CLIPS)
    for row in range(6):
        expected = reference(network, words[row, : lengths[row]].tolist(), features[row])
        np.testing.assert_allclose(logits[row].numpy(), expected[0], atol=1e-5)
        np.testing.assert_allclose(attention[row].numpy(), expected[1], atol=1e-5)
    torch.testing.assert_close(attention.sum(1), torch.ones(6))


@pytest.mark.parametrize("behind", [PADDING, UNKNOWN, 5])
def test_padding_changes_nothing(behind):
    network = small_network()
    words, lengths, features = some_questions()
    longer = torch.full((6, 40), behind)
    longer[:, :9] = torch.where(torch.arange(9) < lengths[:, None], words, behind)
    with torch.no_grad():
        logits, attention = network(words, lengths, features)
        with_more, attention_with_more = network(longer, lengths, features)
        shorter = network(words, lengths.clamp_max(int(lengths.max()) - 1), features)[0]
    assert torch.equal(logits, with_more)
    assert torch.equal(attention, attention_with_more)
    # A word less is another question.
    longest = int(lengths.argmax())
    assert not torch.allclose(shorter[longest], logits[longest])


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(CLIPS)), st.integers(0, 100))
def test_weights_go_with_their_clips(order, seed):
    network = small_network(seed)
    words, lengths, features = some_questions()
    with torch.no_grad():
        logits, attention = network(words, lengths, features)
        moved, moved_attention = network(words, lengths, features[:, order])
    torch.testing.assert_close(moved, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(moved_attention, attention[:, order], atol=1e-5, rtol=1e-4)


def test_the_scale_of_features_does_not_matter():
    features = np.random.default_rng(0).standard_normal((8, CLIPS, 6)).astype(np.float32)
    scaled = (features * [1e3, 1e-3, 2, 1, 5, 1e4] + [0, 1, 5, -3, 0, 1e4]).astype(np.float32)
    words, lengths, _ = some_questions(batch=8)
    logits = []
    for given_ in (features, scaled):
        torch.manual_seed(0)
        network = SoftAttention(torch.randn(12, 5), 7, standard(given_), hidden=4, common=3)
        with torch.no_grad():
            logits.append(network(words, lengths, torch.from_numpy(given_))[0])
    torch.testing.assert_close(*logits, atol=2e-3, rtol=0)
    assert float(logits[0].std(0).max()) > 0.02


def test_without_video_no_feature_is_looked_at():
    network = small_network(video=False)
    words, lengths, features = some_questions()
    with torch.no_grad():
        logits, attention = network(words, lengths, features)
        assert torch.equal(network(words, lengths, torch.full_like(features, torch.nan))[0], logits)
    assert attention.shape == (6, CLIPS)
    assert not attention.any()
    assert not any(name.startswith("video") for name, _ in network.named_parameters())


def test_an_outcome_counts_answers_that_cannot_be_given_as_wrong():
    network = small_network()
    words, lengths, features = some_questions()
    with torch.no_grad():
        logits = network(words, lengths, features)[0]
    best = logits.argmax(1)
    target = torch.stack([best[0], (best[1] + 1) % 7, best[2], *[torch.tensor(-1)] * 3])
    outcome = network.outcome(words, lengths, features, target, torch.zeros(6, dtype=torch.int64))
    assert int(outcome.correct) == 2
    rows_ = logits.double()
    expected = [float(rows_[row].logsumexp(0) - rows_[row, target[row]]) for row in range(3)]
    assert float(outcome.loss.detach()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_batch_whose_answers_cannot_be_given_has_no_loss():
    network = small_network()
    words, lengths, features = some_questions()
    outcome = network.outcome(words, lengths, features, torch.full((6,), -1), torch.zeros(6, dtype=torch.int64))
    assert float(outcome.loss.detach()) == 0
    assert int(outcome.correct) == 0
    outcome.loss.backward()
    assert all(torch.equal(each.grad, torch.zeros_like(each)) for each in network.parameters())


def test_losses_and_weights_are_single_precision_under_autocast():
    network = small_network()
    words, lengths, features = some_questions()
    target = torch.arange(6)
    plain = network.outcome(words, lengths, features, target, target)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.outcome(words, lengths, features, target, target)
        attention = network(words, lengths, features)[1]
    assert half.loss.dtype == attention.dtype == torch.float32
    assert float(half.loss.detach()) == pytest.approx(float(plain.loss.detach()), rel=0.02)
    torch.testing.assert_close(attention.sum(1), torch.ones(6))
    half.loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in network.parameters())


def test_networks_share_no_embeddings():
    vectors = torch.randn(12, 5)
    before = vectors.clone()
    network = SoftAttention(vectors, 7, Standard(torch.zeros(6), torch.ones(6)))
    nn.init.ones_(network.embedding.weight)
    assert torch.equal(vectors, before)
