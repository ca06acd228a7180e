"""ActivityNet-QA: the official files, where videos are found, and every fault of a file."""

import json
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from suite import datasets
from suite.datasets import activitynet_qa, synthetic
from suite.datasets.activitynet_qa import TYPES, Question
from suite.errors import InputError
from suite.video import checking

# Video, question, number, answer, type. One video is called like a file of another would be.
ROWS = {
    "train": [
        ("okC18bPTils", "are all the people in the video men", 3, "no", 3),
        ("v_UmAH95xls", "what color is the car", 6, "red", 4),
        ("okC18bPTils", "what is the person doing", 1, "dance", 0),
        ("-2VKVjgNuE0", "how many people are there", 7, "2", 7),
    ],
    "val": [("TIEzvhv6xaI", "what is behind the man", 4, "wall", 1)],
    "test": [
        ("_QIUV7WYKXg", "where is the person", 8, "indoor", 6),
        ("9eniCub7u60", "what happened to the ball  before it fell ", 5, "roll", 2),
    ],
}


def entries(rows: list[tuple]) -> tuple[list[dict], list[dict]]:
    """What the question file and the answer file of a part hold."""
    asked = [{"video_name": v, "question": text, "question_id": f"v_{v}_{n}"} for v, text, n, _, _ in rows]
    answered = [{"answer": answer, "type": kind, "question_id": f"v_{v}_{n}"} for v, _, n, answer, kind in rows]
    return asked, answered


def write(root: Path, rows=ROWS, videos: str = "v_{}.mp4") -> Path:
    """A root with the files of some rows, answers in another order than questions, and an empty file for each video."""
    folder = root / "activitynet-qa"
    (folder / "videos").mkdir(parents=True)
    for part, some in rows.items():
        asked, answered = entries(some)
        (folder / f"{part}_q.json").write_text(json.dumps(asked))
        (folder / f"{part}_a.json").write_text(json.dumps(answered[::-1]))
        for name, *_ in some:
            path = folder / "videos" / videos.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def test_questions_and_videos_are_read(tmp_path):
    root = write(tmp_path)
    found = activitynet_qa.questions(root)
    assert list(found) == ["train", "val", "test"]
    assert [len(some) for some in found.values()] == [4, 1, 2]
    assert found["train"][0] == Question(
        "v_okC18bPTils_3", "okC18bPTils", "are all the people in the video men", "no", 3
    )
    assert [question.answer for question in found["train"]] == ["no", "red", "dance", "2"], "in the questions' order"
    assert found["test"][1].text == "what happened to the ball before it fell"
    assert [TYPES[question.type] for question in found["test"]] == ["free_loc", "temp_rel"]

    data = datasets.load("activitynet-qa", root)
    assert datasets.present("activitynet-qa", root)
    assert (data.scope, data.missing, data.classes, list(data.splits)) == ("subset", 0, ("video",), [1])
    assert [video.name for video in data.splits[1].train] == [
        "okC18bPTils",
        "v_UmAH95xls",
        "-2VKVjgNuE0",
        "TIEzvhv6xaI",
    ]
    assert data.splits[1].test[1] == datasets.Video(
        "9eniCub7u60", "activitynet-qa/videos/v_9eniCub7u60.mp4", 0, "9eniCub7u60"
    )
    assert set(data.lists) == {f"{part}_{kind}.json" for part in ROWS for kind in "qa"}
    assert data.fingerprint().startswith("subset-")


@pytest.mark.parametrize("videos", ["v_{}.mp4", "v_{}.MKV", "{}.webm", "train_val/v_{}.avi", "v1-2/val/all/{}.mp4"])
def test_videos_are_found_under_either_name_wherever_they_lie(tmp_path, videos):
    data = datasets.load("activitynet-qa", write(tmp_path, videos=videos))
    assert data.missing == 0
    for video in data.videos():
        assert video.path == f"activitynet-qa/videos/{videos.format(video.name)}"


def test_what_is_no_video_is_not_found(tmp_path):
    root = write(tmp_path)
    folder = root / "activitynet-qa" / "videos"
    (folder / "v_okC18bPTils.mp4").rename(folder / "v_okC18bPTils.mp4.part")
    (folder / "._v_okC18bPTils.mp4").touch()
    (folder / "v_okC18bPTils.json").touch()
    (folder / "v_OKC18bptils.mp4").touch()
    (folder / "1" / "2" / "3" / "4").mkdir(parents=True)
    (folder / "1" / "2" / "3" / "4" / "v_okC18bPTils.mp4").touch()
    data = datasets.load("activitynet-qa", root)
    assert data.missing == 1
    assert [video.name for video in data.splits[1].train] == ["v_UmAH95xls", "-2VKVjgNuE0", "TIEzvhv6xaI"]


