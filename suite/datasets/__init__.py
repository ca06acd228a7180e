"""Datasets from their list files: which videos there are, their classes and splits. No pixels here.

A dataset is a TOML (suite/datasets/description.py) that names its layout: the module that reads lists of that form.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from suite import elsewhere
from suite.datasets.description import Description, built_in, describe, names
from suite.errors import InputError

__all__ = ["ALL", "Absent", "Dataset", "Description", "Listing", "Selection", "Split", "Video"]
__all__ += ["class_names", "describe", "layout", "load", "names", "present", "source"]

# In a data root whose data were generated.
SYNTHETIC = "SYNTHETIC.json"


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

    def videos(self) -> tuple[Video, ...]:
        """All of them, training videos first."""
        return (*self.train, *self.test)


@dataclass(frozen=True)
class Selection:
    """A part of a dataset: so many videos of each class of every list, and some of its classes."""

    # The first ones in the order of the list; 0: all.
    limit: int = 0
    # By name, sorted; empty: all.
    classes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limit or self.classes)

    def content(self) -> dict:
        """As JSON has it; `of_content` makes it again."""
        return {"limit": self.limit, "classes": list(self.classes)}

    @classmethod
    def of_content(cls, content: dict | None) -> "Selection":
        """What `content` gave; all of a dataset for None."""
        return ALL if content is None else cls(content["limit"], tuple(content["classes"]))


ALL = Selection()


class Absent(NamedTuple):
    """A video that is not there: where it was looked for, and the list and the line that name it."""

    place: Path
    named: str


@dataclass(frozen=True)
class Listing:
    """What a layout reads: what the list files say, whether all of their videos are there or not."""

    # Class names by label.
    classes: tuple[str, ...]
    # By the official number, from 1.
    splits: dict[int, Split]
    # sha256 of each list file, by file name: of its text with the line ends of the published one.
    lists: dict[str, str]
    # What they say, in the words of the description's `official`.
    said: dict
    # By name, in the order of the lists.
    absent: dict[str, Absent] = field(default_factory=dict)
    # Of data that may lack videos: those that each list names, by the list's file name.
    parts: dict[str, tuple[Video, ...]] = field(default_factory=dict)


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
    # "full": the lists say what the official ones say; "subset": they do not, or a part was taken; "synthetic": generated.
    scope: str
    # Videos that the lists name and that are not there, where the description allows that; all others must be complete.
    missing: int = 0
    # What was taken of it.
    selection: Selection = ALL
    # Digest of what is from outside the suite: see `source`.
    source: str = ""

    def videos(self) -> tuple[Video, ...]:
        """Every video that any split names, once, sorted by name."""
        distinct = {video.name: video for split in self.splits.values() for video in split.videos()}
        return tuple(distinct[name] for name in sorted(distinct))

    def fingerprint(self) -> str:
        """Identity of the data: the scope and 12 hex digits over the lists, and the path and size of every video.

        The selection, and what is from outside the suite, are part of it. It is the same wherever the data lie, whenever
        they were written. What cannot be looked at has size 0.
        """
        from suite.datasets import lists

        digest = hashlib.sha256()
        for name, content in sorted(self.lists.items()):
            digest.update(f"{name}\0{content}\n".encode())
        for video in self.videos():
            digest.update(os.fsencode(f"{video.path}\0{lists.size(self.root, video.path)}\n"))
        if self.selection:
            digest.update(json.dumps(self.selection.content()).encode())
        digest.update(self.source.encode())
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


def load(name: str, root: Path, selection: Selection = ALL) -> Dataset:
    """Read the list files of a dataset under the data root, take what is selected of it, and find these videos.

    Classes of a selection are numbered anew, in the order of the whole dataset's; videos keep theirs. Only videos that are
    selected need be there. Where the description lets a share of the videos be missing, those are left out and counted, and
    data that lack more of any list are a "subset".

    Raises InputError, naming the file, if anything is missing or malformed, and for a selection that does not fit.
    """
    about, listing = _read(name, Path(root))
    scope = _scope(about, root, listing)
    if selection:
        from suite.datasets import selecting

        listing = selecting.select(listing, about, selection)
        scope = "subset" if scope == "full" else scope
    if listing.absent and not about.missing:
        absent, count = next(iter(listing.absent.values())), len(listing.absent)
        raise InputError(
            f"{absent.place}: no such video, named in {absent.named} "
            f"({count} of the videos in the lists {'is' if count == 1 else 'are'} absent); "
            f"complete the data or shorten the lists"
        )
    for part, videos in listing.parts.items():
        gone = [video for video in videos if video.name in listing.absent]
        if len(gone) == len(videos):
            looked_for = listing.absent[gone[0].name].place.name
            raise InputError(
                f"{root / about.videos}: not one video that {part} names is there (such as {looked_for}); "
                f"check the data root and the videos' names"
            )
        if scope == "full" and len(gone) > about.missing * len(videos):
            scope = "subset"
    there = {
        number: Split(*(_there(side, listing) for side in (s.train, s.test))) for number, s in listing.splits.items()
    }
    missing = len(listing.absent)
    return Dataset(name, Path(root), listing.classes, there, listing.lists, scope, missing, selection, source(about))


def class_names(name: str, root: Path) -> tuple[str, ...]:
    """Names of the classes of a dataset by label, as its lists have them; none where its videos have no classes."""
    about, listing = _read(name, Path(root))
    return listing.classes if about.labelled else ()


def source(about: Description) -> str:
    """Digest of what a dataset has from outside the suite: its description, and modules that read or generate it, with all
    that these import from outside.

    Empty for the suite's own. Results that rest on one that has changed are others.
    """
    if built_in(about.name):
        return ""
    digest = hashlib.sha256(about.model_dump_json(exclude={"frames"}).encode())
    for name, home in ((about.layout, "suite.datasets"), (about.synthetic, "suite.datasets.synthetic")):
        if name is not None:
            module = elsewhere.module(name, home)
            if not module.__name__.startswith("suite."):
                digest.update(elsewhere.source(module).encode())
    return digest.hexdigest()[:12]


def present(name: str, root: Path) -> bool:
    """Whether a data root seems to hold a dataset: the folder of its videos is there."""
    return (root / describe(name).videos).is_dir()


def layout(about: Description) -> ModuleType:
    """The module that reads the lists of a dataset. Raises InputError if there is none, or it does not read."""
    module = elsewhere.module(about.layout, "suite.datasets")
    if not hasattr(module, "read"):
        raise InputError(
            f"layout {about.layout!r} of {about.name}: has no read(description, root); see docs/bring-a-dataset.md"
        )
    return module


def _read(name: str, root: Path) -> tuple[Description, Listing]:
    about = describe(name)
    if not root.is_dir():
        raise InputError(f"{root}: no such data root; give the folder that holds the datasets")
    return about, layout(about).read(about, root)


def _scope(about: Description, root: Path, listing: Listing) -> str:
    """ "synthetic", "full" or "subset": what the data at `root` are, by what their lists say."""
    if (root / SYNTHETIC).exists():
        return "synthetic"
    if about.official:
        return "full" if listing.said == about.official else "subset"
    sizes = {number: (len(split.train), len(split.test)) for number, split in listing.splits.items()}
    return "full" if sizes == about.splits and len(listing.classes) == about.class_count else "subset"


def _there(videos: Iterable[Video], listing: Listing) -> tuple[Video, ...]:
    return tuple(video for video in videos if video.name not in listing.absent)
