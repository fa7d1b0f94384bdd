"""Run one function over many tasks in worker processes and store what it returns as it comes."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import takewhile
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import pandas as pd
from joblib import Parallel, delayed
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from tqdm import tqdm

from fusion.errors import FusionError
from fusion.plugins import search_in, search_places
from fusion.storage.parts import PartStore
from fusion.work.devices import single_thread

Task = TypeVar("Task")
Result = TypeVar("Result")
Row = dict[str, Any]

# Rows are on disk at most this long after they were computed: what a kill can cost.
FLUSH_SECONDS = 2.0

_UNTIL = ContextVar("until", default=math.inf)


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Run the block, in which `run_tasks` begins no task after a moment of `time.monotonic()`."""
    token = _UNTIL.set(moment)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def has_deadline() -> bool:
    """Return whether this runs within `until`."""
    return _UNTIL.get() < math.inf


def _in_one_thread(function: Callable[[Task], Result], task: Task) -> Result:
    with single_thread():
        return function(task)


class _SearchPath:
    """The first argument of each task: once it is unpickled, the worker finds the modules of the others.

    A worker may be older than the folder of a user's own space.
    """

    def __reduce__(self) -> tuple[Callable[..., _SearchPath], tuple[list[str], dict[str, str]]]:
        return _look_in, search_places()


def _look_in(path: list[str], files: dict[str, str]) -> _SearchPath:
    search_in(path, files)
    return _SearchPath()


def _in_worker(_: _SearchPath, function: Callable[[Task], Result], task: Task) -> Result:
    return _in_one_thread(function, task)


def _in_workers(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, *, ordered: bool = False
) -> Iterator[Result]:
    # no more than loky hands on at once: what waits in it when it is interrupted ends in a traceback
    order = "generator" if ordered else "generator_unordered"
    pool = Parallel(n_jobs=workers, return_as=order, pre_dispatch="2*n_jobs")
    with _interrupted_later():
        results: Iterator[Result] = pool(delayed(_in_worker)(_SearchPath(), function, task) for task in tasks)
    return _unless_lost(results)


class _Lost(FusionError):
    """A worker process ended by itself."""


def _unless_lost(results: Iterator[Result]) -> Iterator[Result]:
    try:
        yield from results
    except BrokenProcessPool:
        raise _Lost(
            "a worker process was ended from outside or crashed, mostly for want of memory: use fewer "
            "workers or a smaller batch"
        ) from None


def _numbered(function: Callable[[Task], Result], task: tuple[int, Task]) -> tuple[int, Result]:
    return task[0], function(task[1])


def in_order(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int = 1
) -> Iterator[Result]:
    """Return what `function` makes of each task, in the order of the tasks.

    Parameters
    ----------
    function : callable
        Task -> result; with `workers` > 1 all three must be picklable.
    tasks : sequence
    workers : int
        Processes; 1 runs everything in this one.
    """
    if workers == 1 or len(tasks) <= 1:
        return map(function, tasks)
    return _in_workers(function, tasks, workers, ordered=True)


def _noted(tasks: Iterable[Task], in_hand: dict[int, Task]) -> Iterator[tuple[int, Task]]:
    """Yield tasks with their numbers, and note each when it is handed on."""
    for number, task in enumerate(tasks):
        in_hand[number] = task
        yield number, task


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends; from the processes that it starts, for good.

    A terminal interrupts all of them, but it is this process that ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    for tracker in (resource_tracker, loky_tracker):  # which let interrupts through, when started later
        tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_tasks(
    function: Callable[[Task], list[Row]],
    tasks: Sequence[Task],
    store: PartStore,
    *,
    workers: int = 1,
    description: str = "",
    found: int = 0,
    flush_seconds: float = FLUSH_SECONDS,
    progress: bool = True,
) -> None:
    """Add `function(task)` for every task to `store`, with a progress bar on standard error.

    Parameters
    ----------
    function : callable
        Task -> rows; picklable when `workers` > 1. Each call runs in one torch thread.
    tasks : sequence
        What to do; those done already must have been left out. Begun in this order, and within `until`
        only up to its moment; with several workers, each may have two more in hand then.
    store : PartStore
        Where rows go, at least every `flush_seconds`, also when interrupted.
    workers : int
        Processes; 1 runs everything in this one.
    description : str
        Of the progress bar.
    found : int
        Tasks that were left out because they were done already: there the bar starts.
    flush_seconds : float
    progress : bool
        Show the bar.
    """
    # read here: workers are fed by other threads, which know no context
    moment = _UNTIL.get()
    in_hand: dict[int, Task] = {}
    begun = _noted(takewhile(lambda _: time.monotonic() < moment, tasks), in_hand)
    numbered = partial(_numbered, function)
    if workers == 1 or len(tasks) <= 1:
        results: Iterator[tuple[int, list[Row]]] = (_in_one_thread(numbered, task) for task in begun)
    else:
        results = _in_workers(numbered, begun, workers)
    pending: list[Row] = []
    last = time.monotonic()
    try:
        bar = tqdm(
            results,
            initial=found,
            total=found + len(tasks),
            desc=f"{description}, {found} of {found + len(tasks)} found" if found else description,
            unit="arch",
            mininterval=0.5 if sys.stderr.isatty() else 30.0,  # a log file wants few lines
            disable=not progress,
        )
        for number, rows in bar:
            del in_hand[number]
            pending += rows
            if time.monotonic() - last >= flush_seconds:
                # emptied first: an error in `add` must not write the same rows again below
                batch, pending = pending, []
                store.add(pd.DataFrame(batch))
                last = time.monotonic()
    except _Lost as lost:
        names = ", ".join(str(getattr(task, "key", task)) for task in [*in_hand.values()])
        raise FusionError(
            f"{lost}. What was computed is kept, and the same command goes on; where it ends there again, "
            f"leave one of these out: {names}"
        ) from None
    finally:
        if pending:
            store.add(pd.DataFrame(pending))
