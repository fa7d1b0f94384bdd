"""The networks that people have: those of timm and torchvision, and of files of one's own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.plugins import load_object
from fusion.spaces.base import SPACES, Space

LIBRARIES = ("timm", "torchvision")
_EXPECTED = "expected timm:NAME, torchvision:NAME, file.py:NAME or module:NAME, such as timm:resnet18"
# What stands before the name of a family, and says how it was ported.
_PORTED = re.compile(r"^(tf|legacy|gluon)_")


def family(arch: str) -> str:
    """Return the library and the beginning of a network's name, as `timm:resnet` of `timm:resnet18`."""
    library, _, name = arch.rpartition(":")
    found = re.match(r"[a-zA-Z]+", _PORTED.sub("", name))
    return f"{library}:{found[0].lower() if found else name}"


@cache
def _names(library: str) -> tuple[str, ...]:
    """Return the networks that a library has; raises FusionError when it is not installed."""
    try:
        found = import_module("timm" if library == "timm" else "torchvision.models")
    except ImportError as error:
        raise FusionError(f"{library} cannot be imported ({error}); pip install 'fusion-nas[zoo]'") from None
    return tuple(found.list_models())


@SPACES.register
class Zoo(Space):
    """Networks by name: `timm:resnet18`, `torchvision:convnext_tiny`, `path/to/file.py:net`, `module:net`.

    A name of one's own is a function or a class that returns a network. Of `num_classes`, `in_chans` or
    `in_channels`, `img_size` or `image_size` each network is told those that it takes.

    Parameters
    ----------
    size : int, optional
        Height and width of the images, told to networks that are made for one size.
    """

    name = "zoo"
    summary = "networks of timm, torchvision and files of one's own"
    source = "R. Wightman, PyTorch Image Models, 2019, and torchvision"
    enumerable = False

    def __init__(self, size: int | None = None) -> None:
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise FusionError(f"size {size!r}: expected a number of pixels")
        self.size = size

    @property
    def settings(self) -> dict[str, Any]:
        return {"size": self.size}

    def enumerate(self) -> Iterator[str]:
        """Yield the networks of the libraries that are installed; raises FusionError without any."""
        found = []
        for library in LIBRARIES:
            try:
                found += [f"{library}:{name}" for name in _names(library)]
            except FusionError as error:
                missing = error
        if not found:
            raise missing
        return iter(found)

    def random(self, rng: np.random.Generator) -> str:
        known = list(self.enumerate())
        return known[int(rng.integers(len(known)))]

    def canonical(self, arch: str) -> str:
        place, _, name = arch.rpartition(":")
        if not place or not re.fullmatch(r"[\w.\-]+", name) or arch != arch.strip():
            raise InvalidArchitecture(f"{arch!r}: {_EXPECTED}")
        if place in LIBRARIES or re.fullmatch(r"[\w.]+|.*\.py", place):
            return arch
        raise InvalidArchitecture(f"{arch!r}: {_EXPECTED}")

    def require(self, archs: Iterable[str]) -> None:
        """Raise FusionError when a library of these networks is not installed."""
        for library in sorted({self.canonical(arch).rpartition(":")[0] for arch in archs} & {*LIBRARIES}):
            _names(library)

    def neighbours(self, arch: str) -> list[str]:
        """Return the other networks of the family in the same library."""
        own = family(self.canonical(arch))
        return [other for other in self.enumerate() if other != arch and family(other) == own]

    def twins(self, arch: str) -> str:
        """Return the family: its networks are too much alike to be learned from and judged on."""
        return family(self.canonical(arch))

    def features(self, arch: str) -> dict[str, float | str]:
        """Return the image size at which the library's trained weights are judged, nothing of other networks.

        A name describes no network, but larger images make an accuracy higher. Nothing is downloaded.

        Raises
        ------
        FusionError
            When the library is not installed: what is predicted would be another number.
        """
        place, _, name = self.canonical(arch).rpartition(":")
        size = _judged_at(place, name) if place in LIBRARIES else None
        return {} if size is None else {"image_size": float(size)}

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        place, _, name = self.canonical(arch).rpartition(":")
        if place in LIBRARIES and name not in _names(place):
            raise InvalidArchitecture(f"{arch!r}: {place} has no network of this name here")
        make = _maker(place, name)
        told: dict[str, Any] = {
            "num_classes": num_classes,
            "in_chans": in_channels,
            "in_channels": in_channels,
        }
        if self.size is not None:
            told |= {"img_size": self.size, "image_size": self.size}
        found = make(told)
        if not isinstance(found, nn.Module):
            raise InvalidArchitecture(f"{arch!r} gives a {type(found).__name__}, not a network")
        return found

    def thin(self) -> Space:
        return self


@cache
def _judged_at(library: str, name: str) -> int | None:
    """Return the image size at which trained weights of a network are judged; None where none is known."""
    _names(library)  # says how to install it
    try:
        if library == "timm":
            known = import_module("timm").get_pretrained_cfg(name)
            return None if known is None else int((known.test_input_size or known.input_size)[-1])
        weights = import_module("torchvision.models").get_model_weights(name).DEFAULT
        return int(weights.transforms().crop_size[0])
    except (AttributeError, RuntimeError, ValueError, TypeError):  # never trained
        return None


def _maker(place: str, name: str) -> Callable[[dict[str, Any]], Any]:
    """Return what builds a network from what it may be told."""
    if place == "timm":
        return lambda told: _of_timm(name, told)
    if place == "torchvision":
        get_model = import_module("torchvision.models").get_model
        # `None` says that no trained weights are wanted
        return lambda told: get_model(name, weights=None, **_accepted(_builder(name), told))
    function = load_object(f"{place}:{name}")
    if isinstance(function, nn.Module) or not callable(function):
        raise InvalidArchitecture(f"'{place}:{name}': give a function or a class that returns a network")
    return lambda told: function(**_accepted(function, told))


def _builder(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = import_module("torchvision.models").get_model_builder(name)
    return found


def _of_timm(name: str, told: dict[str, Any]) -> Any:
    create = import_module("timm").create_model
    sized = {key: told[key] for key in ("num_classes", "in_chans", "img_size") if key in told}
    if "img_size" not in sized:
        return create(name, **sized)
    try:
        return create(name, **sized)
    except TypeError:  # a network for any size takes none
        sized.pop("img_size")
        return create(name, **sized)


def _accepted(function: Callable[..., Any], told: dict[str, Any]) -> dict[str, Any]:
    """Return what a function takes of what it may be told.

    One that takes anything, as those of torchvision do, is told the number of classes, and a size if
    it is made for one.
    """
    names = inspect.signature(function).parameters
    accepted = {key: value for key, value in told.items() if key in names}
    if any(p.kind is p.VAR_KEYWORD for p in names.values()):
        accepted.setdefault("num_classes", told["num_classes"])
        if "image_size" in told and "vit" in getattr(function, "__name__", ""):
            accepted["image_size"] = told["image_size"]
    return accepted
