"""How architectures are trained: the keys of a recipe, read from a YAML file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from fusion.errors import FusionError
from fusion.registry import Registry
from fusion.settings import (
    Count,
    Flag,
    NotNegative,
    Positive,
    Settings,
    Share,
    one_of,
    some_of,
)
from fusion.storage.bounded_yaml import read_yaml
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


@dataclass(frozen=True)
class Recipe(Settings):
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

    Examples
    --------
    >>> import fusion
    >>> fusion.Recipe(epochs=5, test_every=2).tested
    (2, 4, 5)
    """

    kind = "recipe"

    epochs: Count = 3
    batch_size: Count = 32
    lr: Positive = 0.1
    momentum: Share = 0.9
    weight_decay: NotNegative = 5e-4
    train_images: Count | None = None
    seeds: Count = 3
    optimiser: Annotated[str, one_of(OPTIMISERS)] = "sgd"
    nesterov: Flag = True
    schedule: Annotated[str, one_of(SCHEDULES)] = "cosine"
    augmentation: Annotated[tuple[str, ...], some_of(AUGMENTATIONS)] = ()
    test_every: Count | None = None

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
    values = {} if source is None else read_yaml(find(source), "recipe")
    if not isinstance(values, dict):
        raise FusionError(f"recipe {source}: expected lines of key: value, got {values!r}")
    try:
        Recipe.from_dict(values)
    except FusionError as error:
        raise FusionError(f"{source}: {error}") from None
    return Recipe.from_dict({**values, **settings})
