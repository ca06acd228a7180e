"""UCF101's list files: the official ones, and every fault a list can have."""

import shutil
from pathlib import Path

import pytest

from suite import datasets
from suite.errors import InputError


def stub_videos(root: Path) -> None:
    """An empty file for every video that a list under `root` names."""
    lines = [line for path in (root / "ucfTrainTestlist").glob("t*list*.txt") for line in path.read_text().splitlines()]
    names = {line.split()[0] for line in lines if line.strip()}
    for folder in {name.partition("/")[0] for name in names}:
        (root / "UCF-101" / folder).mkdir(parents=True)
    for name in names:
        (root / "UCF-101" / name).touch()


@pytest.fixture(scope="module")
def official(shared_data, tmp_path_factory) -> Path:
    """The official lists over an empty file for each of the 13,320 videos."""
    root = tmp_path_factory.mktemp("official-ucf101")
    shutil.copytree(shared_data / "official-lists" / "ucfTrainTestlist", root / "ucfTrainTestlist")
    for path in (root / "ucfTrainTestlist").iterdir():
        path.chmod(0o644)
    (root / "ucfTrainTestlist").chmod(0o755)
    stub_videos(root)
    return root


def test_official_lists(official):
    data = datasets.load("ucf101", official)
    assert data.scope == "full"
    assert data.fingerprint().startswith("full-")
    assert len(data.classes) == 101
    assert (data.classes[0], data.classes[100]) == ("ApplyEyeMakeup", "YoYo")
    assert len(data.videos()) == 13320
    counted = {number: (len(split.train), len(split.test)) for number, split in data.splits.items()}
    assert counted == {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    about = datasets.describe("ucf101")
    assert (about.splits, about.class_count) == (counted, len(data.classes))
    assert len(data.lists) == 7
    first = data.splits[1].test[0]
    assert (first.name, first.label, first.group) == (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        0,
        "ApplyEyeMakeup_g01",
    )
    assert first.path == "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"
    for split in data.splits.values():
        assert not {video.group for video in split.train} & {video.group for video in split.test}


def test_handstand_pushups_are_found_under_either_spelling(official):
    # The lists write v_HandStandPushups; some copies of the data have v_HandstandPushups.
    folder = official / "UCF-101" / "HandstandPushups"
    listed = folder / "v_HandStandPushups_g01_c01.avi"
    other = folder / "v_HandstandPushups_g01_c01.avi"
    listed.rename(other)
    try:
        videos = {video.name: video for video in datasets.load("ucf101", official).videos()}
        assert (
            videos["HandstandPushups/v_HandStandPushups_g01_c01.avi"].path == f"UCF-101/HandstandPushups/{other.name}"
        )
    finally:
        other.rename(listed)


def test_real_subsets(shared_data):
    small = datasets.load("ucf101", shared_data / "ucf101-six-small")
    assert (small.scope, len(small.classes), len(small.videos())) == ("subset", 6, 731)
    assert {k: (len(split.train), len(split.test)) for k, split in small.splits.items()} == {
        1: (529, 202),
        2: (527, 204),
        3: (517, 214),
    }
    six = datasets.load("ucf101", shared_data / "ucf101-six")
    assert [(len(split.train), len(split.test)) for split in six.splits.values()] == [(108, 42)] * 3
    # As in the records under reports/: another fingerprint would make other data of them.
    assert (six.fingerprint(), small.fingerprint()) == ("subset-00b169bb69a7", "subset-1b42e806efd7")


LISTS = {
    "classInd.txt": "1 Jump\n2 Swim\n",
    "trainlist01.txt": "Jump/v_Jump_g08_c01.avi 1\nSwim/v_Swim_g08_c01.avi 2\n",
    "testlist01.txt": "Jump/v_Jump_g01_c01.avi\nSwim/v_Swim_g01_c01.avi\n",
}


def write_lists(root: Path, **changed: str | None) -> Path:
    """A root with the lists above; keywords (without .txt) replace one, None removes it. Its videos are there."""
    folder = root / "ucfTrainTestlist"
    folder.mkdir(parents=True)
    for name, content in LISTS.items():
        (folder / name).write_bytes(content.encode())
    stub_videos(root)
    for name, content in changed.items():
        path = folder / f"{name}.txt"
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content.encode())
    return root


def test_line_ends_blanks_and_order_do_not_matter(tmp_path):
    plain = datasets.load("ucf101", write_lists(tmp_path / "plain"))
    assert plain.scope == "subset"
    odd = datasets.load(
        "ucf101",
        write_lists(
            tmp_path / "odd",
            classInd="\ufeff1 Jump  \r\n2 Swim\r\n\r\n",
            trainlist01="Swim/v_Swim_g08_c01.avi  2 \r\n\r\nJump/v_Jump_g08_c01.avi 1",
            testlist01="Jump/v_Jump_g01_c01.avi \r\nSwim/v_Swim_g01_c01.avi\r\n\r\n",
        ),
    )
    assert odd.classes == plain.classes
    assert odd.videos() == plain.videos()
    assert odd.lists != plain.lists


def test_official_lists_stay_official_with_other_line_ends(official, tmp_path):
    root = tmp_path / "unix"
    shutil.copytree(official / "ucfTrainTestlist", root / "ucfTrainTestlist")
    (root / "UCF-101").symlink_to(official / "UCF-101")
    path = root / "ucfTrainTestlist" / "testlist01.txt"
    lines = path.read_text().splitlines()
    path.write_bytes("".join(f"{line} \n" for line in reversed(lines)).encode() + b"\n")
    assert datasets.load("ucf101", root).scope == "full"
    path.write_text("\n".join(lines[1:]))
    assert datasets.load("ucf101", root).scope == "subset"


