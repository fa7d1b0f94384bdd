"""On what a table was computed: library versions and hardware, for its metadata."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import fusion
from fusion.errors import FusionError
from fusion.storage.files import read_bytes

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "lightgbm", "pandas", "pyarrow")


def library_versions() -> dict[str, str]:
    """Return the version of Python, Fusion and each library that is installed."""
    versions = {"python": platform.python_version(), "fusion": fusion.__version__}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def hardware(name: str) -> str:
    """Return the processor's or the accelerator's name."""
    device = torch.device(name)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = read_bytes(Path("/proc/cpuinfo")).decode(errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except FusionError:
        return platform.processor() or platform.machine()
