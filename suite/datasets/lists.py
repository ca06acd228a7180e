"""What list files of all datasets share: reading them, checking the names in them, finding the videos on disk."""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from suite.datasets import Absent, Description, Split, Video
from suite.errors import InputError
from suite.files import open_regular

# What files are taken for videos where no list names them, and for frames in a folder of frames.
VIDEO_EXTENSIONS = frozenset(
    (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv", ".flv", ".3gp")
)
FRAME_EXTENSIONS = frozenset((".jpg", ".jpeg", ".png"))
# What systems leave in folders beside the data, in lower case; names that start with a dot (._x, .DS_Store) besides.
LEFT_BY_SYSTEMS = frozenset(
    (
        *("lost+found", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "__macosx"),
        *("thumbs.db", "desktop.ini"),
    )
)


@dataclass
class ListFile:
    """A list file as read: its lines without line ends, trailing blanks or empty lines, and the hash of its text."""

    path: Path
    lines: list[tuple[int, str]]
    sha256: str

    def place(self, number: int) -> str:
        """Where line `number` stands."""
        return f"{self.path.name}, line {number}"

    def fault(self, number: int, problem: str) -> InputError:
        """The error for a fault on line `number`."""
        return InputError(f"{self.path}, line {number}: {problem}; take the list file as published")


def read(path: Path, published_end: bytes = b"\n") -> ListFile:
    """Read a list file. Any line ends, trailing blanks and empty lines are accepted; text that is not UTF-8 is not.

    Args:
        published_end: what ends the lines of the file as published, for the hash.
    """
    content = content_of(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text; take the list file as published") from None
    lines = [(number, line.strip()) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1)]
    return ListFile(path, [line for line in lines if line[1]], text_hash(content, published_end))


def content_of(path: Path) -> bytes:
    """Bytes of a list file. InputError if it cannot be read, or is no regular file."""
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); take the list files as published") from None


def text_hash(content: bytes, published_end: bytes = b"\n") -> str:
    """sha256 of a text file: that of its published bytes, also if its line ends were changed or it got a byte order mark."""
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return hashlib.sha256(text.replace(b"\n", published_end)).hexdigest()


def home(about: Description, root: Path) -> Path:
    """The folder of a dataset's list files: the first that is there of those that they may lie in, or else the first.

    Raises InputError where its description names none.
    """
    if not about.lists:
        raise InputError(f"{about.name}: its layout reads list files; name their folders under `lists` in its TOML")
    return next((root / name for name in about.lists if (root / name).is_dir()), root / about.lists[0])


def folder_of(about: Description, root: Path) -> Path:
    """The same. Raises InputError where it, or the folder of the videos, is not there."""
    found = home(about, root)
    for needed in (root / about.videos, found):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder; the data root must hold {about.videos}/ and {about.lists[0]}/")
    return found


