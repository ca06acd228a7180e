"""Questions are answered from the right clip; every number beside a slow reference, and faults in one line."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from suite import checkpoints, training
from suite.datasets import activitynet_qa
from suite.datasets.activitynet_qa import TYPES, Question
from suite.errors import InputError
from suite.evaluation import question_answering as qa
from suite.seeding import generator
from suite.settings import Optimisation

CLIPS = 20
THINGS, COLOURS = ("ball", "rope", "horse", "kayak"), ("red", "green", "blue", "white")


def question(text: str, answer: str = "yes", kind: int = 3, video: str = "v0", id_: str = "q") -> Question:
    return Question(id_, video, text, answer, kind)


# ---------------------------------------------------------------- a small world: one clip holds each thing's colour


def world(videos: int, seed: int) -> tuple[list[Question], np.ndarray, np.ndarray]:
    """Questions, features on a scale that no network would like, and the clip that holds each question's answer."""
    draw = np.random.default_rng(seed)
    features = 0.3 * draw.standard_normal((videos, CLIPS, 12))
    questions, places = [], []
    for video in range(videos):
        for thing, clip in enumerate(draw.permutation(CLIPS)[: len(THINGS)]):
            colour = int(draw.integers(len(COLOURS)))
            features[video, clip, [thing, 4 + colour]] += 3
            text = f"what color is the {THINGS[thing]} in the video"
            questions.append(question(text, COLOURS[colour], 4, f"v{video}", f"v{video}_{thing}"))
            places.append(clip)
    return questions, (5 + 100 * features).astype(np.float32), np.array(places)


def rows(videos: int) -> dict[str, int]:
    return {f"v{video}": video for video in range(videos)}


class World:
    """Training and held-out items of the small world, and a network for them."""

    def __init__(self, videos: int = 300, **network):
        questions, features, _ = world(videos, 0)
        asked, unseen, self.places = world(100, 1)
        self.vocabulary, self.answers = qa.Vocabulary(each.text for each in questions), qa.answer_vocabulary(questions)
        self.training = qa.QuestionItems(
            questions, self.vocabulary, self.answers, features, rows(videos), training=True
        )
        self.test = qa.QuestionItems(asked, self.vocabulary, self.answers, unseen, rows(100), training=False)
        torch.manual_seed(0)
        vectors = qa.drawn(self.vocabulary, 16).vectors
        self.network = qa.SoftAttention(
            vectors, len(self.answers), qa.standard(features), hidden=24, common=64, **network
        )

    def fit(self, folder, epochs: int = 4, **how) -> dict:
        folder.mkdir(exist_ok=True)
        how = {"seed": 0, "device": "cpu"} | how
        optimisation = Optimisation(
            optimiser="adam",
            batch=32,
            epochs=epochs,
            learning_rate=3e-3,
            weight_decay=0.0,
            precision="fp32",
            keep="best-accuracy",
        )
        return training.fit(self.network, self.training, self.test, optimisation, folder, **how)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> World:
    small = World()
    small.fit(tmp_path_factory.mktemp("learnt"))
    return small


def test_the_answer_in_one_clip_is_found_and_looked_at(learnt):
    found = qa.answer(learnt.network, learnt.test, 64, "cpu")
    assert found.hits.mean() > 0.9
    assert (found.attention.argmax(1) == learnt.places).mean() > 0.9
    assert found.attention[np.arange(400), learnt.places].mean() > 0.8


def test_the_question_alone_stays_near_chance(tmp_path):
    small = World(video=False)
    small.fit(tmp_path, epochs=3)
    found = qa.answer(small.network, small.test, 64, "cpu")
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
    assert not after["embedding.weight"][qa.PADDING].any()
    assert not small.training[0, 0][2].requires_grad
    assert {"mean", "factor"}.isdisjoint(dict(small.network.named_parameters()))


class Stopped(Exception):
    """A run that ends early."""


