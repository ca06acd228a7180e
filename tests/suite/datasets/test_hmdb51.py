"""HMDB51's list files: the official ones, the places they may lie, and every fault a list can have."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from suite import datasets
from suite.errors import InputError


@pytest.fixture(scope="module")
def official(shared_data, tmp_path_factory) -> Path:
    """The official lists over an empty file for each video they flag 1 or 2 somewhere."""
    root = tmp_path_factory.mktemp("official-hmdb51")
    shutil.copytree(shared_data / "official-lists" / "hmdb51", root / "testTrainMulti_7030_splits")
    for path in (root / "testTrainMulti_7030_splits").iterdir():
        class_name = path.name.rpartition("_test_split")[0]
        (root / "hmdb51" / class_name).mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines():
            if line.strip() and not line.rstrip().endswith(" 0"):
                (root / "hmdb51" / class_name / line.split()[0]).touch()
    return root


def test_official_lists(official):
    data = datasets.load("hmdb51", official)
    assert data.scope == "full"
    assert len(data.classes) == 51
    assert data.classes[:3] == ("brush_hair", "cartwheel", "catch")
    assert data.classes[-1] == "wave"
    assert len(data.lists) == 153
    counted = {number: (len(split.train), len(split.test)) for number, split in data.splits.items()}
    about = datasets.describe("hmdb51")
    assert (about.splits, about.class_count) == (counted, len(data.classes))
    assert datasets.present("hmdb51", official)
    for split in data.splits.values():
        assert (len(split.train), len(split.test)) == (3570, 1530)
        assert set(Counter(video.label for video in split.train).values()) == {70}
        assert set(Counter(video.label for video in split.test).values()) == {30}
    names = {video.name for video in data.videos()}
    assert "brush_hair/Brushing_Her_Hair__[_NEW_AUDIO_]_UPDATED!!!!_brush_hair_h_cm_np1_fr_goo_0.avi" in names
    assert sum("[" in name for name in names) >= 7
    assert any("(" in name for name in names)
    assert any("+" in name for name in names)


def test_groups_are_source_movies(official):
    videos = {video.name: video for video in datasets.load("hmdb51", official).videos()}
    name = "climb/(HQ)_Rock_Climbing_-_Free_Solo_Speed_Climb_-_Dan_Osman_climb_f_cm_np1_ba_med_0.avi"
    assert videos[name].group == "(HQ)_Rock_Climbing_-_Free_Solo_Speed_Climb_-_Dan_Osman"
    assert videos[name].path == f"hmdb51/{name}"
    sizes = Counter(video.group for video in videos.values())
    assert len(sizes) < len(videos) / 2, "many videos are cut from one movie"


def write_data(root: Path, lists: dict[str, str], folder: str = "testTrainMulti_7030_splits") -> Path:
    """A root with these lists, and the six videos that LISTS below name."""
    for class_name in ("dive", "run"):
        place = root / "hmdb51" / class_name
        place.mkdir(parents=True)
        for number in range(3):
            (place / f"Movie_{class_name}_f_cm_np1_le_med_{number}.avi").touch()
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in lists.items():
        (root / folder / name).write_bytes(content.encode())
    return root


LISTS = {
    f"{class_name}_test_split{split}.txt": "".join(
        f"Movie_{class_name}_f_cm_np1_le_med_{number}.avi {flag} \n" for number, flag in enumerate(flags)
    )
    for class_name in ("dive", "run")
    for split, flags in ((1, "120"), (2, "012"), (3, "201"))
}


@pytest.mark.parametrize(
    "folder", ["testTrainMulti_7030_splits", "hmdb51_splits", "hmdb51/testTrainMulti_7030_splits", "splits"]
)
def test_lists_may_lie_in_several_places(tmp_path, folder):
    data = datasets.load("hmdb51", write_data(tmp_path, LISTS, folder))
    assert data.classes == ("dive", "run")
    assert data.scope == "subset"
    assert [video.name[-5] for video in data.splits[2].train] == ["1", "1"]
    assert [video.name[-5] for video in data.splits[2].test] == ["2", "2"]
    assert data.splits[1].train[0].group == "Movie"
    assert [video.label for video in data.splits[1].test] == [0, 1]


def test_line_ends_and_blanks_do_not_matter(tmp_path):
    odd = {name: content.replace(" \n", "   \r\n\r\n") for name, content in LISTS.items()}
    plain = datasets.load("hmdb51", write_data(tmp_path / "plain", LISTS))
    assert datasets.load("hmdb51", write_data(tmp_path / "odd", odd)).videos() == plain.videos()


def test_an_unused_video_need_not_be_there(tmp_path):
    root = write_data(tmp_path, {name: text for name, text in LISTS.items() if "split1" in name})
    (root / "hmdb51" / "run" / "Movie_run_f_cm_np1_le_med_2.avi").unlink()
    assert len(datasets.load("hmdb51", root).videos()) == 4


NAME = "Movie_run_f_cm_np1_le_med_0.avi"
FAULTS = {
    "no flag": (f"{NAME}\n", r"run_test_split1\.txt, line 1: .* is not a video's name and a flag"),
    "another flag": (f"\n{NAME} 3\n", r"run_test_split1\.txt, line 2: .* is not a video's name and a flag"),
    "no name": ("1\n", r"run_test_split1\.txt, line 1: '1' is not a video's name and a flag"),
    "climbs out": (f"../{NAME} 1\n", r"line 1: '\.\./.*' is not the name of a video inside hmdb51/run/"),
    "absolute": (f"/{NAME} 1\n", r"line 1: '/.*' is not the name of a video inside hmdb51/run/"),
    "named twice": (f"{NAME} 1\n{NAME} 1\n", r"line 2: .* is named a second time \(first on line 1\)"),
    "on both sides": (f"{NAME} 1\n{NAME} 2\n", r"line 2: .* is named a second time \(first on line 1\)"),
    "absent": (
        f"{NAME} 1\nOther_run_f_cm_np1_le_med_0.avi 2\n",
        r"run/Other_run_f_cm_np1_le_med_0\.avi: no such video, named in run_test_split1\.txt, line 2 \(1 of .* is absent\)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_line(tmp_path, fault):
    content, message = FAULTS[fault]
    with pytest.raises(InputError, match=message) as error:
        datasets.load("hmdb51", write_data(tmp_path, LISTS | {"run_test_split1.txt": content}))
    assert str(tmp_path) in str(error.value)
    assert ";" in str(error.value), "says what to do"
    assert "\n" not in str(error.value)


def test_missing_lists_and_folders(tmp_path):
    with pytest.raises(InputError, match="hmdb51: no such folder"):
        datasets.load("hmdb51", tmp_path)
    (tmp_path / "hmdb51").mkdir()
    with pytest.raises(InputError, match="testTrainMulti_7030_splits: no such folder"):
        datasets.load("hmdb51", tmp_path)
    (tmp_path / "splits").mkdir()
    with pytest.raises(InputError, match=r"splits: holds no <class>_test_split1\.txt"):
        datasets.load("hmdb51", tmp_path)
    some = {name: text for name, text in LISTS.items() if name != "run_test_split2.txt"}
    with pytest.raises(InputError, match=r"run_test_split2\.txt: cannot be read \(No such file"):
        datasets.load("hmdb51", write_data(tmp_path / "data", some))


def test_a_split_must_have_both_sides(tmp_path):
    lists = {name: text.replace(" 2 ", " 0 ") if "split1" in name else text for name, text in LISTS.items()}
    with pytest.raises(InputError, match="the test list of split 1 names no video"):
        datasets.load("hmdb51", write_data(tmp_path, lists))