def class_order(about: Description, found: Collection[str], where: Path) -> list[str]:
    """The classes that lists name, in the order that the description gives, or else sorted.

    Raises InputError for a class that the description does not name.
    """
    for name in sorted(found) if about.class_names else ():
        if name not in about.class_names:
            raise InputError(f"{where}: class {name!r} is not among the `classes` of {about.name}; mend either")
    return [name for name in about.class_names or sorted(found) if name in found]


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
    """Finds videos below a folder. Names are matched exactly, or else without regard to case and to how letters are composed.

    The second is for UCF101, whose lists write v_HandStandPushups where some copies have v_HandstandPushups, and for systems
    that write é as one character or as two. Of several that match a name, one that is not empty counts before one that is,
    and then the closer name; of two that are as close neither does.
    """

    def __init__(self, root: Path, folder: str) -> None:
        self._root, self.folder = root, folder
        self._listings: dict[str, dict[str, list[str]]] = {}
        # What was looked for in vain, by name.
        self.absent: dict[str, Absent] = {}

    def find(self, name: str, file: ListFile, number: int) -> str:
        """Path from the root of the video `name`; one that is not there is noted in `absent`."""
        matches = list(self._matches(self.folder, name.split("/"), ()))
        if len(matches) > 1:
            ranked = sorted((not filled(self._root / path), closeness, path) for path, closeness in matches)
            matches = [(ranked[0][2], ())] if ranked[0][:2] < ranked[1][:2] else []
        if not matches:
            self.absent.setdefault(name, Absent(self._root / self.folder / name, file.place(number)))
            return f"{self.folder}/{name}"
        return matches[0][0]

    def _matches(self, folder: str, parts: list[str], closeness: tuple) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every path below `folder` that a name may mean, with how close each of its parts is: 0 exact, 1, 2."""
        first, *rest = parts
        for entry in self._listing(folder).get(_folded(first), ()):
            path = f"{folder}/{entry}"
            near = (*closeness, 0 if entry == first else 1 if _composed(entry) == _composed(first) else 2)
            if rest:
                yield from self._matches(path, rest, near)
            else:
                yield path, near

    def _listing(self, folder: str) -> dict[str, list[str]]:
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = {}
            try:
                for entry in os.listdir(self._root / folder):
                    listing.setdefault(_folded(entry), []).append(entry)
            except OSError:
                pass  # what is looked for in a folder that cannot be listed is absent
        return listing


def is_data(name: str) -> bool:
    """Whether a file or a folder may belong to a dataset, by its name: what systems and archives leave behind does not."""
    return not name.startswith(".") and name.casefold() not in LEFT_BY_SYSTEMS


def names_in(folder: Path) -> list[str]:
    """Names in a folder that may be data, sorted. Raises OSError if it cannot be listed."""
    return sorted(name for name in os.listdir(folder) if is_data(name))


def frame_files(folder: Path) -> list[Path]:
    """The frames of a video that is a folder of them: its jpg and png files, in the order of the numbers in their names.

    Raises OSError if the folder cannot be listed.
    """
    names = [name for name in names_in(folder) if _is(name, FRAME_EXTENSIONS)]
    return [Path(folder) / name for name in sorted(names, key=_natural)]


def videos_in(folder: Path) -> list[str]:
    """Names of the videos in a folder, in the order of the numbers in them: video files and folders of frames.

    Whatever has the name of a video file is taken for one, but for folders: whether it can be read is found when it is.
    """
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if is_data(entry.name)
            and (
                any(_is(frame, FRAME_EXTENSIONS) for frame in os.listdir(entry))
                if entry.is_dir()
                else _is(entry.name, VIDEO_EXTENSIONS)
            )
        ]
    return sorted(names, key=_natural)


def size(root: Path, path: str) -> int:
    """Bytes of a video: of its file, or of all its frames. 0 if it cannot be looked at."""
    whole = f"{root}/{path}"
    try:
        found = os.stat(whole)
        if stat.S_ISDIR(found.st_mode):
            return sum(os.stat(frame).st_size for frame in frame_files(Path(whole)))
    except OSError:
        return 0
    return found.st_size


def stamp(root: Path, path: str) -> str:
    """Size, times and inode of a video's file, or a digest of those of all its frames: new whenever its bytes may be.

    Empty if it cannot be looked at. It says nothing on another machine.
    """
    whole = f"{root}/{path}"
    try:
        found = os.stat(whole)
        if not stat.S_ISDIR(found.st_mode):
            return _stamp(found)
        frames = (f"{os.fspath(frame)}\0{_stamp(os.stat(frame))}\n" for frame in frame_files(Path(whole)))
        return hashlib.sha256(os.fsencode("".join(frames))).hexdigest()
    except OSError:
        return ""


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def videos_below(root: Path, folder: str, depth: int) -> dict[str, str]:
    """Path from the root of every video file below a folder, by name without extension.

    Of two files with one name (a replacement for a damaged file, say) the first in the order of paths counts that is not
    empty. Links that lead nowhere are not there.

    Args:
        depth: how many folders deep below `folder` a video may lie.
    """
    found: dict[str, list[str]] = {}

    def look(place: str, left: int) -> None:
        with os.scandir(root / place) as entries:
            for entry in entries:
                if not is_data(entry.name):
                    continue
                if _is(entry.name, VIDEO_EXTENSIONS) and entry.is_file():
                    found.setdefault(stem(entry.name), []).append(f"{place}/{entry.name}")
                elif left and entry.is_dir():
                    look(f"{place}/{entry.name}", left - 1)

    look(folder, depth)
    return {name: first_filled(root, sorted(paths)) for name, paths in found.items()}


def first_filled(root: Path, paths: list[str]) -> str:
    """The first of these paths whose file is not empty, or else the first."""
    if len(paths) == 1:
        return paths[0]
    return next((path for path in paths if filled(root / path)), paths[0])


def filled(path: Path) -> bool:
    """Whether there is something in a file or a folder."""
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else os.stat(path).st_size > 0
    except OSError:
        return False


def stem(name: str) -> str:
    """A video's name without its extension; folders of frames have none."""
    return name.rpartition(".")[0] if _is(name, VIDEO_EXTENSIONS) else name


def printable(name: str) -> str:
    """A name on disk as text that can be written anywhere: bytes that are not UTF-8 are shown as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is(name: str, extensions: frozenset[str]) -> bool:
    return is_data(name) and os.path.splitext(name)[1].lower() in extensions


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(_composed(name).casefold())


def _natural(name: str) -> tuple:
    """Sorts names by their text and their numbers in turn, so that 2 comes before 10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def frame_number(name: str) -> tuple:
    """What tells a frame from the others of its folder: text and numbers of its name, whatever its padding and extension."""
    return tuple(_natural(os.path.splitext(name)[0])[0])


def canonical_hash(entries: Iterable[str]) -> str:
    """sha256 of what lists say, whatever their order, blanks and line ends: sorted entries, single blanks."""
    return hashlib.sha256("\n".join(sorted(" ".join(entry.split()) for entry in entries)).encode()).hexdigest()
