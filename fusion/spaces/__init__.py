"""What an architecture is: encode, canonicalise, enumerate, sample, mutate, build a network.

Every module that an installed package names in the entry point group `fusion.spaces` is imported too, and
registers its spaces.
"""

# each registers its spaces
from fusion.spaces import darts, nas_bench_101, nats_sss, nats_tss, nds_cells, nds_resnext, zoo  # noqa: F401
from fusion.spaces.base import SPACES, Space, make_space, restore_space

__all__ = ["SPACES", "Space", "make_space", "restore_space"]

SPACES.load_entry_points()
