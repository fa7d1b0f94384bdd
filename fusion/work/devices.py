"""Which device computes, in how many processes and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from fusion.errors import FusionError


def pick_device(name: str) -> str:
    """Return the torch device for `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    FusionError
        When the name is none of these, or the machine has no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise FusionError(f"device {name!r} is not auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise FusionError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices")
    return name


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit torch to one thread: sums then do not depend on how many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Work:
    """By what something is computed; the values do not depend on it, but for the type of the device.

    Attributes
    ----------
    device : str
        `auto`, `cpu`, `cuda` or `cuda:N`.
    workers : int
        Processes; 0 is one per core.
    progress : bool
        Show progress bars on standard error.

    Examples
    --------
    >>> import fusion
    >>> fusion.Work(device="cpu", workers=2).processes
    2
    """

    device: str = "auto"
    workers: int = 0
    progress: bool = True

    @property
    def processes(self) -> int:
        """Return the number of processes; raises FusionError for a negative one."""
        if self.workers < 0:
            raise FusionError(f"workers is {self.workers}; give at least 1, or 0 for one per core")
        return self.workers or default_workers()

    def pick(self) -> str:
        """Return the torch device; see `pick_device`."""
        return pick_device(self.device)


def device_type(device: str) -> str:
    """Return `cpu` or `cuda`."""
    return torch.device(device).type


def wait_for(device: str) -> None:
    """Return when the device has done all that it was told to do."""
    if device_type(device) == "cuda":
        torch.cuda.synchronize(device)


def threads_of(device: str) -> int | None:
    """Return the number of threads that compute on a processor; None on an accelerator."""
    return torch.get_num_threads() if device_type(device) == "cpu" else None
