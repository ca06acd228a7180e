"""The synthetic datasets: the same bytes again, official layouts, motion and nothing else tells the classes apart."""

import filecmp
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from suite import datasets
from suite.datasets import aslan, synthetic
from suite.datasets.synthetic import actions, drawing, pairs, ucf101
from suite.errors import InputError
from suite.video import decode, transforms
from tests.suite.sampling import Stopped, stop_at


def quiet(done: int, total: int) -> None:
    """No progress shown."""


def files(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*") if path.is_file()}


def test_the_same_settings_give_the_same_bytes(synthetic_root, tmp_path):
    for name in ("ucf101", "hmdb51"):
        synthetic.generate(name, tmp_path, {"classes": 2}, quiet)
    videos = {path for path in files(tmp_path) if path.suffix == ".avi"}
    assert len(videos) == 2 * 38 + 2 * 24
    hmdb51_lists = {path for path in files(tmp_path) if path.parent.name == "testTrainMulti_7030_splits"}
    assert len(hmdb51_lists) == 6
    for path in videos | hmdb51_lists:
        assert filecmp.cmp(tmp_path / path, synthetic_root / path, shallow=False), path


def test_the_same_settings_give_the_same_bytes_of_the_other_datasets(probes_root, tmp_path):
    for name, settings in (("kinetics400", {"classes": 1}), ("aslan", {}), ("yupenn", {"classes": 2})):
        synthetic.generate(name, tmp_path, settings, quiet)
    made = {path for path in files(tmp_path) if path.suffix in (".avi", ".txt")}
    assert len(made) == 43 + 140 + 1 + 12
    for path in made:
        assert filecmp.cmp(tmp_path / path, probes_root / path, shallow=False), path


@pytest.mark.parametrize(("name", "classes"), [("aslan", 0), ("yupenn", 0), ("kinetics400", 1)])
def test_other_frame_sizes(tmp_path, name, classes):
    synthetic.generate(name, tmp_path, {"height": 24, "width": 20, "seed": 5, "classes": classes}, quiet)
    for video in datasets.load(name, tmp_path).videos()[::7]:
        assert decode.inspect(tmp_path / video.path).size == (20, 24)


def test_every_setting_changes_the_videos(tmp_path):
    variants = [{"seed": 1}, {"seed": 2}, {"height": 40}, {"width": 80}]
    for number, settings in enumerate(variants):
        synthetic.generate("ucf101", tmp_path / str(number), {"classes": 1} | settings, quiet)
    first = Path("UCF-101/MoveRight/v_MoveRight_g01_c01.avi")
    assert len({(tmp_path / str(number) / first).read_bytes() for number in range(len(variants))}) == len(variants)
    assert decode.inspect(tmp_path / "2" / first).size == (64, 40)
    assert decode.inspect(tmp_path / "3" / first).size == (80, 48)


def test_layout_and_splits(synthetic_root):
    ucf101 = datasets.load("ucf101", synthetic_root)
    assert (ucf101.scope, len(ucf101.classes), len(ucf101.videos())) == ("synthetic", 8, 304)
    assert {video.group.split("_")[1] for video in ucf101.videos()} == {f"g{number:02d}" for number in range(1, 26)}
    assert [(len(split.train), len(split.test)) for split in ucf101.splits.values()] == [(216, 88)] * 3
    hmdb51 = datasets.load("hmdb51", synthetic_root)
    assert (hmdb51.scope, len(hmdb51.classes), len(hmdb51.videos())) == ("synthetic", 6, 144)
    assert [(len(split.train), len(split.test)) for split in hmdb51.splits.values()] == [(72, 36)] * 3
    assert all(any(character in video.name for video in hmdb51.videos()) for character in "(+![%;#&")
    for data in (ucf101, hmdb51):
        for split in data.splits.values():
            assert not {video.group for video in split.train} & {video.group for video in split.test}
            for side in (split.train, split.test):
                assert len(set(Counter(video.label for video in side).values())) == 1, "as many of each class"
        assert not set(data.splits[1].test) & set(data.splits[2].test)


def test_the_settings_are_in_the_root(synthetic_root):
    content = json.loads((synthetic_root / "SYNTHETIC.json").read_text())
    expected = {"version": drawing.VERSION, "height": 48, "width": 64, "seed": 1, "classes": 0}
    assert content == {"ucf101": expected, "hmdb51": expected}


def test_videos_are_like_ucf101s(synthetic_root):
    path = synthetic_root / "UCF-101" / "MoveUp" / "v_MoveUp_g01_c01.avi"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (container.format.name, stream.codec_context.name, stream.average_rate) == ("avi", "mpeg4", 25)
        assert not stream.codec_context.has_b_frames
        frames = list(container.decode(stream))
    assert sum(frame.key_frame for frame in frames) == -(-len(frames) // 12)


def test_lengths_are_spread_with_some_too_short(synthetic_root):
    for name in ("ucf101", "hmdb51"):
        lengths = [decode.count_frames(synthetic_root / v.path) for v in datasets.load(name, synthetic_root).videos()]
        # The tiny scale's tuple is three clips of 8 frames, 4 apart: 32 frames.
        short = [length for length in lengths if length < 32]
        assert 0.02 < len(short) / len(lengths) < 0.08
        assert sum(length < 8 for length in lengths) == 1
        usual = [length for length in lengths if length >= 32]
        assert (min(usual), max(usual)) == actions.LENGTHS
        assert len(set(lengths)) > 15


def object_places(root: Path, video: datasets.Video) -> np.ndarray:
    """Centre (row, column) of the object in every frame, found by its contrast: [T, 2]."""
    path = root / video.path
    grey = decode.Reader().frames(path, range(decode.count_frames(path))).astype(float).mean(3)
    difference = np.abs(grey - np.median(grey, axis=(1, 2), keepdims=True))
    weight = np.where(difference > 0.5 * difference.max(axis=(1, 2), keepdims=True), difference, 0)
    rows, columns = np.mgrid[: grey.shape[1], : grey.shape[2]]
    total = weight.sum((1, 2))
    return np.stack([(weight * rows).sum((1, 2)) / total, (weight * columns).sum((1, 2)) / total], axis=1)


def test_objects_move_the_way_their_class_says(synthetic_root):
    data = datasets.load("ucf101", synthetic_root)
    distances = []
    for video in data.videos()[::9]:
        places = object_places(synthetic_root, video)
        down, right = ucf101.MOTIONS[data.classes[video.label]]
        progress = places @ (down, right)
        assert np.all(np.diff(progress[:: max(1, len(progress) // 5)]) > 0), video.name
        across = places @ (right, -down)
        assert np.ptp(across) < 0.35 * np.ptp(progress), video.name
        distances.append(np.linalg.norm(places[-1] - places[0]) / 48)
    assert 0.5 < np.mean(distances) < 0.7, "more than half the frame's height"


def test_no_single_frame_gives_the_class_away(synthetic_root):
    """Classifiers of one frame at a random time stay near chance (12.5 %), far from the 100 % that motion allows."""
    data = datasets.load("ucf101", synthetic_root)
    draw = np.random.default_rng(0)
    source = decode.ResizedVideos(synthetic_root, data.videos(), (18, 24))
    lengths = {video.name: decode.count_frames(synthetic_root / video.path) for video in data.videos()}

    def frames_of(videos, count):
        names = [video.name for video in videos for _ in range(count)]
        picked = [source.frames(name, [int(draw.integers(lengths[name]))]) for name in names]
        pixels = transforms.to_network(torch.stack(picked)).flatten(1).numpy()
        return pixels, np.repeat([video.label for video in videos], count)

    train, train_labels = frames_of(data.splits[1].train, 2)
    test, test_labels = frames_of(data.splits[1].test, 4)
    scale = StandardScaler().fit(train)
    for classifier in (NearestCentroid(), LogisticRegression(C=1e-3, max_iter=500)):
        classifier.fit(scale.transform(train), train_labels)
        # 352 frames: chance plus four standard deviations is 20 %.
        assert classifier.score(scale.transform(test), test_labels) < 0.2


def test_a_half_written_root_does_not_load(tmp_path):
    with pytest.raises(Stopped):
        synthetic.generate("ucf101", tmp_path, {}, stop_at(20))
    with pytest.raises(InputError):
        datasets.load("ucf101", tmp_path)
    assert (tmp_path / "SYNTHETIC.json").exists(), "and is never taken for real data"


def test_progress_counts_videos(tmp_path):
    seen = []
    synthetic.generate("hmdb51", tmp_path, {"classes": 1}, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 24) for done in range(25)]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("activitynet_qa", {}, "unknown dataset 'activitynet_qa'; choose one of activitynet-qa"),
        ("ucf101", {"hieght": 48}, "hieght = 48 is no setting"),
        ("ucf101", {"seed": "1"}, "seed = '1' is no setting"),
        ("ucf101", {"width": 63}, "63x48 is no frame size"),
        ("ucf101", {"height": 0}, "64x0 is no frame size"),
        ("ucf101", {"seed": -1}, "must not be negative"),
        ("aslan", {"classes": 2}, "its ten folds need all 20 actions; leave classes at 0"),
    ],
)
def test_wrong_settings_write_nothing(tmp_path, name, settings, message):
    with pytest.raises(InputError, match=message):
        synthetic.generate(name, tmp_path / "data", settings, quiet)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", datasets.names())
def test_sizes_are_known_without_making_the_videos(synthetic_root, probes_root, name):
    data = datasets.load(name, synthetic_root if name in ("ucf101", "hmdb51") else probes_root)
    counted = {number: (len(split.train), len(split.test)) for number, split in data.splits.items()}
    assert synthetic.sizes(name) == (counted, data.classes)


def test_actions_of_pairs_stay_in_the_frame_and_differ():
    times = np.linspace(-0.5, 0.5, 41)
    longest = pairs.LENGTHS[1] / np.mean(pairs.LENGTHS) * (1 + pairs.SPEED)
    for name, path in pairs.ACTIONS.items():
        for phase in np.linspace(0, 0.999, 20):
            down, right, size = path(times * longest, phase)
            # In 48ths of the height around a centre that is at most 3 off: the object's centre stays visible.
            assert max(np.abs(down).max(), np.abs(right).max()) <= 24 - 3, name
            assert np.min(size) > 0.1, name
    made = []
    for path in pairs.ACTIONS.values():
        down, right, size = (np.broadcast_to(part, 41) for part in path(times, 0.1))
        made.append(np.concatenate([down, right, np.mean((4.0, 7.0)) * size]))
    differences = [np.abs(first - second).max() for first, second in combinations(made, 2)]
    assert min(differences) > 2


def descriptors(root: Path, video: datasets.Video) -> tuple[np.ndarray, np.ndarray]:
    """Mean colour of the first 24 frames, and how they change: temporal spectrum, and gradients in time and space."""
    frames = decode.Reader().frames(root / video.path, range(24)).astype(float)
    grey = frames.mean(3)
    grey /= grey.std() + 1
    in_time, down, right = np.gradient(grey)
    spectrum = np.abs(np.fft.rfft(grey - grey.mean(0), axis=0)).mean((1, 2))
    slopes = [np.abs(part).mean() for part in (in_time, down, right)]
    return frames.mean((0, 1, 2)), np.array([*spectrum, *slopes, (in_time * down).mean(), (in_time * right).mean()])


def test_change_tells_scenes_and_pairs_apart_and_colour_does_not(probes_root):
    scenes = datasets.load("yupenn", probes_root).splits[1].test
    labels = np.array([video.label for video in scenes])

    def nearest(values: np.ndarray) -> float:
        """Accuracy of the nearest other video; chance is 7 %."""
        values = StandardScaler().fit_transform(values)
        distances = np.linalg.norm(values[:, None] - values[None], axis=2) + np.diag(np.full(len(values), np.inf))
        return (labels[distances.argmin(1)] == labels).mean()

    colours, changes = (np.array(part) for part in zip(*(descriptors(probes_root, v) for v in scenes), strict=True))
    assert nearest(colours) < 0.25
    assert nearest(changes) > 0.5

    videos = datasets.load("aslan", probes_root).videos()
    colours, changes = (np.array(part) for part in zip(*(descriptors(probes_root, v) for v in videos), strict=True))
    places = {video.name: place for place, video in enumerate(videos)}
    listed = [pair for fold in aslan.pairs(probes_root) for pair in fold]

    def area(values: np.ndarray) -> float:
        """Area under the curve of a threshold on the distance of a pair; chance is 50 %."""
        values = StandardScaler().fit_transform(values)
        distances = [np.linalg.norm(values[places[pair.first]] - values[places[pair.second]]) for pair in listed]
        return roc_auc_score([not pair.same for pair in listed], distances)

    assert 0.35 < area(colours) < 0.65
    assert area(changes) > 0.7
