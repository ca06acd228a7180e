"""Whether the videos of a dataset can be read: every one is decoded before any training starts."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from suite.datasets import Dataset, Split, Video, lists
from suite.errors import InputError
from suite.files import open_regular
from suite.processes import ordered
from suite.video import decode
from suite.video.memo import Memo

# Bytes hashed at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Finding:
    """What reading and decoding a whole video showed."""

    # Of its bytes; of a folder of frames, of those of its frames one after the other.
    sha256: str
    frames: int = 0
    # "320x240"
    size: str = ""
    # Why it cannot be read; empty if it can.
    reason: str = ""
    # What is odd about it without being damage, and whether that is another number of frames than its header gives.
    notes: tuple[str, ...] = ()
    disagrees: bool = False
    # Whether the reason is the system's, which may give a file that is there the next time.
    refused: bool = False


def check(
    dataset: Dataset,
    skip_unreadable: bool,
    workers: int,
    progress: Callable[[int, int], None],
    memo: Path | None = None,
) -> dict:
    """Decode every video that a split names.

    Args:
        skip_unreadable: list unreadable videos instead of stopping at them.
        workers: processes; up to 1 works in this one. The result is the same for any number.
        progress: called with (videos done, videos in all).
        memo: file of what earlier checks found, kept up to date; videos whose size, times and inode are as they were then
            are not read again.

    Returns (JSON-able):
        videos: number of decodable frames by video name. sizes: number of videos by frame size, "320x240".
        unreadable: reason by video name. decoded: number of readable videos.
        refused: number of unreadable videos that the system would not give, rather than that are damaged.
        notes: by name of a readable video, what is odd about it without being damage.
        disagree: number of readable videos with another number of frames than their headers give.
        duplicates: names of readable videos with the same bytes, a list for each such content.
        duplicates_across: by split, pairs of a test video and a training video with the same bytes, one for each test video.
        listed: numbers of training and test videos by split, as the lists have them, without those missing.
        missing: number of videos that the lists name and that are not there (of Kinetics and ActivityNet-QA).
        sha256: digest of the names and bytes of all videos.

    Raises InputError if videos are unreadable (names the first, counts them) and `skip_unreadable` is not given.
    """
    videos = dataset.videos()
    found = _find(dataset.root, videos, workers, progress, memo)
    digest = hashlib.sha256()
    for video in videos:
        digest.update(os.fsencode(f"{video.path}\0{found[video.name].sha256}\n"))
    unreadable = {name: one.reason for name, one in found.items() if one.reason}
    if unreadable and not skip_unreadable:
        raise InputError(
            f"{next(iter(unreadable.values()))} ({len(unreadable)} of {len(videos)} videos of {dataset.name} cannot be read; "
            f"--skip-unreadable leaves them out, and says so in every result)"
        )
    readable = {name: one for name, one in found.items() if not one.reason}
    return {
        "videos": {name: one.frames for name, one in readable.items()},
        "sizes": dict(sorted(Counter(one.size for one in readable.values()).items())),
        "unreadable": unreadable,
        "refused": sum(one.refused for one in found.values()),
        "decoded": len(readable),
        "notes": {name: list(one.notes) for name, one in readable.items() if one.notes},
        "disagree": sum(one.disagrees for one in readable.values()),
        "duplicates": _duplicates(readable),
        "duplicates_across": {str(number): _across(split, readable) for number, split in dataset.splits.items()},
        "listed": {
            str(number): {"train": len(split.train), "test": len(split.test)}
            for number, split in dataset.splits.items()
        },
        "missing": dataset.missing,
        "sha256": digest.hexdigest(),
    }


def _find(
    root: Path, videos: tuple[Video, ...], workers: int, progress: Callable[[int, int], None], memo: Path | None
) -> dict[str, Finding]:
    """What is found of each video, by name in the order given: remembered, or else by reading it."""
    found: dict[str, Finding] = {}
    progress(0, len(videos))
    stamps = {video.name: lists.stamp(root, video.path) for video in videos}
    with Memo(memo) as remembered:
        for video in videos:
            if known := remembered.finding(video.path, stamps[video.name]):
                found[video.name] = Finding(**known | {"notes": tuple(known["notes"])})
        if found:
            progress(len(found), len(videos))
        unknown = [video for video in videos if video.name not in found]
        for video, finding in zip(unknown, _examine_all(root, unknown, workers), strict=True):
            found[video.name] = finding
            # One that was written meanwhile is read again the next time.
            if not finding.refused and lists.stamp(root, video.path) == stamps[video.name]:
                remembered.note(video.path, stamps[video.name], asdict(finding))
            progress(len(found), len(videos))
        remembered.tidy()
    return {video.name: found[video.name] for video in videos}


def _duplicates(readable: dict[str, Finding]) -> list[list[str]]:
    """Names of videos with the same bytes, sorted, a list for each content that is there more than once."""
    groups: dict[str, list[str]] = {}
    for name, one in readable.items():
        groups.setdefault(one.sha256, []).append(name)
    return sorted(sorted(names) for names in groups.values() if len(names) > 1)


def _across(split: Split, readable: dict[str, Finding]) -> list[list[str]]:
    """Test videos with the bytes of a training video, and the first such training video by name; sorted."""
    trained: dict[str, str] = {}
    for name in sorted(video.name for video in split.train if video.name in readable):
        trained.setdefault(readable[name].sha256, name)
    tested = ((video.name, readable[video.name].sha256) for video in split.test if video.name in readable)
    return sorted([name, trained[content]] for name, content in tested if content in trained)


def _examine_all(root: Path, videos: Sequence[Video], workers: int) -> Iterator[Finding]:
    """What `_examine` finds, video by video, in their order."""
    return ordered(
        partial(_examine, root),
        videos,
        min(workers, len(videos)),
        describe=lambda video: str(root / video.path),
        remedy="look at this file, and run again",
    )


def _examine(root: Path, video: Video) -> Finding:
    """Read and decode a whole video."""
    path = root / video.path
    digest = hashlib.sha256()
    try:
        for part in lists.frame_files(path) if path.is_dir() else [path]:
            with open_regular(part) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        found = decode.inspect(path)
    except OSError as error:
        reason = f"{path}: cannot be read ({error.strerror}); check the file"
        refused = lists.stamp(root, video.path) != ""
        return Finding(digest.hexdigest(), reason=lists.printable(reason), refused=refused)
    except InputError as error:
        return Finding(digest.hexdigest(), reason=lists.printable(str(error)))
    notes = found.notes
    if not found.agrees:
        notes = (f"{found.frames} frames decode, its header says {found.promised}", *notes)
    return Finding(
        digest.hexdigest(), found.frames, "{}x{}".format(*found.size), notes=notes, disagrees=not found.agrees
    )
