"""The energy that a device says it has used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from fusion.errors import FusionError
from fusion.storage.files import entries, read_bytes

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of processor packages."""


def energy_counter(device: str) -> Callable[[], float] | None:
    """Return a function that gives the joules used so far, by whomever; None where the device does not tell.

    A CUDA device is asked through `nvidia-ml-py`, processor packages through Linux's powercap, which only
    some users may read. Counters move some ten to a thousand times a second.

    Parameters
    ----------
    device : str
        A torch device.
    """
    if torch.device(device).type == "cuda":
        return _of_cuda(torch.device(device))
    packages = [folder for folder in entries(POWERCAP) if folder.name.count(":") == 1]
    try:
        counters = [_Package(folder) for folder in packages if folder.name.startswith("intel-rapl:")]
    except (FusionError, ValueError):
        return None
    return (lambda: sum(counter() for counter in counters)) if counters else None


class _Package:
    """One counter in microjoules, which begins again at 0 when it has reached its end."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._end = int(read_bytes(folder / "max_energy_range_uj"))
        self._last = self._read()
        self._total = 0

    def _read(self) -> int:
        return int(read_bytes(self._file))

    def __call__(self) -> float:
        now = self._read()
        self._total += (now - self._last) % (self._end + 1)
        self._last = now
        return self._total / 1e6


def _of_cuda(device: torch.device) -> Callable[[], float] | None:
    try:
        pynvml = import_module("pynvml")
        pynvml.nvmlInit()
        handle: Any = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, or a device or a driver that does not tell
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
