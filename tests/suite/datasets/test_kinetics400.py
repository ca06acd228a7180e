"""Kinetics-400's annotation files: the official validation list, the layouts videos come in, and every fault of a list."""

import csv
import random
import shutil
from pathlib import Path

import pytest

from suite import datasets
from suite.datasets import description
from suite.errors import InputError

HEADER = "label,youtube_id,time_start,time_end,split"
TRAIN = (
    "air drumming,_axE99QAhe8,26,36,train",
    '"air drumming",-2VKVjgNuE0,6400,6410,train',
    "zumba,_27IlPGsINY,3,13,train",
)
VAL = ("zumba,yGdQwxP5koA,83,93,val", "air drumming,0Tq8uFakTbk,0,10,val")
# What the videos of these lists are called.
NAMES = {
    "train": ("_axE99QAhe8_000026_000036", "-2VKVjgNuE0_006400_006410", "_27IlPGsINY_000003_000013"),
    "val": ("yGdQwxP5koA_000083_000093", "0Tq8uFakTbk_000000_000010"),
}


def write_lists(root: Path, train=(HEADER, *TRAIN), val=(HEADER, *VAL)) -> Path:
    folder = root / "kinetics400" / "annotations"
    folder.mkdir(parents=True)
    for side, lines in (("train", train), ("val", val)):
        (folder / f"{side}.csv").write_text("".join(f"{line}\n" for line in lines))
    return root


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def complete(root: Path) -> Path:
    """The lists above and all their videos, flat in a folder for each split."""
    write_lists(root)
    for side, names in NAMES.items():
        for name in names:
            touch(root / "kinetics400" / side / f"{name}.mp4")
    return root


def test_lists_and_videos_are_read(tmp_path):
    data = datasets.load("kinetics400", complete(tmp_path))
    assert datasets.present("kinetics400", tmp_path)
    assert data.classes == ("air drumming", "zumba")
    assert (data.scope, data.missing) == ("subset", 0)
    assert list(data.splits) == [1]
    first, second, third = data.splits[1].train
    assert first == datasets.Video(
        name="air drumming/_axE99QAhe8_000026_000036",
        path="kinetics400/train/_axE99QAhe8_000026_000036.mp4",
        label=0,
        group="_axE99QAhe8",
    )
    assert (second.group, second.label) == ("-2VKVjgNuE0", 0)
    assert third.label == 1
    assert [video.label for video in data.splits[1].test] == [1, 0]
    assert set(data.lists) == {"train.csv", "val.csv"}


@pytest.mark.parametrize(
    "layout",
    [
        "train/{label}/{name}.mp4",
        "train_256/{underscored}/{name}.MKV",
        "train/{name}.webm",
        "{name}.avi",
        "videos_train/{underscored}/{name}.mp4",
    ],
)
def test_videos_are_found_in_every_usual_place(tmp_path, layout):
    write_lists(tmp_path)
    for label, name in zip(("air drumming", "air drumming", "zumba"), NAMES["train"], strict=True):
        path = layout.format(label=label, underscored=label.replace(" ", "_"), name=name)
        touch(tmp_path / "kinetics400" / path)
    for name in NAMES["val"]:
        touch(tmp_path / "kinetics400" / "val" / f"{name}.mp4")
    data = datasets.load("kinetics400", tmp_path)
    assert data.missing == 0
    assert all((tmp_path / video.path).is_file() for video in data.videos())


def test_the_folders_may_be_links(tmp_path):
    complete(tmp_path / "disk")
    (tmp_path / "root" / "kinetics400").mkdir(parents=True)
    for name in ("train", "val", "annotations"):
        (tmp_path / "root" / "kinetics400" / name).symlink_to(tmp_path / "disk" / "kinetics400" / name)
    assert datasets.load("kinetics400", tmp_path / "root").missing == 0


def test_a_replaced_video_is_taken_once(tmp_path):
    complete(tmp_path)
    touch(tmp_path / "kinetics400" / "replacement" / f"{NAMES['train'][2]}.mp4")
    data = datasets.load("kinetics400", tmp_path)
    assert data.splits[1].train[2].path == f"kinetics400/replacement/{NAMES['train'][2]}.mp4"
    assert len(data.videos()) == 5


