"""List files, names and folders as people have them, through the datasets that read them."""

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite import datasets
from suite.datasets import lists
from suite.errors import InputError

CSV_HEADER = ["label", "youtube_id", "time_start", "time_end", "split"]
# One letter as one character and as two; systems keep either.
COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"


def fill(path: Path | bytes, content: bytes = b"video") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def ucf101(root: Path, listed: str = "Archery", folder: str | None = None) -> Path:
    """Two videos of one class, whose folder may be called otherwise than the lists have it."""
    names = [f"v_{listed}_g0{group}_c01.avi" for group in (1, 2)]
    for name in names:
        fill(root / "UCF-101" / (folder or listed) / name)
    write_lists(root, f"1 {listed}\n", f"{listed}/{names[0]} 1\n", f"{listed}/{names[1]}\n")
    return root


def write_lists(root: Path, classes: str, train: str, test: str) -> None:
    for name, text in (("classInd", classes), ("trainlist01", train), ("testlist01", test)):
        fill(root / "ucfTrainTestlist" / f"{name}.txt", text.encode())


def hmdb51(root: Path) -> Path:
    for flag in (1, 2):
        fill(root / "hmdb51" / "golf" / f"a_golf_u_cm_np1_ba_bad_{flag}.avi")
    rows = "".join(f"a_golf_u_cm_np1_ba_bad_{flag}.avi {flag} \n" for flag in (1, 2))
    fill(root / "testTrainMulti_7030_splits" / "golf_test_split1.txt", rows.encode())
    return root


def kinetics400(root: Path, quoting: int = csv.QUOTE_MINIMAL) -> Path:
    for side in ("train", "val"):
        fill(root / "kinetics400" / side / f"{side}xxxxxxxx_000001_000011.mp4")
        annotations = root / "kinetics400" / "annotations" / f"{side}.csv"
        annotations.parent.mkdir(exist_ok=True)
        with open(annotations, "w", newline="") as file:
            csv.writer(file, quoting=quoting).writerows([CSV_HEADER, ["a", f"{side}xxxxxxxx", 1, 11, side]])
    return root


def activitynet_qa(root: Path) -> Path:
    for part in ("train", "val", "test"):
        fill(root / "activitynet-qa" / "videos" / f"v_{part}.mp4")
        asked = [{"question_id": f"v_{part}_1", "video_name": part, "question": "what is it"}]
        answered = [{"question_id": f"v_{part}_1", "answer": "this", "type": 0}]
        for kind, entries in (("q", asked), ("a", answered)):
            fill(root / "activitynet-qa" / f"{part}_{kind}.json", json.dumps(entries).encode())
    return root


def yupenn(root: Path) -> Path:
    for class_name in ("Beach", "Ocean"):
        for number in (1, 2):
            fill(root / "YUPENN" / class_name / f"{class_name}_{number}.mp4")
    return root


def aslan(root: Path) -> Path:
    """Ten folds of two pairs, four videos each."""
    rows = []
    for fold in range(10):
        first = 4 * fold + 1
        rows += [
            (first, first + 1, 1, 2 * fold + 1, 2 * fold + 1),
            (first + 2, first + 3, 0, 2 * fold + 1, 2 * fold + 2),
        ]
    for number in range(1, 41):
        fill(root / "ASLAN" / "ASLAN_AVI" / f"{number:04d}.avi")
    fill(root / "ASLAN" / "view2.txt", "".join(" ".join(map(str, row)) + "\n" for row in rows).encode())
    return root


MAKERS = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "kinetics400": kinetics400,
    "aslan": aslan,
    "yupenn": yupenn,
    "activitynet-qa": activitynet_qa,
}
# A list file of each dataset that has any.
LISTS = {
    "ucf101": "ucfTrainTestlist/trainlist01.txt",
    "hmdb51": "testTrainMulti_7030_splits/golf_test_split1.txt",
    "kinetics400": "kinetics400/annotations/val.csv",
    "aslan": "ASLAN/view2.txt",
    "activitynet-qa": "activitynet-qa/val_q.json",
}


