"""What a network answers, by type of question, and what the most frequent answers give."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from suite.datasets.activitynet_qa import TYPES
from suite.errors import InputError
from suite.evaluation.asking import ask
from suite.evaluation.order import Tally
from suite.evaluation.question_answering.network import QuestionItems, SoftAttention
from suite.evaluation.question_answering.vocabulary import answer_vocabulary


class Answers(NamedTuple):
    """What a network answers, in the order of the questions."""

    # bool [Q]; index of the answer given, int64 [Q]; weights of the clips, float32 [Q, C].
    hits: np.ndarray
    predictions: np.ndarray
    attention: np.ndarray


def answer(
    network: SoftAttention,
    items: QuestionItems,
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int = 0,
) -> Answers:
    """Answer every question; single precision, evaluation mode.

    Args:
        workers: loader processes; none of the numbers depends on it.
        progress: called with (questions done, questions in all).

    Raises:
        InputError: there is no question.
    """
    if not len(items):
        raise InputError("there is no question to answer; check the data root for the videos that are asked about")

    def answered(words: Tensor, lengths: Tensor, features: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        logits, attention = network(words, lengths, features)
        return logits.argmax(1).cpu(), attention.cpu()

    found = ask(network, answered, items, batch, device, progress, workers=workers)
    predictions, attention = (torch.cat(column).numpy() for column in zip(*found, strict=True))
    return Answers(predictions == np.array(items.targets), predictions, attention)


def by_type(hits: Iterable[bool], types: Iterable[int]) -> dict[str, Tally]:
    """Right answers and questions of each type, by its name in `TYPES`, and of "all" questions.

    A type without a question is left out: it has no accuracy. The dataset's own script divides the free types by other
    types' numbers of questions; here each is divided by its own.
    """
    total: Counter[int] = Counter()
    correct: Counter[int] = Counter()
    for hit, kind in zip(hits, types, strict=True):
        total[int(kind)] += 1
        correct[int(kind)] += bool(hit)
    found = {TYPES[kind]: Tally(correct[kind], total[kind]) for kind in sorted(total)}
    return found | {"all": Tally(correct.total(), total.total())}


class MostFrequent(NamedTuple):
    """Accuracies, as of `by_type`, of one answer to every question, and of one answer to all questions of a type."""

    overall: dict[str, Tally]
    of_type: dict[str, Tally]


def most_frequent(training: Sequence, test: Sequence) -> MostFrequent:
    """What the most frequent training answer gives in the test, over all questions or over those of the same type.

    Ties in alphabetical order; a type that training has not is given the answer over all.
    """
    best = answer_vocabulary(training, 1)[0]
    kinds = {question.type for question in training}
    of_type = {kind: answer_vocabulary((q for q in training if q.type == kind), 1)[0] for kind in kinds}
    types = [question.type for question in test]
    return MostFrequent(
        by_type([question.answer == best for question in test], types),
        by_type([question.answer == of_type.get(question.type, best) for question in test], types),
    )
