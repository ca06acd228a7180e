"""Synthetic ActivityNet-QA: the videos show what the answers say, and the questions alone do not tell it."""

import filecmp
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import ndimage

from suite import datasets
from suite.datasets import activitynet_qa, synthetic
from suite.datasets.activitynet_qa import TYPES, Question
from suite.datasets.synthetic import questions
from suite.errors import InputError
from suite.video import decode
from tests.suite.sampling import Stopped, stop_at


def quiet(done: int, total: int) -> None:
    """No progress shown."""


@pytest.fixture(scope="module")
def asked(probes_root) -> dict[str, tuple[Question, ...]]:
    return activitynet_qa.questions(probes_root)


def template(question: Question) -> tuple[str, str]:
    """A question without what it asks about, whichever way it is worded: its type, and what it asks."""
    if TYPES[question.type] != "free_yn":
        return TYPES[question.type], ""
    things = [*questions.COLORS, *questions.WAYS, *questions.CORNERS]
    (found,) = (
        texts[0]
        for texts in questions.YES_NO
        if question.text in {text.format(thing) for text in texts for thing in things}
    )
    return "free_yn", found


def test_layout(probes_root, asked):
    data = datasets.load("activitynet-qa", probes_root)
    assert (data.scope, data.missing, data.classes) == ("synthetic", 0, ("video",))
    assert {part: len(some) for part, some in asked.items()} == {"train": 9 * 128, "val": 9 * 32, "test": 9 * 64}
    kinds = defaultdict(list)
    for question in (question for some in asked.values() for question in some):
        kinds[question.video].append(question.type)
    assert set(kinds) == {video.name for video in data.videos()}
    assert all(sorted(some) == list(range(9)) for some in kinds.values()), "one of each type about each video"
    assert [video.name for video in data.splits[1].train] == list(
        dict.fromkeys(question.video for part in ("train", "val") for question in asked[part])
    )
    train, test = data.splits[1].train[0], data.splits[1].test[0]
    assert train.path == f"activitynet-qa/videos/train_val/v_{train.name}.avi"
    assert test.path == f"activitynet-qa/videos/test/{test.name}.avi", "both forms of names are about"
    lengths = {decode.count_frames(probes_root / video.path) for video in data.videos()[::3]}
    assert (min(lengths), max(lengths)) == questions.LENGTHS


def test_the_same_settings_give_the_same_bytes(probes_root, tmp_path):
    synthetic.generate("activitynet-qa", tmp_path, {}, quiet)
    made = [path.relative_to(tmp_path) for path in (tmp_path / "activitynet-qa").rglob("*") if path.is_file()]
    assert len(made) == 224 + 6
    for path in made:
        assert filecmp.cmp(tmp_path / path, probes_root / path, shallow=False), path


def test_answers_are_even(asked):
    for part, some in asked.items():
        counts = defaultdict(Counter)
        for question in some:
            counts[template(question)][question.answer] += 1
        assert len(counts) == 8 + 4
        for what, answers in counts.items():
            assert max(answers.values()) - min(answers.values()) <= 1, (part, what)
            if what[0] == "free_yn":
                assert answers["yes"] == answers["no"], (part, what)
            else:
                assert len(answers) == (3 if what[0] in ("free_num", "free_other") else 4)


def test_every_wording_has_every_answer_as_often_as_another(asked):
    """In train and test: val has too few videos for each of its yes/no questions."""
    for part in ("train", "test"):
        texts = defaultdict(Counter)
        for question in asked[part]:
            texts[question.text][question.answer] += 1
        assert len(texts) == 8 * 2 + 4 * 4 * 2
        for text, answers in texts.items():
            assert len(answers) in (2, 3, 4), text
            assert max(answers.values()) - min(answers.values()) <= 1, text


def test_the_best_guess_from_the_question_alone_is_a_poor_one(asked):
    """For each text the most frequent answer of the training part; and one answer to everything."""
    learnt, overall = defaultdict(Counter), Counter()
    for question in asked["train"]:
        learnt[question.text][question.answer] += 1
        overall[question.answer] += 1
    right, total = Counter(), Counter()
    for question in asked["test"]:
        total[question.type] += 1
        right[question.type] += learnt[question.text].most_common(1)[0][0] == question.answer
    shares = {TYPES[kind]: right[kind] / total[kind] for kind in range(9)}
    assert right.total() / total.total() < 0.3
    assert shares.pop("free_yn") == 0.5
    assert max(shares.values()) < 0.36
    # Even chosen on the test part itself.
    best = defaultdict(Counter)
    for question in asked["test"]:
        best[question.text][question.answer] += 1
    assert sum(max(answers.values()) for answers in best.values()) / total.total() < 0.31
    frequent = overall.most_common(1)[0][0]
    assert sum(question.answer == frequent for question in asked["test"]) / total.total() < 0.1


