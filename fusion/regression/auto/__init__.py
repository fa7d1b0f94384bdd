"""The model that is used unless another is named, its members and what they see."""

from fusion.regression.auto.mixture import FEWEST, Auto

__all__ = ["FEWEST", "Auto"]
