"""Questions with the features of their videos, and the network that answers them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import Dataset

from suite.errors import InputError
from suite.evaluation.question_answering.vocabulary import PADDING, Vocabulary
from suite.training import Outcome


class QuestionItems(Dataset):
    """Questions with the features of their videos. An item by (epoch, index) is the same in every epoch.

    Args:
        questions: each has `id`, `video`, `text`, `answer` and `type`; those whose video is missing are left to the
            caller to take out and count.
        vocabulary, answers: from the training questions.
        features: finite [videos, C, D]; `rows` holds the row of each video by name.
        training: questions whose answer is none of `answers` are left out, `left_out` of them. Otherwise they are asked,
            and any answer to them is wrong.

    Raises:
        InputError: a question's video has no features, or they are NaN or infinite.
    """

    def __init__(
        self,
        questions: Sequence,
        vocabulary: Vocabulary,
        answers: Sequence[str],
        features: np.ndarray,
        rows: Mapping[str, int],
        *,
        training: bool,
    ):
        if features.ndim != 3:
            raise ValueError(f"features {features.shape} are not [videos, clips, D]")
        index = {answer: place for place, answer in enumerate(answers)}
        self.questions = [each for each in questions if not training or each.answer in index]
        self.left_out = len(questions) - len(self.questions)
        for video in {each.video: None for each in self.questions}:
            if video not in rows:
                raise InputError(f"{video}: a question is about this video, which has no features; leave it out")
            if not np.isfinite(features[rows[video]]).all():
                raise InputError(f"{video}: a feature is NaN or infinite; check the weights it was taken with")
        self.features = features
        self.rows = [rows[each.video] for each in self.questions]
        encoded = [vocabulary.encode(each.text) for each in self.questions]
        self.lengths = [len(indices) for indices in encoded]
        self.words = torch.full((len(encoded), max(self.lengths, default=1)), PADDING)
        for row, indices in zip(self.words, encoded, strict=True):
            row[: len(indices)] = torch.tensor(indices)
        # -1: none of the answers that can be given.
        self.targets = [index.get(each.answer, -1) for each in self.questions]

    def __len__(self) -> int:
        return len(self.questions)

    def name(self, index: int) -> str:
        """The question behind an item, for messages."""
        return self.questions[index].id

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, Tensor, int, int]:
        """Returns words int64 [L], how many of them are the question's, features float32 [C, D], the answer's index or
        -1, and the question's type."""
        _, index = key
        # A copy: the array may be a file on the disk that must not be written to.
        features = torch.from_numpy(np.array(self.features[self.rows[index]], np.float32))
        return self.words[index], self.lengths[index], features, self.targets[index], self.questions[index].type


class Standard(NamedTuple):
    """What brings features to mean 0 and deviation 1: (feature - mean) * factor, float32 [D] each."""

    mean: Tensor
    factor: Tensor


def standard(features: np.ndarray) -> Standard:
    """Statistics of each of D values over all clips of (training) videos [videos, C, D].

    A value that does not vary there, but for rounding, is not looked at: its factor is 0.
    """
    rows = features.reshape(-1, features.shape[-1])
    mean = rows.mean(0, dtype=np.float64)
    deviation = rows.std(0, dtype=np.float64)
    varies = deviation > 1e-6 * np.abs(mean)
    factor = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    return Standard(torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(factor.astype(np.float32)))


class SoftAttention(nn.Module):
    """Extended soft attention: words -> LSTM -> attention over clips -> answer.

    Settings are those of the E-SA authors' code: the embeddings go on learning, the question is the LSTM's last cell
    state, question and clips are brought to J values by a linear layer and tanh each, their inner product through a
    softmax is the attention, and the answer is read off the product of question and attended video. The code has no
    dropout; where one is asked for, it is on that product.

    Ours: features are standardised first, since those of different networks differ in scale by orders of magnitude and
    untrained ones hardly vary about their mean; the state is taken at the question's true end (their LSTM reads on
    through the padding in training, not in the test); the loss is cross-entropy (theirs takes every answer for a yes-no
    question).

    Args:
        embeddings: float32 [V, E] that the words start from.
        answers: A, the number of answers.
        standard: of the training videos' features.
        hidden, common: H and J.
        video: False leaves the video out, and the answer is read off the question: how far questions alone go.
    """

    mean: Tensor
    factor: Tensor

    def __init__(
        self,
        embeddings: Tensor,
        answers: int,
        standard: Standard,
        *,
        hidden: int = 300,
        common: int = 256,
        dropout: float = 0.0,
        video: bool = True,
    ):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(embeddings.clone(), freeze=False)
        self.lstm = nn.LSTM(embeddings.shape[1], hidden, batch_first=True)
        self.question = nn.Linear(hidden, common)
        self.video = nn.Linear(len(standard.mean), common) if video else None
        self.register_buffer("mean", standard.mean.clone())
        self.register_buffer("factor", standard.factor.clone())
        self.dropout = nn.Dropout(dropout)
        self.answer = nn.Linear(common, answers)

    def forward(self, words: Tensor, lengths: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [B, L] and [B], float32 [B, C, D] -> logits [B, A] and attention [B, C], which sums to 1.

        What stands behind a question's length changes nothing. Without video the attention is zero.
        """
        # Lengths are wanted on the CPU, which waits for the device once a batch; the LSTM then skips the padding.
        sequence = pack_padded_sequence(self.embedding(words), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (_, state) = self.lstm(sequence)
        question = torch.tanh(self.question(state[0])).float()
        if self.video is None:
            return self.answer(self.dropout(question)), question.new_zeros(features.shape[:2])
        clips = torch.tanh(self.video((features.float() - self.mean) * self.factor)).float()
        # No matrix product: autocast would take one in half precision.
        attention = (question.unsqueeze(1) * clips).sum(2).softmax(1)
        attended = (attention.unsqueeze(2) * clips).sum(1)
        return self.answer(self.dropout(question * attended)), attention

    def outcome(self, words: Tensor, lengths: Tensor, features: Tensor, target: Tensor, types: Tensor) -> Outcome:
        """Cross-entropy over the questions whose answer can be given (0 if none can), and the number of right answers
        among all: a target of -1 is never hit. Of the types nothing is learnt."""
        logits = self(words, lengths, features)[0].float()
        total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
        return Outcome(total / (target >= 0).sum().clamp_min(1), (logits.argmax(1) == target).sum())
