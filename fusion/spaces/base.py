"""What a search space is: strings that name architectures, and the networks behind them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import nn

from fusion.errors import FusionError
from fusion.plugins import load_object
from fusion.registry import Registry
from fusion.spaces.code import class_digests, code_of
from fusion.spaces.graph import CellGraph
from fusion.spaces.tokens import string_features

SPACES: Registry[type[Space]] = Registry("space", "fusion.spaces")


class Space(ABC):
    """A set of architectures, each written as a string.

    Subclasses take their settings (channels, depth, ...) as keyword arguments of `__init__`
    and give them back in `settings`, which travels with every table computed from the space.

    A space is either small enough to list (`__len__` and `enumerate`), or it draws single
    architectures (`random`); the rest of the protocol is the same for both.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    enumerable: ClassVar[bool] = True
    # columns of published tables that together spell an architecture, for `read_columns`
    spelled_by: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this space again (JSON values)."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the metadata of a table says of its space; `restore_space` makes it again, in any process.

        `space`: the registered name; or `module:Class` for a class in a package, and `file.py:Class` for
        one in a file of its own. `space_settings`. For a class in a file of its own, also `space_folder`,
        `space_code`, the SHA-256 of that part of the code on which values depend, and
        `space_graphs_code`, that of `graphs` (see `CodeDigests`). Values of tables that differ in any
        but the folder are never mixed; the last matters to indicators of the cells' graphs alone.
        """
        cls = type(self)
        if "." in cls.__module__ and self.name in SPACES and SPACES[self.name] is cls:
            return {"space": self.name, "space_settings": self.settings}
        if (file := self._file) is None:
            return {"space": f"{cls.__module__}:{cls.__qualname__}", "space_settings": self.settings}
        code = class_digests(file, cls.__qualname__)
        return {
            "space": f"{file.name}:{cls.__qualname__}",
            "space_settings": self.settings,
            "space_code": code.values,
            "space_graphs_code": code.graphs,
            "space_folder": str(file.parent),
        }

    @property
    def _file(self) -> Path | None:
        """The file of a class that is in no package."""
        module = type(self).__module__
        file = None if "." in module else getattr(sys.modules.get(module), "__file__", None)
        return Path(file).resolve() if file else None

    def __len__(self) -> int:
        """Return the number of architecture strings; raises FusionError when there are too many to list."""
        raise FusionError(
            f"space {self.name} is too large to list; sample it, or name architectures in a file"
        )

    def __bool__(self) -> bool:
        return True  # else Python asks for the length

    def enumerate(self) -> Iterator[str]:
        """Yield every architecture string once, in the benchmark's official order.

        Raises
        ------
        FusionError
            For a space too large to list.
        """
        raise FusionError(
            f"space {self.name} is too large to list; sample it, or name architectures in a file"
        )

    def random(self, rng: np.random.Generator) -> str:
        """Return one architecture drawn at random; needed of spaces that cannot be listed."""
        raise FusionError(f"space {self.name}: cannot be listed and does not draw; define `random`")

    @abstractmethod
    def canonical(self, arch: str) -> str:
        """Return the key of `arch`: one architecture string for all that build the same network.

        Raises
        ------
        InvalidArchitecture
            When `arch` is not an architecture of this space.
        """

    def read(self, text: str) -> str:
        """Return the architecture string that `text` means, in whatever notation tables have it.

        By default the string itself, without blanks around it.

        Raises
        ------
        InvalidArchitecture
            When `text` means no architecture of this space; the message says what is expected.
        """
        arch = text.strip()
        self.canonical(arch)
        return arch

    def read_columns(self, cells: Sequence[str]) -> str:
        """Return the architecture string that the cells of `spelled_by` mean; as `read` otherwise."""
        raise FusionError(f"space {self.name}: architectures are not spelled by several columns")

    @abstractmethod
    def neighbours(self, arch: str) -> list[str]:
        """Return the architectures that differ from `arch` in one decision, without `arch` itself."""

    @abstractmethod
    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the network of `arch`, initialised from torch's global random state.

        It maps images (batch, in_channels, height, width) to logits (batch, num_classes).
        """

    def require(self, archs: Iterable[str]) -> None:  # noqa: B027  (most need nothing)
        """Raise FusionError when something is missing on this machine without which these cannot be built.

        By default nothing is.
        """

    @abstractmethod
    def thin(self) -> Space:
        """Return the space whose networks have the smallest width and depth."""

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        """Return the cells of `arch`, live parts only, by name; none for a space without cells."""
        return {}

    def features(self, arch: str) -> dict[str, float | str]:
        """Return what a model may learn from the description of an architecture alone.

        Models within the space read it beside the indicators; `fusion.tables.encoding` makes columns of it.
        It is never stored. By default it is read off the string and `graphs`, see
        `fusion.spaces.tokens.string_features`.

        Parameters
        ----------
        arch : str
            A key, so that strings of one network are described alike.

        Returns
        -------
        dict
            Name -> a finite number, or a choice in text. A name has one type in the whole space, no `=`,
            and may be left out where it says nothing; of a name with a part `count` (parts are told by
            dots), that is the number 0.
        """
        return string_features(arch, self.graphs(arch))

    def twins(self, arch: str) -> str:
        """Return the name of the group that must not straddle a split; by default the key."""
        return self.canonical(arch)

    def has_dead_edge(self, arch: str) -> bool:
        """Return whether some operation of `arch` lies on no path from input to output.

        Benchmarks are also reported without such architectures. A space without edges has none.
        """
        return False

    def sample(self, n: int, seed: int) -> list[str]:
        """Return `n` different architectures at random; the same for the same seed.

        Uniformly over the strings of a space that can be listed; otherwise as `random` draws, no
        two with the same key.

        A larger sample with the same seed begins with the smaller one.

        Raises
        ------
        FusionError
            When the space has fewer than `n` architectures.
        """
        rng = np.random.default_rng(seed)
        if not self.enumerable:
            return self._draw(n, rng)
        if n > len(self):
            raise FusionError(f"space {self.name} has {len(self)} architectures, {n} were asked for")
        every = list(self.enumerate())
        return [every[i] for i in rng.permutation(len(every))[:n]]

    def _draw(self, n: int, rng: np.random.Generator) -> list[str]:
        found: dict[str, str] = {}
        misses = 0
        while len(found) < n:
            arch = self.random(rng)
            key = self.canonical(arch)
            misses = misses + 1 if key in found else 0
            if misses == 1000:
                raise FusionError(
                    f"space {self.name}: {n} different architectures asked, drawing found {len(found)}"
                )
            found.setdefault(key, arch)
        return list(found.values())

    def mutate(self, arch: str, rng: np.random.Generator) -> str:
        """Return one neighbour of `arch`, drawn uniformly with `rng`."""
        options = self.neighbours(arch)
        return options[int(rng.integers(len(options)))]


