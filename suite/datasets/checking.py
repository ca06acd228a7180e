"""Whether the videos of a dataset can be read: every one is decoded before any training starts."""

from __future__ import annotations

import hashlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from suite.datasets import Dataset, Video, lists
from suite.errors import InputError
from suite.files import open_regular

# Bytes hashed at a time.
_BLOCK = 1 << 20


def check(dataset: Dataset, skip_unreadable: bool, workers: int, progress: Callable[[int, int], None]) -> dict:
    """Decode every video that a split names.

    Args:
        skip_unreadable: list unreadable videos instead of stopping at them.
        workers: processes; up to 1 works in this one. The result is the same for any number.
        progress: called with (videos done, videos in all).

    Returns (JSON-able):
        videos: number of decodable frames by video name. sizes: number of videos by frame size, "320x240".
        unreadable: reason by video name. decoded: number of readable videos.
        listed: numbers of training and test videos by split, as the lists have them, without those missing.
        missing: number of videos that the lists name and that are not there (of Kinetics and ActivityNet-QA).
        sha256: digest of the names and bytes of all videos.

    Raises InputError if videos are unreadable (names the first, counts them) and `skip_unreadable` is not given.
    """
    videos = dataset.videos()
    frames: dict[str, int] = {}
    sizes: Counter[str] = Counter()
    unreadable: dict[str, str] = {}
    digest = hashlib.sha256()
    progress(0, len(videos))
    for done, (video, found) in enumerate(
        zip(videos, _examine_all(dataset.root, videos, workers), strict=True), start=1
    ):
        count, size, content, reason = found
        digest.update(os.fsencode(f"{video.path}\0{content}\n"))
        if reason:
            unreadable[video.name] = reason
        else:
            frames[video.name] = count
            sizes[size] += 1
        progress(done, len(videos))
    if unreadable and not skip_unreadable:
        raise InputError(
            f"{next(iter(unreadable.values()))} ({len(unreadable)} of {len(videos)} videos of {dataset.name} cannot be read; "
            f"--skip-unreadable leaves them out, and says so in every result)"
        )
    return {
        "videos": frames,
        "sizes": dict(sorted(sizes.items())),
        "unreadable": unreadable,
        "decoded": len(frames),
        "listed": {
            str(number): {"train": len(split.train), "test": len(split.test)}
            for number, split in dataset.splits.items()
        },
        "missing": dataset.missing,
        "sha256": digest.hexdigest(),
    }


def _examine_all(root: Path, videos: tuple[Video, ...], workers: int) -> Iterator[tuple[int, str, str, str]]:
    """What `_examine` finds, video by video, in their order."""
    examine = partial(_examine, root)
    if workers <= 1:
        yield from map(examine, videos)
        return
    # Spawned, not forked: this process may hold threads of torch.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        yield from pool.map(examine, videos, chunksize=8)


def end_with_parent() -> None:
    """End this process with its parent: one whose parent was killed would wait for work for ever."""

    def watch() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _examine(root: Path, video: Video) -> tuple[int, str, str, str]:
    """Frames, frame size, sha256 of the bytes, and why it cannot be read ("" if it can)."""
    from suite.video import decode

    path = root / video.path
    digest = hashlib.sha256()
    try:
        for part in lists.frame_files(path) if path.is_dir() else [path]:
            with open_regular(part) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        found = decode.inspect(path)
    except OSError as error:
        return 0, "", digest.hexdigest(), f"{path}: cannot be read ({error.strerror}); check the file"
    except InputError as error:
        return 0, "", digest.hexdigest(), str(error)
    return found.frames, "{}x{}".format(*found.size), digest.hexdigest(), ""
