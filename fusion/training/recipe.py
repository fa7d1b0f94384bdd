"""How architectures are trained: the keys of a recipe, read from a YAML file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from fusion.errors import FusionError
from fusion.registry import Registry
from fusion.storage.bundled import find
from fusion.training.augmentation import AUGMENTATIONS

# (step, steps in all) -> what the learning rate is multiplied with
SCHEDULES: Registry[Callable[[int, int], float]] = Registry("schedule")
OPTIMISERS: Registry[Callable[[Iterable[Tensor], Recipe], torch.optim.Optimizer]] = Registry("optimiser")


@SCHEDULES.register
def cosine(step: int, steps: int) -> float:
    """Fall from 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


@SCHEDULES.register
def constant(step: int, steps: int) -> float:
    """Stay at 1."""
    return 1.0


@SCHEDULES.register
def step(step: int, steps: int) -> float:
    """A tenth from half the steps on, a hundredth from three quarters on (He et al., arXiv:1512.03385)."""
    return float(0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps)))


@OPTIMISERS.register
def sgd(parameters: Iterable[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Gradient descent with momentum."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        foreach=True,
    )


@OPTIMISERS.register
def adamw(parameters: Iterable[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (arXiv:1711.05101) and torch's betas, .9 and .999."""
    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Recipe:
    """How an architecture is trained. Every key has a default and holds a JSON value.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the training images; a last incomplete batch is left out.
    lr, weight_decay : float
        Of the optimiser; the learning rate is that of the first step.
    momentum : float
        Of `sgd`; `adamw` takes no notice of it nor of `nesterov`.
    train_images : int or None
        Size of the class-balanced training subset; None is all. Images without a test part are
        split, and are tested on all the others.
    seeds : int
        Trainings per architecture, seeds 0 .. seeds-1: initialisation, order of the images, and
        augmentation.
    optimiser : {"sgd", "adamw"}
    nesterov : bool
        Nesterov's form of the momentum.
    schedule : {"cosine", "constant", "step"}
        Of the learning rate, step by step; see `SCHEDULES`.
    augmentation : sequence of {"flip", "crop", "cutout"}
        Done to each training image, in this order; see `fusion.training.augmentation`.
    test_every : int or None
        Test after so many epochs each, and after the last; None is after the last only.

    Raises
    ------
    FusionError
        For a value of the wrong type or out of range.
    """

    epochs: int = 3
    batch_size: int = 32
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    train_images: int | None = None
    seeds: int = 3
    optimiser: str = "sgd"
    nesterov: bool = True
    schedule: str = "cosine"
    augmentation: tuple[str, ...] = ()
    test_every: int | None = None

    def __post_init__(self) -> None:
        for name, valid, expected in self._checks():
            if not valid:
                raise FusionError(f"recipe: {name} is {getattr(self, name)!r}, expected {expected}")
        # YAML and JSON know only lists
        object.__setattr__(self, "augmentation", tuple(self.augmentation))

    def _checks(self) -> Iterator[tuple[str, bool, str]]:
        """Yield name, whether its value is valid, and what would be."""
        count, number = "an integer of at least 1", "a number"
        for name in ("epochs", "batch_size", "seeds"):
            yield name, _is_count(getattr(self, name)), count
        for name in ("train_images", "test_every"):
            value = getattr(self, name)
            yield name, value is None or _is_count(value), f"{count}, or None"
        lr, momentum, decay = self.lr, self.momentum, self.weight_decay
        yield "lr", _is_number(lr) and lr > 0, f"{number} above 0"
        yield "momentum", _is_number(momentum) and 0 <= momentum < 1, f"{number} from 0 to below 1"
        yield "weight_decay", _is_number(decay) and decay >= 0, f"{number} of at least 0"
        yield "nesterov", isinstance(self.nesterov, bool), "true or false"
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
            yield name, getattr(self, name) in tuple(known), f"one of {', '.join(known)}"
        names = self.augmentation
        valid = isinstance(names, list | tuple) and all(item in tuple(AUGMENTATIONS) for item in names)
        yield "augmentation", valid, f"a list of {', '.join(AUGMENTATIONS)}, or of none of them"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe; raises FusionError for an unknown key or a bad value."""
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            known = ", ".join(field.name for field in fields(cls))
            raise FusionError(f"recipe: unknown key {', '.join(sorted(map(str, unknown)))}; known: {known}")
        return cls(**values)

    @property
    def tested(self) -> tuple[int, ...]:
        """Epochs, from 1, after which the test images are looked at."""
        every = self.test_every or self.epochs
        return (*range(every, self.epochs, every), self.epochs)


def load_recipe(source: str | Path | None, settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a YAML file with `settings` over it; without a file, over the defaults.

    Raises
    ------
    FusionError
        When the file is missing or no YAML mapping, or a key is unknown or its value bad.
    """
    values = {} if source is None else _read(find(source))
    try:
        Recipe.from_dict(values)
    except FusionError as error:
        raise FusionError(f"{source}: {error}") from None
    return Recipe.from_dict({**values, **_numbers(settings)})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FusionError(f"recipe {path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FusionError(f"recipe {path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise FusionError(f"recipe {path}: expected lines of key: value, got {values!r}")
    return _numbers(values)


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with numbers such as 5e-4, which YAML 1.1 takes for text, as numbers."""
    found = dict(values)
    for name in ("lr", "momentum", "weight_decay"):
        if isinstance(found.get(name), str):
            with suppress(ValueError):
                found[name] = float(found[name])
    return found
