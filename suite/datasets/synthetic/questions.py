"""Synthetic ActivityNet-QA: short videos of a coloured object that moves among still dots, and nine questions about each.

The object comes in from one side to the middle and leaves it half way, to the same side or another. A white and a black
dot, side by side, and up to two grey ones lie in the corners of its way. A video has one question of each type, in one of
two wordings. Answers are drawn evenly for every question, and yes as often as no, so that words alone do not tell them.
Real videos last about three minutes and have ten questions, two of which ask for yes or no.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from suite.datasets import Description, lists
from suite.datasets.activitynet_qa import TYPES
from suite.datasets.synthetic.drawing import FLICKER, NOISE, VERSION, Plan, Scene, Settings, cover, write
from suite.errors import InputError

# Videos of each part. Multiples of 32, so that four answers, and yes and no of four questions, can be even.
VIDEOS = {"train": 128, "val": 32, "test": 64}
# Where they lie below videos/, and what comes before their names: both forms are about.
FOLDERS = {"train": ("train_val", "v_"), "val": ("train_val", "v_"), "test": ("test", "")}
# Frames of a video.
LENGTHS = (36, 48)

# In 48ths of the frame's height, around the middle: how far the object's centre goes, its size (the radius of a disc),
# where the dots lie, and their radii. Nothing touches, and all stays within the central square that networks see.
REACH = 12.5
SIZES = (4.9, 5.5)
CORNER = 15.0
JITTER = 0.5
DOTS = (4.0, 4.5)

SHAPES = ("disc", "square", "triangle", "cross")
# Luma and chroma (blue, red).
COLORS = {"red": (81, 90, 240), "green": (145, 54, 34), "blue": (41, 240, 110), "yellow": (210, 16, 146)}
# (down, right).
WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
CORNERS = {"top left": (-1, -1), "top right": (-1, 1), "bottom right": (1, 1), "bottom left": (1, -1)}
# Luma of the background, and what the grey dots add to it.
BACKGROUNDS = {"dark": ((60, 75), 80), "medium": ((110, 125), 70), "bright": ((160, 175), -80)}
WHITE, BLACK = 232, 18

# Two wordings of each question; {} is what is asked about.
WORDINGS = {
    "motion": ("which way does the moving object go first", "in what direction does the object start to move"),
    "spat_rel": ("where is the white dot from the black dot", "on which side of the black dot is the white dot"),
    "temp_rel": (
        "which way does the object go after reaching the middle",
        "what direction does the object take after the middle of the video",
    ),
    "free_color": ("what color is the moving object", "what is the color of the object that moves"),
    "free_obj": ("what is moving in the video", "what kind of object is moving"),
    "free_loc": ("where is the white dot", "in which corner is the white dot"),
    "free_num": ("how many dots are in the video", "what is the number of dots"),
    "free_other": ("how bright is the background", "what is the background of the video like"),
}
# What every fourth video's yes/no question is about.
YES_NO = (
    ("is the moving object {}", "is {} the color of the moving object"),
    ("does the object go {} at first", "is {} the first direction of the object"),
    ("does the object go {} at last", "is {} the last direction of the object"),
    ("is the white dot at the {}", "does the white dot lie in the {} corner"),
)


@dataclass(frozen=True)
class _Story:
    """What a video shows, and what its yes/no question asks about."""

    color: str
    shape: str
    first: str
    last: str
    white: str
    black: str
    # Corners of the grey dots.
    grey: tuple[str, ...]
    background: str
    # Place in YES_NO, and the colour, way or corner that is asked about.
    about: int
    asked: str


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """The videos and questions of all parts. InputError for a number of classes: there is one."""
    if settings.classes not in (0, 1):
        raise InputError("synthetic activitynet-qa: its videos have no classes; leave classes at 0")
    scenes = []
    rows: dict[str, list[dict]] = {}
    for number, part in enumerate(VIDEOS):
        folder, prefix = FOLDERS[part]
        wordings: Counter[tuple[str, ...]] = Counter()
        rows[f"{part}_q"], rows[f"{part}_a"] = [], []
        for index, story in enumerate(_stories(part, [VERSION, settings.seed, 12, number, 1])):
            own = [VERSION, settings.seed, 13, number, index, 1]
            # As YouTube makes its identifiers: 64 bits in 11 characters.
            name = base64.urlsafe_b64encode(np.random.default_rng([*own, 2]).bytes(8)).decode().rstrip("=")
            path = root / about.videos / folder / f"{prefix}{name}.avi"
            scenes.append(Scene(path, partial(_draw, story, own, settings)))
            for place, (kind, text, answer) in enumerate(_questions(story, wordings), start=1):
                identifier = f"v_{name}_{place}"
                rows[f"{part}_q"].append({"video_name": name, "question": text, "question_id": identifier})
                rows[f"{part}_a"].append({"answer": answer, "type": kind, "question_id": identifier})

    def write_lists() -> None:
        for name, entries in rows.items():
            write(lists.home(about, root) / f"{name}.json", [json.dumps(entries)])

    return Plan(scenes, write_lists)


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """Training videos (of train and val) and test videos, and the one class: see `suite.datasets.activitynet_qa`."""
    return {1: (VIDEOS["train"] + VIDEOS["val"], VIDEOS["test"])}, ("video",)


def _stories(part: str, seed: list[int]) -> list[_Story]:
    """What the videos of a part show: every answer as often as the others of its question, in drawn order."""
    draw = np.random.default_rng(seed)
    count = VIDEOS[part]
    kinds = (tuple(COLORS), tuple(WAYS), tuple(WAYS), tuple(CORNERS))
    shown, asked = zip(*(_shown_and_asked(draw, count, about) for about in range(len(YES_NO))), strict=True)
    white = shown[3]
    # The black dot lies one corner on or one back; as often this as that for each corner of the white one.
    step = np.empty(count, int)
    for corner in range(len(CORNERS)):
        step[white == corner] = 1 - 2 * _even(draw, 2, int((white == corner).sum()))
    shapes = _even(draw, len(SHAPES), count)
    backgrounds = _even(draw, len(BACKGROUNDS), count)
    greys = _even(draw, 3, count)
    corners = tuple(CORNERS)
    stories = []
    for index in range(count):
        black = corners[(white[index] + step[index]) % 4]
        free = [corner for corner in corners if corner not in (corners[white[index]], black)]
        about = index % len(YES_NO)
        stories.append(
            _Story(
                color=kinds[0][shown[0][index]],
                shape=SHAPES[shapes[index]],
                first=kinds[1][shown[1][index]],
                last=kinds[2][shown[2][index]],
                white=corners[white[index]],
                black=black,
                grey=tuple(draw.permutation(free)[: greys[index]].tolist()),
                background=tuple(BACKGROUNDS)[backgrounds[index]],
                about=about,
                asked=kinds[about][asked[about][index]],
            )
        )
    return stories


def _shown_and_asked(draw: np.random.Generator, count: int, about: int) -> tuple[np.ndarray, np.ndarray]:
    """One of four for each video to show, and one to ask about in every fourth video, from `about` on.

    Each of the four is asked about as often, and is what is shown in half of these videos.
    """
    shown, asked = np.empty(count, int), np.empty(count, int)
    own = np.arange(count) % len(YES_NO) == about
    number = int(own.sum())
    turn = np.arange(number)
    asked[own] = turn % 4
    no = turn // 4 % 2
    shown[own] = (turn + no * np.repeat(draw.integers(1, 4, number // 4), 4)) % 4
    shown[~own] = _even(draw, 4, count - number)
    return shown, asked


def _even(draw: np.random.Generator, values: int, count: int) -> np.ndarray:
    """The numbers below `values`, each as often as the others (or once more), in drawn order."""
    return draw.permutation(np.arange(count) % values)


def _questions(story: _Story, wordings: Counter[tuple[str, ...]]) -> Iterator[tuple[int, str, str]]:
    """Type, text and answer of the questions about a video. Takes the two wordings of a question and an answer in turn."""
    shown = (story.color, story.first, story.last, story.white)
    down, right = np.subtract(CORNERS[story.white], CORNERS[story.black])
    answers = {
        "motion": story.first,
        "spat_rel": ("right" if right > 0 else "left") if right else ("below" if down > 0 else "above"),
        "temp_rel": story.last,
        "free_yn": "yes" if shown[story.about] == story.asked else "no",
        "free_color": story.color,
        "free_obj": story.shape,
        "free_loc": story.white,
        "free_num": str(2 + len(story.grey)),
        "free_other": story.background,
    }
    for kind, name in enumerate(TYPES):
        texts = YES_NO[story.about] if name == "free_yn" else WORDINGS[name]
        key = (texts[0], story.asked if name == "free_yn" else "", answers[name])
        yield kind, texts[wordings[key] % 2].format(story.asked), answers[name]
        wordings[key] += 1


def _draw(story: _Story, own: list[int], settings: Settings) -> np.ndarray:
    """The frames of a video: uint8 [T, H * 3 / 2, W]."""
    draw = np.random.default_rng(own)
    height, width = settings.height, settings.width
    frames = int(draw.integers(LENGTHS[0], LENGTHS[1] + 1))
    levels, contrast = BACKGROUNDS[story.background]
    level = draw.uniform(*levels)
    # What covers each pixel how much, [T, H, W] or [1, H, W], and its luma and chroma.
    layers = []
    dots = {story.white: WHITE, story.black: BLACK} | dict.fromkeys(story.grey, level + contrast)
    for corner, shade in dots.items():
        down, right = CORNER * np.array(CORNERS[corner]) + draw.uniform(-JITTER, JITTER, 2)
        covered = _shape("disc", down, right, draw.uniform(*DOTS), height, width)
        layers.append((covered, np.array([shade, 128, 128])))
    # From one end of the first way to the middle, and on to the end of the last.
    time = np.linspace(-1, 1, frames)[:, None]
    down, right = (REACH * time * np.where(time < 0, WAYS[story.first], WAYS[story.last])).T
    covered = _shape(story.shape, down, right, draw.uniform(*SIZES), height, width)
    layers.append((covered, COLORS[story.color] + draw.uniform(-8, 8, 3)))

    luma = level + draw.uniform(-NOISE, NOISE, (1, height, width))
    chroma = draw.uniform(122, 134, (1, 2, 1, 1))
    for covered, color in layers:
        coarse = covered.reshape(-1, 1, height // 2, 2, width // 2, 2).mean((3, 5))
        luma = luma + covered * (color[0] - luma)
        chroma = chroma + coarse * (color[1:].reshape(2, 1, 1) - chroma)
    luma = luma + draw.integers(-FLICKER, FLICKER + 1, luma.shape, np.int8)
    result = np.concatenate([luma, chroma.reshape(frames, height // 2, width)], axis=1)
    return np.rint(result).clip(16, 240).astype(np.uint8)


def _shape(shape: str, down, right, size: float, height: int, width: int) -> np.ndarray:
    """How much of each pixel a shape covers, 0 to 1: [T, H, W]. Its places [T] and its size are as those above."""
    unit = height / 48
    row = np.atleast_1d(np.float32((height - 1) / 2 + unit * down))
    column = np.atleast_1d(np.float32((width - 1) / 2 + unit * right))
    size = unit * size
    if shape == "disc":
        return cover(row, column, np.full(row.shape, size), height, width, square=False)
    if shape == "square":
        return cover(row, column, np.full(row.shape, 1.15 * size), height, width, square=True)
    down = np.arange(height, dtype=np.float32)[None, :, None] - row[:, None, None]
    right = np.abs(np.arange(width, dtype=np.float32)[None, None, :] - column[:, None, None])
    if shape == "triangle":
        # Its three sides are as far from its centre, the lower one level.
        beyond = np.maximum(down, right * np.sqrt(3) / 2 - down / 2) - 0.75 * size
    else:
        down = np.abs(down)
        beyond = np.maximum(np.maximum(down, right) - 1.3 * size, np.minimum(down, right) - 0.25 * size)
    return np.clip(0.5 - beyond, 0, 1)
