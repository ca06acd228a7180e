import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from operator import itemgetter
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from suite import loading
from suite.errors import InputError, SampleError, WorkerError
from suite.loading import batches_of

ROOT = Path(__file__).parents[2]


class Samples(Dataset):
    """What a sample may hold, drawn from its key alone; `at` a key, something happens."""

    def __init__(self, at=None, happens=None):
        self.at, self.happens = at, happens

    def name(self, index):
        return f"v_{index}"

    def __getitem__(self, key):
        epoch, index = key
        if key == self.at:
            self.happens()
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        clip = torch.randint(0, 256, (3, 16, 40, 40), dtype=torch.uint8, generator=generator)
        # A view, transposed: its strides are not those of the values.
        return clip.transpose(0, 1), torch.rand(2, generator=generator, dtype=torch.float64), index, 0.5 * index


KEYS = [(epoch, index) for epoch in range(2) for index in range(11)]
BATCHES = [KEYS[low : low + 4] for low in range(0, len(KEYS), 4)]


def same(one, two):
    return len(one) == len(two) and all(
        a.dtype == b.dtype and torch.equal(a, b)
        for x, y in zip(one, two, strict=True)
        for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_batches_do_not_depend_on_workers(workers):
    here = list(batches_of(Samples(), BATCHES, workers=0))
    assert [len(batch[0]) for batch in here] == [4, 4, 4, 4, 4, 2]
    assert torch.equal(here[1][0][2], Samples()[KEYS[6]][0])
    assert same(list(batches_of(Samples(), iter(BATCHES), workers=workers)), here)


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_generator_is_left_alone(workers):
    before = torch.get_rng_state()
    list(batches_of(Samples(), BATCHES, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 3])
def test_another_collate_gets_the_samples(workers):
    one_by_one = [[key] for key in KEYS]
    clips = list(batches_of(Samples(), one_by_one, workers=workers, collate=lambda samples: samples[0][0]))
    assert [tuple(clip.shape) for clip in clips] == [(16, 3, 40, 40)] * len(KEYS)
    assert torch.equal(clips[5], Samples()[KEYS[5]][0])


def raises(error):
    def happens():
        raise error

    return happens


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_bad_input_is_raised_as_it_was_with_its_batch(workers):
    batches = batches_of(Samples((0, 6), raises(InputError("v_6.avi: cannot be read"))), BATCHES, workers=workers)
    assert next(batches)[2].tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r"^v_6\.avi: cannot be read$"):
        next(batches)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("by zero"), "v_6: ZeroDivisionError: by zero"),
        (MemoryError("Unable to allocate 3 GiB"), "v_6: MemoryError: Unable to allocate 3 GiB"),
        (RuntimeError("one\ntwo"), "v_6: RuntimeError: one"),
        (AssertionError(), "v_6: AssertionError"),
    ],
)
def test_whatever_a_sample_raises_arrives_with_its_name(workers, error, message):
    with pytest.raises(SampleError) as caught:
        list(batches_of(Samples((0, 6), raises(error)), BATCHES, workers=workers))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS, signal.SIGSEGV])
def test_a_loader_that_dies_ends_the_stage_with_its_reason(number):
    def happens():
        # pytest's report of the crash.
        faulthandler.disable()
        os.kill(os.getpid(), number)

    dying = Samples((0, 6), happens)
    with pytest.raises(WorkerError) as caught:
        list(batches_of(dying, BATCHES, workers=2))
    # The first half of the second batch is 4 and 5, the second 6 and 7.
    assert str(caught.value).startswith(f"v_6, v_7: the worker process was ended by signal {int(number)}")
    assert "--workers 0" in str(caught.value)


def test_a_loader_that_waits_for_ever_is_given_up(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "v.avi")
    monkeypatch.setattr(loading, "SILENCE_SECONDS", 0.6)
    hanging = Samples((0, 6), (tmp_path / "v.avi").read_bytes)
    batches = batches_of(hanging, BATCHES, workers=2)
    assert next(batches)[2].tolist() == [0, 1, 2, 3]
    with pytest.raises(
        WorkerError, match=r"v_6, v_7: no worker process has said anything for 0.01 minutes; .*--workers 0"
    ):
        next(batches)


def test_batches_that_nobody_asks_for_end_with_their_loaders(tmp_path):
    os.mkfifo(tmp_path / "v.avi")
    before = threading.enumerate()
    batches = batches_of(Samples((0, 6), (tmp_path / "v.avi").read_bytes), BATCHES, workers=2)
    next(batches)
    # The thread that reads waits for a loader, which waits for the pipe.
    batches.close()
    assert threading.enumerate() == before
    assert not multiprocessing.active_children()


def test_a_message_names_a_few_of_many_samples():
    dying = Samples((0, 3), lambda: os._exit(1))
    with pytest.raises(WorkerError, match=r"^v_0, v_1, v_2, v_3, v_4 and 6 more: the worker process ended with code 1"):
        list(batches_of(dying, [KEYS[:11]], workers=1))


@pytest.mark.parametrize("options", ["size=64k", "size=10m", "ro"])
def test_nothing_lies_in_dev_shm(options, tmp_path):
    """Batches of 6 MB, as ten clips of a video make, with a /dev/shm that holds none of them, or cannot be written."""
    script = tmp_path / "script.py"
    script.write_text(
        "from operator import itemgetter\n"
        "import torch\n"
        "from suite.loading import batches_of\n"
        "class Videos(torch.utils.data.Dataset):\n"
        "    def __getitem__(self, index):\n"
        "        return torch.full((10, 16, 112, 112, 3), index, dtype=torch.uint8)\n"
        "batches = batches_of(Videos(), [[i] for i in range(8)], workers=2, collate=itemgetter(0))\n"
        "print([int(batch.sum()) // batch.numel() for batch in batches])\n"
    )
    mounted = f"mount -t tmpfs -o {options} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode:
        pytest.skip("mounting another /dev/shm needs root (unshare -m)")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mounted} && exec "$0" "$1"', sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[0, 1, 2, 3, 4, 5, 6, 7]\n"


def test_items_of_one_video_are_not_kept_from_the_next():
    """A batch belongs to who asked for it: nothing is written into it later."""
    batches = batches_of(Samples(), [[key] for key in KEYS], workers=2, collate=itemgetter(0))
    first = next(batches)[0]
    copy = first.clone()
    for batch in batches:
        batch[0].zero_()
    assert torch.equal(first, copy)
