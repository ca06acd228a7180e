"""The training loop: batches, resuming after SIGKILL, divergence, loader processes."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import Dataset

from suite import checkpoints, training
from suite.errors import DamagedError, InputError, SampleError, TrainingError
from suite.seeding import generator, seed_everything
from suite.settings import Optimisation
from tests.suite.sampling import Stopped, stop_at

ROOT = Path(__file__).parents[2]


class Points(Dataset):
    """Random points with two classes, drawn by (epoch, index)."""

    def __init__(self, size: int, poison: int | None = None):
        self.size, self.poison = size, poison

    def __len__(self) -> int:
        return self.size

    def name(self, index: int) -> str:
        return f"point{index}.avi"

    def __getitem__(self, key):
        epoch, index = key
        point = torch.randn(4, generator=generator(7, epoch, index))
        if index == self.poison:
            point[0] = float("nan")
        return point, int(point.sum() > 0)


class Classifier(nn.Module):
    """Batch norm and dropout, so that running statistics and torch's generator matter."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))

    def outcome(self, inputs, target):
        logits = self.layers(inputs)
        return training.Outcome(nn.functional.cross_entropy(logits, target), (logits.argmax(1) == target).sum())


SETTINGS = Optimisation(batch=8, epochs=3, learning_rate=0.1, momentum=0.9, weight_decay=5e-4, precision="fp32")


