"""Observations to numbers: pure functions, one file per indicator family.

Every module in this folder is imported, in alphabetical order, and registers its indicators; then every
module that an installed package names in the entry point group `fusion.indicators`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from fusion.errors import FusionError
from fusion.indicators.base import INDICATORS, PRESETS, Indicator, indicator, select

__all__ = ["INDICATORS", "PRESETS", "Indicator", "indicator", "select"]

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

for _entry in sorted(entry_points(group=__name__)):
    try:
        _entry.load()
    except Exception as error:  # another's module may raise anything
        # an error and not a warning: the presets would silently lack its indicators
        raise FusionError(
            f"entry point '{_entry.name} = {_entry.value}' of the group {__name__} cannot be loaded "
            f"({type(error).__name__}: {error}); repair or uninstall the package that has it"
        ) from error
