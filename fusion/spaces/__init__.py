"""What an architecture is: encode, canonicalise, enumerate, sample, mutate, build a network.

Every module that an installed package names in the entry point group `fusion.spaces` is imported too, and
registers its spaces.
"""

from importlib.metadata import entry_points

from fusion.errors import FusionError
from fusion.spaces import (
    darts,  # noqa: F401
    nas_bench_101,  # noqa: F401  (registers itself)
    nats_sss,  # noqa: F401
    nats_tss,  # noqa: F401  (registers itself)
    nds_cells,  # noqa: F401
    nds_resnext,  # noqa: F401
)
from fusion.spaces.base import SPACES, Space, make_space

__all__ = ["SPACES", "Space", "make_space"]

for _entry in sorted(entry_points(group=__name__)):
    try:
        _entry.load()
    except Exception as error:  # another's module may raise anything
        raise FusionError(
            f"entry point '{_entry.name} = {_entry.value}' of the group {__name__} cannot be loaded "
            f"({type(error).__name__}: {error}); repair or uninstall the package that has it"
        ) from error
