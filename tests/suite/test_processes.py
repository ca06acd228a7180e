import faulthandler
import gc
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from suite import processes
from suite.errors import InputError, WorkerError
from suite.processes import Workers, ordered

ROOT = Path(__file__).parents[2]


def squared(item):
    return item * item


def named(item):
    return f"item {item}"


def workers(function, count=2, **options):
    return Workers(function, count, describe=named, remedy="do something", **options)


def through(function, items, count=2, **options):
    with workers(function, count, **options) as pool:
        return list(pool.map(items))


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_results_come_in_the_order_of_the_items(count):
    items = list(range(50))
    assert list(ordered(squared, iter(items), count, describe=named, remedy="")) == [item**2 for item in items]


def test_a_slow_item_is_waited_for(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def first_waits(item):
        # The first item is done only once a later one is.
        if item == 0:
            gate.read_bytes()
        if item == 3:
            gate.write_bytes(b"on")
        return item

    assert through(first_waits, range(10)) == list(range(10))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_large_results_and_items_travel_whole(monkeypatch, start):
    monkeypatch.setattr(processes, "_START", start)
    # Larger than any pipe both ways: a child that writes must not keep its parent from reading.
    items = [np.arange(300_000 + index) for index in range(6)]
    results = through(np.negative, items)
    assert all(np.array_equal(result, -item) for result, item in zip(results, items, strict=True))
    assert all(result.flags.writeable for result in results)


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, 1 << 20])
def test_an_array_of_any_size_and_stride_comes_back(size):
    wide = np.arange(2 * size, dtype=np.uint8)
    (found,) = through(lambda item: (wide[::2], {"of": wide}), ["x"])
    assert np.array_equal(found[0], wide[::2])
    assert np.array_equal(found[1]["of"], wide)


def test_what_is_made_ahead_is_bounded(monkeypatch):
    asked = []

    def items():
        for item in range(100):
            asked.append(item)
            yield item

    with workers(squared) as pool:
        results = pool.map(items())
        for item in range(20):
            assert next(results) == item**2
            # Two for each process, and one that waits for room.
            assert len(asked) <= item + 1 + 4 + 1
    monkeypatch.setattr(processes, "BYTES_AHEAD", 1)
    asked.clear()
    with workers(lambda item: bytes(1000)) as pool:
        results = pool.map(items())
        for _ in range(4):
            next(results)
        for item in range(4, 20):
            next(results)
            # Nothing but the one asked for fits; the next is made when it is asked for.
            assert len(asked) <= item + 3


class Unusual(OSError):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def raising(errors, item):
    if item in errors:
        raise errors[item]
    return item


def test_what_an_item_raises_is_raised_at_its_turn():
    errors = {7: InputError("video seven: is broken"), 4: OSError(28, "No space left on device", "file")}
    for count in (1, 3):
        seen = []
        with pytest.raises(OSError, match="No space left") as caught:  # noqa: PT012
            for result in ordered(partial(raising, errors), range(10), count, describe=named, remedy=""):
                seen.append(result)
        assert seen == [0, 1, 2, 3]
        assert (caught.value.errno, caught.value.filename) == (28, "file")
    assert "in raising" in caught.value.__notes__[0]
    with pytest.raises(InputError, match=r"^video seven: is broken$"):
        through(partial(raising, {7: errors[7]}), range(10))


def test_what_cannot_be_pickled_is_raised_too():
    with pytest.raises(RuntimeError, match="Unusual: one"):
        through(partial(raising, {1: Unusual("one", 2)}), range(3))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        through(lambda item: lambda: item, range(3))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_dies_ends_the_work_with_its_reason(number):
    def deadly(item):
        if item == 5:
            # pytest's report of the crash.
            faulthandler.disable()
            os.kill(os.getpid(), number)
        return item

    with pytest.raises(WorkerError, match=f"^item 5: the worker process was ended by signal {int(number)} ") as caught:
        through(deadly, range(10))
    assert str(caught.value).endswith("; do something")
    assert ("memory is short" in str(caught.value)) == (number == signal.SIGKILL)
    with pytest.raises(WorkerError, match="item 0: the worker process ended with code 3; do something"):
        through(lambda item: os._exit(3), range(1))