def seen(frames: np.ndarray) -> dict[str, str]:
    """What frames of a video show, found from their pixels alone: uint8 [T, H, W, 3]."""
    pixels = frames.astype(float)
    height, width = pixels.shape[1:3]
    # The object is what has colour.
    colored = np.ptp(pixels, axis=3) > 100
    mean = pixels[colored].mean(0)
    palette = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
    color = min(palette, key=lambda name: np.linalg.norm(mean - palette[name]))
    centres = np.array([ndimage.center_of_mass(mask) for mask in colored])
    middle = len(frames) // 2

    def way(steps: np.ndarray) -> str:
        down, right = steps[-1] - steps[0]
        if abs(down) > abs(right):
            return "down" if down > 0 else "up"
        return "right" if right > 0 else "left"

    near = ndimage.binary_dilation(colored, np.ones((1, 5, 5)))
    grey = pixels.mean(3)
    level = np.median(grey)
    grey = np.median(np.where(near, level, grey), axis=0)
    marks, count = ndimage.label(np.abs(grey - level) > 28)
    places = [place for place in range(1, count + 1) if (marks == place).sum() > 12]
    dots = {place: ndimage.center_of_mass(marks == place) for place in places}
    shades = {place: ndimage.median(grey, marks, place) for place in dots}
    white, black = max(shades, key=shades.get), min(shades, key=shades.get)
    (row, column), other = dots[white], dots[black]
    across = abs(column - other[1]) > abs(row - other[0])
    return {
        "motion": way(centres[:middle]),
        "temp_rel": way(centres[middle + 1 :]),
        "free_color": color,
        "spat_rel": ("left" if column < other[1] else "right") if across else ("above" if row < other[0] else "below"),
        "free_loc": f"{'top' if row < height / 2 else 'bottom'} {'left' if column < width / 2 else 'right'}",
        "free_num": str(len(dots)),
        "free_other": "dark" if level < 85 else "medium" if level < 140 else "bright",
        "free_obj": outline(colored),
    }


def outline(masks: np.ndarray) -> str:
    """The shape of an object, by how much of its frame it fills, and how much of it is in the upper half: [T, H, W]."""
    fills, uppers = [], []
    for mask in masks:
        framed = mask[ndimage.find_objects(mask.astype(int))[0]]
        fills.append(framed.mean())
        uppers.append(framed[: len(framed) // 2].sum() / framed[-(len(framed) // 2) :].sum())
    if np.mean(uppers) < 0.6:
        return "triangle"
    return "cross" if np.mean(fills) < 0.6 else "disc" if np.mean(fills) < 0.9 else "square"


def yes_or_no(text: str, shown: dict[str, str]) -> str:
    """The answer to a yes/no question about what a video shows."""
    words = set(text.split())
    if "first" in words:
        fact = shown["motion"]
    elif "last" in words:
        fact = shown["temp_rel"]
    else:
        fact = shown["free_loc"] if "dot" in words else shown["free_color"]
    return "yes" if set(fact.split()) <= words else "no"


def test_videos_show_what_the_answers_say(probes_root, asked):
    data = datasets.load("activitynet-qa", probes_root)
    truth = {(question.video, TYPES[question.type]): question for some in asked.values() for question in some}
    reader = decode.Reader()
    for video in data.videos()[::2]:
        path = probes_root / video.path
        shown = seen(reader.frames(path, range(decode.count_frames(path))))
        assert {name: truth[video.name, name].answer for name in shown} == shown, video.path
        question = truth[video.name, "free_yn"]
        assert question.answer == yes_or_no(question.text, shown), (video.path, question)


def test_everything_is_in_the_square_that_networks_see(probes_root):
    """Nothing but noise lies outside the central 42 of 48 rows and columns (a 32 crop of 37x49 pixels shows 41.5)."""
    data = datasets.load("activitynet-qa", probes_root)
    for video in data.videos()[::7]:
        frames = decode.Reader().frames(probes_root / video.path, range(0, 36, 5)).astype(float)
        edge = np.concatenate(
            [frames[:, :3].reshape(-1, 3), frames[:, -3:].reshape(-1, 3), frames[:, :, :11].reshape(-1, 3)]
        )
        assert np.abs(edge - np.median(edge, axis=0)).max() < 40, video.path


def test_settings(tmp_path, probes_root):
    settings = {"height": 24, "width": 20, "seed": 5, "classes": 1}
    synthetic.generate("activitynet-qa", tmp_path, settings, quiet)
    data = datasets.load("activitynet-qa", tmp_path)
    assert decode.inspect(tmp_path / data.videos()[0].path).size == (20, 24)
    other = datasets.load("activitynet-qa", probes_root)
    assert not {video.name for video in data.videos()} & {video.name for video in other.videos()}
    with pytest.raises(InputError, match="synthetic activitynet-qa: its videos have no classes; leave classes at 0"):
        synthetic.generate("activitynet-qa", tmp_path / "more", {"classes": 2}, quiet)
    assert not (tmp_path / "more").exists()


def test_half_written_data_do_not_load(tmp_path):
    with pytest.raises(Stopped):
        synthetic.generate("activitynet-qa", tmp_path, {}, stop_at(5))
    with pytest.raises(InputError, match=r"train_q\.json: cannot be read"):
        datasets.load("activitynet-qa", tmp_path)