def test_the_folders_of_videos_may_be_links_even_in_a_circle(tmp_path):
    root = write(tmp_path / "root")
    (root / "activitynet-qa" / "videos").rename(tmp_path / "disk")
    (root / "activitynet-qa" / "videos").mkdir()
    (root / "activitynet-qa" / "videos" / "all").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to(tmp_path / "disk")
    data = datasets.load("activitynet-qa", root)
    assert data.missing == 0
    assert len({video.name for video in data.videos()}) == len(data.videos()) == 6


def test_a_replaced_video_is_taken_once(tmp_path):
    root = write(tmp_path)
    folder = root / "activitynet-qa" / "videos"
    (folder / "again").mkdir()
    shutil.copy(folder / "v_okC18bPTils.mp4", folder / "again")
    data = datasets.load("activitynet-qa", root)
    assert data.splits[1].train[0].path == "activitynet-qa/videos/again/v_okC18bPTils.mp4"
    assert len(data.videos()) == 6


def test_questions_of_missing_videos_stay_and_cannot_be_asked(tmp_path):
    root = write(tmp_path)
    before = datasets.load("activitynet-qa", root).fingerprint()
    (root / "activitynet-qa" / "videos" / "v_okC18bPTils.mp4").unlink()
    data = datasets.load("activitynet-qa", root)
    assert data.missing == 1
    assert data.fingerprint() != before
    train = activitynet_qa.questions(root)["train"]
    assert len(train) == 4
    asked, left_out = activitynet_qa.askable(iter(train), [video.name for video in data.videos()])
    assert (asked, left_out) == ((train[1], train[3]), (train[0], train[2]))
    assert activitynet_qa.askable(train, [video.video for video in train]) == (train, ())


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_no_video_of_a_part_is_an_error(tmp_path, part):
    root = write(tmp_path)
    for name, *_ in ROWS[part]:
        (root / "activitynet-qa" / "videos" / f"v_{name}.mp4").unlink(missing_ok=True)
    message = rf"videos: not one video that {part}_q\.json names is there \(such as v_{ROWS[part][0][0]}\.mp4\); check"
    with pytest.raises(InputError, match=message):
        datasets.load("activitynet-qa", root)


def changed(part: str, place: int, **values) -> dict:
    """The rows with some keys of one entry changed, in the question file or the answer file, whichever has them."""
    files = {}
    for name, rows in ROWS.items():
        files[f"{name}_q"], files[f"{name}_a"] = entries(rows)
    for key, value in values.items():
        entry = next(files[f"{part}_{kind}"][place] for kind in "qa" if key in files[f"{part}_{kind}"][place])
        if value is None:
            del entry[key]
        else:
            entry[key] = value
    return files


def without(part: str, kind: str) -> dict:
    """The rows without the first entry of one file."""
    files = changed(part, 0)
    del files[f"{part}_{kind}"][0]
    return files


def twice(part: str, kind: str, other: str | None = None) -> dict:
    """The rows with the first entry of one file there again, at the end of it or of another part's."""
    files = changed(part, 0)
    files[f"{other or part}_{kind}"].append(files[f"{part}_{kind}"][0])
    return files


def asked_twice(part: str, other: str) -> dict:
    """The rows with one question in another part too, about another video, and answered there."""
    files = twice(part, "a", other)
    files[f"{other}_q"].append(files[f"{part}_q"][0] | {"video_name": "anothervide"})
    return files


