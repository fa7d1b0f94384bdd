"""The networks that people have: those of timm and torchvision, and of files of one's own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.plugins import load_object
from fusion.spaces.base import SPACES, Space
from fusion.spaces.composition import composition
from fusion.storage.kept import kept

LIBRARIES = ("timm", "torchvision")
_EXPECTED = "expected timm:NAME, torchvision:NAME, file.py:NAME or module:NAME, such as timm:resnet18"
# Pixels of ImageNet's images, where nothing else is known.
_CUSTOMARY = 224
# Names of weights that were trained on more than ImageNet-1k.
_MORE = re.compile(r"ft_in1k|in12k|in21k|in22k")
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
        """Return what the network is made of, on images of the size at which accuracies of it are published.

        See `composition`; and `image_size`, which makes an accuracy higher: that of the library's weights
        trained on ImageNet-1k alone, the largest if there are several, else of those that it has; 224 for
        networks of one's own. Nothing is downloaded, and nothing computed. What is told of a network that
        cannot be described so is `image_size` alone.

        Raises
        ------
        FusionError
            When the library is not installed: what is predicted would be another number.
        """
        place, _, name = self.canonical(arch).rpartition(":")
        return dict(_described(place, name))

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        place, _, name = self.canonical(arch).rpartition(":")
        if place in LIBRARIES and name not in _names(place):
            raise InvalidArchitecture(f"{arch!r}: {place} has no network of this name here")
        told: dict[str, Any] = {
            "num_classes": num_classes,
            "in_chans": in_channels,
            "in_channels": in_channels,
        }
        if self.size is not None:
            told |= {"img_size": self.size, "image_size": self.size}
        return _built(place, name, told)

    def thin(self) -> Space:
        return self


@cache
def _described(place: str, name: str) -> Mapping[str, float]:
    """Return the features of a network; those of a library's are kept between runs."""
    if place not in LIBRARIES:
        return _composed(place, name, _CUSTOMARY)
    if name not in _names(place):  # of another version
        return {}
    version = getattr(import_module(place), "__version__", None)
    if version is None:
        return _composed(place, name, _judged_at(place, name))
    known = f"composition-1/torch-{torch.__version__}/{place}-{version}/{name}.json"
    return kept(known, lambda: _composed(place, name, _judged_at(place, name)))


def _composed(place: str, name: str, size: int) -> dict[str, float]:
    try:
        told = {"num_classes": 1000, "img_size": size, "image_size": size}
        found = composition(lambda: _built(place, name, told), (3, size, size))
    except Exception:  # whatever it raises: it runs on no such device, has no layer, takes other images
        found = {}
    return {"image_size": float(size), **found}


def _judged_at(library: str, name: str) -> int:
    """Return the image size at which trained weights of a network are judged."""
    try:
        if library == "torchvision":
            weights = import_module("torchvision.models").get_model_weights(name).DEFAULT
            return int(weights.transforms().crop_size[0])
        timm = import_module("timm")
        trained = [full for full in timm.list_pretrained(f"{name}.*") if full.partition(".")[0] == name]
        alone = [full for full in trained if "in1k" in full and not _MORE.search(full)]
        told = [timm.get_pretrained_cfg(full) for full in alone or [name]]
        return max(int((one.test_input_size or one.input_size)[-1]) for one in told)
    except (AttributeError, RuntimeError, ValueError, TypeError):  # never trained
        return _CUSTOMARY


def _built(place: str, name: str, told: dict[str, Any]) -> nn.Module:
    """Return a network; raises InvalidArchitecture when what is named gives none."""
    found = _maker(place, name)(told)
    if not isinstance(found, nn.Module):
        raise InvalidArchitecture(f"'{place}:{name}' gives a {type(found).__name__}, not a network")
    return found


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
