"""Run one function over parts of the same arrays in the threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

from fusion.work.devices import single_thread

Task = TypeVar("Task")
Result = TypeVar("Result")

# Of the numbers of threads of torch and of BLAS, which are the process's: one call at a time changes them.
_changing = Lock()


def in_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Return what `function` makes of each task, in the order of the tasks.

    As many threads as torch has (one within a worker process, and with `OMP_NUM_THREADS=1`) take one task
    after the other, each with one thread for its matrix products: worthwhile where most of the time goes into
    numpy, torch, LightGBM or scikit-learn's trees, which let other threads run. While another call is at
    work, in another thread or around this one, all tasks are done in the caller's.

    Parameters
    ----------
    function : callable
        Task -> result; called from several threads at once.
    tasks : sequence
    """
    threads = min(torch.get_num_threads(), len(tasks))
    if threads <= 1 or not _changing.acquire(blocking=False):
        return [function(task) for task in tasks]
    try:
        with (
            threadpool_limits(limits=1, user_api="blas"),
            single_thread(),
            ThreadPoolExecutor(threads) as pool,
        ):
            return list(pool.map(function, tasks))
    finally:
        _changing.release()
