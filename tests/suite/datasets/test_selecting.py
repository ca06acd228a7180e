"""A part of a dataset: which videos it takes, how its classes are numbered, and what is refused."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite import datasets, stages
from suite.datasets import ALL, Absent, Listing, Selection, Split, Video, selecting
from suite.errors import InputError
from suite.stages.data import Data
from suite.stages.networks import recognition_network

NAMES = ("walk", "run", "jump", "sit")


@st.composite
def listings(draw) -> Listing:
    """Lists of one or two splits, in any order of classes, some of their videos absent."""
    splits, absent = {}, {}
    for number in range(1, draw(st.integers(1, 2)) + 1):
        sides = []
        for side in ("train", "test"):
            labels = draw(st.permutations([*range(4), *draw(st.lists(st.integers(0, 3), max_size=20))]))
            names = [f"{number}-{side}-{index}" for index in range(len(labels))]
            sides.append(tuple(Video(name, name, label, name) for name, label in zip(names, labels, strict=True)))
            for name in draw(st.sets(st.sampled_from(names))):
                absent[name] = Absent(Path(name), side)
        splits[number] = Split(*sides)
    return Listing(NAMES, splits, {}, {}, absent, {"train.csv": splits[1].train})


selections = st.builds(
    lambda limit, names: Selection(limit, tuple(sorted(names))), st.integers(0, 5), st.sets(st.sampled_from(NAMES))
)


def slowly(videos: tuple[Video, ...], selection: Selection) -> list[str]:
    """Names of the videos that a selection takes of a list, class by class."""
    taken = []
    for label, name in enumerate(NAMES):
        if not selection.classes or name in selection.classes:
            of_class = [video.name for video in videos if video.label == label]
            taken += of_class[: selection.limit] if selection.limit else of_class
    return [video.name for video in videos if video.name in taken]


@given(listings(), selections)
def test_the_first_of_each_class_of_every_list_in_its_order(listing, selection):
    part = selecting.select(listing, datasets.describe("ucf101"), selection)
    chosen = [name for name in NAMES if not selection.classes or name in selection.classes]
    assert part.classes == tuple(chosen)
    for number, whole in listing.splits.items():
        for before, after in ((whole.train, part.splits[number].train), (whole.test, part.splits[number].test)):
            assert [video.name for video in after] == slowly(before, selection)
            labels = {video.name: video.label for video in before}
            assert all(part.classes[video.label] == NAMES[labels[video.name]] for video in after)
    kept = {video.name for split in part.splits.values() for video in split.videos()}
    assert set(part.absent) == set(listing.absent) & kept
    assert [video.name for video in part.parts["train.csv"]] == slowly(listing.splits[1].train, selection)


@given(listings(), selections)
def test_a_selection_is_the_same_however_often_it_is_made(listing, selection):
    about = datasets.describe("ucf101")
    once = selecting.select(listing, about, selection)
    assert selecting.select(listing, about, selection) == once
    assert selecting.select(once, about, selection) == once, "it takes all of what it took"
    assert Selection.of_content(selection.content()) == selection


@given(listings())
def test_a_selection_of_all_changes_nothing(listing):
    about = datasets.describe("ucf101")
    assert selecting.select(listing, about, ALL) == listing
    assert selecting.select(listing, about, Selection(0, tuple(sorted(NAMES)))) == listing
    assert not ALL
    assert Selection.of_content(None) == ALL


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 25), st.integers(1, 20))
def test_sizes_are_those_of_lists_with_equal_classes(train, test, classes, limit, taken):
    taken = min(taken, classes)
    selection = Selection(limit, tuple(map(str, range(taken))))
    expected = (taken * min(train, limit or train), taken * min(test, limit or test))
    assert selecting.sizes({1: (train * classes, test * classes)}, classes, selection) == {1: expected}


def test_lists_of_which_nothing_is_left_out_keep_their_sizes():
    about = datasets.describe("ucf101")
    for selection in (datasets.ALL, datasets.Selection(1000, ())):
        assert selecting.sizes(about.splits, about.class_count, selection) == dict(about.splits)


# ------------------------------------------------------------------------------------------------ several datasets

KNOWN = {"one": ("Archery", "Bowling", "golf"), "two": ("golf", "kiss")}


def test_each_dataset_gives_the_classes_that_it_has():
    found = selecting.shares(3, ("kiss", "golf", "Archery"), KNOWN)
    assert found == ({"one": Selection(3, ("Archery", "golf")), "two": Selection(3, ("golf", "kiss"))}, {})
    assert selecting.shares(2, (), KNOWN) == (dict.fromkeys(KNOWN, Selection(2)), {})
    assert selecting.shares(0, (), KNOWN) == ({}, {})


@pytest.mark.parametrize(
    ("classes", "known", "words"),
    [
        (("archry",), KNOWN, "'archry' is no class of one or two; near it: Archery"),
        (("xyz",), KNOWN, "'xyz' is no class of one or two; there are Archery, Bowling, golf, golf, kiss"),
    ],
)
def test_a_class_that_nobody_has_is_refused(classes, known, words):
    with pytest.raises(InputError) as caught:
        selecting.shares(1, classes, known)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "classes", "gives", "reason"),
    [
        (1, ("Archery",), ["one"], "two has none of the classes Archery; name some of its own"),
        (1, (), ["one", "two"], "pairs: its videos have no classes, so no part of them can be taken"),
        (
            1,
            (),
            ["one", "two"],
            "scenes: has no training videos, .*; take at least two classes and two videos .*--limit 2",
        ),
        (0, ("golf", "Beach"), ["one", "two"], "scenes: has no training videos, .* take at least two classes"),
    ],
)
def test_what_gives_nothing_is_left_out_with_the_reason(limit, classes, gives, reason):
    known = KNOWN | {"pairs": (), "scenes": ("Beach", "Sky")}
    found = selecting.shares(limit, classes, known, untrained=("scenes",))
    assert sorted(found.selections) == gives
    assert found.selections.keys() | found.without.keys() == known.keys()
    assert any(re.match(reason, one) for one in found.without.values()), found.without


def test_two_videos_of_two_classes_can_be_left_out_and_learnt():
    found = selecting.shares(2, ("Sky", "Beach"), {"scenes": ("Beach", "Sky", "Wood")}, untrained=("scenes",))
    assert found == ({"scenes": Selection(2, ("Beach", "Sky"))}, {})


# ------------------------------------------------------------------------------------------------ real files


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "kinetics400", "yupenn"])
def test_every_layout_with_classes_gives_a_part(name, synthetic_root, probes_root):
    root = synthetic_root if name in ("ucf101", "hmdb51") else probes_root
    whole = datasets.load(name, root)
    wanted = (whole.classes[0], whole.classes[3])
    part = datasets.load(name, root, Selection(2, tuple(sorted(wanted))))
    assert part.classes == wanted
    assert datasets.class_names(name, root) == whole.classes
    for split in part.splits.values():
        for side in (split.train, split.test):
            assert [sum(video.label == label for video in side) for label in (0, 1)] == ([2, 2] if side else [0, 0])
    assert part.scope == "synthetic", "generated data stay what they are"
    prints = {part.fingerprint(), whole.fingerprint(), datasets.load(name, root, Selection(2)).fingerprint()}
    prints.add(datasets.load(name, root, Selection(1000)).fingerprint())
    assert len(prints) == 4, "a selection is part of the identity, even one that takes all"


@pytest.mark.parametrize("name", ["aslan", "activitynet-qa"])
def test_what_has_no_classes_is_refused(name, probes_root):
    with pytest.raises(InputError, match=f"{name}: its videos have no classes"):
        datasets.load(name, probes_root, Selection(3))
    assert datasets.class_names(name, probes_root) == ()


def test_one_video_of_a_class_cannot_be_left_out_and_learnt(probes_root):
    with pytest.raises(
        InputError, match="yupenn: has no training videos, so a test leaves one out at a time; take at least two"
    ):
        datasets.load("yupenn", probes_root, Selection(1))
    with pytest.raises(InputError, match="take at least two classes"):
        datasets.load("yupenn", probes_root, Selection(0, ("Beach",)))


@pytest.fixture(scope="module")
def partial(synthetic_root, tmp_path_factory) -> Path:
    """UCF101's lists, and the videos of two classes alone, of one of them two videos of each list."""
    root = tmp_path_factory.mktemp("partial")
    shutil.copytree(synthetic_root / "ucfTrainTestlist", root / "ucfTrainTestlist")
    for video in datasets.load("ucf101", synthetic_root, Selection(0, ("MoveUp",))).videos():
        (root / video.path).parent.mkdir(parents=True, exist_ok=True)
        (root / video.path).symlink_to(synthetic_root / video.path)
    for video in datasets.load("ucf101", synthetic_root, Selection(2, ("MoveDown",))).videos():
        (root / video.path).parent.mkdir(parents=True, exist_ok=True)
        (root / video.path).symlink_to(synthetic_root / video.path)
    return root