def test_missing_videos_are_counted(tmp_path):
    complete(tmp_path)
    (tmp_path / "kinetics400" / "train" / f"{NAMES['train'][1]}.mp4").unlink()
    # Another part of the same YouTube video, and a file that is not yet whole, are not the video.
    touch(tmp_path / "kinetics400" / "train" / "-2VKVjgNuE0_000001_000011.mp4")
    touch(tmp_path / "kinetics400" / "train" / f"{NAMES['train'][1]}.mp4.part")
    data = datasets.load("kinetics400", tmp_path)
    assert data.missing == 1
    assert [video.group for video in data.splits[1].train] == ["_axE99QAhe8", "_27IlPGsINY"]
    assert data.fingerprint() != datasets.load("kinetics400", complete(tmp_path / "all")).fingerprint()


@pytest.mark.parametrize("side", ["train", "val"])
def test_no_video_at_all_is_an_error(tmp_path, side):
    complete(tmp_path)
    shutil.rmtree(tmp_path / "kinetics400" / side)
    with pytest.raises(
        InputError, match=rf"not one video that {side}\.csv names is there \(such as {NAMES[side][0]}\.mp4\); check"
    ):
        datasets.load("kinetics400", tmp_path)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("annotations/kinetics-400_train.csv", "annotations/kinetics-400_val.csv"),
        ("train.csv", "validate.csv"),
        ("kinetics_train.csv", "kinetics_val.csv"),
    ],
)
def test_annotation_files_may_have_their_other_names(tmp_path, train, val):
    folder = complete(tmp_path) / "kinetics400"
    (folder / "annotations" / "train.csv").rename(folder / train)
    (folder / "annotations" / "val.csv").rename(folder / val)
    touch(folder / "annotations" / "test.csv")
    assert set(datasets.load("kinetics400", tmp_path).lists) == {Path(train).name, Path(val).name}


