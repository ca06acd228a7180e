"""Synthetic ASLAN: pairs of videos that show the same action or not, and no action in two folds.

Twenty actions, two to a fold: an object that slides, shuttles, circles, bounces, grows. What tells two videos of an action
apart (colour, size, place, speed, background) is drawn alike for all actions. Real folds have 34 to 39 actions and 600
pairs; here they have 2 and 28.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from suite.datasets import Description, aslan
from suite.datasets.synthetic.drawing import VERSION, Look, Plan, Scene, Settings, cover, in_disc, painted, write
from suite.errors import InputError

VIDEOS_OF_ACTION = 7
# Frames of a video.
LENGTHS = (26, 40)
# How much faster or slower than usual a video may be.
SPEED = 0.15
LOOK = Look(False, (25, 235), (85, 160), 40)


def _slide(down: int, right: int) -> Callable:
    """Steadily across, 26 of the frame's 48ths in a video of middle length."""

    def path(time: np.ndarray, phase: float) -> tuple:
        norm = np.hypot(down, right)
        return 26 * time * down / norm, 26 * time * right / norm, 1

    return path


def _shuttle(down: int, right: int, times: float) -> Callable:
    """To and fro, so many times."""

    def path(time: np.ndarray, phase: float) -> tuple:
        swing = 13 * np.sin(2 * np.pi * (times * time + phase))
        return swing * down, swing * right, 1

    return path


def _circle(turns: float, radius: float) -> Callable:
    """Round a centre; negative turns go counter-clockwise."""

    def path(time: np.ndarray, phase: float) -> tuple:
        angle = 2 * np.pi * (turns * time + phase)
        return radius * np.sin(angle), radius * np.cos(angle), 1

    return path


def _zigzag(vertical: bool) -> Callable:
    """Along one axis, and to and fro across it."""

    def path(time: np.ndarray, phase: float) -> tuple:
        across = 16 * np.abs((3 * time + phase) % 1 - 0.5) - 4
        return (26 * time, across * 1.5, 1) if vertical else (across * 1.5, 26 * time, 1)

    return path


def _bounce(times: float) -> Callable:
    """Thrown up and falling back, as a ball on the floor."""

    def path(time: np.ndarray, phase: float) -> tuple:
        flight = (times * time + phase) % 1
        return 12 - 96 * flight * (1 - flight), 8 * time, 1

    return path


def _swell(growth: float, pulses: float) -> Callable:
    """In place, larger or smaller: steadily, or so many times to and fro."""

    def path(time: np.ndarray, phase: float) -> tuple:
        size = 1 + growth * time if not pulses else 1 + growth * np.sin(2 * np.pi * (pulses * time + phase))
        return 0 * time, 0 * time, size

    return path


def _spiral(outward: bool) -> Callable:
    """Round a centre, ever farther from it or nearer to it."""

    def path(time: np.ndarray, phase: float) -> tuple:
        reach = 15 * (0.5 + time if outward else 0.5 - time)
        angle = 2 * np.pi * (2 * time + phase)
        return reach * np.sin(angle), reach * np.cos(angle), 1

    return path


def _steps(vertical: bool) -> Callable:
    """Jumps of 5 with rests between."""

    def path(time: np.ndarray, phase: float) -> tuple:
        place = 5 * np.floor(5 * time + phase)
        return (place, 0 * time, 1) if vertical else (0 * time, place, 1)

    return path


def _shake(vertical: bool) -> Callable:
    """Quick and small, to and fro every four frames or so."""

    def path(time: np.ndarray, phase: float) -> tuple:
        jolt = 4 * np.sin(2 * np.pi * (8 * time + phase))
        return (jolt, 0 * time, 1) if vertical else (0 * time, jolt, 1)

    return path


def _eight(time: np.ndarray, phase: float) -> tuple:
    """A lying figure of eight."""
    angle = 2 * np.pi * (1.5 * time + phase)
    return 9 * np.sin(2 * angle), 13 * np.sin(angle), 1