def content(data: datasets.Dataset) -> tuple:
    return data.classes, data.splits, data.lists, data.missing, data.fingerprint()


# ---------------------------------------------------------------------------------------------- list files


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("change", ["crlf", "cr", "bom"])
def test_line_ends_and_byte_order_marks_change_nothing(name, change, tmp_path):
    root = MAKERS[name](tmp_path)
    # Also where the writer of the list above ended its lines with CR and LF.
    path = root / LISTS[name]
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    before = content(datasets.load(name, root))
    text = path.read_bytes()
    ends = {"crlf": b"\r\n", "cr": b"\r"}
    path.write_bytes(b"\xef\xbb\xbf" + text if change == "bom" else text.replace(b"\n", ends[change]))
    assert content(datasets.load(name, root)) == before


@given(st.lists(st.text(alphabet="ab \t", max_size=6), max_size=6), st.booleans())
def test_the_hash_of_a_list_is_that_of_its_published_bytes(lines, ended):
    text = ("\n".join(lines) + "\n" * ended).encode()
    for published in (b"\n", b"\r\n"):
        expected = hashlib.sha256(text.replace(b"\n", published)).hexdigest()
        for end in (b"\n", b"\r\n", b"\r"):
            for mark in (b"", b"\xef\xbb\xbf"):
                assert lists.text_hash(mark + text.replace(b"\n", end), published) == expected


@pytest.mark.parametrize("name", datasets.names())
def test_generated_lists_are_known_by_their_bytes(name, synthetic_root, probes_root):
    data = datasets.load(name, synthetic_root if name in ("ucf101", "hmdb51") else probes_root)
    files = [path for path in data.root.rglob("*") if path.name in data.lists]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == data.lists


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_no_regular_file_is_refused_at_once(name, tmp_path):
    root = MAKERS[name](tmp_path)
    (root / LISTS[name]).unlink()
    os.mkfifo(root / LISTS[name])
    with pytest.raises(InputError, match=rf"{Path(LISTS[name]).name}.*named pipe"):
        datasets.load(name, root)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_a_folder_is_refused(name, tmp_path):
    root = MAKERS[name](tmp_path)
    (root / LISTS[name]).unlink()
    (root / LISTS[name]).mkdir()
    with pytest.raises(InputError, match=Path(LISTS[name]).name):
        datasets.load(name, root)


def test_a_list_that_is_not_utf8_is_refused_by_name(tmp_path):
    root = ucf101(tmp_path)
    (root / "ucfTrainTestlist" / "classInd.txt").write_bytes(b"1 Caf\xe9\n")
    with pytest.raises(InputError, match=r"classInd.txt: is not text"):
        datasets.load("ucf101", root)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("spaced", [False, True])
def test_values_of_a_csv_may_be_quoted_and_spaced_its_header_too(quoting, spaced, tmp_path):
    plain = content(datasets.load("kinetics400", kinetics400(tmp_path / "plain")))
    root = kinetics400(tmp_path / "other", quoting)
    if spaced:
        for side in ("train", "val"):
            path = root / "kinetics400" / "annotations" / f"{side}.csv"
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b", "))
    found = content(datasets.load("kinetics400", root))
    assert (found[0], found[1], found[3]) == (plain[0], plain[1], plain[3])


# ---------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize("name", MAKERS)
def test_what_systems_leave_behind_is_no_data(name, tmp_path):
    root = MAKERS[name](tmp_path)
    before = content(datasets.load(name, root))
    for folder, _, files in list(os.walk(root)):
        for left in ("lost+found", "@eaDir", "__MACOSX", ".Trash-1000"):
            fill(Path(folder) / left / "x_000001_000011.mp4")
            fill(Path(folder) / left / "0001.avi")
        for left in (".DS_Store", "Thumbs.db", "desktop.ini", *(f"._{file}" for file in files)):
            fill(Path(folder) / left, b"\0\5\x16\7Mac OS X")
    assert content(datasets.load(name, root)) == before


def test_files_that_systems_leave_between_frames_are_no_frames(tmp_path):
    for number in (1, 2):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number}.png")
        fill(tmp_path / f"._{number}.png")
    fill(tmp_path / "Thumbs.db")
    assert [path.name for path in lists.frame_files(tmp_path)] == ["1.png", "2.png"]