FAULTS = {
    "empty": ({"train": ()}, r"train\.csv: is empty"),
    "no header": ({"train": TRAIN}, r"train\.csv, line 1: .* does not name the columns label,youtube_id,"),
    "no labels": (
        {"val": ("youtube_id,time_start,time_end,split", "yGdQwxP5koA,83,93,val")},
        r"val\.csv, line 1: .* does not name the columns",
    ),
    "a value less": ({"train": (HEADER, "", "zumba,yGdQwxP5koA,83,93")}, r"train\.csv, line 3: .* has 4 values, not 5"),
    "open quote": ({"train": (HEADER, '"zumba,yGdQwxP5koA,83,93,train')}, r"line 2: .* is not a row of comma"),
    "split": ({"val": (HEADER, *TRAIN)}, r"val\.csv, line 2: split 'train' is not 'val'"),
    "identifier": ({"train": (HEADER, "zumba,../../x,83,93,train")}, r"line 2: .* does not give a class and a YouTube"),
    "no label": ({"train": (HEADER, ",yGdQwxP5koA,83,93,train")}, r"line 2: .* does not give a class and a YouTube"),
    "fraction": (
        {"train": (HEADER, "zumba,x,8.5,18.5,train")},
        r"line 2: '8\.5' to '18\.5' is no span of whole seconds",
    ),
    "backwards": ({"train": (HEADER, "zumba,x,18,8,train")}, r"line 2: '18' to '8' is no span"),
    "unknown class": (
        {"val": (HEADER, "yoga,x,8,18,val")},
        r"val\.csv, line 2: class 'yoga' is not in train\.csv",
    ),
    "twice": (
        {"train": (HEADER, *TRAIN, TRAIN[0])},
        r"train\.csv, line 5: .* is named a second time \(first on line 2\)",
    ),
    "on both sides": (
        {"val": (HEADER, TRAIN[2].replace("train", "val"))},
        r"val\.csv, line 2: 'zumba/_27IlPGsINY_000003_000013' is a training video too \(train\.csv, line 4\)",
    ),
    "no rows": ({"val": (HEADER,)}, "the test list of split 1 names no video"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_line(tmp_path, fault):
    changed, message = FAULTS[fault]
    with pytest.raises(InputError, match=message) as error:
        datasets.load("kinetics400", write_lists(tmp_path, **changed))
    assert str(tmp_path) in str(error.value)
    assert ";" in str(error.value), "says what to do"
    assert "\n" not in str(error.value)


def test_missing_and_double_annotation_files(tmp_path):
    with pytest.raises(InputError, match="kinetics400: no such folder"):
        datasets.load("kinetics400", tmp_path)
    folder = complete(tmp_path) / "kinetics400"
    shutil.copy(folder / "annotations" / "val.csv", folder / "validate.csv")
    with pytest.raises(InputError, match=r"val\.csv: there is .*validate\.csv too; keep one"):
        datasets.load("kinetics400", tmp_path)
    (folder / "validate.csv").unlink()
    (folder / "annotations" / "val.csv").unlink()
    with pytest.raises(InputError, match=r"val\.csv: no such file; take the annotation files as published"):
        datasets.load("kinetics400", tmp_path)


@pytest.fixture
def official(shared_data, tmp_path, monkeypatch) -> Path:
    """The validation list as published, over empty files, and a training list of 800 made-up rows, taken for complete.

    The published training list is not among the shared files.
    """
    folder = tmp_path / "kinetics400"
    for name in ("annotations", "train", "val"):
        (folder / name).mkdir(parents=True)
    published = (shared_data / "official-lists" / "kinetics400" / "kinetics-400_val.csv").read_text()
    (folder / "annotations" / "val.csv").write_text(published)
    rows = list(csv.DictReader(published.splitlines()))
    for row in rows:
        (folder / "val" / f"{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}.mp4").touch()
    labels = sorted({row["label"] for row in rows})
    lines = [HEADER] + [f'"{labels[n % 400]}",made-up-{n:03d},0,10,train' for n in range(800)]
    (folder / "annotations" / "train.csv").write_text("\n".join(lines))
    for n in range(800):
        (folder / "train" / f"made-up-{n:03d}_000000_000010.mp4").touch()
    facts = (description.HOME / "kinetics400.toml").read_text()
    assert "train_entries = 246534\n" in facts
    (tmp_path / "kinetics400.toml").write_text(facts.replace("train_entries = 246534", "train_entries = 800"))
    monkeypatch.setattr(description, "HOME", tmp_path)
    return tmp_path


def test_official_validation_list(official, shared_data):
    data = datasets.load("kinetics400", official)
    label_map = (shared_data / "official-lists" / "kinetics400" / "label_map_k400.txt").read_text().splitlines()
    assert list(data.classes) == [label.strip() for label in label_map]
    assert (data.scope, data.missing) == ("full", 0)
    about = datasets.describe("kinetics400")
    assert (about.splits[1], about.class_count) == ((246534, len(data.splits[1].test)), len(data.classes))


@pytest.mark.parametrize(("side", "listed"), [("train", 800), ("val", 19906)])
def test_a_tenth_of_a_list_may_be_missing(official, side, listed):
    paths = sorted((official / "kinetics400" / side).iterdir())
    for path in paths[: listed // 10]:
        path.unlink()
    data = datasets.load("kinetics400", official)
    assert (data.scope, data.missing) == ("full", listed // 10)
    paths[-1].unlink()
    data = datasets.load("kinetics400", official)
    assert (data.scope, data.missing) == ("subset", listed // 10 + 1)


def test_other_lists_are_a_subset(official):
    path = official / "kinetics400" / "annotations" / "val.csv"
    header, *rows = path.read_text().splitlines()
    random.Random(1).shuffle(rows)
    path.write_text("\r\n".join([header, *rows]))
    assert datasets.load("kinetics400", official).scope == "full", "neither order nor line ends matter"
    path.write_text("\n".join([header, *rows[1:]]))
    assert datasets.load("kinetics400", official).scope == "subset"


def test_synthetic_kinetics(probes_root):
    data = datasets.load("kinetics400", probes_root)
    assert (data.scope, len(data.classes), data.missing) == ("synthetic", 10, 30)
    assert (len(data.splits[1].train), len(data.splits[1].test)) == (340, 90)
    folders = {video.path.split("/")[2] for video in data.videos()}
    assert {"drifting up left", "drifting_up_left"} <= folders, "both spellings of class folders"
    assert {video.path.split("/")[2].replace("_", " ") for video in data.videos()} == set(data.classes)
