"""ASLAN's View 2: the official list, the .mat file and its text form, and every fault of either."""

import shutil
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from suite import datasets
from suite.datasets import aslan
from suite.errors import InputError


def miniature() -> np.ndarray:
    """Two pairs in each of ten folds, as the matrix of View2.mat: fold f has samples 3f + 1 to 3f + 3."""
    matrix = np.zeros((2, 5, 10), int)
    for fold in range(10):
        first, action = 3 * fold + 1, 2 * fold + 1
        matrix[0, :, fold] = (first, first + 1, 1, action, action)
        matrix[1, :, fold] = (first, first + 2, 0, action, action + 1)
    return matrix


def text_of(matrix: np.ndarray) -> str:
    return "".join(f"{'  '.join(map(str, row))}\n" for fold in np.moveaxis(matrix, 2, 0) for row in fold)


def write(root: Path, matrix: np.ndarray | None = None, text: str | None = None, name: str = "{:04d}.avi") -> Path:
    """A root with thirty videos and a list: View2.mat of a matrix, or view2.txt of a text."""
    folder = root / "ASLAN"
    (folder / "ASLAN_AVI").mkdir(parents=True)
    for sample in range(1, 31):
        (folder / "ASLAN_AVI" / name.format(sample)).touch()
    if matrix is not None:
        scipy.io.savemat(folder / "View2.mat", {"action_splits_pairs": matrix.astype(float)})
    if text is not None:
        (folder / "view2.txt").write_text(text)
    return root


def test_the_matrix_is_read(tmp_path):
    root = write(tmp_path, miniature())
    folds = aslan.pairs(root)
    assert len(folds) == 10
    assert folds[0] == [("0001", "0002", True), ("0001", "0003", False)]
    assert folds[9] == [("0028", "0029", True), ("0028", "0030", False)]
    data = datasets.load("aslan", root)
    assert (data.scope, data.missing, data.classes) == ("subset", 0, ("unlabelled",))
    assert data.splits[1].train == ()
    assert [video.name for video in data.splits[1].test] == [f"{sample:04d}" for sample in range(1, 31)]
    assert data.splits[1].test[4] == datasets.Video("0005", "ASLAN/ASLAN_AVI/0005.avi", 0, "0005")
    assert list(data.lists) == ["View2.mat"]
    assert data.fingerprint().startswith("subset-")


def test_the_text_says_the_same(tmp_path):
    matrix = write(tmp_path / "matrix", miniature())
    text = write(tmp_path / "text", text=text_of(miniature()).replace("\n", " \r\n\r\n"))
    assert aslan.pairs(text) == aslan.pairs(matrix)
    assert datasets.load("aslan", text).splits == datasets.load("aslan", matrix).splits
    # Where there are both, the official file counts.
    both = write(tmp_path / "both", miniature()[::-1], text_of(miniature()))
    assert aslan.pairs(both)[0][0] == ("0001", "0003", False)


@pytest.mark.parametrize("name", ["{:04d}.mp4", "aslan-{:04d}.AVI", "clip2010-{:04d}.mkv", "{}.avi"])
def test_videos_are_known_by_the_number_at_the_end(tmp_path, name):
    data = datasets.load("aslan", write(tmp_path, miniature(), name=name))
    assert data.splits[1].test[8].path == f"ASLAN/ASLAN_AVI/{name.format(9)}"


@pytest.mark.parametrize("place", ["ASLAN/ASLAN_MP4", "ASLAN"])
def test_videos_may_lie_in_several_places(tmp_path, place):
    root = write(tmp_path, miniature())
    shutil.move(root / "ASLAN" / "ASLAN_AVI", root / "elsewhere")
    (root / place).mkdir(exist_ok=True)
    for path in (root / "elsewhere").iterdir():
        path.rename(root / place / path.name)
    assert datasets.load("aslan", root).splits[1].test[0].path == f"{place}/0001.avi"