@pytest.mark.parametrize("at", [1, 7, 12])
def test_a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not(tmp_path, at):
    def stop(done, total):
        if done == at:
            raise Stopped

    # 40 videos of 4 questions in batches of 32: 5 steps an epoch, with dropout drawn in each.
    whole = World(videos=40, dropout=0.4).fit(tmp_path / "whole", epochs=3)
    with pytest.raises(Stopped):
        World(videos=40, dropout=0.4).fit(tmp_path / "again", epochs=3, checkpoint_seconds=0.0, progress=stop)
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
    there, here = (qa.answer(each.network, learnt.test, 64, "cpu") for each in (other, learnt))
    assert np.array_equal(there.predictions, here.predictions)
    assert np.array_equal(there.attention, here.attention)


# ---------------------------------------------------------------- words and answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what is the person doing", "what is the person doing"),
        ("Is the MAN indoors?", "is the man indoors"),
        ("what's the girl's hair's color", "what 's the girl 's hair 's color"),
        ("the lady’s t-shirt", "the lady 's t-shirt"),
        ("what is the no.10 player doing", "what is the no 10 player doing"),
        ("the boys' hats, and a short-sleeved shirt\n", "the boys hats and a short-sleeved shirt"),
        ("- how - 'many' café_s", "how many café s"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_words(text, expected):
    assert qa.words(text) == expected.split()


@given(st.text(max_size=60))
def test_words_stay_as_they_are_when_split_again(text):
    found = qa.words(text)
    assert qa.words(" ".join(word for word in found if word != "'s")) == [word for word in found if word != "'s"]
    assert all(word and " " not in word for word in found)


def test_a_vocabulary_by_hand():
    vocabulary = qa.Vocabulary(["is the man tall", "is the dog there", "the man"])
    assert vocabulary.words == ("<padding>", "<unknown>", "the", "is", "man", "dog", "tall", "there")
    assert vocabulary.counts == (0, 0, 3, 2, 2, 1, 1, 1)
    assert len(vocabulary) == 8
    assert vocabulary.encode("Is the cat tall?") == [3, 2, qa.UNKNOWN, 6]
    # The network's LSTM needs a word.
    assert vocabulary.encode("?!") == [qa.UNKNOWN]
    # What the special words are called is no word that can be asked.
    assert vocabulary.encode("<padding>") == [qa.UNKNOWN]


@given(st.lists(st.text("abc ", max_size=12), max_size=8), st.randoms())
def test_a_vocabulary_does_not_depend_on_the_order_of_questions(texts, random):
    vocabulary = qa.Vocabulary(texts)
    shuffled = list(texts)
    random.shuffle(shuffled)
    assert qa.Vocabulary(shuffled).words == vocabulary.words
    for text in texts:
        assert [vocabulary.words[index] for index in vocabulary.encode(text)] == (qa.words(text) or ["<unknown>"])


def test_answers_by_frequency_then_alphabet():
    questions = [question("?", answer) for answer in ("no", "yes", "red", "yes", "no", "blue", "two")]
    assert qa.answer_vocabulary(questions, 4) == ("no", "yes", "blue", "red")
    assert qa.answer_vocabulary(questions) == ("no", "yes", "blue", "red", "two")


# ---------------------------------------------------------------- GloVe

LINES = [
    "the 0.5 -1 2e-1",
    ". . . 1 1 1",
    "of not numbers at all",
    "man 1 2 3",
    "at name@domain.com 4 4 4",
    "t-shirt -0.25 0 7",
    "café 8 8 8",
    "man 9 9 9",
    "at 5 6 7",
]


def glove_file(folder, lines, end="\n"):
    path = folder / "glove.6B.3d.txt"
    path.write_bytes(end.join([*lines, ""]).encode())
    return path


VOCABULARY = qa.Vocabulary(["the man at the café", "the t-shirt of", "zebra the"])


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vectors_and_coverage_by_hand(tmp_path, end, blank):
    # "of" is spoilt and not asked for; phrases and the second "man" do not count.
    vocabulary = qa.Vocabulary(["the man at the café", "the t-shirt", "zebra the"])
    found = qa.glove(
        glove_file(tmp_path, [line.replace(" ", blank) for line in LINES], end), vocabulary, size=3, seed=4
    )
    expected = {"the": [0.5, -1, 0.2], "man": [1, 2, 3], "at": [5, 6, 7], "café": [8, 8, 8], "t-shirt": [-0.25, 0, 7]}
    drawn = qa.drawn(vocabulary, 3, 4).vectors
    for index, word in enumerate(vocabulary.words):
        want = torch.tensor(expected[word]) if word in expected else drawn[index]
        assert torch.equal(found.vectors[index], want), word
    assert found.vectors.dtype == torch.float32
    assert not found.vectors[qa.PADDING].any()
    # Five of six words; "the" is there four times.
    assert found.words_covered == pytest.approx(5 / 6)
    assert found.tokens_covered == pytest.approx(8 / 9)


def test_words_that_the_file_has_not_are_drawn_by_the_seed(tmp_path):
    path = glove_file(tmp_path, LINES)
    vocabulary = qa.Vocabulary([f"zebra{index}" for index in range(400)])
    first, again, other = (qa.glove(path, vocabulary, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors[2:], other.vectors[2:])
    assert len(first.vectors[1:].unique(dim=0)) == 401
    assert float(first.vectors[1:].std()) == pytest.approx(qa.DEVIATION, rel=0.1)
    assert first[1:] == (0, 0)


def test_no_generator_of_torch_is_drawn_from(tmp_path):
    before = torch.get_rng_state()
    qa.glove(glove_file(tmp_path, LINES), qa.Vocabulary(["the zebra"]), 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["the 1 2 3 4"], "line 1: has 4 numbers, not 3"),
        (["400000 3", "the 1 2 3"], "line 1: has 1 numbers, not 3"),
        (["and 1 2 3", "the 1 2"], "line 2: has 2 numbers, not 3"),
        (["", "the 1 2 3"], "line 1: has 0 numbers, not 3"),
        (["and 1 2 3", "zebra 1 two 3"], "line 2: 'two' is no finite number"),
        (["the 1 nan 3"], "line 1: 'nan' is no finite number"),
        (["the 1 2 inf"], "line 1: 'inf' is no finite number"),
        (LINES, "line 3: 'not' is no finite number"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(tmp_path, lines, problem):
    path = glove_file(tmp_path, lines)
    # The spoilt line of `LINES` has as many fields as an entry.
    path.write_bytes(path.read_bytes().replace(b"of not numbers at all", b"of not numbers at"))
    with pytest.raises(InputError) as caught:
        qa.glove(path, VOCABULARY, size=3)
    assert str(caught.value).startswith(f"{path}: {problem}; the file should be GloVe's")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_empty(tmp_path):
    (tmp_path / "empty.txt").touch()
    for path, problem in (
        (tmp_path / "none.txt", "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "empty.txt", "is empty"),
    ):
        with pytest.raises(InputError, match=problem) as caught:
            qa.glove(path, VOCABULARY, size=3)
        assert str(caught.value).startswith(f"{path}: ")
        assert "glove.6B.zip" in str(caught.value)
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- items


def test_an_item_by_hand():
    questions = [
        question("is the man tall", "yes", 3, "b", "b_1"),
        question("color", "mauve", 4, "a", "a_1"),
        question("is the dog red", "no", 3, "a", "a_2"),
    ]
    vocabulary = qa.Vocabulary(["is the man tall"])
    features = np.arange(2 * 3 * 2, dtype=np.float64).reshape(2, 3, 2)
    features.setflags(write=False)
    items = qa.QuestionItems(questions, vocabulary, ("no", "yes"), features, {"a": 0, "b": 1}, training=False)
    found = [items[epoch, index] for epoch, index in ((0, 0), (5, 1), (1, 2))]
    assert [each[0].tolist() for each in found] == [[2, 5, 3, 4], [1, 0, 0, 0], [2, 5, 1, 1]]
    assert [each[1] for each in found] == [4, 1, 4]
    assert [each[2].tolist() for each in found] == [features[row].tolist() for row in (1, 0, 0)]
    assert found[0][2].dtype == torch.float32
    assert [each[3:] for each in found] == [(1, 3), (-1, 4), (0, 3)]
    assert items.left_out == 0
    assert (len(items), items.name(1)) == (3, "a_1")
    trained = qa.QuestionItems(questions, vocabulary, ("no", "yes"), features, {"a": 0, "b": 1}, training=True)
    assert (len(trained), trained.left_out) == (2, 1)
    assert [trained[0, index][3:] for index in (0, 1)] == [(1, 3), (0, 3)]
    assert [trained.name(index) for index in (0, 1)] == ["b_1", "a_2"]


def test_features_must_be_there_and_finite():
    features = np.zeros((2, CLIPS, 4), np.float32)
    features[1, 3, 2] = np.nan

    def items(name, answer="yes"):
        asked = [question("is it", answer, 3, name)]
        return qa.QuestionItems(asked, VOCABULARY, ("yes",), features, {"a": 0, "b": 1}, training=True)

    assert len(items("a")) == 1
    with pytest.raises(InputError, match=r"^c: .* has no features"):
        items("c")
    with pytest.raises(InputError, match=r"^b: a feature is NaN or infinite"):
        items("b")
    # Videos that nothing is asked about do not matter.
    assert len(items("b", "other")) == 0
    with pytest.raises(ValueError, match=r"not \[videos, clips, D\]"):
        qa.QuestionItems([], VOCABULARY, (), features[0], {}, training=True)


def test_features_are_standardised_by_the_training_videos():
    draw = np.random.default_rng(0)
    features = (draw.standard_normal((30, 5, 6)) * [1, 1e-6, 1e4, 1, 1, 0] + [0, 3e-6, 1e5, 1e3, 0, 7]).astype(
        np.float32
    )
    features[..., 4] = 0
    # Untrained networks give values that vary by some 1e-4 of their mean; only what varies by rounding is not looked at.
    features[..., 3] = np.float32(1e3) + np.where(draw.random((30, 5)) < 0.5, 0, np.spacing(np.float32(1e3)))
    mean, factor = qa.standard(features)
    found = ((torch.from_numpy(features) - mean) * factor).double().reshape(-1, 6)
    torch.testing.assert_close(found.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        found.std(0, correction=0), torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert torch.isfinite(factor).all()
    assert mean.dtype == factor.dtype == torch.float32


# ---------------------------------------------------------------- the network


def small_network(seed: int = 0, **how) -> qa.SoftAttention:
    torch.manual_seed(seed)
    scale = qa.Standard(torch.randn(6), torch.rand(6) + 0.5)
    return qa.SoftAttention(torch.randn(12, 5), 7, scale, hidden=4, common=3, **how).eval()


def some_questions(batch: int = 6, length: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = generator(3)
    words = torch.randint(1, 12, (batch, length), generator=draw)
    lengths = torch.randint(1, length + 1, (batch,), generator=draw)
    words[torch.arange(length) >= lengths[:, None]] = qa.PADDING
    return words, lengths, torch.randn(batch, CLIPS, 6, generator=draw)


def reference(network: qa.SoftAttention, words, features) -> tuple[np.ndarray, np.ndarray]:
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


@pytest.mark.parametrize("behind", [qa.PADDING, qa.UNKNOWN, 5])
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
        network = qa.SoftAttention(torch.randn(12, 5), 7, qa.standard(given_), hidden=4, common=3)
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
    network = qa.SoftAttention(vectors, 7, qa.Standard(torch.zeros(6), torch.ones(6)))
    nn.init.ones_(network.embedding.weight)
    assert torch.equal(vectors, before)


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 0), (7, 1), (64, 2)])
def test_answers_equal_one_question_at_a_time(learnt, batch, workers):
    questions, features, _ = world(3, 2)
    questions[4] = question("what is the ball doing", "flying", 0, "v1", "v1_0")
    items = qa.QuestionItems(questions, learnt.vocabulary, learnt.answers, features, rows(3), training=False)
    seen, before = [], torch.get_rng_state()
    learnt.network.train()
    found = qa.answer(learnt.network, items, batch, "cpu", lambda *at: seen.append(at), workers=workers)
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
    items = qa.QuestionItems([], learnt.vocabulary, learnt.answers, np.zeros((0, 20, 12)), {}, training=False)
    with pytest.raises(InputError, match="no question to answer"):
        qa.answer(learnt.network, items, 8, "cpu")


def test_accuracy_by_type_by_hand():
    found = qa.by_type([True, False, True, True, False, False], [3, 3, 0, 3, 8, 4])
    assert found == {"motion": (1, 1), "free_yn": (2, 3), "free_color": (0, 1), "free_other": (0, 1), "all": (3, 6)}
    assert list(found) == ["motion", "free_yn", "free_color", "free_other", "all"]
    assert (found["all"].correct, found["all"].total) == (3, 6)
    assert qa.by_type(np.array([True]), torch.tensor([5])) == {"free_obj": (1, 1), "all": (1, 1)}
    assert qa.by_type([], []) == {"all": (0, 0)}
    with pytest.raises(ValueError, match="zip"):
        qa.by_type([True], [])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=50))
def test_types_add_up_to_all(asked):
    found = qa.by_type([hit for hit, _ in asked], [kind for _, kind in asked])
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
    found = qa.most_frequent(seen, asked)
    assert found.overall == {"free_yn": (1, 3), "free_color": (0, 2), "free_obj": (1, 2), "all": (2, 7)}
    # Of "red" and "blue" the first in the alphabet; objects were never asked about, so that "yes" is all there is.
    assert found.of_type == {"free_yn": (1, 3), "free_color": (1, 2), "free_obj": (1, 2), "all": (3, 7)}


# ---------------------------------------------------------------- pictures


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def drawn_in(sheet: np.ndarray, colour: tuple) -> np.ndarray:
    """Pixels of a colour, as near as a palette has it."""
    return (np.abs(sheet - colour) <= 12).all(-1)


def bars(sheet: np.ndarray) -> list[tuple[int, bool]]:
    """Height of the bar beneath each of 20 frames in a sheet of one question, and whether it is marked as the longest."""
    found = []
    for place in range(CLIPS):
        # A column at the frame's edge, clear of the number below and of the frame's own pixels, which are grey.
        left = qa.GAP + place * (qa.FRAME + qa.BETWEEN) + 1
        column = sheet[qa.GAP + 2 * qa.LINE :, left : left + 1]
        blue, pale = drawn_in(column, qa.BLUE).sum(), drawn_in(column, qa.PALE).sum()
        found.append((int(blue + pale), bool(blue)))
    return found


def test_bars_are_as_long_as_weights(tmp_path):
    frames = np.full((1, CLIPS, 8, 8, 3), 90, np.uint8)
    weights = np.array([0.02, 0.4] + [0.04] * 12 + [0.1] + [0.0] * 5, np.float32)
    qa.attention_picture(frames, weights[None], [("where is it", "pool", "pool")], tmp_path / "a.png")
    found = bars(pixels(tmp_path / "a.png"))
    assert [longest for _, longest in found] == [place == 1 for place in range(CLIPS)]
    # The line of equal weights covers a pixel of a bar that reaches it.
    for (length, _), weight in zip(found, weights, strict=True):
        assert abs(length - qa.BAR * weight / 0.4) <= 1.5


def test_frames_are_shown_enlarged_and_in_order(tmp_path):
    frames = np.zeros((2, CLIPS, 6, 12, 3), np.uint8)
    frames[..., 0] = np.arange(CLIPS)[:, None, None] * 12
    frames[1, ..., 1] = 255
    texts = [("q" * 150, "swimming", "swimming"), ("is it", "no", "yes")]
    qa.attention_picture(frames, np.full((2, CLIPS), 0.05), texts, tmp_path / "a.png")
    sheet = pixels(tmp_path / "a.png")
    height = qa.FRAME // 2
    for row in range(2):
        top = row * len(sheet) // 2 + qa.GAP + 2 * qa.LINE + qa.BETWEEN
        for place in range(CLIPS):
            left = qa.GAP + place * (qa.FRAME + qa.BETWEEN)
            shown = sheet[top + 1 : top + height - 1, left + 1 : left + qa.FRAME - 1]
            assert (np.abs(shown - [12 * place, 255 * row, 0]) <= 14).all()
    # Right in green and wrong in red, and not the other way round.
    upper, lower = sheet[: len(sheet) // 2], sheet[len(sheet) // 2 :]
    text = slice(qa.GAP + qa.LINE, qa.GAP + 2 * qa.LINE)
    assert drawn_in(upper[text], (0, 140, 60)).any()
    assert drawn_in(lower[text], (205, 30, 30)).any()
    assert not drawn_in(lower[text], (0, 140, 60)).any()


def test_the_same_questions_give_the_same_bytes(tmp_path):
    draw = np.random.default_rng(0)
    frames = list(draw.integers(0, 256, (3, CLIPS, 36, 48, 3), np.uint8))
    weights = draw.dirichlet(np.ones(CLIPS), 3)
    texts = [("what is it", "a dog", "a cat")] * 3
    for name in ("a.png", "b.png"):
        qa.attention_picture(frames, weights, texts, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # Tensors, and weights of nothing at all, as a network without video has.
    qa.attention_picture([torch.from_numpy(frames[0])], torch.zeros(1, CLIPS), texts[:1], tmp_path / "c.png")
    assert len(pixels(tmp_path / "c.png")) == len(pixels(tmp_path / "a.png")) // 3
    with pytest.raises(ValueError, match="at least one question"):
        qa.attention_picture([], np.zeros((0, CLIPS)), [], tmp_path / "d.png")


# ---------------------------------------------------------------- the official files


@pytest.fixture(scope="module")
def official(shared_data) -> dict[str, tuple[Question, ...]]:
    root = shared_data / "official-lists"
    if not (root / activitynet_qa.LISTS).is_dir():
        pytest.skip("the official question files are not on this machine")
    return activitynet_qa.questions(root)


def test_answers_of_the_official_files_that_can_be_given(official, shared_data):
    answers = set(qa.answer_vocabulary(official["train"]))
    assert len(answers) == 1000
    # Beside a count that knows nothing of this module.
    folder = shared_data / "official-lists" / activitynet_qa.LISTS
    read = {
        part: [" ".join(each["answer"].split()) for each in json.loads((folder / f"{part}_a.json").read_bytes())]
        for part in official
    }
    often = Counter(read["train"])
    given_ = set(sorted(often, key=lambda answer: (-often[answer], answer))[:1000])
    for part, expected in (("train", 27117), ("val", 14788), ("test", 6281)):
        assert sum(each.answer in answers for each in official[part]) == expected
        assert sum(answer in given_ for answer in read[part]) == expected


def test_most_frequent_answers_of_the_official_files(official):
    found = qa.most_frequent(official["train"], official["test"])
    assert found.overall["all"] == (1102, 8000)
    assert found.of_type["all"] == (1947, 8000)
    assert found.of_type["free_yn"] == (1101, 2094)
    assert [found.of_type[name].total for name in TYPES] == [800, 800, 800, 2094, 697, 318, 386, 606, 1499]


def test_the_official_questions_are_words_that_are_known(official):
    vocabulary = qa.Vocabulary(each.text for each in official["train"])
    assert len(vocabulary) == 3684
    encoded = [index for each in official["test"] for index in vocabulary.encode(each.text)]
    assert qa.PADDING not in encoded
    assert encoded.count(qa.UNKNOWN) / len(encoded) < 0.01
    assert min(len(vocabulary.encode(each.text)) for part in official.values() for each in part) >= 3