def restore_space(meta: Mapping[str, Any], named: Space | str | None = None, whose: str = "") -> Space:
    """Return the space whose `identity` is part of `meta`, the metadata of a table or a model.

    Metadata may come from anywhere, so they import nothing: a space that is not registered must be named.

    Parameters
    ----------
    meta : mapping
    named : Space or str, optional
        The space, or its class as `file.py:Class` or `module:Class`; the file's code is compared with that
        of the table before it is imported.
    whose : str
        Of what these are the metadata, for messages.

    Raises
    ------
    FusionError
        When the space is not registered and was not named, or is another, or has other code.
    """
    address, settings, code = str(meta["space"]), meta["space_settings"], meta.get("space_code")
    if isinstance(named, str) and ":" in named:
        own = code_of(named)
        if code is not None and (own is None or own.values != code):
            raise FusionError(_CHANGED.format(space=named, whose=whose))
        named = make_space(named, settings)
    elif named is None and _names_code(address):
        shown = " ".join(address.split())  # one line, whatever the metadata say
        raise FusionError(
            f"{whose}: is of the space {shown}, which is not part of Fusion; name its class: "
            f"--space {shown} (in Python: space=)"
        )
    elif not isinstance(named, Space):
        named = make_space(address if named is None else named, settings)
    found = named.identity
    if found.get("space_code") != code:
        raise FusionError(_CHANGED.format(space=address, whose=whose))
    for name in ("space", "space_settings"):
        if found[name] != meta[name]:
            raise FusionError(f"{whose}: {name} is {meta[name]!r}, not {found[name]!r}")
    return named


_CHANGED = (
    "space {space}: its code has changed since {whose} was made; restore it, or compute the table anew in "
    "another folder"
)


def _names_code(name: str) -> bool:
    """Return whether this is meant as a class of one's own, not as a registered name."""
    return ":" in name or name.endswith(".py")


def make_space(name: str, settings: dict[str, Any] | None = None) -> Space:
    """Return a space with the given settings.

    Parameters
    ----------
    name : str
        Of a registered space; or a class of your own, as `file.py:Class` or `module:Class`.
    settings : dict, optional
        Keyword arguments of the class.

    Raises
    ------
    FusionError
        For an unknown name, something that is no space, or a setting that the space does not have.
    """
    cls = load_object(name) if _names_code(name) else SPACES[name]
    if not (isinstance(cls, type) and issubclass(cls, Space)):
        raise FusionError(f"space {name!r}: expected a class derived from fusion.spaces.Space, got {cls!r}")
    try:
        return cls(**(settings or {}))
    except FusionError:
        raise
    except (TypeError, ValueError) as error:
        raise FusionError(f"space {name!r}: {' '.join(str(error).split())}") from None