def test_official_list(shared_data, tmp_path):
    folder = tmp_path / "ASLAN"
    (folder / "ASLAN_AVI").mkdir(parents=True)
    shutil.copy(shared_data / "official-lists" / "aslan" / "view2.txt", folder)
    for sample in range(1, 3698):
        (folder / "ASLAN_AVI" / f"{sample:04d}.avi").touch()
    data = datasets.load("aslan", tmp_path)
    assert data.scope == "full"
    about = datasets.describe("aslan")
    assert (about.splits, about.class_count) == ({1: (0, len(data.videos()))}, len(data.classes))
    folds = aslan.pairs(tmp_path)
    assert [len(fold) for fold in folds] == [600] * 10
    assert [sum(pair.same for pair in fold) for fold in folds] == [300] * 10
    assert folds[0][0] == ("0084", "0088", True)
    assert folds[9][-1].first < folds[9][-1].second
    # As a .mat file, the same content is as complete.
    matrix = np.loadtxt(folder / "view2.txt").reshape(10, 600, 5).transpose(1, 2, 0)
    scipy.io.savemat(folder / "View2.mat", {"action_splits_pairs": matrix})
    assert datasets.load("aslan", tmp_path).scope == "full"
    assert aslan.pairs(tmp_path) == folds
    matrix[0, :, 0] = matrix[1, :, 0]
    scipy.io.savemat(folder / "View2.mat", {"action_splits_pairs": matrix})
    assert datasets.load("aslan", tmp_path).scope == "subset"


def changed(place: tuple[int, int, int], value: int) -> np.ndarray:
    """The miniature with one number changed: (row, column, fold), from 0."""
    matrix = miniature()
    matrix[place] = value
    return matrix


FAULTS = {
    "itself": (changed((0, 1, 2), 7), r"{}: a pair of sample 7 with itself", (2, 0)),
    "label": (changed((1, 2, 0), 2), r"{}: \[1, 3, 2, 1, 2\] is not two samples from 1 on, a 0 or 1", (0, 1)),
    "sample 0": (changed((0, 0, 0), 0), r"{}: \[0, 2, 1, 1, 1\] is not two samples from 1 on", (0, 0)),
    "same": (changed((1, 2, 4), 1), r"{}: actions 9 and 10 are called the same", (4, 1)),
    "not same": (changed((0, 2, 4), 0), r"{}: actions 9 and 9 are called not the same", (4, 0)),
    "action in two folds": (changed((1, 4, 6), 1), r"{}: action 1 is in fold 1 and in fold 7", (6, 1)),
    "sample in two folds": (changed((1, 1, 6), 2), r"{}: sample 2 is in fold 1 and in fold 7", (6, 1)),
}


