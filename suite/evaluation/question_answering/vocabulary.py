"""Words of questions and vectors for them (GloVe's, or drawn), and the answers that can be given."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from suite.errors import InputError
from suite.seeding import generator

PADDING, UNKNOWN = 0, 1
# Of embeddings that are drawn: about that of GloVe in 300 dimensions. From 0.1 learning starts an epoch later.
DEVIATION = 0.4


def words(text: str) -> list[str]:
    """The words of a question in lower case, split as GloVe's were: "the man's t-shirt" -> the, man, 's, t-shirt.

    A hyphen joins, whatever else is no letter or digit separates and is dropped.
    """
    return re.findall(r"(?<=\w)'s\b|[^\W_]+(?:-[^\W_]+)*", text.lower().replace("’", "'"))


class Vocabulary:
    """The words of some questions (those of training), the most frequent first, ties in alphabetical order.

    `words` holds them by index, behind padding (0) and the unknown word (1); `counts` how often each was there.
    """

    def __init__(self, texts: Iterable[str]):
        found = Counter(word for text in texts for word in words(text))
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        self.words = ("<padding>", "<unknown>", *(word for word, _ in ranked))
        self.counts = (0, 0, *(count for _, count in ranked))
        self._index = {word: index for index, (word, _) in enumerate(ranked, UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> list[int]:
        """Indices of a question's words; a question without any is one unknown word."""
        return [self._index.get(word, UNKNOWN) for word in words(text)] or [UNKNOWN]


def answer_vocabulary(questions: Iterable, size: int = 1000) -> tuple[str, ...]:
    """The `size` most frequent answers of (training) questions, ties in alphabetical order."""
    found = Counter(question.answer for question in questions)
    return tuple(sorted(found, key=lambda answer: (-found[answer], answer))[:size])


class Embeddings(NamedTuple):
    """Vectors for a vocabulary, and how much of it they come from a file for."""

    # float32 [V, E]; that of padding is zero.
    vectors: Tensor
    # Shares, from 0 to 1, of the vocabulary's words and of the words of its questions, repeats counted.
    words_covered: float
    tokens_covered: float


def drawn(vocabulary: Vocabulary, size: int = 300, seed: int = 0) -> Embeddings:
    """Random embeddings, normal with `DEVIATION`: always the same for one seed, size and number of words."""
    vectors = DEVIATION * torch.randn(len(vocabulary), size, generator=generator(seed))
    vectors[PADDING] = 0
    return Embeddings(vectors, 0.0, 0.0)


def glove(path: Path, vocabulary: Vocabulary, size: int = 300, seed: int = 0) -> Embeddings:
    """Embeddings of a vocabulary from a text file of GloVe (Pennington et al., 2014), such as `glove.6B.300d.txt`.

    A line is a word and its numbers, with blanks or tabs between them; a word's first line counts. Numbers of other words are
    not looked at, and nothing but the vocabulary is held. Words that the file has not, and the unknown word, are as `drawn`
    by the seed.

    Raises:
        InputError: there is no such file, it is empty, or the first line or that of a wanted word has not `size` finite
            numbers; names the line.
    """
    result = drawn(vocabulary, size, seed).vectors
    wanted = {vocabulary.words[index].encode(): index for index in range(UNKNOWN + 1, len(vocabulary))}
    counts, number = vocabulary.counts, 0
    found = {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                word = line.split(None, 1)[0] if line.strip() else b""
                if number == 1 or (word in wanted and word not in found):
                    vector = _vector(line, size, f"{path}: line {number}")
                    if vector is not None and word in wanted:
                        found[word] = vector
                if len(found) == len(wanted):
                    break
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); put the file of glove.6B.zip for {size} dimensions there"
        ) from None
    if not number:
        raise InputError(f"{path}: is empty; put the file of glove.6B.zip for {size} dimensions there")
    for word, vector in found.items():
        result[wanted[word]] = torch.tensor(vector)
    tokens = sum(counts[wanted[word]] for word in found)
    return Embeddings(result, len(found) / max(len(wanted), 1), tokens / max(sum(counts), 1))


def _vector(line: bytes, size: int, where: str) -> list[float] | None:
    """The numbers of a line; None if it is about a word with spaces, which other files of GloVe have."""
    remedy = f"the file should be GloVe's text format with {size} dimensions, such as glove.6B.{size}d.txt"
    fields = line.split()
    if len(fields) > size + 1 and not all(map(_is_number, fields[1:-size])):
        return None
    if len(fields) != size + 1:
        raise InputError(f"{where}: has {max(len(fields) - 1, 0)} numbers, not {size}; {remedy}")
    wrong = next((field for field in fields[1:] if not _is_number(field)), None)
    if wrong is not None:
        shown = wrong[:20].decode(errors="replace")
        raise InputError(f"{where}: {shown!r} is no finite number; {remedy}")
    return [float(field) for field in fields[1:]]


def _is_number(field: bytes) -> bool:
    try:
        return bool(np.isfinite(float(field)))
    except ValueError:
        return False
