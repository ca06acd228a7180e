"""Data as people have them, laid out by hand and checked through the command line: what is read, and what is said of the rest."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.suite.video import making

# What macOS lays beside a file on a disk that knows no resource forks.
APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        \0\2\0\0\0\t\xb0\xff"


def video(path: Path, seed: int, container: str = "mp4") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return making.write(path, making.pictures(4, 32, 32, seed), container)


def hmdb51(root: Path) -> Path:
    """Two classes of two videos; one of each is trained on."""
    for place, name in enumerate(("golf", "wave")):
        stems = [f"x_{name}_u_cm_np1_ba_bad_{number}.avi" for number in (0, 1)]
        for number, stem in enumerate(stems):
            video(root / "hmdb51" / name / stem, 2 * place + number, "avi")
        path = root / "testTrainMulti_7030_splits" / f"{name}_test_split1.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{stem} {number} \n" for number, stem in enumerate(stems, 1)), encoding="utf-8")
    return root


def ucf101(root: Path) -> Path:
    """Two classes of two videos; one of each is trained on."""
    names = [f"{name}/v_{name}_g0{group}_c01.avi" for group in (1, 2) for name in ("Archery", "Biking")]
    for number, name in enumerate(names):
        video(root / "UCF-101" / name, number, "avi")
    folder = root / "ucfTrainTestlist"
    folder.mkdir()
    (folder / "classInd.txt").write_text("1 Archery\n2 Biking\n", encoding="utf-8")
    (folder / "testlist01.txt").write_text("".join(f"{name}\n" for name in names[:2]), encoding="utf-8")
    lines = (f"{name} {label}\n" for label, name in enumerate(names[2:], 1))
    (folder / "trainlist01.txt").write_text("".join(lines), encoding="utf-8")
    return root


def kinetics400(root: Path, quoting: int = csv.QUOTE_MINIMAL, below: bytes = b"") -> Path:
    """Two classes of four videos; half of them are trained on. `below`: a folder between the side and its videos."""
    top = root / "kinetics400"
    (top / "annotations").mkdir(parents=True)
    for start, side in ((1, "train"), (5, "val")):
        folder = Path(os.fsdecode(os.path.join(os.fsencode(top / side), below)))
        rows = [["label", "youtube_id", "time_start", "time_end", "split"]]
        for number in range(start, start + 4):
            rows.append(["ab"[number % 2], f"{number:011d}", number, number + 10, side])
            # FFmpeg is given names that can be written.
            made = video(root / f"{number}.mp4", number)
            folder.mkdir(parents=True, exist_ok=True)
            made.rename(folder / f"{number:011d}_{number:06d}_{number + 10:06d}.mp4")
        with open(top / "annotations" / f"{side}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=quoting).writerows(rows)
    return root


def yupenn(root: Path) -> Path:
    """Two scenes of two videos."""
    for number, name in enumerate(("Beach/Beach_1", "Beach/Beach_2", "Elevator/Elevator_1", "Elevator/Elevator_2")):
        video(root / "YUPENN" / f"{name}.mp4", number)
    return root


def lists_from_a_mac(root: Path) -> None:
    for path in list(hmdb51(root).rglob("*.*")):
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
    (root / "hmdb51" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "hmdb51" / "__MACOSX").mkdir()


def folders_of_file_servers(root: Path) -> None:
    ucf101(root)
    for name in ("lost+found", "@eaDir", ".snapshot"):
        (root / "UCF-101" / name).mkdir()
        (root / "UCF-101" / "Archery" / name).mkdir()


def every_value_quoted(root: Path) -> None:
    kinetics400(root, csv.QUOTE_ALL)


def dangling_link_in_kinetics(root: Path) -> None:
    path = min((kinetics400(root) / "kinetics400" / "train").iterdir())
    path.unlink()
    path.symlink_to("/gone.mp4")


def dangling_link_in_ucf101(root: Path) -> None:
    path = ucf101(root) / "UCF-101" / "Biking" / "v_Biking_g01_c01.avi"
    path.unlink()
    path.symlink_to("/gone.avi")


def folder_in_latin_1(root: Path) -> None:
    kinetics400(root, below=b"caf\xe9")


def frame_folders_that_share_a_stem(root: Path) -> None:
    yupenn(root)
    for place, name in enumerate(("beach", "beach2", "beach10")):
        folder = root / "YUPENN" / "Beach" / name
        folder.mkdir()
        for number in range(3):
            Image.new("RGB", (24, 16), (40 * number, 80 * place, 0)).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("lay", "options", "code", "words"),
    [
        (lists_from_a_mac, (), 0, ["4 listed, 4 decoded, 0 unreadable, 0 missing", "split 1: 2 train, 2 test"]),
        (folders_of_file_servers, (), 0, ["4 listed, 4 decoded, 0 unreadable, 0 missing"]),
        (every_value_quoted, (), 0, ["8 listed, 8 decoded, 0 unreadable, 0 missing", "split 1: 4 train, 4 test"]),
        (dangling_link_in_kinetics, (), 0, ["7 listed, 7 decoded, 0 unreadable, 1 missing", "3 train, 4 test"]),
        (dangling_link_in_ucf101, (), 2, ["v_Biking_g01_c01.avi", "No such file", "--skip-unreadable"]),
        (
            dangling_link_in_ucf101,
            ("--skip-unreadable",),
            0,
            ["4 listed, 3 decoded, 1 unreadable", "unreadable: Biking/v_Biking_g01_c01.avi", "No such file"],
        ),
        (folder_in_latin_1, (), 0, ["8 listed, 8 decoded, 0 unreadable, 0 missing"]),
        (frame_folders_that_share_a_stem, (), 0, ["7 listed, 7 decoded", "32x32 (4)", "24x16 (3)"]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, Callable) else None,
)
def test_data_as_people_have_them(harness, tmp_path, lay, options, code, words):
    lay(tmp_path / "data")
    ended, out, err = harness("check-data", "--data-root", tmp_path / "data", "--runs", tmp_path / "runs", *options)
    assert ended == code, err
    assert "Traceback" not in err
    assert "the same bytes" not in out
    said = out if code == 0 else err.splitlines()[-1]
    for word in words:
        assert word in said
    assert (out == "") == (code != 0)


def test_frame_folders_come_in_the_order_of_their_numbers(tmp_path):
    from suite import datasets

    frame_folders_that_share_a_stem(tmp_path)
    names = [one.name for one in datasets.load("yupenn", tmp_path).splits[1].test]
    assert [name for name in names if "beach" in name] == ["Beach/beach", "Beach/beach2", "Beach/beach10"]


def link_real(root: Path, shared_data: Path, folder: str, **lists: str) -> None:
    """Add a real video to each of these lists of the root, as the third class; skips by name where one is absent."""
    for which, name in lists.items():
        source = shared_data / folder / "UCF-101" / name
        if not source.exists():
            pytest.skip(f"{name} is not among the shared research videos")
        path = root / "UCF-101" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(source)
        with open(root / "ucfTrainTestlist" / f"{which}.txt", "a", encoding="utf-8") as file:
            file.write(f"{name} 3\n" if which.startswith("train") else f"{name}\n")
    with open(root / "ucfTrainTestlist" / "classInd.txt", "a", encoding="utf-8") as file:
        file.write(f"3 {Path(name).parent.name}\n")


def test_a_real_video_with_fewer_frames_than_its_header_says_is_kept_and_listed(harness, shared_data, tmp_path):
    root, odd = ucf101(tmp_path / "data"), "HorseRace/v_HorseRace_g20_c01.avi"
    link_real(root, shared_data, "ucf101-six", trainlist01=odd)
    code, out, err = harness("check-data", "--data-root", root, "--runs", tmp_path / "runs")
    assert code == 0, err
    assert "5 listed, 5 decoded, 0 unreadable" in out
    assert "kept, with another number of frames than their headers give: 1" in out
    assert f"{odd}: 365 frames decode, its header says 367" in out


def test_real_videos_with_the_same_bytes_on_both_sides_of_split_1_are_listed(harness, shared_data, tmp_path):
    root, tested, trained = ucf101(tmp_path / "data"), *(f"Basketball/v_Basketball_g{n}_c01.avi" for n in ("03", "23"))
    link_real(root, shared_data, "ucf101-seven-small", testlist01=tested, trainlist01=trained)
    code, out, err = harness("check-data", "--data-root", root, "--runs", tmp_path / "runs")
    assert code == 0, err
    assert "6 listed, 6 decoded" in out
    assert "the same bytes under several names: 1" in out
    assert "split 1: test videos with the bytes of a training video: 1" in out
    assert f"{tested} (test) = {trained} (train)" in out