def test_a_child_killed_between_items_is_noticed():
    with workers(lambda item: os.getpid(), 1) as pool:
        results = pool.map(range(10))
        os.kill(next(results), signal.SIGKILL)
        with pytest.raises(WorkerError, match="signal 9"):
            list(results)


def test_silence_ends_the_work(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    def waits(item):
        return (tmp_path / "pipe").read_bytes() if item == 2 else item

    with pytest.raises(
        WorkerError, match=r"item 2: no worker process has said anything for 0.005 minutes; do something"
    ):
        through(waits, range(10), silence=0.3)


def test_a_child_stopped_in_the_middle_of_its_answer_is_silent_too():
    with workers(lambda item: np.zeros(1 << 22, np.uint8), 1, silence=0.3) as pool:
        (child,) = pool._children
        pool._give(child, processes._Task(0, 0, processes._message(0)))
        # The child fills its pipe and waits for a reader; then it is stopped.
        child.results.poll(10)
        os.kill(child.process.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match="item 0: no worker process"):
            pool._take(child, 0)


def test_no_child_is_left(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with workers(lambda item: (tmp_path / "pipe").read_bytes(), 3) as pool:
        pids = [child.process.pid for child in pool._children]
        pool.map(range(5))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def script(code, tmp_path, **variables):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, path],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


WAITING = """
    import os, sys
    from suite.processes import Workers

    def wait(item):
        print(os.getpid(), flush=True)
        open({pipe!r}).read()

    with Workers(wait, 2, describe=str, remedy="") as pool:
        try:
            list(pool.map(range(2)))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


def gone(pid):
    """Whether a process ends, at once or soon: an orphan is reaped by whoever takes it in."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        os.sched_yield()
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_children_end_with_their_parent_and_say_nothing(tmp_path, number):
    os.mkfifo(tmp_path / "pipe")
    with script(WAITING.format(pipe=str(tmp_path / "pipe")), tmp_path) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(number)
        assert parent.wait(30) == -number
        assert all(gone(pid) for pid in pids)
        assert parent.stderr.read() == ""


def test_a_signal_to_the_whole_group_is_the_parents_to_answer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with script(WAITING.format(pipe=str(tmp_path / "pipe")), tmp_path) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(30) == 0
        assert parent.stdout.read() == "interrupted\n"
        assert parent.stderr.read() == ""
        assert all(gone(pid) for pid in pids)


def test_a_killed_run_leaves_no_file(tmp_path):
    code = """
        import os, signal
        import numpy as np
        from pathlib import Path
        from suite.processes import Workers

        with Workers(lambda item: np.zeros(1 << 20), 2, describe=str, remedy="") as pool:
            results = pool.map(range(9))
            next(results)
            # Semaphores and shared memory are mapped from /dev/shm by whoever uses them.
            for pid in (os.getpid(), *(child.process.pid for child in pool._children)):
                print("/dev/shm" in Path(f"/proc/{pid}/maps").read_text(), flush=True)
            os.killpg(0, signal.SIGKILL)
    """
    place = tmp_path / "temporary"
    place.mkdir()
    with script(code, tmp_path, TMPDIR=str(place)) as parent:
        assert parent.wait(60) == -signal.SIGKILL
        assert parent.stdout.read() == "False\n" * 3
    assert not list(place.iterdir())


def test_too_few_file_descriptors_are_told_in_a_line(tmp_path):
    code = """
        import os, resource
        from suite.errors import InputError
        from suite.processes import Workers

        import torch

        before = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        try:
            Workers(abs, 20, describe=str, remedy="or --workers 0")
        except InputError as error:
            print(error)
        print(len(os.listdir("/proc/self/fd")) == before)
    """
    with script(code, tmp_path) as parent:
        out, err = parent.communicate(timeout=60)
    assert "of 20 worker processes could be started (Too many open files); raise the limits" in out
    assert "ulimit -n" in out
    assert out.splitlines()[1] == "True"
    assert err == ""


def test_descriptors_do_not_pile_up():
    # What earlier tests left unclosed goes now, and not in between.
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert through(squared, range(5), 4) == [0, 1, 4, 9, 16]
    assert len(os.listdir("/proc/self/fd")) == before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before
