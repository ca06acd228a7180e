"""What the structure of a video file says of its bytes: how many there should be, and whether they lie as they should.

AVI, MP4, Matroska and WebM, MPEG-TS and FLV say where each of their parts ends; the parts are walked from header to header,
without reading what is in them. Of other containers nothing is known here.

Sources: Microsoft's AVI RIFF file reference with OpenDML 1.02, ISO/IEC 14496-12 (boxes), RFC 8794 (EBML) and RFC 9559
(Matroska), ISO/IEC 13818-1 (transport packets), Adobe's FLV file format 10.1.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Layout:
    """What the walk of a file found.

    Attributes:
        missing: bytes that the container promises beyond the end of the file; 0 if none, or if it does not say.
        behind: whether all that is missing lies behind the pictures (an index, tags).
        broken: place of the first bytes that are not what the container must have there; None if there are none.
    """

    missing: int = 0
    behind: bool = False
    broken: int | None = None


def layout(file: BinaryIO, name: str) -> Layout:
    """Walk an open file.

    Args:
        file: seekable; stands afterwards where it stood before.
        name: of the container, as FFmpeg calls it ("avi", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv").
    """
    walk = _WALKS.get(name.partition(",")[0])
    if walk is None:
        return Layout()
    stood = file.tell()
    size = file.seek(0, os.SEEK_END)
    try:
        walk(file, size)
    except _EndOfFile as end:
        return Layout(missing=max(1, end.promised - size), behind=end.behind)
    except _Broken as broken:
        return Layout(broken=broken.place)
    finally:
        file.seek(stood)
    return Layout()


def has_times(name: str) -> bool:
    """Whether the header of this container gives a duration, and its packets times: elsewhere FFmpeg guesses one."""
    return name.partition(",")[0] in ("mov", "matroska", "flv", "asf")


class _EndOfFile(Exception):
    """The file ends where the container has more: it should have at least `promised` bytes."""

    def __init__(self, promised: int, behind: bool = False) -> None:
        self.promised, self.behind = promised, behind


class _Broken(Exception):
    """At `place` lies nothing that can lie there."""

    def __init__(self, place: int) -> None:
        self.place = place


# AVI: chunks of an id of four bytes and a size, padded to even places. One RIFF, or more of them in large files.
_CHUNK_HEAD = struct.Struct("<4sI")
_RIFF_UNKNOWN = (0, 0xFFFFFFFF)  # sizes that a writer puts down before it knows, and cannot mend in a pipe
_MOVIE_CHUNK = re.compile(rb"\d\d(db|dc|wb|pc|tx|sb|iv|__)|ix\d\d|JUNK|LIST|rec ", re.IGNORECASE)


def _avi(file: BinaryIO, size: int) -> None:
    place, behind = 0, False
    while place + 12 <= size:
        name, length, _ = _chunk(file, place)
        if name != b"RIFF":
            return  # what lies behind the last RIFF is not of the video
        end = None if length in _RIFF_UNKNOWN else place + 8 + length
        place += 12
        while place < (size if end is None else end):
            if place + 8 > size:
                raise _EndOfFile(end or size + 1, behind)
            name, length, kind = _chunk(file, place)
            if end is None and (name == b"RIFF" or not name.strip(b"\0")):
                break
            if kind == b"movi":
                stop = None if length in _RIFF_UNKNOWN else place + 8 + length
                place, behind = _movie(file, size, place + 12, stop, end), True
            else:
                place += 8 + length + length % 2
                if place > size + 1:
                    raise _EndOfFile(max(place, end or 0), behind)
        if end is not None and end > size:
            raise _EndOfFile(end, behind)


def _movie(file: BinaryIO, size: int, place: int, stop: int | None, end: int | None) -> int:
    """Walk the chunks of a `movi` list from `place`; where they end."""
    while place < (size if stop is None else stop):
        if place + 8 > size:
            raise _EndOfFile(end or stop or size + 1)
        name, length, kind = _chunk(file, place)
        if stop is None and name in (b"idx1", b"RIFF"):
            return place
        if not _MOVIE_CHUNK.fullmatch(name):
            raise _Broken(place)
        place += 12 if kind == b"rec " else 8 + length + length % 2
        if place > size + 1:
            raise _EndOfFile(max(place, end or 0))
    return place + place % 2


def _chunk(file: BinaryIO, place: int) -> tuple[bytes, int, bytes]:
    """Id and size of the chunk at `place`, and what a list holds ("" if it is no list)."""
    file.seek(place)
    head = file.read(12)
    name, length = _CHUNK_HEAD.unpack_from(head)
    return name, length, head[8:] if name == b"LIST" else b""


# MP4: boxes of a size, a type of four bytes, and for size 1 a size of eight bytes.
def _mp4(file: BinaryIO, size: int) -> None:
    place = 0
    seen: set[bytes] = set()
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1 and place + 16 <= size:
            length = struct.unpack(">Q", file.read(8))[0]
        if length == 0 and kind.strip(b"\0"):
            return  # to the end of the file
        if length < 8 or not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind):
            if {b"moov", b"mdat"} <= seen and b"moof" not in seen:
                return  # padding behind a video that is all there; where it comes in fragments, one more could be here
            raise _Broken(place)
        if place + length > size:
            raise _EndOfFile(place + length, behind=kind not in (b"mdat", b"moov", b"moof") and b"mdat" in seen)
        seen.add(kind)
        place += length


# EBML: elements of an id of 1 to 4 bytes and a size of 1 to 8 bytes, of which all ones mean unknown.
_EBML, _SEGMENT, _CLUSTER, _VOID, _CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xEC, 0xBF
_ANYWHERE = frozenset((_VOID, _CRC))
# Parts of a segment: clusters of frames; seek heads, facts, tracks, cues, chapters, tags, attachments.
_PARTS = _ANYWHERE | {_CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469}


def _matroska(file: BinaryIO, size: int) -> None:
    place, segment = 0, False
    while not segment:
        kind, length, content = _element(file, size, place)
        segment = kind == _SEGMENT
        if segment:
            place = content
        elif kind not in (_EBML, _VOID) or length is None:
            raise _Broken(place)
        else:
            place = content + length
    end = None if length is None else place + length
    clusters = False
    while place < (size if end is None else end):
        kind, length, content = _element(file, size, place, end, clusters)
        if kind == _CLUSTER:
            place = _cluster(file, size, content, None if length is None else content + length, end)
            clusters = True
            continue
        if kind not in _PARTS or length is None:
            raise _Broken(place)
        place = content + length
        if place > size:
            raise _EndOfFile(max(place, end or 0), clusters)


def _cluster(file: BinaryIO, size: int, place: int, stop: int | None, end: int | None) -> int:
    """Walk the elements of a cluster from `place`; where they end."""
    limit = end if stop is None else stop
    if end is not None and limit is not None and limit > end:
        raise _Broken(place)
    while place < (size if limit is None else limit):
        kind, length, content = _element(file, size, place, end)
        if stop is None and kind in _PARTS - _ANYWHERE:
            return place  # a cluster of unknown size ends where the next part begins
        if length is None or kind in _PARTS - _ANYWHERE or (limit is not None and content + length > limit):
            raise _Broken(place)
        place = content + length
        if place > size:
            raise _EndOfFile(max(place, end or 0))
    return place


def _element(
    file: BinaryIO, size: int, place: int, end: int | None = None, behind: bool = False
) -> tuple[int, int | None, int]:
    """Id and size (None: unknown) of the element at `place`, and where its content starts."""
    file.seek(place)
    head = file.read(12)
    width = 9 - head[0].bit_length() if head else 1
    octets = 9 - head[width].bit_length() if len(head) > width else 1
    if width > 4 or octets > 8:
        raise _Broken(place)
    if len(head) < width + octets:
        raise _EndOfFile(max(size + 1, end or 0), behind and width <= 4 and place < size)
    most = (1 << 7 * octets) - 1
    length = int.from_bytes(head[width : width + octets], "big") & most
    return int.from_bytes(head[:width], "big"), None if length == most else length, place + width + octets


# MPEG-TS: packets of 188 bytes from a byte 0x47 on; before it 4 bytes more on discs, or behind it 16 of a checksum.
_MARK = 0x47
_STRIDES = ((188, 0), (192, 4), (204, 0))
_BLOCK = 4096  # packets looked at in one go


def _mpegts(file: BinaryIO, size: int) -> None:
    file.seek(0)
    head = file.read(204 * 8)
    for stride, first in _STRIDES:
        if set(head[first::stride]) == {_MARK}:
            break
    else:
        return  # packets of another length
    file.seek(0)
    place = 0
    while block := file.read(stride * _BLOCK):
        for number, mark in enumerate(block[first::stride]):
            if mark != _MARK:
                raise _Broken(place + number * stride)
        place += len(block)
    if size % stride:
        raise _EndOfFile(size + stride - size % stride)


# FLV: tags of a type, a size of three bytes and seven bytes more; behind each its length in four bytes.
_FLV_TAGS = (8, 9, 18)  # sound, pictures, facts


def _flv(file: BinaryIO, size: int) -> None:
    place = 13
    while place < size:
        file.seek(place)
        head = file.read(11)
        if len(head) < 11:
            raise _EndOfFile(place + 15)
        if head[0] & 0x1F not in _FLV_TAGS:
            raise _Broken(place)
        length = 11 + int.from_bytes(head[1:4], "big")
        if place + length + 4 > size:
            raise _EndOfFile(place + length + 4)
        file.seek(place + length)
        if int.from_bytes(file.read(4), "big") != length:
            raise _Broken(place)
        place += length + 4


_WALKS: dict[str, Callable[[BinaryIO, int], None]] = {
    "avi": _avi,
    "mov": _mp4,
    "matroska": _matroska,
    "mpegts": _mpegts,
    "flv": _flv,
}
