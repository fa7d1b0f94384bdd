"""One network and one batch to named observations; one file per kind of pass.

Every module in this folder is imported, in alphabetical order, and registers its probes; then every module
that an installed package names in the entry point group `fusion.probes`. Passes are made in that order.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fusion.probes.base import COSTS, PROBES, Observations, Probe, Subject, Undefined

__all__ = ["COSTS", "PROBES", "Observations", "Probe", "Subject", "Undefined"]

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

PROBES.load_entry_points()
