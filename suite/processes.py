"""Work done side by side by child processes of a stage, in the order of its items: no result depends on their number.

A child has two pipes and nothing else. Nothing of it lies in /dev/shm or in the temporary folder: no batch, no semaphore,
no socket. So a small or read-only /dev/shm changes nothing, and a run that is killed leaves nothing there. A child that
dies closes its pipe, which ends the wait for it at once.
"""

import copyreg
import io
import multiprocessing
import multiprocessing.connection
import os
import pickle
import select
import signal
import struct
import sys
import threading
import traceback
from collections import ChainMap, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from suite.errors import InputError, WorkerError

# Bytes of results that may be made ahead of the one asked for.
BYTES_AHEAD = 2 << 30
# Items given to a child at a time: the second waits in its pipe, so that the child never waits for it.
_AT_A_TIME = 2
# Buffers of at least this many bytes are sent from where they lie; smaller ones are copied into the message.
_LARGE = 1 << 16
# Sent to every process of a run by a terminal or a batch system; the main process decides what comes of them.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Forked where that is safe: a spawned child takes seconds to import torch, and a copy of the data set.
_START = "fork" if sys.platform == "linux" else "spawn"
# Seconds for a killed process to go.
_GRACE = 10


def ordered(
    function: Callable[[Any], Any], items: Iterable, workers: int, *, describe: Callable[[Any], str], remedy: str
) -> Iterator[Any]:
    """`function` of each item, in order; up to one worker works in this process. Raises as `Workers` does."""
    if workers <= 1:
        yield from map(function, items)
        return
    with Workers(function, workers, describe=describe, remedy=remedy) as pool:
        yield from pool.map(items)


