"""The ground floor: the only place that knows processes, devices and number precision."""

from fusion.work.devices import Work

__all__ = ["Work"]
