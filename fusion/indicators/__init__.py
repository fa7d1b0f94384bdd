"""Observations to numbers: pure functions, one file per indicator family."""

from fusion.indicators import activation, jacobian, regions, sensitivity, structure, tangent_kernel  # noqa: F401
from fusion.indicators.base import INDICATORS, PRESETS, Indicator, indicator, select

__all__ = ["INDICATORS", "PRESETS", "Indicator", "indicator", "select"]
