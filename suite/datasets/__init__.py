"""Datasets from their official list files: which videos there are, their classes and splits. No pixels here."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError

NAMES = ("ucf101", "hmdb51", "kinetics400", "aslan", "yupenn", "activitynet-qa")


@dataclass(frozen=True)
class Video:
    """One video of a dataset."""

    # As the list file writes it: "Archery/v_Archery_g01_c01.avi", "golf/a_golf_f_nm_np1_fr_med_0.avi", "okC18bPTils".
    name: str
    # From the data root, with forward slashes: "UCF-101/Archery/v_Archery_g01_c01.avi". A file, or a folder of frames.
    path: str
    # Class index, from 0.
    label: int
    # Videos of one group are cut from one source: "Archery_g01"; for HMDB51 the name of the source movie, for Kinetics the
    # YouTube identifier, elsewhere the video alone.
    group: str


@dataclass(frozen=True)
class Split:
    """Training and test videos, in the order of the list files. ASLAN and YUPENN have no training videos."""

    train: tuple[Video, ...]
    test: tuple[Video, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk, as its list files describe it."""

    name: str
    root: Path
    # Class names by label.
    classes: tuple[str, ...]
    # By the official number, from 1.
    splits: dict[int, Split]
    # sha256 of each list file, by file name: of its text with the line ends of the published one.
    lists: dict[str, str]
    # "full": the lists say what the official ones say; "subset": they do not; "synthetic": generated data.
    scope: str
    # Videos that the lists name and that are not there: of Kinetics and ActivityNet-QA only, all others must be complete.
    missing: int = 0

    def videos(self) -> tuple[Video, ...]:
        """Every video that any split names, once, sorted by name."""
        distinct = {video.name: video for split in self.splits.values() for video in (*split.train, *split.test)}
        return tuple(distinct[name] for name in sorted(distinct))

    def fingerprint(self) -> str:
        """Identity of the data: the scope and 12 hex digits over the lists and the path and size of every video.

        It is the same wherever the data lie, whenever they were written. What cannot be looked at has size 0.
        """
        from suite.datasets import lists

        digest = hashlib.sha256()
        for name, content in sorted(self.lists.items()):
            digest.update(f"{name}\0{content}\n".encode())
        for video in self.videos():
            digest.update(os.fsencode(f"{video.path}\0{lists.size(self.root, video.path)}\n"))
        return f"{self.scope}-{digest.hexdigest()[:12]}"

    def state(self) -> str:
        """16 hex digits that change whenever the bytes of a video may have: over place, size, times and inode of each.

        It only says whether what was found of these files still holds, here and now. It is no identity: see `fingerprint`.
        """
        from suite.datasets import lists

        digest = hashlib.sha256(os.fsencode(f"{self.root.resolve()}\n"))
        for video in self.videos():
            digest.update(os.fsencode(f"{video.path}\0{lists.stamp(self.root, video.path)}\n"))
        return digest.hexdigest()[:16]


def load(name: str, root: Path) -> Dataset:
    """Read the list files of dataset `name`, one of `NAMES`, under the data root, and find every video they name.

    Raises InputError, naming the file, if anything is missing or malformed (of Kinetics and ActivityNet-QA, videos may be
    missing).
    """
    if name not in NAMES:
        raise InputError(f"unknown dataset {name!r}; datasets: {', '.join(NAMES)}")
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such data root; give the folder that holds the datasets")
    return _module(name).load(root)


def present(name: str, root: Path) -> bool:
    """Whether a data root seems to hold a dataset: the folder of its videos is there."""
    return (root / _module(name).VIDEOS).is_dir()


def official_sizes() -> dict[str, tuple[dict[int, tuple[int, int]], int]]:
    """Training and test videos of each split of the complete official lists, and the number of classes, by dataset."""
    return {
        "ucf101": ({1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}, 101),
        "hmdb51": (dict.fromkeys((1, 2, 3), (3570, 1530)), 51),
        # Of the lists: nobody has all these videos.
        "kinetics400": ({1: (246534, 19906)}, 400),
        # The videos that pairs of View 2 name; of all 3,697 no other is used.
        "aslan": ({1: (0, 3017)}, 1),
        "yupenn": ({1: (0, 420)}, 14),
        # Of the lists, train and val together: many of these videos have left YouTube.
        "activitynet-qa": ({1: (5000, 800)}, 1),
    }


def _module(name: str):
    """The module that reads a dataset: they all have `load(root)` and `VIDEOS`, a folder."""
    from suite.datasets import activitynet_qa, aslan, hmdb51, kinetics400, ucf101, yupenn

    modules = {
        "ucf101": ucf101,
        "hmdb51": hmdb51,
        "kinetics400": kinetics400,
        "aslan": aslan,
        "yupenn": yupenn,
        "activitynet-qa": activitynet_qa,
    }
    return modules[name]