@pytest.mark.parametrize("form", ["matrix", "text"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_pair_are_named_with_their_place(tmp_path, form, fault):
    matrix, message, (fold, row) = FAULTS[fault]
    if form == "matrix":
        root = write(tmp_path, matrix)
        message = r"View2\.mat, " + message.format(f"fold {fold + 1}, row {row + 1}")
    else:
        root = write(tmp_path, text=text_of(matrix))
        message = r"view2\.txt, " + message.format(f"line {2 * fold + row + 1}")
    for read in (aslan.pairs, partial(datasets.load, "aslan")):
        with pytest.raises(InputError, match=message) as error:
            read(root)
        assert ";" in str(error.value), "says what to do"
        assert "\n" not in str(error.value)


def test_lines_that_are_no_pairs_and_folds_that_do_not_come_out(tmp_path):
    text = text_of(miniature())
    root = write(tmp_path, text=text + "1 2 3\n")
    with pytest.raises(InputError, match=r"view2\.txt, line 21: '1 2 3' is not the five numbers of a pair"):
        aslan.pairs(root)
    (root / "ASLAN" / "view2.txt").write_text(text.replace("1", "one", 1))
    with pytest.raises(InputError, match=r"line 1: .* is not the five numbers"):
        aslan.pairs(root)
    for lines in (text.splitlines()[:-1], []):
        (root / "ASLAN" / "view2.txt").write_text("\n".join(lines))
        with pytest.raises(InputError, match=f"{len(lines)} pairs are no 10 folds of one size; take the list"):
            aslan.pairs(root)
    (root / "ASLAN" / "view2.txt").write_text("\n".join(text.splitlines()[::2]))
    with pytest.raises(InputError, match="fold 1 has only pairs of the same action"):
        aslan.pairs(root)
    # Sorted lines have lost their folds.
    (root / "ASLAN" / "view2.txt").write_text("\n".join(sorted(text.splitlines(), key=lambda line: line.split()[2])))
    with pytest.raises(InputError, match="fold 1 has no pairs of the same action"):
        aslan.pairs(root)


MATRICES = {
    "no .mat file": (
        b"sample pairs\n" * 40,
        r"View2\.mat: cannot be read as a \.mat file \(.*\); take View2\.mat as published",
    ),
    "empty": (b"", r"View2\.mat: cannot be read as a \.mat file"),
    "another variable": ({"pairs": miniature()}, "holds no variable 'action_splits_pairs'"),
    "eleven folds": (
        {"action_splits_pairs": np.zeros((4, 5, 11))},
        r"action_splits_pairs is 4 x 5 x 11, not pairs x 5 x 10",
    ),
    "View 1": ({"action_splits_pairs": np.zeros((1200, 5))}, r"action_splits_pairs is 1200 x 5, not pairs x 5 x 10"),
    "halves": ({"action_splits_pairs": miniature() + 0.5}, "holds values that are no whole numbers"),
    "nan": ({"action_splits_pairs": np.full((2, 5, 10), np.nan)}, "holds values that are no whole numbers"),
    "words": ({"action_splits_pairs": "five"}, "not pairs x 5 x 10"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fault", MATRICES)
def test_malformed_matrices(tmp_path, fault):
    content, message = MATRICES[fault]
    root = write(tmp_path)
    if isinstance(content, bytes):
        (root / "ASLAN" / "View2.mat").write_bytes(content)
    else:
        scipy.io.savemat(root / "ASLAN" / "View2.mat", content)
    with pytest.raises(InputError, match=message) as error:
        aslan.pairs(root)
    assert ";" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_matrix_cut_anywhere_is_no_matrix(tmp_path):
    root = write(tmp_path, miniature())
    path = root / "ASLAN" / "View2.mat"
    whole = path.read_bytes()
    for share in np.linspace(0, 0.99, 30):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=r"View2\.mat"):
            aslan.pairs(root)


def test_a_matlab_7_3_file_is_named_as_such(tmp_path):
    root = write(tmp_path)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    (root / "ASLAN" / "View2.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n" + bytes(512))
    with pytest.raises(InputError, match=r"is a MATLAB 7\.3 file; save it with -v7"):
        aslan.pairs(root)


def test_a_line_for_an_absent_video_is_named(tmp_path):
    root = write(tmp_path, text=text_of(miniature()))
    for sample in (6, 30):
        (root / "ASLAN" / "ASLAN_AVI" / f"{sample:04d}.avi").unlink()
    with pytest.raises(InputError, match=r"ASLAN/0006: no such video, named in view2\.txt, line 4 \(2 of"):
        datasets.load("aslan", root)
    (root / "ASLAN" / "view2.txt").unlink()
    scipy.io.savemat(root / "ASLAN" / "View2.mat", {"action_splits_pairs": miniature()})
    with pytest.raises(InputError, match=r"ASLAN/0006: no such video, named in View2\.mat, fold 2, row 2 "):
        datasets.load("aslan", root)


def test_a_sample_that_is_there_twice(tmp_path):
    root = write(tmp_path, miniature())
    (root / "ASLAN" / "ASLAN_AVI" / "other-0003.avi").touch()
    with pytest.raises(InputError, match=r"sample 0003 is there twice .*; remove one"):
        datasets.load("aslan", root)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="ASLAN: no such folder"):
        datasets.load("aslan", tmp_path)
    with pytest.raises(InputError, match=r"View2\.mat: no such file \(nor view2\.txt\)"):
        datasets.load("aslan", write(tmp_path))


def test_synthetic_pairs(probes_root):
    data = datasets.load("aslan", probes_root)
    folds = aslan.pairs(probes_root)
    assert (data.scope, len(data.videos()), len(folds)) == ("synthetic", 140, 10)
    named = [{name for pair in fold for name in (pair.first, pair.second)} for fold in folds]
    assert set.union(*named) == {video.name for video in data.videos()}
    for fold, names in zip(folds, named, strict=True):
        assert Counter(pair.same for pair in fold) == {True: 14, False: 14}
        assert len({(pair.first, pair.second) for pair in fold}) == 28
        # Samples are numbered action by action, seven each.
        action = {name: (int(name) - 1) // 7 for name in names}
        assert all((action[pair.first] == action[pair.second]) == pair.same for pair in fold)
        assert Counter(name for pair in fold for name in (pair.first, pair.second)) == dict.fromkeys(names, 4)
    assert all(not first & second for first, second in pairwise(named))