def fit(
    folder: Path,
    *,
    workers: int = 0,
    points: Dataset | None = None,
    validation: Dataset | None = None,
    seconds: float = 60.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    torch.set_num_threads(1)
    seed_everything(3)
    folder.mkdir(exist_ok=True)
    return training.fit(
        Classifier(),
        Points(45) if points is None else points,
        Points(10) if validation is None else validation,
        SETTINGS,
        folder,
        seed=3,
        device="cpu",
        workers=workers,
        checkpoint_seconds=seconds,
        progress=progress,
    )


@given(size=st.integers(1, 40), batch=st.integers(1, 12), epochs=st.integers(1, 4), data=st.data())
def test_batches_from_any_place_are_the_rest_of_all_batches(size, batch, epochs, data):
    whole = list(training.EpochBatches(size, batch, epochs, seed=5))
    per_epoch = -(-size // batch)
    assert [len(part) for part in whole] == ([batch] * (size // batch) + [size % batch] * (size % batch > 0)) * epochs
    for epoch in range(epochs):
        seen = [key for part in whole[epoch * per_epoch : (epoch + 1) * per_epoch] for key in part]
        assert sorted(seen) == [(epoch, index) for index in range(size)]
    done = data.draw(st.integers(0, len(whole)))
    rest = training.EpochBatches(size, batch, epochs, seed=5, start=divmod(done, per_epoch))
    assert list(rest) == whole[done:]
    assert len(rest) == len(whole) - done


def test_epochs_are_shuffled_differently():
    first, second = (part for part in training.EpochBatches(30, 30, 2, seed=0))
    assert [index for _, index in first] != [index for _, index in second]


def test_learns_and_reports_one_number_an_epoch(tmp_path):
    fitted = fit(tmp_path / "run")
    assert {len(curve) for curve in fitted["curves"].values()} == {SETTINGS.epochs}
    assert fitted["curves"]["validation_loss"][fitted["best_epoch"]] == min(fitted["curves"]["validation_loss"])
    assert fitted["steps"] == 3 * 6
    assert not (tmp_path / "run" / training.CHECKPOINT).exists()


def test_best_weights_are_those_of_the_lowest_validation_loss(tmp_path):
    fitted = fit(tmp_path / "run")
    network = Classifier()
    network.load_state_dict(checkpoints.load(tmp_path / "run" / "best.safetensors"))
    network.eval()
    items = [Points(10)[0, index] for index in range(10)]
    loss = network.outcome(torch.stack([point for point, _ in items]), torch.tensor([label for _, label in items])).loss
    assert float(loss.detach()) == pytest.approx(min(fitted["curves"]["validation_loss"]), rel=1e-5)


def test_loader_processes_change_nothing(tmp_path):
    alone, three = fit(tmp_path / "alone"), fit(tmp_path / "three", workers=3)
    assert alone == three
    assert (tmp_path / "alone/best.safetensors").read_bytes() == (tmp_path / "three/best.safetensors").read_bytes()
    one = fit(tmp_path / "one", workers=1)
    assert one == alone


def test_a_nan_stops_the_run_and_names_step_rate_and_batch(tmp_path):
    with pytest.raises(TrainingError, match=r"loss is nan at step \d+ .*learning rate 0\.1; batch: .*point11\.avi"):
        fit(tmp_path / "run", points=Points(45, poison=11))


class Unreadable(Points):
    """Points of which one is a video that cannot be read."""

    def __getitem__(self, key):
        if key[1] == 5:
            raise InputError("point5.avi: cannot be decoded; replace the file")
        return super().__getitem__(key)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("side", ["points", "validation"])
def test_a_video_that_cannot_be_read_is_named_in_one_line(tmp_path, workers, side):
    with pytest.raises(InputError) as caught:
        fit(tmp_path / "run", workers=workers, **{side: Unreadable(10)})
    assert str(caught.value) == "point5.avi: cannot be decoded; replace the file"


@pytest.mark.parametrize(("side", "named"), [("points", "training"), ("validation", "validation")])
def test_no_video_at_all_is_refused(tmp_path, side, named):
    with pytest.raises(InputError, match=f"^no {named} video is left; .* more videos or a smaller hold-out$"):
        fit(tmp_path / "run", **{side: Points(0)})
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("poison", [None, 3])
def test_cudnn_times_its_algorithms_while_training_only(tmp_path, monkeypatch, before, poison):
    seen = []

    class Watching(Points):
        def __getitem__(self, key):
            seen.append(torch.backends.cudnn.benchmark)
            return super().__getitem__(key)

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before)
    with pytest.raises(TrainingError) if poison else contextlib.nullcontext():
        fit(tmp_path / "run", points=Watching(10, poison))
    assert set(seen) == {True}
    assert torch.backends.cudnn.benchmark is before


class Breaking(Points):
    """Points that break once, when a given number of them has been read: a loader that was killed."""

    def __init__(self, size: int, after: int):
        super().__init__(size)
        self.left = after

    def __getitem__(self, key):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("killed")
        return super().__getitem__(key)


@pytest.mark.parametrize("steps", [0, 1, 5, 6, 7, 17, 18])
@pytest.mark.parametrize("how", ["stopped", "broken"])
def test_what_ends_a_run_between_two_steps_loses_none(tmp_path, steps, how):
    shown = []

    def stop(done, total):
        shown.append(done)
        if done == steps:
            sys.exit(143)

    if how == "stopped":
        # Far less than a minute after the start: no checkpoint is due.
        with pytest.raises(SystemExit):
            fit(tmp_path / "run", progress=stop)
    else:
        # Six batches of the 45 points to an epoch, the last of five; no point is left to break on after the last step.
        read = sum(5 if step % 6 == 5 else 8 for step in range(steps))
        with pytest.raises(SampleError, match="killed") if steps < 18 else contextlib.nullcontext():
            fit(tmp_path / "run", points=Breaking(45, read + 1), progress=lambda done, total: shown.append(done))
    assert shown == list(range(steps + 1))
    again = []
    resumed = fit(tmp_path / "run", progress=lambda done, total: again.append(done))
    assert again == (list(range(steps, 19)) if how == "stopped" or steps < 18 else list(range(19)))
    assert resumed == fit(tmp_path / "whole")
    for name in ("best", "last"):
        file = f"{name}.safetensors"
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


# A run in a process of its own that saves after every step, and is killed by SIGKILL at a given step, or while it writes
# the checkpoint of that step.
KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    import torch
    from suite import training
    from tests.suite.test_training import fit

    folder, at, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    steps = 0

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "step":
        original = training._Run.step
        def step(self, keys, batch):
            global steps
            steps += 1
            if steps == at:
                die()
            original(self, keys, batch)
        training._Run.step = step
    else:
        rename = os.replace
        def replace(beside, path):
            global steps
            steps += str(path).endswith(training.CHECKPOINT)
            if steps == at:
                os.truncate(beside, 100)
                die()
            rename(beside, path)
        os.replace = replace
    fit(folder, seconds=0.0)
""")


@pytest.mark.parametrize(
    ("at", "where"), [(1, "step"), (4, "step"), (7, "step"), (18, "step"), (3, "writing"), (12, "writing")]
)
def test_a_killed_run_ends_as_one_never_killed(tmp_path, at, where):
    whole = fit(tmp_path / "whole")
    killed = tmp_path / "killed"
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script), str(killed), str(at), where],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    resumed = fit(killed, seconds=0.0)
    assert resumed == whole
    for name in ("best.safetensors", "last.safetensors"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 1000, -1])
def test_a_checkpoint_that_is_not_whole_is_named(tmp_path, kept):
    (tmp_path / "stopped.py").write_text(KILLED, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "stopped.py"), str(tmp_path), "4", "step"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    path = tmp_path / training.CHECKPOINT
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedError, match=r"training\.pt: checkpoint cannot be read"):
        fit(tmp_path)


class Line(nn.Module):
    """One weight that is fully connected and one that is not; the loss is their sum, so that each gradient is 1."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        self.free = nn.Parameter(torch.ones(1))
        nn.init.ones_(self.linear.weight)

    def outcome(self, inputs, target):
        loss = self.linear.weight.sum() + self.free.sum() + 0 * inputs.sum()
        return training.Outcome(loss, None, {"free": self.free.sum()})


def line(folder: Path, **settings) -> tuple[Line, dict]:
    """Five epochs of one step with that network and nothing held out."""
    folder.mkdir()
    common = {"batch": 4, "epochs": 5, "learning_rate": 0.1, "weight_decay": 0.0, "precision": "fp32", "keep": "last"}
    network = Line()
    optimisation = Optimisation(**common | settings)
    return network, training.fit(network, Points(4), None, optimisation, folder, seed=0, device="cpu")


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ({}, [0.1, 0.1, 0.1, 0.1, 0.1]),
        ({"lr_every": 2, "lr_factor": 0.1}, [0.1, 0.1, 0.01, 0.01, 0.001]),
        ({"lr_every": 1, "lr_factor": 0.5, "lr_until": 2}, [0.1, 0.05, 0.025, 0.025, 0.025]),
    ],
)
def test_the_rate_follows_its_schedule(tmp_path, schedule, rates):
    network, fitted = line(tmp_path / "run", **schedule)
    assert float(network.free.detach()) == pytest.approx(1 - sum(rates), abs=1e-6)
    # The part is the weight before each step; a task without right and wrong has no accuracy.
    assert fitted["curves"]["train_free"] == pytest.approx([1 - sum(rates[:epoch]) for epoch in range(5)], abs=1e-6)
    assert set(fitted["curves"]) == {"train_loss", "train_free"}


def test_decay_of_fully_connected_weights_alone(tmp_path):
    network, _ = line(tmp_path / "run", epochs=1, weight_decay=0.5, weight_decay_on="linear")
    assert float(network.linear.weight.detach()) == pytest.approx(1 - 0.1 * (1 + 0.5))
    assert float(network.free.detach()) == pytest.approx(0.9)


def test_adam_moves_by_its_rate_whatever_the_gradient(tmp_path):
    network, _ = line(tmp_path / "run", epochs=1, optimiser="adam", learning_rate=0.01)
    assert float(network.free.detach()) == pytest.approx(0.99, abs=1e-6)


def test_the_last_weights_are_kept_where_the_recipe_says_so(tmp_path):
    _, fitted = line(tmp_path / "run")
    best, last = (checkpoints.load(tmp_path / "run" / f"{name}.safetensors") for name in ("best", "last"))
    assert fitted["best_epoch"] == 4
    assert torch.equal(best["free"], last["free"])


def test_without_validation_there_are_no_best_weights(tmp_path):
    with pytest.raises(InputError, match="should keep the last"):
        line(tmp_path / "run", keep="best")


class Peaked(Line):
    """Its loss falls from epoch to epoch, but its accuracy does not follow."""

    # Right ones of four, by epoch.
    RIGHT = (1, 3, 2, 3, 0)

    def outcome(self, inputs, target):
        # The weight falls by 0.1 an epoch; it is asked for after the epoch's step, or before it.
        epoch = round((1 - self.free.item()) * 10) - (not self.training)
        return super().outcome(inputs, target)._replace(correct=torch.tensor(self.RIGHT[epoch]))


def peaked(folder: Path, keep: str, stop: int | None = None) -> dict:
    """Five epochs of that network, stopped before the checkpoint of a step if one is named."""
    folder.mkdir(exist_ok=True)
    settings = {"batch": 4, "epochs": 5, "learning_rate": 0.1, "weight_decay": 0.0, "precision": "fp32", "keep": keep}

    parts = Peaked(), Points(4), Points(4), Optimisation(**settings), folder
    return training.fit(*parts, seed=0, device="cpu", checkpoint_seconds=0.0, progress=stop_at(stop))


@pytest.mark.parametrize(("keep", "epoch"), [("best", 4), ("best-accuracy", 1), ("last", 4)])
def test_which_weights_are_kept(tmp_path, keep, epoch):
    fitted = peaked(tmp_path / "run", keep)
    curves = fitted["curves"]
    assert curves["validation_loss"] == sorted(curves["validation_loss"], reverse=True)
    assert curves["validation_accuracy"] == [100 * right / 4 for right in Peaked.RIGHT]
    # Of equal accuracies the first.
    assert fitted["best_epoch"] == epoch
    kept = checkpoints.load(tmp_path / "run/best.safetensors")["free"]
    assert float(kept) == pytest.approx(1 - 0.1 * (epoch + 1), abs=1e-6)


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_stopped_run_keeps_the_weights_of_the_highest_accuracy_so_far(tmp_path, stop):
    whole = peaked(tmp_path / "whole", "best-accuracy")
    with pytest.raises(Stopped):
        peaked(tmp_path / "stopped", "best-accuracy", stop)
    assert (tmp_path / "stopped" / training.CHECKPOINT).exists()
    assert peaked(tmp_path / "stopped", "best-accuracy") == whole
    best = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert best[0] == best[1]


def test_without_right_and_wrong_there_is_no_highest_accuracy(tmp_path):
    optimisation = Optimisation(
        batch=4, epochs=1, learning_rate=0.1, weight_decay=0.0, precision="fp32", keep="best-accuracy"
    )
    with pytest.raises(InputError, match=r"^no accuracy .*; keep the best or the last$"):
        training.fit(Line(), Points(4), Points(4), optimisation, tmp_path, seed=0, device="cpu")


class Mean(nn.Module):
    """A linear regression: its batch loss is a mean over samples, so that parts add up to the whole."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def outcome(self, inputs, target):
        error = (self.linear(inputs)[:, 0] - target).square()
        return training.Outcome(error.mean(), (error < 1).sum(), {"half": error.mean() / 2})


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tmp_path):
    results = []
    for at_once in (None, 3):
        seed_everything(1)
        network, folder = Mean().double(), tmp_path / str(at_once)
        folder.mkdir()
        settings = {"batch": 8, "epochs": 2, "learning_rate": 0.05, "weight_decay": 0.0, "precision": "fp32"}
        optimisation = Optimisation(**settings, keep="last", at_once=at_once)
        fitted = training.fit(network, Doubles(20), None, optimisation, folder, seed=0, device="cpu")
        results.append((network.linear.weight.detach(), fitted["curves"]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-12)
    assert results[0][1].keys() == results[1][1].keys() == {"train_loss", "train_accuracy", "train_half"}
    for name, curve in results[0][1].items():
        assert curve == pytest.approx(results[1][1][name], abs=1e-9)


class Doubles(Points):
    """The same points in double precision."""

    def __getitem__(self, key):
        point, label = super().__getitem__(key)
        return point.double(), label


class Several(Doubles):
    """Points with three things more: a vector, a label and a number of other types and lengths each."""

    def __getitem__(self, key):
        point, label = super().__getitem__(key)
        drawn = torch.rand(3, generator=generator(9, *key)).double()
        return point, drawn, label, float(key[1])


class Product(nn.Module):
    """A regression that needs all parts of a sample, and says how they came."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.linear, self.dropout = nn.Linear(4, 3), nn.Dropout(dropout)
        self.seen: list[tuple] = []

    def outcome(self, points, drawn, label, number):
        self.seen.append((points.shape, drawn.shape, label.dtype, number.tolist()))
        error = ((self.dropout(self.linear(points)) * drawn).sum(1) - label - number / 100).square()
        return training.Outcome(error.mean(), None, {"number": number.mean()})


def several(folder: Path, network: nn.Module, at_once: int | None, stop: int | None = None, **loading) -> dict:
    """Two epochs of twenty such samples in batches of eight, validated on five; stopped at a step if one is named."""
    folder.mkdir(exist_ok=True)
    settings = {"batch": 8, "epochs": 2, "learning_rate": 0.05, "weight_decay": 0.0, "precision": "fp32"}
    optimisation = Optimisation(**settings, keep="best", at_once=at_once)

    def progress(done, total):
        if done == stop:
            raise Stopped

    parts = network.double(), Several(20), Several(5), optimisation, folder
    return training.fit(*parts, seed=0, device="cpu", checkpoint_seconds=0.0, progress=progress, **loading)


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_may_hold_more_than_two_things(tmp_path, workers):
    seed_everything(1)
    network = Product()
    fitted = several(tmp_path / "run", network, None, workers=workers)
    sizes = [points[0] for points, *_ in network.seen]
    # Each epoch: twenty samples by eight, then five at once.
    assert sizes == [8, 8, 4, 5] * 2
    for points, drawn, kind, numbers in network.seen:
        assert (points, drawn, kind) == ((len(numbers), 4), (len(numbers), 3), torch.int64)
    assert sorted(number for *_, numbers in network.seen[:3] for number in numbers) == list(range(20))
    # Means of 0 to 19 and of 0 to 4.
    assert fitted["curves"]["train_number"] == pytest.approx([9.5, 9.5])
    assert fitted["curves"]["validation_number"] == pytest.approx([2, 2])


def test_all_parts_of_a_sample_are_divided_alike(tmp_path):
    found = []
    for at_once in (None, 3):
        seed_everything(1)
        network = Product()
        fitted = several(tmp_path / str(at_once), network, at_once)
        found.append((network.linear.weight.detach(), fitted["curves"]))
    assert [points[0] for points, *_ in network.seen[:8]] == [3, 3, 2, 3, 3, 2, 3, 1]
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-12)
    for name, curve in found[0][1].items():
        assert curve == pytest.approx(found[1][1][name], abs=1e-9)


@pytest.mark.parametrize("at_once", [None, 3])
@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_stopped_run_of_such_samples_ends_as_one_never_stopped(tmp_path, at_once, stop):
    def run(folder: Path, stop: int | None = None) -> dict:
        seed_everything(1)
        return several(folder, Product(dropout=0.5), at_once, stop)

    whole = run(tmp_path / "whole")
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", stop)
    # The generator stands elsewhere now; the checkpoint puts it where it was.
    assert run(tmp_path / "stopped") == whole
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