FAULTS = {
    "no question": (changed("train", 1, question=None), r"train_q\.json, entry 2: has no 'question'"),
    "no video": (changed("val", 0, video_name=None), r"val_q\.json, entry 1: has no 'video_name'"),
    "no answer": (changed("test", 1, answer=None), r"test_a\.json, entry 2: has no 'answer'"),
    "no type": (changed("test", 0, type=None), r"test_a\.json, entry 1: has no 'type'"),
    "empty question": (changed("train", 2, question="  "), r"train_q\.json, entry 3: 'question' is '  ', not a text"),
    "empty answer": (changed("train", 3, answer=""), r"train_a\.json, entry 4: 'answer' is '', not a text"),
    "number for an answer": (changed("train", 3, answer=2), r"train_a\.json, entry 4: 'answer' is 2, not a text"),
    "half a character": (
        changed("train", 3, answer="\ud800"),
        r"train_a\.json, entry 4: 'answer' is '\\ud800', not a text",
    ),
    "video elsewhere": (changed("val", 0, video_name="../x"), r"val_q\.json, entry 1: '\.\./x' is not the name of a"),
    "type 9": (changed("train", 0, type=9), r"train_a\.json, entry 1: type 9 is not one of 0 to 8"),
    "type -1": (changed("train", 0, type=-1), r"train_a\.json, entry 1: type -1 is not one of 0 to 8"),
    "type by name": (changed("train", 0, type="color"), r"train_a\.json, entry 1: type 'color' is not one of 0 to 8"),
    "true for a type": (changed("train", 0, type=True), r"train_a\.json, entry 1: type True is not one of 0 to 8"),
    "fraction for a type": (changed("train", 0, type=3.0), r"train_a\.json, entry 1: type 3\.0 is not one of 0 to 8"),
    "unanswered": (
        without("train", "a"),
        r"train_q\.json, entry 1: question 'v_okC18bPTils_3' has no answer in train_a\.json",
    ),
    "unasked": (
        without("test", "q"),
        r"test_a\.json, entry 1: answers 'v__QIUV7WYKXg_8', which is no question of test_q\.json",
    ),
    "asked twice": (
        twice("train", "q"),
        r"train_q\.json, entry 5: question 'v_okC18bPTils_3' is there a second time",
    ),
    "asked in two parts": (
        asked_twice("train", "val"),
        r"val_q\.json, entry 2: question 'v_okC18bPTils_3' is there a second time",
    ),
    "answered twice": (
        twice("train", "a"),
        r"train_a\.json, entry 5: 'v_okC18bPTils_3' is answered a second time \(first in entry 1\)",
    ),
    "video in two parts": (
        twice("val", "q", "test"),
        r"test_q\.json, entry 3: video 'TIEzvhv6xaI' is in val_q\.json too, but parts share no video",
    ),
    "an entry that is a list": (changed("val", 0) | {"val_a": [["wall", 1]]}, r"val_a\.json, entry 1: has no"),
    "an entry that is nothing": (changed("val", 0) | {"val_q": [None]}, r"val_q\.json, entry 1: has no 'question_id'"),
    "no list": (changed("val", 0) | {"val_q": {"questions": []}}, r"val_q\.json: is not a list of entries"),
    "empty list": (changed("val", 0) | {"test_a": []}, r"test_a\.json: is not a list of entries"),
    "a word": (changed("val", 0) | {"test_a": "yes"}, r"test_a\.json: is not a list of entries"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_entry(tmp_path, fault):
    files, message = FAULTS[fault]
    root = write(tmp_path)
    for name, content in files.items():
        (root / "activitynet-qa" / f"{name}.json").write_text(json.dumps(content))
    for read in (activitynet_qa.questions, partial(datasets.load, "activitynet-qa")):
        with pytest.raises(InputError, match=message) as error:
            read(root)
        assert str(root) in str(error.value)
        assert str(error.value).endswith("; take the file as published"), "says what to do"
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"[{]", b"[{'answer': 'yes'}]", b"[1, 2", b"\xff\xfe\x00", b'["\xe9"]', b"[" * 100_000],
    ids=["empty", "broken", "python", "cut", "bytes", "latin", "deep"],
)
def test_files_that_are_no_json(tmp_path, content):
    root = write(tmp_path)
    (root / "activitynet-qa" / "val_a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"val_a\.json: is not JSON \(.*\); take the file as published$") as error:
        activitynet_qa.questions(root)
    assert "\n" not in str(error.value)


def test_absent_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"activitynet-qa/videos: no such folder; the data root must hold"):
        datasets.load("activitynet-qa", tmp_path)
    assert not datasets.present("activitynet-qa", tmp_path)
    root = write(tmp_path)
    (root / "activitynet-qa" / "test_a.json").unlink()
    with pytest.raises(InputError, match=r"test_a\.json: cannot be read \(No such file or directory\); take the list"):
        datasets.load("activitynet-qa", root)


@pytest.fixture(scope="module")
def published(shared_data, tmp_path_factory) -> Path:
    """The files as published, over empty videos."""
    root = tmp_path_factory.mktemp("published")
    folder = root / "activitynet-qa"
    (folder / "videos").mkdir(parents=True)
    for part in activitynet_qa.PARTS:
        for kind in "qa":
            path = shared_data / "official-lists" / "activitynet-qa" / f"{part}_{kind}.json"
            (folder / path.name).write_bytes(path.read_bytes())
        for name in {question["video_name"] for question in json.loads((folder / f"{part}_q.json").read_bytes())}:
            (folder / "videos" / f"v_{name}.mp4").touch()
    return root


