"""Observations to numbers: pure functions, one file per indicator family.

Every module in this folder is imported, in alphabetical order, and registers its indicators; then every
module that an installed package names in the entry point group `fusion.indicators`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fusion.indicators.base import (
    COST,
    ENCODING,
    INDICATORS,
    PRESETS,
    Indicator,
    indicator,
    needs_graphs,
    of_running,
    select,
)

__all__ = [
    "COST",
    "ENCODING",
    "INDICATORS",
    "PRESETS",
    "Indicator",
    "indicator",
    "needs_graphs",
    "of_running",
    "select",
]

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

INDICATORS.load_entry_points()
