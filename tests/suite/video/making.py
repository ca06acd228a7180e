"""Small video files of every container, and damaged copies of files."""

import random
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

FRAMES = 40
# ending -> FFmpeg's name of the container, codec, options of the muxer.
CONTAINERS = {
    "avi": ("avi", "mpeg4", {}),
    "mp4": ("mp4", "mpeg4", {}),
    "fast.mp4": ("mp4", "libx264", {"movflags": "faststart"}),
    "pieces.mp4": ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("matroska", "libx264", {}),
    "webm": ("webm", "libvpx", {}),
    "ts": ("mpegts", "mpeg2video", {}),
    "flv": ("flv", "libx264", {}),
}


def pictures(count: int = FRAMES, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Frames of a coarse random pattern that moves: uint8 [count, height, width, 3]."""
    pattern = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    pattern = pattern.repeat(8, 0).repeat(8, 1)
    return np.stack([np.roll(pattern, 2 * number, 1) for number in range(count)])


def write(
    path: Path, frames: np.ndarray, container: str = "mp4", codec: str = "mpeg4", options=None, turn=None, cover=None
) -> Path:
    """Encode frames at 25 a second, a key frame every 10; no frames make no stream.

    `turn`: arguments of PyAV's set_display_rotation. `cover`: pixels of a cover picture, uint8 [H, W, 3].
    """
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        streams = []
        if len(frames):
            streams.append((_add(output, codec, frames, "yuv420p", turn), frames))
        if cover is not None:
            streams.append((_add(output, "mjpeg", cover[None], "yuvj420p"), cover[None]))
            streams[-1][0].disposition = Disposition.attached_pic
        for stream, content in streams:
            for number, frame in enumerate(content):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=stream.pix_fmt)
                picture.pts, picture.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(picture))
            output.mux(stream.encode())
    return path


def _add(output, codec: str, frames: np.ndarray, pixels: str, turn=None):
    stream = output.add_stream(codec, rate=25, options={"g": "10"})
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pixels
    stream.bit_rate = 4_000_000
    if turn is not None:
        stream.set_display_rotation(*turn)
    return stream


def facts_first(path: Path) -> None:
    """Put the facts of an mp4 (`udta`, with the cover) before its tracks: the cover is then the first stream."""
    content = path.read_bytes()
    start = content.index(b"moov") - 4
    end, place, boxes = start + struct.unpack_from(">I", content, start)[0], start + 8, []
    while place < end:
        length = struct.unpack_from(">I", content, place)[0]
        boxes.append(content[place : place + length])
        place += length
    boxes.sort(key=lambda box: box[4:8] != b"udta")
    path.write_bytes(content[: start + 8] + b"".join(boxes) + content[end:])


def write_grey_alpha(path: Path, grey: np.ndarray, alpha: np.ndarray) -> None:
    """A png of grey with transparency, 16 bits each: uint16 [H, W]. No library at hand writes those."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = grey.shape
    rows = np.stack([grey, alpha], 2).astype(">u2")
    header = struct.pack(">2I5B", width, height, 16, 4, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def remux(source: Path, path: Path, container: str, first: int = 0) -> Path:
    """Copy the packets of a video from packet `first` on into a file of another container."""
    with av.open(str(source)) as read, av.open(str(path), "w", format=container) as output:
        stream = output.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(read.demux(video=0)):
            if number >= first and packet.size:
                packet.stream = stream
                output.mux(packet)
    return path


def damages(whole: bytes, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Copies cut short, with zeros for their end, and with zeros or noise in the middle, by kind and share in percent."""
    draw, size = random.Random(seed), len(whole)
    for share in (5, 25, 60):
        kept = size * (100 - share) // 100
        yield f"cut {share}", whole[:kept]
        yield f"zeros at the end {share}", whole[:kept] + bytes(size - kept)
    for share in (10, 30):
        part = size * share // 100
        start = (size - part) // 2
        yield f"zeros in the middle {share}", whole[:start] + bytes(part) + whole[start + part :]
        yield f"noise in the middle {share}", whole[:start] + draw.randbytes(part) + whole[start + part :]
        yield f"hole {share}", whole[:start] + whole[start + part :]


def flips(whole: bytes, count: int, seed: int) -> bytes:
    """A copy with `count` bits turned."""
    draw, content = random.Random(seed), bytearray(whole)
    for _ in range(count):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)