# Place (down, right, in 48ths of the height, around a drawn centre) and size (times the drawn radius) at each time from -1/2
# to 1/2. Neighbours make a fold, so no fold has two directions of one motion.
ACTIONS: dict[str, Callable[[np.ndarray, float], tuple]] = {
    "sliding left": _slide(0, -1),
    "bouncing": _bounce(2.5),
    "circling": _circle(1.5, 12),
    "sliding up": _slide(-1, 0),
    "shuttling sideways": _shuttle(0, 1, 2),
    "growing": _swell(1.2, 0),
    "zigzagging down": _zigzag(True),
    "pulsing": _swell(0.45, 3),
    "sliding right": _slide(0, 1),
    "shaking upright": _shake(True),
    "circling backwards": _circle(-1.5, 12),
    "stepping down": _steps(True),
    "shuttling upright": _shuttle(1, 0, 2),
    "sliding down right": _slide(1, 1),
    "spiralling out": _spiral(True),
    "shaking sideways": _shake(False),
    "shrinking": _swell(-1.2, 0),
    "figure of eight": _eight,
    "stepping right": _steps(False),
    "spiralling in": _spiral(False),
}


def plan(about: Description, root: Path, settings: Settings) -> Plan:
    """The videos of all actions, and the text form of the View-2 list. InputError for fewer classes than all."""
    if settings.classes not in (0, len(ACTIONS)):
        raise InputError(f"synthetic aslan: its ten folds need all {len(ACTIONS)} actions; leave classes at 0")
    scenes = []
    for action, path in enumerate(ACTIONS.values()):
        for index in range(VIDEOS_OF_ACTION):
            own = [VERSION, settings.seed, 8, action, index, 1]
            place = root / about.videos / "ASLAN_AVI" / f"{_sample(action, index):04d}.avi"
            scenes.append(Scene(place, partial(_draw, path, own, settings)))

    def write_lists() -> None:
        lines = (line for fold in range(aslan.FOLDS) for line in _fold(fold, settings))
        write(root / about.videos / aslan.TEXT, lines)

    return Plan(scenes, write_lists)


def sizes(about: Description) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """No training videos, all as test videos, one class: see `suite.datasets.aslan`."""
    return {1: (0, len(ACTIONS) * VIDEOS_OF_ACTION)}, ("unlabelled",)


def _sample(action: int, index: int) -> int:
    """Number of a video, from 1."""
    return action * VIDEOS_OF_ACTION + index + 1


def _fold(fold: int, settings: Settings) -> list[str]:
    """Lines of a fold, in drawn order: two samples, whether their action is the same, and the actions' numbers.

    Every video is in four pairs: with the neighbours on a drawn circle of its action's videos, and with two of the other.
    """
    draw = np.random.default_rng([VERSION, settings.seed, 9, fold, 1])
    first, second = 2 * fold, 2 * fold + 1
    circles = [draw.permutation(VIDEOS_OF_ACTION), draw.permutation(VIDEOS_OF_ACTION)]
    lines = []
    for place in range(VIDEOS_OF_ACTION):
        following = (place + 1) % VIDEOS_OF_ACTION
        for action, circle in zip((first, second), circles, strict=True):
            samples = sorted(_sample(action, circle[index]) for index in (place, following))
            lines.append((*samples, 1, action + 1, action + 1))
        for index in (place, following):
            of_first, of_second = _sample(first, circles[0][place]), _sample(second, circles[1][index])
            lines.append((of_first, of_second, 0, first + 1, second + 1))
    return ["".join(f"{value:7d}" for value in lines[place]) + "\n" for place in draw.permutation(len(lines))]


def _draw(path: Callable, own: list[int], settings: Settings) -> np.ndarray:
    """The frames of a video: uint8 [T, H * 3 / 2, W]."""
    draw = np.random.default_rng(own)
    height, width = settings.height, settings.width
    frames = int(draw.integers(LENGTHS[0], LENGTHS[1] + 1))
    # Motions are as quick in short videos as in long ones.
    span = frames / np.mean(LENGTHS) * draw.uniform(1 - SPEED, 1 + SPEED)
    down, right, size = path(np.linspace(-0.5, 0.5, frames) * span, draw.random())
    (middle_row, middle_column), usual = in_disc(draw, 3), draw.uniform(4.0, 7.0)
    row = (height - 1) / 2 + height / 48 * (middle_row + down)
    column = (width - 1) / 2 + height / 48 * (middle_column + right)
    radius = np.broadcast_to(usual * size * height / 48, row.shape)
    covered = cover(row, column, radius, height, width, LOOK.square)
    return painted(covered, draw, np.random.default_rng([*own, 2]), LOOK)
