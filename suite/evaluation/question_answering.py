"""Answers to questions about videos, from frozen clip features (vcop-curriculum Sec. IV-D, Table VI).

Shapes: Q questions in a set, B in a batch, L words (the longest question's), C clips of a video (20), D of a feature
(512), E of a word (300), H of the LSTM's state (300), J of the space that question and clips meet in (256), A answers.

The model is extended soft attention, E-SA (Xu et al., ACM Multimedia 2017), as its authors coded it: an LSTM reads the
question, its last cell state is compared with every clip, and the product of question and attended video names one of
the most frequent training answers.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import Dataset

from suite.datasets.activitynet_qa import TYPES
from suite.errors import InputError
from suite.evaluation.examples import COLOURS, INK, MARKS, MUTED, PAPER
from suite.evaluation.features import frozen
from suite.evaluation.order import Tally
from suite.loading import batches_of
from suite.seeding import generator
from suite.training import Outcome

PADDING, UNKNOWN = 0, 1
# Of embeddings that are drawn: about that of GloVe in 300 dimensions. From 0.1 learning starts an epoch later.
DEVIATION = 0.4

# ---------------------------------------------------------------- words and answers


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


# ---------------------------------------------------------------- questions with their videos


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


# ---------------------------------------------------------------- the network


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


# ---------------------------------------------------------------- evaluation


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
    network.to(device)
    keys = [(0, index) for index in range(len(items))]
    batches = [keys[low : low + batch] for low in range(0, len(keys), batch)]
    predictions: list[Tensor] = []
    attentions: list[Tensor] = []
    done = 0
    with frozen(network):
        for words_, lengths, features, *_ in batches_of(items, batches, workers=workers):
            logits, attention = network(words_.to(device), lengths, features.to(device))
            predictions.append(logits.argmax(1).cpu())
            attentions.append(attention.cpu())
            done += len(logits)
            progress(done, len(items))
    found = torch.cat(predictions).numpy()
    return Answers(found == np.array(items.targets), found, torch.cat(attentions).numpy())


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


# ---------------------------------------------------------------- where it looks, as a picture

# Pixels: width of a frame, height of the longest bar, between frames, around rows, of a line of text, of letters.
FRAME, BAR, BETWEEN, GAP, LINE, FONT_SIZE = 64, 40, 2, 12, 17, 13
BLUE, PALE = (40, 110, 200), (170, 195, 230)


def attention_picture(
    frames: Sequence[np.ndarray], attention: np.ndarray, texts: Sequence[tuple[str, str, str]], path: Path
) -> None:
    """Write a PNG with a row for each of a few questions; the same input gives the same bytes.

    A row has the question, the answer given and the right one, a frame of every clip, and beneath each frame its weight
    as a bar. Bars are drawn against the largest of the row, whose number stands below it; the grey line is where all
    weights would be if they were equal.

    Args:
        frames: the middle frames of the clips of each question's video, uint8 [C, h, w, 3], enlarged or made smaller.
        attention: [questions, C].
        texts: (question, answer given, right answer) of each.
    """
    if not len(texts):
        raise ValueError("an attention picture needs at least one question")
    import matplotlib

    # matplotlib's own copy of DejaVu Sans: the same glyphs, marks included, on every machine.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)
    rows = [
        _row(np.asarray(clips), np.asarray(weights), text, font)
        for clips, weights, text in zip(frames, attention, texts, strict=True)
    ]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    content = io.BytesIO()
    sheet.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    Path(path).write_bytes(content.getvalue())


def _row(
    clips: np.ndarray, weights: np.ndarray, texts: tuple[str, str, str], font: ImageFont.FreeTypeFont
) -> Image.Image:
    """One question's row: its text, the frames, and a bar beneath each."""
    question, given, right = texts
    step, height = FRAME + BETWEEN, round(FRAME * clips.shape[1] / clips.shape[2])
    colour, mark = MARKS[given == right]
    lines = [(question, INK), (f"{given}   {mark}" + ("" if given == right else f"   (right: {right})"), colour)]
    above = GAP + len(lines) * LINE + BETWEEN
    foot = above + height + BETWEEN + BAR
    width = max(len(clips) * step, *(round(font.getlength(line)) for line, _ in lines))
    picture = Image.new("RGB", (width + 2 * GAP, foot + LINE + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (line, ink) in enumerate(lines):
        draw.text((GAP, GAP + place * LINE), line, ink, font)
    longest = max(float(weights.max()), 1e-12)
    for place, (frame, weight) in enumerate(zip(clips, weights, strict=True)):
        left = GAP + place * step
        shown = Image.fromarray(frame).resize((FRAME, height), Image.Resampling.BILINEAR)
        picture.paste(shown, (left, above))
        length = round(BAR * float(weight) / longest)
        largest = place == int(weights.argmax())
        if length:
            draw.rectangle((left, foot - length, left + FRAME - 1, foot - 1), BLUE if largest else PALE)
        if largest:
            draw.text((left + FRAME / 2, foot), f"{weight:.2f}", BLUE, font, anchor="ma")
    level = foot - round(BAR * float(weights.mean()) / longest)
    draw.line((GAP, level, GAP + len(clips) * step - BETWEEN - 1, level), MUTED)
    return picture