def test_a_partial_download_serves(partial):
    with pytest.raises(InputError, match="no such video"):
        datasets.load("ucf101", partial)
    data = datasets.load("ucf101", partial, Selection(0, ("MoveUp",)))
    assert (len(data.splits[1].train), len(data.splits[1].test), data.missing) == (27, 11, 0)
    assert data.scope == "subset"
    assert len(datasets.load("ucf101", partial, Selection(2, ("MoveDown", "MoveUp"))).splits[2].test) == 4
    with pytest.raises(InputError, match=r"MoveDown/.*: no such video, named in trainlist01\.txt, line"):
        datasets.load("ucf101", partial, Selection(3, ("MoveDown", "MoveUp")))


def test_missing_videos_of_a_part_are_counted(probes_root):
    whole = datasets.load("kinetics400", probes_root)
    part = datasets.load("kinetics400", probes_root, Selection(3, whole.classes[:2]))
    # Of the first three of each class, the third is missing in the training list alone.
    assert (part.missing, len(part.splits[1].train), len(part.splits[1].test)) == (2, 4, 6)


def test_every_stage_sees_the_videos_that_were_checked(partial, tmp_path):
    """The check carries the selection; a classifier has as many outputs as classes were selected."""
    selection = Selection(2, ("MoveDown", "MoveUp"))
    folder = tmp_path / "check"
    folder.mkdir()
    config = {"dataset": "ucf101", "selection": selection.content()}
    result = stages.run(stages.Job("check-data", config, {}, {"ucf101": partial}, folder, stages.Runtime()))
    inputs = {"check-data:ucf101": folder}
    network = {
        "backbone": "r3d",
        "width": 8,
        "weights": "random",
        "seed": 0,
        "finetuning": {"head": "linear", "freeze_below": "conv1"},
    }
    job = stages.Job(
        "finetune",
        network | {"video": {"clip_length": 8, "crop": 32, "pixels": "unit"}},
        inputs,
        {"ucf101": partial},
        tmp_path,
        stages.Runtime(),
    )
    data = Data(job, "ucf101")
    assert data.dataset == datasets.load("ucf101", partial, selection)
    assert set(data.frames) == {video.name for video in data.dataset.videos()}
    assert result["counts"]["listed"] == len(data.frames)
    logits = recognition_network(job, len(data.dataset.classes))(torch.zeros(1, 3, 8, 32, 32))
    assert logits.shape == (1, 2)
    assert {video.label for video in data.dataset.videos()} == {0, 1}
