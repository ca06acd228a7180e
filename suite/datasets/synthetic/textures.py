"""Synthetic YUPENN: fourteen dynamic scenes, each a process of its own in space and time.

Classes are named as the real ones. Level, contrast, tints, speed and (where a scene has one) direction are drawn for each
video, so that a class is what moves and how, not a colour. Real classes have 30 videos of about 145 frames; here they have
6 of 28 to 40.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from suite.datasets import Description
from suite.datasets.synthetic.drawing import FLICKER, VERSION, Plan, Scene, Settings, by_class
from suite.errors import InputError

VIDEOS_OF_CLASS = 6
LENGTHS = (28, 40)
# Darkest and brightest luma of a scene, at most; the smallest span between them.
LUMA = (30, 225)
CONTRAST = 70


class _Canvas:
    """A scene to paint: its size, times and draws. Lengths are in frame heights, speeds in frame heights a frame."""

    def __init__(self, draw: np.random.Generator, frames: int, height: int, width: int) -> None:
        self.draw, self.frames = draw, frames
        self.time = np.arange(frames)[:, None, None]
        self.down = ((np.arange(height) + 0.5) / height)[None, :, None]
        self.right = ((np.arange(width) + 0.5) / height)[None, None, :]
        self.width = width / height
        # How fast everything goes in this video.
        self.pace = draw.uniform(0.7, 1.4)

    def between(self, low: float, high: float, count: int | None = None):
        return self.draw.uniform(low, high, count)

    def noise(self, rows: int, columns: int) -> np.ndarray:
        """A random texture of so many cells that repeats at its edges, smooth between them."""
        return self.draw.random((rows, columns))

    def sample(self, texture: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
        """A texture at places in its cells, linear between them: [T, H, W]."""
        rows, columns = texture.shape
        row, column = np.floor(down).astype(int), np.floor(right).astype(int)
        lower, left = down - row, right - column
        return (
            texture[row % rows, column % columns] * (1 - lower) * (1 - left)
            + texture[row % rows, (column + 1) % columns] * (1 - lower) * left
            + texture[(row + 1) % rows, column % columns] * lower * (1 - left)
            + texture[(row + 1) % rows, (column + 1) % columns] * lower * left
        )

    def dots(self, down: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
        """Discs at places [T, N]: how much of each pixel any of them covers, [T, H, W]."""
        covered = np.zeros((self.frames, self.down.shape[1], self.right.shape[2]))
        for row, column in zip(down.T, right.T, strict=True):
            distance = np.hypot(self.down - row[:, None, None], self.right - column[:, None, None])
            np.maximum(covered, np.clip((radius - distance) * self.down.shape[1] + 0.5, 0, 1), out=covered)
        return covered

    def box(self, down, right, height: float, width: float) -> np.ndarray:
        """A rectangle with its centre at (down, right), each [T, 1, 1] or a number: [T, H, W]."""
        pixels = self.down.shape[1]
        inside = np.clip((height / 2 - np.abs(self.down - down)) * pixels + 0.5, 0, 1)
        return inside * np.clip((width / 2 - np.abs(self.right - right)) * pixels + 0.5, 0, 1)


def _beach(canvas: _Canvas) -> np.ndarray:
    """Lines of surf that come down the lower part and run out, under a still sky."""
    shore, length = canvas.between(0.3, 0.5), canvas.between(0.2, 0.35)
    wobble = 0.05 * np.sin(canvas.right * canvas.between(4, 8) + canvas.between(0, 6))
    surf = 0.5 + 0.5 * np.sin(2 * np.pi * (canvas.down + wobble - 0.012 * canvas.pace * canvas.time) / length)
    return np.where(canvas.down > shore, surf**3, 0.8)


def _elevator(canvas: _Canvas) -> np.ndarray:
    """Two doors that close and open in a still wall."""
    middle, period = canvas.between(0.45, 0.85), canvas.between(24, 40) / canvas.pace
    gap = 0.3 * (0.5 + 0.5 * np.cos(2 * np.pi * (canvas.time / period + canvas.between(0, 1))))
    frame = canvas.box(0.55, middle, 0.8, 0.66)
    return 0.75 - 0.35 * frame - 0.4 * canvas.box(0.55, middle, 0.76, 2 * gap)


def _forest_fire(canvas: _Canvas) -> np.ndarray:
    """Flames: a texture that rises, flickers and fades upwards."""
    texture = canvas.noise(12, 9)
    flames = canvas.sample(texture, canvas.down * 7 + 0.35 * canvas.pace * canvas.time, canvas.right * 6)
    other = canvas.sample(canvas.noise(9, 9), canvas.down * 5 + 0.5 * canvas.pace * canvas.time, canvas.right * 4)
    flicker = 1 + 0.25 * canvas.draw.standard_normal(canvas.frames)[:, None, None]
    return np.clip(1.6 * flames * other * flicker, 0, 1) * np.clip(1.5 * canvas.down, 0, 1)


def _fountain(canvas: _Canvas) -> np.ndarray:
    """Drops that rise from one place and fall on both sides."""
    count = 30
    middle, height = canvas.between(0.5, 0.8), canvas.between(0.5, 0.7)
    period = canvas.between(16, 24) / canvas.pace
    flight = (canvas.time[:, :, 0] / period + canvas.between(0, 1, count)) % 1
    down = 0.9 - 4 * height * flight * (1 - flight) * canvas.between(0.8, 1.1, count)
    return canvas.dots(down, middle + flight * canvas.between(-0.4, 0.4, count), 0.03)


def _highway(canvas: _Canvas) -> np.ndarray:
    """Vehicles of two lanes, each at one speed, the one to the left and the other to the right."""
    road, speed = canvas.between(0.35, 0.65), 0.035 * canvas.pace
    scene = 0.35 + 0.0 * canvas.time + 0 * canvas.down * canvas.right
    for lane, direction in ((-0.13, 1), (0.13, -1)):
        span = canvas.width + 0.6
        for place in canvas.between(0, 0.35) + np.arange(3) * span / 3:
            right = (place + direction * speed * canvas.time) % span - 0.3
            body = canvas.box(road + lane, right, 0.14, canvas.between(0.2, 0.35))
            scene = scene + body * (canvas.between(0.5, 1) - 0.35)
    return scene


def _lightning_storm(canvas: _Canvas) -> np.ndarray:
    """Still dark clouds that light up all at once for a frame or a few."""
    clouds = 0.25 * canvas.sample(canvas.noise(6, 8), canvas.down * 4, canvas.right * 3)
    glow = np.zeros(canvas.frames)
    for start in canvas.draw.choice(canvas.frames, 4, replace=False):
        length = min(int(canvas.draw.integers(2, 5)), canvas.frames - start)
        glow[start : start + length] = np.maximum(
            glow[start : start + length], canvas.between(0.5, 0.9) * 0.6 ** np.arange(length)
        )
    return clouds + glow[:, None, None] * (0.5 + 2 * clouds)


def _ocean(canvas: _Canvas) -> np.ndarray:
    """Crossing trains of waves over the whole frame."""
    scene = np.zeros(1)
    for _ in range(3):
        angle, length = canvas.between(0.9, 2.2), canvas.between(0.18, 0.4)
        along = np.sin(angle) * canvas.down + np.cos(angle) * canvas.right
        scene = scene + np.sin(2 * np.pi * (along / length - canvas.between(0.04, 0.07) * canvas.pace * canvas.time))
    return 0.5 + scene / 6


def _railway(canvas: _Canvas) -> np.ndarray:
    """A train that fills the width and runs past: its windows cross the frame quickly."""
    rail, direction = canvas.between(0.4, 0.6), canvas.draw.choice((-1, 1))
    along = canvas.right - direction * 0.06 * canvas.pace * canvas.time
    windows = (along / canvas.between(0.22, 0.3) % 1 < 0.55) * (np.abs(canvas.down - rail + 0.05) < 0.07)
    train = np.abs(canvas.down - rail) < 0.19
    return np.where(windows, 0.9, np.where(train, 0.25, 0.6 - 0.1 * canvas.down)) + 0 * canvas.time


def _rushing_river(canvas: _Canvas) -> np.ndarray:
    """Streaks that run aslant and quickly, and change as they run."""
    direction = canvas.draw.choice((-1, 1))
    along = canvas.right * direction - 0.045 * canvas.pace * canvas.time
    aslant = canvas.down - 0.35 * canvas.right * direction
    first = canvas.sample(canvas.noise(11, 11), aslant * 10, along * 4)
    second = canvas.sample(canvas.noise(7, 7), aslant * 6, along * 2.5 - 0.04 * canvas.time)
    return np.clip(1.3 * (0.6 * first + 0.4 * second) - 0.1, 0, 1)


def _sky_clouds(canvas: _Canvas) -> np.ndarray:
    """Large soft shapes that drift slowly."""
    direction = canvas.draw.choice((-1, 1))
    drift = direction * 0.008 * canvas.pace * canvas.time
    large = canvas.sample(canvas.noise(5, 7), canvas.down * 2.5, (canvas.right + drift) * 2.5)
    small = canvas.sample(canvas.noise(9, 13), canvas.down * 6, (canvas.right + drift) * 6)
    return np.clip(1.6 * (0.75 * large + 0.25 * small) - 0.3, 0, 1)


def _snowing(canvas: _Canvas) -> np.ndarray:
    """Flakes that sink slowly, swaying."""
    count = 45
    speed, sway = canvas.between(0.012, 0.025, count) * canvas.pace, canvas.between(0, 2 * np.pi, count)
    time = canvas.time[:, :, 0]
    down = (canvas.between(0, 1.1, count) + speed * time) % 1.1 - 0.05
    right = canvas.between(0, canvas.width, count) + 0.03 * np.sin(0.3 * time + sway)
    return 0.2 + 0.8 * canvas.dots(down, right, canvas.between(0.012, 0.022))


def _street(canvas: _Canvas) -> np.ndarray:
    """A few walkers of all speeds, both ways, before still houses."""
    scene = (
        0.3 + 0.35 * (canvas.noise(1, 6)[0][(canvas.right * 4).astype(int) % 6]) * (canvas.down < 0.6) + 0 * canvas.time
    )
    for _ in range(5):
        speed = canvas.draw.choice((-1, 1)) * canvas.between(0.004, 0.02) * canvas.pace
        span = canvas.width + 0.2
        right = (canvas.between(0, span) + speed * canvas.time) % span - 0.1
        walker = canvas.box(canvas.between(0.6, 0.8), right, canvas.between(0.2, 0.3), 0.09)
        scene = scene + walker * (canvas.between(0, 1) - scene)
    return scene


def _waterfall(canvas: _Canvas) -> np.ndarray:
    """A band of upright streaks that falls quickly between still rocks."""
    middle, half = canvas.between(0.5, 0.85), canvas.between(0.2, 0.35)
    streaks = canvas.sample(canvas.noise(8, 13), canvas.down * 4 - 0.2 * canvas.pace * canvas.time, canvas.right * 14)
    rocks = canvas.sample(canvas.noise(7, 9), canvas.down * 5, canvas.right * 5)
    return np.where(np.abs(canvas.right - middle) < half, 0.4 + 0.6 * streaks, 0.5 * rocks)


def _windmill_farm(canvas: _Canvas) -> np.ndarray:
    """Three-bladed wheels that turn on still masts, all the same way."""
    turn = canvas.draw.choice((-1, 1)) * 0.09 * canvas.pace
    scene = np.broadcast_to(0.75 - 0.3 * canvas.down, (canvas.frames, canvas.down.shape[1], canvas.right.shape[2]))
    for place in (0.3, 1.0):
        row, column, reach = canvas.between(0.3, 0.45), place + canvas.between(-0.1, 0.1), canvas.between(0.22, 0.3)
        down, right = canvas.down - row, canvas.right - column
        angle = np.arctan2(down, right) - turn * canvas.time - canvas.between(0, 2)
        distance = np.hypot(down, right)
        # Across a blade, a third of a turn apart.
        across = distance * np.abs(np.sin((angle % (2 * np.pi / 3)) - np.pi / 3))
        blades = (across < 0.035) & (distance < reach) & (np.abs((angle % (2 * np.pi / 3)) - np.pi / 3) < np.pi / 6)
        mast = (np.abs(right) < 0.02) & (down > 0)
        scene = np.where(blades | mast, 0.1, scene)
    return scene


SCENES: dict[str, Callable[[_Canvas], np.ndarray]] = {
    "Beach": _beach,
    "Elevator": _elevator,
    "ForestFire": _forest_fire,
    "Fountain": _fountain,
    "Highway": _highway,
    "LightningStorm": _lightning_storm,
    "Ocean": _ocean,
    "Railway": _railway,
    "RushingRiver": _rushing_river,
    "SkyClouds": _sky_clouds,
    "Snowing": _snowing,
    "Street": _street,
    "Waterfall": _waterfall,
    "WindmillFarm": _windmill_farm,
}


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """6 videos of each class. InputError if there is a YUPENN already, which could be a real one."""
    if (root / about.videos).exists():
        raise InputError(f"{root / about.videos}: is there already; generate into another folder")
    # There is no list file that could come last, so the whole folder comes last.
    beside = root / f"{about.videos}.unfinished"
    scenes = []
    for label, (class_name, paint) in enumerate(by_class(about, SCENES, settings.classes).items()):
        for index in range(VIDEOS_OF_CLASS):
            own = [VERSION, settings.seed, 10, label, index, 1]
            path = beside / class_name / f"{class_name}_{index + 1}.avi"
            scenes.append(Scene(path, partial(_draw, paint, own, settings)))
    return Plan(scenes, lambda: beside.replace(root / about.videos))


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """No training videos, all as test videos, and the classes."""
    classes = tuple(by_class(about, SCENES))
    return {1: (0, len(classes) * VIDEOS_OF_CLASS)}, classes


def _draw(paint: Callable[[_Canvas], np.ndarray], own: list[int], settings: Settings) -> np.ndarray:
    """The frames of a video: uint8 [T, H * 3 / 2, W]."""
    draw = np.random.default_rng(own)
    height, width = settings.height, settings.width
    frames = int(draw.integers(LENGTHS[0], LENGTHS[1] + 1))
    scene = np.clip(paint(_Canvas(draw, frames, height, width)), 0, 1)
    dark = draw.uniform(LUMA[0], LUMA[1] - CONTRAST)
    bright = draw.uniform(dark + CONTRAST, LUMA[1])
    flicker = draw.integers(-FLICKER, FLICKER + 1, scene.shape, np.int8)
    result = np.empty((frames, height * 3 // 2, width), np.uint8)
    result[:, :height] = np.rint(dark + scene * (bright - dark) + flicker)
    coarse = scene.reshape(frames, height // 2, 2, width // 2, 2).mean((2, 4))
    # One tint where the scene is dark, another where it is bright.
    tints = draw.uniform(88, 168, (2, 2))
    chroma = np.stack([np.rint(low + coarse * (high - low)) for low, high in tints], axis=1)
    result[:, height:] = chroma.reshape(frames, height // 2, width)
    return result
