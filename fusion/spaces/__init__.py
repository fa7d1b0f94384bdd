"""What an architecture is: encode, canonicalise, enumerate, sample, mutate, build a network."""

from fusion.spaces import nats_tss  # noqa: F401  (registers itself)
from fusion.spaces.base import SPACES, Space, make_space

__all__ = ["SPACES", "Space", "make_space"]