def test_official_files(published):
    found = activitynet_qa.questions(published)
    assert [len(some) for some in found.values()] == [32_000, 18_000, 8_000]
    videos = {part: Counter(question.video for question in some) for part, some in found.items()}
    assert [len(some) for some in videos.values()] == [3_200, 1_800, 800]
    assert all(set(some.values()) == {10} for some in videos.values())
    assert len(set().union(*videos.values())) == 5_800
    counts = [Counter(question.type for question in some) for some in found.values()]
    assert [[some[kind] for kind in range(9)] for some in counts] == [
        [3200, 3200, 3200, 7242, 2833, 1338, 761, 2684, 7542],
        [1800, 1800, 1800, 4041, 1565, 961, 473, 1479, 4081],
        [800, 800, 800, 2094, 697, 318, 386, 606, 1499],
    ]
    data = datasets.load("activitynet-qa", published)
    assert (data.scope, data.missing) == ("full", 0)
    split = data.splits[1]
    about = datasets.describe("activitynet-qa")
    assert (about.splits, about.class_count) == ({1: (len(split.train), len(split.test))}, len(data.classes))
    assert {video.name for video in split.test} == set(videos["test"])


def test_types_are_what_they_are_called(published):
    """Each type's questions begin, and its answers read, as its name says; no other type's do as often."""
    everything = [question for some in activitynet_qa.questions(published).values() for question in some]

    def shares(fits) -> list[float]:
        found = [[fits(q) for q in everything if q.type == kind] for kind in range(len(TYPES))]
        return [sum(some) / len(some) for some in found]

    colors = {"black", "white", "red", "blue", "green", "yellow", "brown", "golden", "gray", "pink"}
    signs = {
        "motion": lambda q: "doing" in q.text.split(),
        "spat_rel": lambda q: bool({"behind", "under", "front", "on", "left", "right"} & set(q.text.split())),
        "temp_rel": lambda q: bool({"after", "before"} & set(q.text.split())),
        "free_yn": lambda q: q.answer in ("yes", "no"),
        "free_color": lambda q: bool(colors & set(q.answer.split())),
        "free_loc": lambda q: q.text.startswith("where"),
        "free_num": lambda q: q.answer.isdigit(),
    }
    for name, fits in signs.items():
        found = shares(fits)
        assert max(range(9), key=found.__getitem__) == TYPES.index(name), (name, found)
        assert found[TYPES.index(name)] > 0.5, (name, found)
    # Objects are what is left of the free answers that are things.
    objects = shares(lambda q: q.answer in {"trousers", "glasses", "hat", "watch", "glove", "dog", "helmet", "skirt"})
    assert max(range(3, 9), key=objects.__getitem__) == TYPES.index("free_obj")


@pytest.mark.parametrize(("part", "listed"), [("train", 3200), ("val", 1800), ("test", 800)])
def test_a_tenth_of_a_part_may_be_missing(published, part, listed):
    names = sorted({question.video for question in activitynet_qa.questions(published)[part]})[: listed // 10 + 1]
    paths = [published / "activitynet-qa" / "videos" / f"v_{name}.mp4" for name in names]
    try:
        for path in paths[1:]:
            path.unlink()
        data = datasets.load("activitynet-qa", published)
        assert (data.scope, data.missing) == ("full", listed // 10)
        paths[0].unlink()
        data = datasets.load("activitynet-qa", published)
        assert (data.scope, data.missing) == ("subset", listed // 10 + 1)
    finally:
        for path in paths:
            path.touch()


def test_other_files_are_a_subset(published, tmp_path):
    shutil.copytree(published / "activitynet-qa", tmp_path / "activitynet-qa", ignore=lambda *_: ["videos"])
    (tmp_path / "activitynet-qa" / "videos").symlink_to(published / "activitynet-qa" / "videos")
    path = tmp_path / "activitynet-qa" / "val_a.json"
    answers = json.loads(path.read_bytes())
    path.write_text(json.dumps(answers[::-1], indent=1))
    assert datasets.load("activitynet-qa", tmp_path).scope == "full", "neither order nor layout matters"
    answers[7]["answer"] = "no" if answers[7]["answer"] == "yes" else "yes"
    path.write_text(json.dumps(answers))
    assert datasets.load("activitynet-qa", tmp_path).scope == "subset"


def test_missing_videos_are_reported_by_the_check(probes_root, tmp_path):
    shutil.copytree(probes_root / "activitynet-qa", tmp_path / "activitynet-qa")
    shutil.copy(probes_root / "SYNTHETIC.json", tmp_path)
    data = datasets.load("activitynet-qa", tmp_path)
    for video in (data.splits[1].train[3], data.splits[1].test[5], data.splits[1].test[9]):
        (tmp_path / video.path).unlink()
    report = checking.check(datasets.load("activitynet-qa", tmp_path), False, 1, lambda done, total: None)
    train, test = synthetic.sizes("activitynet-qa")[0][1]
    assert (report["missing"], report["decoded"]) == (3, train + test - 3)
    assert report["listed"] == {"1": {"train": train - 1, "test": test - 2}}
