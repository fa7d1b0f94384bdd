"""Pairs of small networks that compute the same function, spelled differently."""

from tests.spellings import activations, layers, tokens, wholes  # noqa: F401  (register their pairs)
from tests.spellings.base import PAIRS

__all__ = ["PAIRS"]
