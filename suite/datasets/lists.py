"""What list files of all datasets share: reading them, checking the names in them, finding the videos on disk."""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from suite.datasets import Split, Video
from suite.errors import InputError

OFFICIAL = Path(__file__).with_name("official.toml")
SYNTHETIC = "SYNTHETIC.json"
# What files are taken for videos where no list names them, and for frames in a folder of frames.
VIDEO_EXTENSIONS = frozenset(
    (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv", ".flv", ".3gp")
)
FRAME_EXTENSIONS = frozenset((".jpg", ".jpeg", ".png"))


@dataclass
class ListFile:
    """A list file as read: its lines without line ends, trailing blanks or empty lines, and the hash of its bytes."""

    path: Path
    lines: list[tuple[int, str]]
    sha256: str

    def fault(self, number: int, problem: str) -> InputError:
        """The error for a fault on line `number`."""
        return InputError(f"{self.path}, line {number}: {problem}; take the list file as published")


def read(path: Path) -> ListFile:
    """Read a list file. Windows line ends, trailing blanks and empty lines are accepted; text that is not UTF-8 is not."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); take the list files as published") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text; take the list file as published") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    return ListFile(path, [line for line in lines if line[1]], hashlib.sha256(content).hexdigest())


def file_hash(path: Path) -> str:
    """sha256 of a list file that is not text. InputError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); take the list files as published") from None


def is_plain(name: str) -> bool:
    """Whether a relative path stays where it starts: no absolute path, no `..`, no empty part."""
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.replace("\\", "/").split("/"))


@dataclass
class Entries:
    """The videos of one side of one split, each named once."""

    videos: list[Video] = field(default_factory=list)
    lines: dict[str, tuple[ListFile, int]] = field(default_factory=dict)

    def add(self, video: Video, file: ListFile, number: int) -> None:
        """Add a video; InputError if the list names it already."""
        if video.name in self.lines:
            raise file.fault(
                number, f"{video.name!r} is named a second time (first on line {self.lines[video.name][1]})"
            )
        self.lines[video.name] = (file, number)
        self.videos.append(video)


def split_of(train: Entries, test: Entries, where: Path, number: int) -> Split:
    """The split of two sides. InputError if one names nothing, or a video is in both."""
    for side, entries in (("training", train), ("test", test)):
        if not entries.videos:
            raise InputError(
                f"{where}: the {side} list of split {number} names no video; take the list files as published"
            )
    for name, (file, line) in test.lines.items():
        if name in train.lines:
            other, other_line = train.lines[name]
            raise file.fault(line, f"{name!r} is a training video too ({other.path.name}, line {other_line})")
    return Split(tuple(train.videos), tuple(test.videos))


class Folder:
    """Finds videos below a folder. Names are matched exactly, or else without regard to case.

    The second is for UCF101, whose lists write v_HandStandPushups where some copies have v_HandstandPushups.
    """

    def __init__(self, root: Path, folder: str) -> None:
        self._root, self._folder = root, folder
        self._listings: dict[str, dict[str, list[str]]] = {}
        self.absent: list[tuple[str, ListFile, int]] = []

    def find(self, name: str, file: ListFile, number: int) -> str:
        """Path from the root of the video `name`; one that is not there is noted for `check`."""
        *folders, last = name.split("/")
        place = self._folder
        for part in [*folders, last]:
            found = self._match(place, part)
            if found is None:
                self.absent.append((name, file, number))
                return f"{self._folder}/{name}"
            place = f"{place}/{found}"
        return place

    def check(self) -> None:
        """InputError if any video asked for is absent: names the first and says how many there are."""
        if not self.absent:
            return
        name, file, number = self.absent[0]
        count = len({absent[0] for absent in self.absent})
        raise InputError(
            f"{self._root / self._folder / name}: no such video, named in {file.path.name}, line {number} "
            f"({count} of the videos in the lists {'is' if count == 1 else 'are'} absent); "
            f"complete the data or shorten the lists"
        )

    def _match(self, folder: str, name: str) -> str | None:
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = {}
            try:
                for entry in os.listdir(self._root / folder):
                    listing.setdefault(entry.casefold(), []).append(entry)
            except OSError:
                pass  # what is looked for in a folder that cannot be listed is absent
        candidates = listing.get(name.casefold(), [])
        if name in candidates:
            return name
        return candidates[0] if len(candidates) == 1 else None


def frame_files(folder: Path) -> list[Path]:
    """The frames of a video that is a folder of them: its jpg and png files, in the order of the numbers in their names.

    Raises OSError if the folder cannot be listed.
    """
    names = [entry.name for entry in os.scandir(folder) if _is(entry.name, FRAME_EXTENSIONS)]
    return [Path(folder) / name for name in sorted(names, key=_natural)]


def videos_in(folder: Path) -> list[str]:
    """Names of the videos in a folder, in the order of the numbers in them: video files and folders of frames."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if (entry.is_file() and _is(entry.name, VIDEO_EXTENSIONS))
            or (entry.is_dir() and any(_is(frame, FRAME_EXTENSIONS) for frame in os.listdir(entry)))
        ]
    return sorted(names, key=_natural)


def stem(name: str) -> str:
    """A video's name without its extension; folders of frames have none."""
    return name.rpartition(".")[0] if _is(name, VIDEO_EXTENSIONS) else name


def _is(name: str, extensions: frozenset[str]) -> bool:
    # Files whose names start with a dot are not data, whatever they end with ("._frame1.jpg" of some archives).
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions


def _natural(name: str) -> list:
    """Sorts names by their text and their numbers in turn, so that 2 comes before 10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)] + [name]


def size(path: Path) -> int:
    """Bytes of a video: of its file, or of all its frames. Raises OSError if it is not there."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        return sum(frame.stat().st_size for frame in frame_files(path))
    return found.st_size


def canonical_hash(entries: Iterable[str]) -> str:
    """sha256 of what lists say, whatever their order, blanks and line ends: sorted entries, single blanks."""
    return hashlib.sha256("\n".join(sorted(" ".join(entry.split()) for entry in entries)).encode()).hexdigest()


def scope(name: str, root: Path, said: dict) -> str:
    """ "synthetic", "full" or "subset": what the data at `root` are, by what their lists say (hashes, counts)."""
    if (root / SYNTHETIC).exists():
        return "synthetic"
    official = tomllib.loads(OFFICIAL.read_text(encoding="utf-8"))[name]
    return "full" if said == official else "subset"