def test_names_sort_by_their_numbers_whatever_else_they_hold(tmp_path):
    names = ["beach", "beach2", "beach10", "beach10a", "2beach", "10"]
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / name / "1.jpg")
    assert lists.videos_in(tmp_path) == ["2beach", "10", "beach", "beach2", "beach10", "beach10a"]


@given(st.lists(st.text(alphabet="ab12 ", min_size=1, max_size=6), max_size=8))
def test_any_names_can_be_sorted_and_numbers_alone_by_their_value(names):
    ordered = sorted(names, key=lists._natural)
    assert sorted(ordered) == sorted(names)
    numbers = [name for name in ordered if name.isdigit()]
    assert [int(name) for name in numbers] == sorted(map(int, numbers))


@pytest.mark.parametrize(("listed", "on_disk"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_letters_may_be_composed_otherwise_than_in_the_lists(listed, on_disk, tmp_path):
    data = datasets.load("ucf101", ucf101(tmp_path, listed, on_disk))
    assert data.splits[1].train[0].name == f"{listed}/v_{listed}_g01_c01.avi"
    assert data.splits[1].train[0].path.startswith(f"UCF-101/{on_disk}/")
    assert (tmp_path / data.splits[1].train[0].path).is_file()


def test_a_full_folder_in_the_wrong_case_counts_before_an_empty_one_in_the_right_case(tmp_path):
    root = ucf101(tmp_path, "Archery", "archery")
    (root / "UCF-101" / "Archery").mkdir()
    data = datasets.load("ucf101", root)
    assert {video.path.split("/")[1] for video in data.videos()} == {"archery"}


def test_a_full_file_in_the_wrong_case_counts_before_an_empty_one_in_the_right_case(tmp_path):
    root = ucf101(tmp_path)
    folder = root / "UCF-101" / "Archery"
    fill(folder / "v_archery_g01_c01.avi", b"other")
    path = folder / "v_Archery_g01_c01.avi"
    assert datasets.load("ucf101", root).splits[1].train[0].path.endswith(path.name)
    path.write_bytes(b"")
    assert datasets.load("ucf101", root).splits[1].train[0].path.endswith("v_archery_g01_c01.avi")


def test_of_two_names_that_are_equally_close_neither_counts(tmp_path):
    root = ucf101(tmp_path)
    folder = root / "UCF-101" / "Archery"
    (folder / "v_Archery_g01_c01.avi").rename(folder / "v_ARCHERY_g01_c01.avi")
    shutil.copy(folder / "v_ARCHERY_g01_c01.avi", folder / "v_archery_g01_c01.avi")
    with pytest.raises(InputError, match=r"v_Archery_g01_c01.avi: no such video"):
        datasets.load("ucf101", root)


@pytest.mark.parametrize("filled", ["a", "b"])
def test_of_two_files_of_a_kinetics_video_the_one_that_is_not_empty_counts(filled, tmp_path):
    root = kinetics400(tmp_path)
    name = "trainxxxxxxxx_000001_000011.mp4"
    (root / "kinetics400" / "train" / name).unlink()
    for folder in ("a", "b"):
        fill(root / "kinetics400" / folder / name, b"video" if folder == filled else b"")
    assert datasets.load("kinetics400", root).splits[1].train[0].path == f"kinetics400/{filled}/{name}"


def test_an_empty_file_of_one_spelling_does_not_hide_a_good_one_of_the_other(tmp_path):
    root = activitynet_qa(tmp_path)
    folder = root / "activitynet-qa" / "videos"
    fill(folder / "test.webm", b"other")
    assert datasets.load("activitynet-qa", root).splits[1].test[0].path.endswith("/v_test.mp4")
    (folder / "v_test.mp4").write_bytes(b"")
    assert datasets.load("activitynet-qa", root).splits[1].test[0].path.endswith("/test.webm")


# ---------------------------------------------------------------------------------------------- links, pipes, odd names


@pytest.mark.parametrize("name", ["kinetics400", "activitynet-qa"])
@pytest.mark.parametrize("fault", ["link", "pipe"])
def test_a_video_that_may_be_missing_is_if_it_is_no_file(name, fault, tmp_path):
    root = MAKERS[name](tmp_path)
    folder = {"kinetics400": root / "kinetics400" / "train", "activitynet-qa": root / "activitynet-qa" / "videos"}[name]
    other = "secondxxxxx_000001_000011.mp4" if name == "kinetics400" else "v_second.mp4"
    if name == "kinetics400":
        with open(root / "kinetics400" / "annotations" / "train.csv", "a") as file:
            file.write("a,secondxxxxx,1,11,train\n")
    else:
        for kind, more in (("q", {"video_name": "second", "question": "what"}), ("a", {"answer": "it", "type": 0})):
            path = root / "activitynet-qa" / f"train_{kind}.json"
            path.write_text(json.dumps([*json.loads(path.read_text()), {"question_id": "v_second_1"} | more]))
    if fault == "link":
        (folder / other).symlink_to("/nowhere/gone.mp4")
    else:
        os.mkfifo(folder / other)
    data = datasets.load(name, root)
    assert data.missing == 1
    assert all("second" not in video.name for video in data.videos())
    assert data.fingerprint().startswith("subset-")


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "yupenn", "aslan"])
@pytest.mark.parametrize("fault", ["link", "pipe"])
def test_a_link_that_leads_nowhere_does_not_refuse_the_dataset(name, fault, tmp_path):
    root = MAKERS[name](tmp_path)
    videos = datasets.load(name, root).videos()
    before = datasets.load(name, root).fingerprint()
    path = root / videos[0].path
    path.unlink()
    if fault == "link":
        path.symlink_to("/nowhere/gone.avi")
    else:
        os.mkfifo(path)
    data = datasets.load(name, root)
    assert data.videos() == videos
    assert data.fingerprint() != before


