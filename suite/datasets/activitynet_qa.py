"""The layout of ActivityNet-QA: questions about videos, with free answers, in three parts that share no video.

<lists>/{train,val,test}_{q,a}.json as published (questions, and answers with their types), and the videos, called v_<name>
or <name> with any usual extension, up to three folders deep below <videos>/.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from suite.datasets import Absent, Description, Listing, Split, Video, describe, lists
from suite.errors import InputError

PARTS = ("train", "val", "test")
# By their numbers in the answer files. The first three are types of questions, the others types of answers to free ones.
TYPES = (
    "motion",
    "spat_rel",
    "temp_rel",
    "free_yn",
    "free_color",
    "free_obj",
    "free_loc",
    "free_num",
    "free_other",
)
# Folders below videos/ that are looked into: v1-2/train_val/ of the official download, and one to spare.
_DEPTH = 3
_NAME = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True)
class Question:
    """A question about a video, and its answer."""

    # As published: "v_okC18bPTils_3".
    id: str
    # The name of a video of `read`, there or not: "okC18bPTils".
    video: str
    # Words with single blanks between them; published in lower case, without a question mark.
    text: str
    answer: str
    # Its place in TYPES.
    type: int


def read(about: Description, root: Path) -> Listing:
    """Read the questions: split 1 trains on the videos of train and then val, in the order of the files, and tests on test.

    Which training videos are of val is told by `questions`. All videos have label 0, since they have no classes. Raises
    InputError as `questions` does.
    """
    lists.folder_of(about, root)
    parts = _read(about, root)
    there = lists.videos_below(root, about.videos, _DEPTH)
    found: dict[str, tuple[Video, ...]] = {}
    absent: dict[str, Absent] = {}
    for part, read in parts.items():
        names = list(dict.fromkeys(question.video for question in read.questions))
        paths = {name: [there[key] for key in (f"v_{name}", name) if key in there] for name in names}
        found[part] = tuple(
            Video(name, lists.first_filled(root, some) if some else "", 0, name) for name, some in paths.items()
        )
        named = f"{part}_q.json"
        absent |= {
            name: Absent(root / about.videos / f"v_{name}.mp4", named) for name, some in paths.items() if not some
        }
    said = {
        part: lists.canonical_hash(f"{q.id} {q.video} {q.type} {q.text} | {q.answer}" for q in read.questions)
        for part, read in parts.items()
    }
    return Listing(
        classes=("video",),
        splits={1: Split((*found["train"], *found["val"]), found["test"])},
        lists={name: sha256 for read in parts.values() for name, sha256 in read.lists.items()},
        said=said,
        absent=absent,
        parts={f"{part}_q.json": videos for part, videos in found.items()},
    )


def questions(root: Path, name: str = "activitynet-qa") -> dict[str, tuple[Question, ...]]:
    """Every published question by part ("train", "val", "test"), in the order of its file, of missing videos too.

    Raises InputError, naming the file and the place of the entry in it: no JSON, no list, a key that is missing or is not
    what it should be, an identifier given twice, a question without an answer or the reverse, a video in two parts.
    """
    return {part: read.questions for part, read in _read(describe(name), Path(root)).items()}


def askable(asked: Iterable[Question], names: Collection[str]) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Questions about videos among `names`, and those about others, which cannot be asked. Both keep their order."""
    asked, known = tuple(asked), frozenset(names)
    return tuple(q for q in asked if q.video in known), tuple(q for q in asked if q.video not in known)


@dataclass(frozen=True)
class _Part:
    """Questions of a part, and sha256 of its files by name."""

    questions: tuple[Question, ...]
    lists: dict[str, str]


class _File:
    """A json file that is a list of entries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = lists.content_of(path)
        self.sha256 = lists.text_hash(content)
        try:
            self.entries = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: is not JSON ({error}); take the file as published") from None
        if not isinstance(self.entries, list) or not self.entries:
            raise InputError(f"{path}: is not a list of entries; take the file as published")

    def fault(self, place: int, problem: str) -> InputError:
        """The error for a fault of the entry at `place`, counted from 1."""
        return InputError(f"{self.path}, entry {place}: {problem}; take the file as published")

    def text(self, place: int, key: str) -> str:
        """The words under a key of the entry at `place`, with single blanks between them."""
        value = self.value(place, key)
        words = " ".join(value.split()) if isinstance(value, str) else ""
        if not words or not words.isprintable():
            raise self.fault(place, f"{key!r} is {value!r}, not a text")
        return words

    def value(self, place: int, key: str):
        entry = self.entries[place - 1]
        if not isinstance(entry, dict) or key not in entry:
            raise self.fault(place, f"has no {key!r}")
        return entry[key]


def _read(about: Description, root: Path) -> dict[str, _Part]:
    """Read the six files and check what they say."""
    folder = lists.home(about, root)
    parts: dict[str, _Part] = {}
    homes: dict[str, str] = {}
    known: set[str] = set()
    for part in PARTS:
        asking, answering = (_File(folder / f"{part}_{kind}.json") for kind in "qa")
        answers = _answers(answering)
        found = []
        for place in range(1, len(asking.entries) + 1):
            identifier, video = asking.text(place, "question_id"), asking.text(place, "video_name")
            if not _NAME.fullmatch(video):
                raise asking.fault(place, f"{video!r} is not the name of a video")
            if homes.setdefault(video, part) != part:
                raise asking.fault(place, f"video {video!r} is in {homes[video]}_q.json too, but parts share no video")
            if identifier in known:
                raise asking.fault(place, f"question {identifier!r} is there a second time")
            known.add(identifier)
            if identifier not in answers:
                raise asking.fault(place, f"question {identifier!r} has no answer in {answering.path.name}")
            _, answer, kind = answers.pop(identifier)
            found.append(Question(identifier, video, asking.text(place, "question"), answer, kind))
        for identifier, (place, _, _) in answers.items():
            raise answering.fault(place, f"answers {identifier!r}, which is no question of {asking.path.name}")
        parts[part] = _Part(tuple(found), {file.path.name: file.sha256 for file in (asking, answering)})
    return parts


def _answers(file: _File) -> dict[str, tuple[int, str, int]]:
    """Place, answer and type by question."""
    answers: dict[str, tuple[int, str, int]] = {}
    for place in range(1, len(file.entries) + 1):
        identifier, answer, kind = (
            file.text(place, "question_id"),
            file.text(place, "answer"),
            file.value(place, "type"),
        )
        # Not isinstance: true is an int too.
        if type(kind) is not int or kind not in range(len(TYPES)):
            raise file.fault(place, f"type {kind!r} is not one of 0 to {len(TYPES) - 1}")
        if identifier in answers:
            raise file.fault(
                place, f"{identifier!r} is answered a second time (first in entry {answers[identifier][0]})"
            )
        answers[identifier] = (place, answer, kind)
    return answers
