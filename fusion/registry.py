"""A registry of named things that prints itself, refuses duplicates and explains an unknown name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any, TypeVar

from fusion.errors import FusionError

T = TypeVar("T")

# Of so few, a message about an unknown name shows all.
_FEW = 10


class UnknownName(FusionError, KeyError):
    """A name that nothing is registered under; a KeyError, as a mapping raises."""

    __str__ = Exception.__str__  # that of KeyError puts quotes around the message


@dataclass(frozen=True)
class About:
    """What a thing says of itself.

    Attributes
    ----------
    name, summary : str
        As in lists; the summary is one line.
    source : str
        Where it is from; empty where it does not say.
    version : int
        Raised when the same inputs give another result than before.
    """

    name: str
    summary: str
    source: str = ""
    version: int = 1


def about(item: Any) -> About:
    """Return what an object, a class or a function says of itself.

    Its attributes `name`, `summary`, `source` and `version`; for the first two, where there are none,
    its own name and the first line of its docstring.

    Raises
    ------
    TypeError
        When it has no name.
    """
    function = item.func if isinstance(item, partial) else item
    name = getattr(item, "name", None) or getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"{item!r} has no name to be registered by; give it an attribute `name`")
    summary = getattr(item, "summary", None) or (inspect.getdoc(function) or "").partition("\n")[0]
    return About(name, summary, getattr(item, "source", ""), getattr(item, "version", 1))


def suggest(name: object, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" with the (at most three) closest of the known names; empty if none is."""
    close = [repr(other) for other in difflib.get_close_matches(str(name), list(known), n=3)]
    return f"did you mean {' or '.join(close)}?" if close else ""


class Registry(Mapping[str, T]):
    """Name -> object, in order of registration.

    Parameters
    ----------
    kind : str
        What is registered, in the singular; used in messages ("space").
    group : str
        Entry point group in which installed packages name what they add, such as "fusion.spaces"; its
        last word is what `fusion list` calls them. Empty where packages add nothing.

    Examples
    --------
    >>> GREETINGS = Registry("greeting")
    >>> @GREETINGS.register
    ... def hello(name):
    ...     "Say hello."
    ...     return f"Hello {name}"
    >>> GREETINGS
    hello  Say hello.
    >>> GREETINGS["hello"]("you")
    'Hello you'
    """

    def __init__(self, kind: str, group: str = "") -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, T] = {}

    def register(self, item: T) -> T:
        """Register `item` by the name that it gives itself (see `about`), and return it: a decorator.

        Raises
        ------
        TypeError
            When it has no name.
        ValueError
            When the name is taken.
        """
        name = about(item).name
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._items[name] = item
        return item

    def load_entry_points(self) -> None:
        """Import what installed packages name in the group, by name; they register what they add.

        Raises
        ------
        FusionError
            For one that cannot be imported: what it registers would silently be missing.
        """
        for entry in sorted(entry_points(group=self.group)):
            try:
                entry.load()
            except Exception as error:  # another's module may raise anything
                raise FusionError(
                    f"entry point '{entry.name} = {entry.value}' of the group {self.group} cannot be loaded "
                    f"({type(error).__name__}: {error}); repair or uninstall the package that has it"
                ) from error

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise UnknownName(f"unknown {self.kind} {name!r}; {self._hint(name)}") from None

    def _hint(self, name: str) -> str:
        close = suggest(name, self._items)
        if not close and (len(self) <= _FEW or not self.group):
            return f"known: {', '.join(self._items)}"
        if not self.group:
            return close
        return f"{close} `fusion list {self.group.rpartition('.')[2]}` names all {len(self)}".lstrip()

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        """Return a line per name, with its summary."""
        width = max(map(len, self._items), default=0)
        return "\n".join(f"{name:<{width}}  {about(item).summary}" for name, item in self._items.items())