FAULTS = {
    "no label": (
        {"trainlist01": "Jump/v_Jump_g08_c01.avi\n"},
        r"trainlist01\.txt, line 1: .* is not Class/video.avi and a label",
    ),
    "no video": (
        {"testlist01": "Jump/v_Jump_g01_c01.avi\n\n17\n"},
        r"testlist01\.txt, line 3: '17' is not Class/video",
    ),
    "three fields": (
        {"trainlist01": "Jump/v_Jump_g08_c01.avi 1 1\n"},
        r"trainlist01\.txt, line 1: .* is not Class/video.avi and a label",
    ),
    "wrong label": (
        {"trainlist01": "Jump/v_Jump_g08_c01.avi 2\n"},
        r"trainlist01\.txt, line 1: label 2 is not that of Jump, 1 in classInd",
    ),
    "label of the test list": (
        {"testlist01": "Jump/v_Jump_g01_c01.avi 0\n"},
        r"testlist01\.txt, line 1: label 0 is not",
    ),
    "unknown class": (
        {"testlist01": "Fly/v_Fly_g01_c01.avi\n"},
        r"testlist01\.txt, line 1: class 'Fly' is not in classInd",
    ),
    "no group": ({"testlist01": "Jump/jump.avi\n"}, r"testlist01\.txt, line 1: 'jump.avi' has no group"),
    "climbs out": (
        {"testlist01": "../v_Jump_g01_c01.avi\n"},
        r"testlist01\.txt, line 1: '\.\./v_Jump_g01_c01\.avi' is not Class/video\.avi inside UCF-101/",
    ),
    "climbs out deeper": ({"testlist01": "Jump/../../v_Jump_g01_c01.avi\n"}, r"line 1: .* inside UCF-101/"),
    "absolute": ({"testlist01": "/v_Jump_g01_c01.avi\n"}, r"line 1: .* inside UCF-101/"),
    "named twice": (
        {"testlist01": "Jump/v_Jump_g01_c01.avi\n\nJump/v_Jump_g01_c01.avi\n"},
        r"testlist01\.txt, line 3: 'Jump/v_Jump_g01_c01\.avi' is named a second time \(first on line 1\)",
    ),
    "on both sides": (
        {"testlist01": "Swim/v_Swim_g01_c01.avi\nJump/v_Jump_g08_c01.avi\n"},
        r"testlist01\.txt, line 2: 'Jump/v_Jump_g08_c01\.avi' is a training video too \(trainlist01\.txt, line 1\)",
    ),
    "absent": (
        {"testlist01": "Jump/v_Jump_g02_c01.avi\nJump/v_Jump_g01_c01.avi\nSwim/v_Swim_g09_c01.avi\n"},
        r"Jump/v_Jump_g02_c01\.avi: no such video, named in testlist01\.txt, line 1 \(2 of the videos .* absent\)",
    ),
    "empty list": ({"testlist01": "\r\n"}, r"ucfTrainTestlist: the test list of split 1 names no video"),
    "list missing": ({"testlist01": None}, r"testlist01\.txt: cannot be read \(No such file"),
    "no lists": ({"testlist01": None, "trainlist01": None}, r"trainlist01\.txt: no such file"),
    "classes missing": ({"classInd": None}, r"classInd\.txt: cannot be read"),
    "classes empty": ({"classInd": ""}, r"classInd\.txt: names no class"),
    "class numbers": ({"classInd": "0 Jump\n1 Swim\n"}, r"classInd\.txt, line 1: '0 Jump' is not class number 1"),
    "class twice": ({"classInd": "1 Jump\n2 Jump\n"}, r"classInd\.txt, line 2: '2 Jump' is not class number 2"),
    "class outside": ({"classInd": "1 ..\n2 Swim\n"}, r"classInd\.txt, line 1: '1 \.\.' is not class number 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_line(tmp_path, fault):
    changed, message = FAULTS[fault]
    with pytest.raises(InputError, match=message) as error:
        datasets.load("ucf101", write_lists(tmp_path / "data", **changed))
    assert str(tmp_path) in str(error.value)
    assert ";" in str(error.value), "says what to do"
    assert "\n" not in str(error.value)


def test_a_list_that_is_no_text(tmp_path):
    root = write_lists(tmp_path / "data")
    (root / "ucfTrainTestlist" / "testlist01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"testlist01\.txt: is not text"):
        datasets.load("ucf101", root)


def test_roots_and_names_that_do_not_exist(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such data root"):
        datasets.load("ucf101", tmp_path / "nowhere")
    with pytest.raises(InputError, match="UCF-101: no such folder"):
        datasets.load("ucf101", tmp_path)
    assert not datasets.present("ucf101", tmp_path)
    with pytest.raises(InputError, match="unknown dataset 'ucf11'; choose one of activitynet-qa, aslan,"):
        datasets.load("ucf11", tmp_path)


def test_the_fingerprint_follows_lists_and_sizes(tmp_path):
    root = write_lists(tmp_path / "data")
    before = datasets.load("ucf101", root).fingerprint()
    assert before == datasets.load("ucf101", write_lists(tmp_path / "elsewhere")).fingerprint()
    (root / "UCF-101" / "Jump" / "v_Jump_g01_c01.avi").write_bytes(b"x")
    larger = datasets.load("ucf101", root).fingerprint()
    assert larger != before
    (root / "ucfTrainTestlist" / "classInd.txt").write_text("1 Jump\n2 Swim\n\n")
    assert datasets.load("ucf101", root).fingerprint() not in (before, larger)