class Workers:
    """Child processes that apply `function` to items, one thread each. They are gone at the end of the context.

    Args:
        function: what is done to an item. What it raises is raised here, when the item's turn comes.
        count: number of processes.
        describe: names an item in a message.
        remedy: what to do about a child that died or is silent.
        silence: seconds without a word of any child after which they are given up; None waits for ever.
        reducers: how to pickle what results hold, by class, as in `copyreg`.

    Raises:
        InputError: no further process can be started.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        count: int,
        *,
        describe: Callable[[Any], str],
        remedy: str,
        silence: float | None = None,
        reducers: Mapping[type, Callable] | None = None,
    ):
        # Once, here: a forked child has what its parent has imported.
        import torch  # noqa: F401

        self._describe, self._remedy, self._silence = describe, remedy, silence
        self._children: list[_Child] = []
        # A signal that came before the child ignores it would end it with a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
        try:
            for _ in range(count):
                self._children.append(_Child(function, reducers or {}, self._children))
        except OSError as error:
            started = len(self._children)
            self.close()
            raise InputError(
                f"{started} of {count} worker processes could be started ({error.strerror}); "
                f"raise the limits of this shell (ulimit -n, ulimit -u); {remedy}"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def stop(self) -> None:
        """End the children, whatever they are doing; a `map` that waits for them in another thread ends with an error."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            child.process.join(_GRACE)

    def close(self) -> None:
        self.stop()
        for child in self._children:
            child.items.close()
            child.results.close()

    def map(self, items: Iterable) -> Iterator[Any]:
        """The results of `items`, in their order.

        Raises:
            WorkerError: a child died, or all are silent. The message is one line that names the item.
        """
        tasks = (_Task(index, item, _message(item)) for index, item in enumerate(items))
        waiting = next(tasks, None)
        outcomes: dict[int, _Outcome] = {}
        done = largest = 0
        while waiting or outcomes or self._busy():
            child = min(self._children, key=lambda child: len(child.tasks))
            if waiting and waiting.place - done < self._window(largest) and child.has_room(waiting):
                self._give(child, waiting)
                waiting = next(tasks, None)
            elif done in outcomes:
                yield outcomes.pop(done).result()
                done += 1
            else:
                for child in self._spoken(self._busy(), done):
                    task, outcome = self._take(child, done)
                    outcomes[task.place] = outcome
                    largest = max(largest, outcome.size)

    def _busy(self) -> list["_Child"]:
        return [child for child in self._children if child.tasks]

    def _window(self, largest: int) -> int:
        """How many items may be under way, or done and not asked for; `largest` is the bytes of the largest result so far."""
        most = _AT_A_TIME * len(self._children)
        return max(1, min(most, BYTES_AHEAD // largest)) if largest else most

    def _give(self, child: "_Child", task: "_Task") -> None:
        child.tasks.append(task)
        try:
            _write(child.items.fileno(), task.message)
        except BrokenPipeError:
            raise self._died(child) from None

    def _take(self, child: "_Child", awaited: int) -> tuple["_Task", "_Outcome"]:
        """The outcome of a child's first task."""
        try:
            outcome = _Outcome(*_receive(child.results.fileno(), self._silence))
        except EOFError:
            raise self._died(child) from None
        except TimeoutError:
            raise self._silent(awaited) from None
        return child.tasks.popleft(), outcome

    def _spoken(self, children: list["_Child"], awaited: int) -> list["_Child"]:
        """Those of the children that have something to say, once one has."""
        half = None if self._silence is None else self._silence / 2
        # In two halves: a run that was stopped for hours has the second when it goes on.
        for _ in range(2):
            if ready := multiprocessing.connection.wait([child.results for child in children], half):
                return [child for child in children if child.results in ready]
        raise self._silent(awaited)

    def _silent(self, awaited: int) -> WorkerError:
        item = next(task.item for child in self._children for task in child.tasks if task.place == awaited)
        minutes = (self._silence or 0) / 60
        return WorkerError(
            f"{self._describe(item)}: no worker process has said anything for {minutes:g} minutes; {self._remedy}"
        )

    def _died(self, child: "_Child") -> WorkerError:
        """Why a child is gone, and at what."""
        child.process.join(_GRACE)
        code = child.process.exitcode or 0
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"
        if code == -signal.SIGKILL:
            how += ", as when memory is short"
        return WorkerError(f"{self._describe(child.tasks[0].item)}: the worker process {how}; {self._remedy}")


class _Task(NamedTuple):
    place: int
    item: Any
    message: list


class _Outcome(NamedTuple):
    """What a child made of an item: a value, or the exception that it raised; and the bytes that it took."""

    answer: tuple[Any, Exception | None]
    size: int

    def result(self) -> Any:
        value, error = self.answer
        if error is not None:
            raise error
        return value


class _Child:
    """A process, this end of its pipes, and the tasks it was given; it works on the first."""

    def __init__(self, function: Callable, reducers: Mapping[type, Callable], others: list["_Child"]):
        context: Any = multiprocessing.get_context(_START)  # each start method has types of its own
        self.tasks: deque[_Task] = deque()
        theirs, self.items = context.Pipe(duplex=False)
        self.results, answers = context.Pipe(duplex=False)
        # A forked child has copies of the parent's ends, and would keep its own and its sisters' pipes open.
        copies = [end for child in (self, *others) for end in (child.items, child.results)]
        copies = copies if context.get_start_method() == "fork" else []
        self.process = context.Process(target=_serve, args=(function, reducers, theirs, answers, copies), daemon=True)
        self.process.start()
        theirs.close()
        answers.close()

    def has_room(self, task: _Task) -> bool:
        """Whether the task can be sent at once. A child that writes a result does not read: only what its pipe surely holds
        may wait there."""
        return len(self.tasks) < (_AT_A_TIME if sum(map(len, task.message)) <= select.PIPE_BUF else 1)


def _serve(function: Callable, reducers: Mapping[type, Callable], items, results, copies: list) -> None:
    """Work in a child, until its parent closes the pipe of items or is gone."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for end in copies:
        end.close()
    import torch

    torch.set_num_threads(1)
    try:
        while True:
            item, _ = _receive(items.fileno())
            _write(results.fileno(), _answer(function, item, reducers))
    except (EOFError, BrokenPipeError):
        # Nothing that was forked with this process is wound up here.
        os._exit(0)


def _end_with_parent() -> None:
    """A child whose parent was killed while it works on an item would stay for as long as that takes."""
    if (parent := multiprocessing.parent_process()) is not None:
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _answer(function: Callable, item: Any, reducers: Mapping[type, Callable]) -> list:
    """The message about an item: what `function` returns, or the exception that it or its pickling raises."""
    try:
        return _message((function(item), None), reducers)
    except Exception as error:
        where = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        if not isinstance(error, InputError):
            error.add_note(f"In a worker process:\n{where}")
        return _message((None, error))


# Of a message: bytes of the pickle, number of buffers that follow it. Of a buffer: its bytes.
_HEAD, _LENGTH = struct.Struct("<QQ"), struct.Struct("<Q")


def _message(content: Any, reducers: Mapping[type, Callable] | None = None) -> list:
    """A pickle with its head, and the large buffers that it leaves out."""
    buffers: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= _LARGE:
            buffers.append(view)
        return view.nbytes < _LARGE

    file = io.BytesIO()
    pickler = pickle.Pickler(file, 5, buffer_callback=inside)
    own: dict[type, Callable] = dict(reducers or {})
    pickler.dispatch_table = ChainMap(own, copyreg.dispatch_table)  # type: ignore[arg-type]  # the latter is read alone
    pickler.dump(content)
    lengths = b"".join(_LENGTH.pack(view.nbytes) for view in buffers)
    return [_HEAD.pack(file.tell(), len(buffers)) + lengths + file.getbuffer(), *buffers]


def _write(pipe: int, parts: list) -> None:
    for part in parts:
        view = memoryview(part)
        while len(view):
            view = view[os.write(pipe, view) :]


def _receive(pipe: int, patience: float | None = None) -> tuple[Any, int]:
    """The content of the next message, and its bytes. Raises EOFError when the other end is gone, TimeoutError when it
    says nothing for `patience` seconds."""
    text, count = _HEAD.unpack(_read(pipe, _HEAD.size, patience))
    lengths = [length for (length,) in _LENGTH.iter_unpack(_read(pipe, _LENGTH.size * count, patience))]
    content = _read(pipe, text, patience)
    buffers = [_read(pipe, length, patience) for length in lengths]
    return pickle.loads(content, buffers=buffers), text + sum(lengths)


def _read(pipe: int, length: int, patience: float | None) -> np.ndarray:
    """That many bytes. Of an array, as it is not filled with zeros first."""
    result = np.empty(length, np.uint8)
    view = memoryview(result)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(view):
        # A child may be stopped in the middle of a message.
        if not poll.poll(None if patience is None else patience * 1000):
            raise TimeoutError
        got = os.readv(pipe, [view])
        if not got:
            raise EOFError
        view = view[got:]
    return result
