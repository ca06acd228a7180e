"""Words, answers and vectors by hand, and every fault of a file in one line."""

import json
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import InputError
from suite.evaluation.question_answering.vocabulary import (
    DEVIATION,
    PADDING,
    UNKNOWN,
    Vocabulary,
    answer_vocabulary,
    drawn,
    glove,
    words,
)
from tests.suite.evaluation.question_answering.asked import question


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
    assert words(text) == expected.split()


@given(st.text(max_size=60))
def test_words_stay_as_they_are_when_split_again(text):
    found = words(text)
    assert words(" ".join(word for word in found if word != "'s")) == [word for word in found if word != "'s"]
    assert all(word and " " not in word for word in found)


def test_a_vocabulary_by_hand():
    vocabulary = Vocabulary(["is the man tall", "is the dog there", "the man"])
    assert vocabulary.words == ("<padding>", "<unknown>", "the", "is", "man", "dog", "tall", "there")
    assert vocabulary.counts == (0, 0, 3, 2, 2, 1, 1, 1)
    assert len(vocabulary) == 8
    assert vocabulary.encode("Is the cat tall?") == [3, 2, UNKNOWN, 6]
    # The network's LSTM needs a word.
    assert vocabulary.encode("?!") == [UNKNOWN]
    # What the special words are called is no word that can be asked.
    assert vocabulary.encode("<padding>") == [UNKNOWN]


@given(st.lists(st.text("abc ", max_size=12), max_size=8), st.randoms())
def test_a_vocabulary_does_not_depend_on_the_order_of_questions(texts, random):
    vocabulary = Vocabulary(texts)
    shuffled = list(texts)
    random.shuffle(shuffled)
    assert Vocabulary(shuffled).words == vocabulary.words
    for text in texts:
        assert [vocabulary.words[index] for index in vocabulary.encode(text)] == (words(text) or ["<unknown>"])


def test_answers_by_frequency_then_alphabet():
    questions = [question("?", answer) for answer in ("no", "yes", "red", "yes", "no", "blue", "two")]
    assert answer_vocabulary(questions, 4) == ("no", "yes", "blue", "red")
    assert answer_vocabulary(questions) == ("no", "yes", "blue", "red", "two")


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


VOCABULARY = Vocabulary(["the man at the café", "the t-shirt of", "zebra the"])


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vectors_and_coverage_by_hand(tmp_path, end, blank):
    # "of" is spoilt and not asked for; phrases and the second "man" do not count.
    vocabulary = Vocabulary(["the man at the café", "the t-shirt", "zebra the"])
    found = glove(glove_file(tmp_path, [line.replace(" ", blank) for line in LINES], end), vocabulary, size=3, seed=4)
    expected = {"the": [0.5, -1, 0.2], "man": [1, 2, 3], "at": [5, 6, 7], "café": [8, 8, 8], "t-shirt": [-0.25, 0, 7]}
    fallback = drawn(vocabulary, 3, 4).vectors
    for index, word in enumerate(vocabulary.words):
        want = torch.tensor(expected[word]) if word in expected else fallback[index]
        assert torch.equal(found.vectors[index], want), word
    assert found.vectors.dtype == torch.float32
    assert not found.vectors[PADDING].any()
    # Five of six words; "the" is there four times.
    assert found.words_covered == pytest.approx(5 / 6)
    assert found.tokens_covered == pytest.approx(8 / 9)


def test_words_that_the_file_has_not_are_drawn_by_the_seed(tmp_path):
    path = glove_file(tmp_path, LINES)
    vocabulary = Vocabulary([f"zebra{index}" for index in range(400)])
    first, again, other = (glove(path, vocabulary, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors[2:], other.vectors[2:])
    assert len(first.vectors[1:].unique(dim=0)) == 401
    assert float(first.vectors[1:].std()) == pytest.approx(DEVIATION, rel=0.1)
    assert first[1:] == (0, 0)


def test_no_generator_of_torch_is_drawn_from(tmp_path):
    before = torch.get_rng_state()
    glove(glove_file(tmp_path, LINES), Vocabulary(["the zebra"]), 3)
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
        glove(path, VOCABULARY, size=3)
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
            glove(path, VOCABULARY, size=3)
        assert str(caught.value).startswith(f"{path}: ")
        assert "glove.6B.zip" in str(caught.value)
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- the official files


def test_answers_of_the_official_files_that_can_be_given(official, shared_data):
    answers = set(answer_vocabulary(official["train"]))
    assert len(answers) == 1000
    # Beside a count that knows nothing of this module.
    folder = shared_data / "official-lists" / "activitynet-qa"
    read = {
        part: [" ".join(each["answer"].split()) for each in json.loads((folder / f"{part}_a.json").read_bytes())]
        for part in official
    }
    often = Counter(read["train"])
    given_ = set(sorted(often, key=lambda answer: (-often[answer], answer))[:1000])
    for part, expected in (("train", 27117), ("val", 14788), ("test", 6281)):
        assert sum(each.answer in answers for each in official[part]) == expected
        assert sum(answer in given_ for answer in read[part]) == expected


def test_the_official_questions_are_words_that_are_known(official):
    vocabulary = Vocabulary(each.text for each in official["train"])
    assert len(vocabulary) == 3684
    encoded = [index for each in official["test"] for index in vocabulary.encode(each.text)]
    assert PADDING not in encoded
    assert encoded.count(UNKNOWN) / len(encoded) < 0.01
    assert min(len(vocabulary.encode(each.text)) for part in official.values() for each in part) >= 3