@pytest.mark.parametrize("where", ["folder", "beside"])
def test_kinetics_may_lie_in_folders_whose_names_are_not_utf8(where, tmp_path):
    root = kinetics400(tmp_path)
    odd = os.fsencode(root / "kinetics400") + b"/caf\xe9"
    if where == "folder":
        os.rename(root / "kinetics400" / "train", odd)
    else:
        fill(odd + b"/video_000001_000011.mp4")
    data = datasets.load("kinetics400", root)
    assert data.missing == 0
    assert data.fingerprint() == datasets.load("kinetics400", root).fingerprint()
    data.splits[1].train[0].name.encode()


def test_scenes_whose_names_are_not_utf8_have_names_that_can_be_written(tmp_path):
    root = yupenn(tmp_path)
    os.rename(root / "YUPENN" / "Beach", os.fsencode(root / "YUPENN") + b"/Caf\xe9")
    fill(os.fsencode(root / "YUPENN") + b"/Ocean/ocean\xff.mp4")
    data = datasets.load("yupenn", root)
    assert data.classes == ("Caf\\xe9", "Ocean")
    assert [video.name for video in data.splits[1].test if "\\x" in video.name] == [
        "Caf\\xe9/Beach_1.mp4",
        "Caf\\xe9/Beach_2.mp4",
        "Ocean/ocean\\xff.mp4",
    ]
    assert all((root / video.path).is_file() for video in data.videos())
    assert data.fingerprint().startswith("subset-")


# ---------------------------------------------------------------------------------------------- fingerprint


@pytest.mark.parametrize("name", MAKERS)
def test_the_fingerprint_knows_sizes_and_no_times_or_places(name, tmp_path):
    root = MAKERS[name](tmp_path / "one")
    before = datasets.load(name, root).fingerprint()
    shutil.copytree(root, tmp_path / "two", copy_function=shutil.copyfile)
    video = datasets.load(name, root).videos()[0]
    os.utime(root / video.path, (1, 1))
    assert datasets.load(name, root).fingerprint() == before
    assert datasets.load(name, tmp_path / "two").fingerprint() == before
    (root / video.path).write_bytes(b"longer than before")
    assert datasets.load(name, root).fingerprint() != before
