"""A folder of jpg or png files as a video: its frames are the files in the order of the numbers in their names."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from suite import files
from suite.datasets import lists
from suite.errors import InputError


def frame_files(folder: str | Path) -> list[Path]:
    """The frames of a folder. Raises InputError, naming it, if there are none or two of one number."""
    try:
        found = lists.frame_files(Path(folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); check the folder") from None
    if not found:
        raise InputError(f"{folder}: holds no jpg or png file; get the folder again or leave the video out")
    numbers: dict[tuple, Path] = {}
    for file in found:
        first = numbers.setdefault(lists.frame_number(file.name), file)
        if first is not file:
            raise InputError(
                f"{folder}: {first.name} and {file.name} are one frame; leave one of them, or move one to another folder"
            )
    return found


def read_all(folder: str | Path, slots: Mapping[int, Sequence[int]]) -> np.ndarray:
    """Frames of a folder, each (by its index) in the places it is wanted: uint8 [N, H, W, 3].

    Raises InputError, naming the file, if one cannot be read or is of another size than the first that is wanted.
    """
    found, last = frame_files(folder), max(slots)
    if last >= len(found):
        raise InputError(f"{folder}: ends after {len(found)} frames, frame {last} was expected; get the folder again")
    first = read(found[min(slots)])
    result = np.empty((sum(map(len, slots.values())), *first.shape), np.uint8)
    for index, places in slots.items():
        result[places] = read(found[index], first.shape)
    return result


def read(path: Path, shape: tuple[int, ...] = ()) -> np.ndarray:
    """An image file as RGB, turned as its EXIF orientation says: uint8 [H, W, 3].

    Of 16 bits a colour the upper 8 are taken, transparency is left out. Raises InputError, naming the file, if it cannot
    be read or has another shape than `shape`.
    """
    try:
        with files.open_regular(path) as file, Image.open(file) as image:
            pixels = np.asarray(_eight_bits(_upright(image)).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({reason}); get the file again or leave the video out") from None
    if shape and pixels.shape != shape:
        raise InputError(
            f"{path}: is {pixels.shape[1]}x{pixels.shape[0]}, other frames of the folder are {shape[1]}x{shape[0]}; "
            f"get the folder again"
        )
    return pixels


def _upright(image: Image.Image) -> Image.Image:
    # EXIF data that cannot be read say nothing.
    with suppress(struct.error, SyntaxError, ValueError, TypeError, KeyError):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow takes the upper 8 of 16 bits itself, but for grey without transparency, which it would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
