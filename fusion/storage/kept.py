"""What takes long and never changes, kept between runs in the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fusion.errors import FusionError
from fusion.storage.documents import read_json, write_json
from fusion.storage.files import make_folder


def kept(name: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return what `make` gives, from the cache folder when an earlier run made it.

    The folder is `fusion-nas` in that named by the environment variable XDG_CACHE_HOME, else in `~/.cache`.
    Where it cannot be read or written, it is as if there were none.

    Parameters
    ----------
    name : str
        A path in that folder, which names all that the result depends on.
    make : callable
        Returns numbers by name.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    path = home / "fusion-nas" / name
    try:
        return {key: float(value) for key, value in read_json(path, repair="remove it").items()}
    except (FileNotFoundError, FusionError, TypeError, ValueError):
        found = make()
    try:
        make_folder(path.parent)
        write_json(path, found)
    except FusionError:  # a full disk or a folder of someone else's: it is made again next time
        pass
    return found
