"""Accuracies measured here: architectures trained by a stated recipe over several seeds.

What is kept is the training states (per seed and epoch: loss, accuracy, seconds), in the spirit
of the Darts-training-bench of DAS (Liu et al., arXiv:2212.12132).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fusion.errors import FusionError
from fusion.images.base import ImageSet
from fusion.seeding import derive_seed, seeded
from fusion.spaces.base import Space
from fusion.training.augmentation import augment
from fusion.training.recipe import OPTIMISERS, SCHEDULES, Recipe
from fusion.training.stacking import stack
from fusion.work.tasks import Row

KEYS = ["key", "seed", "epoch"]
_EVALUATION_BATCH = 64
# images on which a stacked network is compared with the networks one by one
_PROBE = 16


@dataclass(frozen=True)
class TrainingData:
    """Normalised images (n, c, h, w), labels (n,), and the number of classes."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    num_classes: int

    def to(self, device: str) -> TrainingData:
        """Return the same images on `device`."""
        return TrainingData(
            self.x_train.to(device),
            self.y_train.to(device),
            self.x_test.to(device),
            self.y_test.to(device),
            self.num_classes,
        )


def _balanced(y: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return `size` indices with classes as even as they come; fixed, whatever the seed."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(y))
    turn = np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        members = order[y[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:size])


def training_data(images: ImageSet, recipe: Recipe) -> TrainingData:
    """Return the images of a recipe; raises FusionError when there are too few."""
    size = recipe.train_images or len(images.x_train)
    classes = len(np.unique(images.y_train))
    if size < classes:
        raise FusionError(
            f"train_images {size} is out of range: images {images.name!r} have {classes} classes, of "
            "which each needs an image"
        )
    spare = 0 if images.x_test is not None else 1
    if not recipe.batch_size <= size <= len(images.x_train) - spare:
        kept = ", of which some are for testing" if spare else ""
        raise FusionError(
            f"train_images {size} is out of range: images {images.name!r} hold {len(images.x_train)}{kept}; "
            f"set it between the batch size, {recipe.batch_size}, and {len(images.x_train) - spare}"
        )
    chosen = _balanced(images.y_train, size)
    x_test, y_test = images.x_test, images.y_test
    if x_test is None or y_test is None:
        x_test, y_test = np.delete(images.x_train, chosen, 0), np.delete(images.y_train, chosen)
    return TrainingData(
        images.tensor(images.x_train[chosen]),
        torch.from_numpy(images.y_train[chosen]),
        images.tensor(x_test),
        torch.from_numpy(y_test),
        images.num_classes,
    )


def _build(space: Space, key: str, data: TrainingData, seeds: Sequence[int]) -> list[nn.Module]:
    networks = []
    for seed in seeds:
        with seeded(derive_seed("measure", key, seed)):
            networks.append(space.build(key, in_channels=data.x_train.shape[1], num_classes=data.num_classes))
    return networks


@torch.no_grad()
def _joint_network(networks: list[nn.Module], x: Tensor) -> nn.Module | None:
    """Return the stacked network, or None where stacking does not reproduce the networks."""
    # strides of one-channel images may say channels last, which a network's `view` would not bear
    probe = x[:_PROBE].clone(memory_format=torch.contiguous_format)
    try:
        joint = stack([copy.deepcopy(networks[0]), *networks[1:]])
        # in training mode: with the first running statistics the signal of a deep network fades away,
        # and every network's logits are the classifier's bias
        together = copy.deepcopy(joint).train()(probe.repeat(1, len(networks), 1, 1))
        alone = torch.cat([copy.deepcopy(network).train()(probe) for network in networks], 1)
    except Exception:  # where a kind cannot be stacked, or `forward` takes channels apart
        return None
    same = together.shape == alone.shape and torch.allclose(together, alone, rtol=1e-3, atol=1e-4)
    return joint if same else None


def _train(
    network: nn.Module, data: TrainingData, recipe: Recipe, seeds: Sequence[int], key: str
) -> list[Row]:
    """Train `network`, the stack of one network per seed; return the states of all seeds."""
    n, count = len(seeds), len(data.x_train)
    steps = count // recipe.batch_size
    optimiser = OPTIMISERS[recipe.optimiser](network.parameters(), recipe)
    total = recipe.epochs * steps
    factor = SCHEDULES[recipe.schedule]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: factor(step, total))
    orders = [np.random.default_rng(derive_seed("order", key, seed)) for seed in seeds]
    draws = [np.random.default_rng(derive_seed("augmentation", key, seed)) for seed in seeds]
    rows: list[Row] = []
    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        network.train()
        permutations = np.stack([order.permutation(count) for order in orders], axis=1)
        order = torch.from_numpy(permutations).to(data.x_train.device)
        drawn = np.stack([draw.random((count, len(recipe.augmentation), 2)) for draw in draws], axis=1)
        uniform = torch.from_numpy(drawn).to(data.x_train.device)
        losses = torch.zeros(n, device=data.x_train.device)
        hits = torch.zeros(n, device=data.x_train.device)
        for step in range(steps):
            batch = slice(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            index = order[batch]
            x = augment(data.x_train[index], recipe.augmentation, uniform[batch])
            logits = network(x.flatten(1, 2)).unflatten(1, (n, -1))
            labels = data.y_train[index]
            loss = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(0)
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimiser.step()
            schedule.step()
            losses += loss.detach()
            hits += (logits.detach().argmax(-1) == labels).sum(0)
        # the copy to the CPU waits for the device, so it belongs to the epoch's time
        train_loss = (losses / steps).tolist()
        train_accuracy = (100 * hits / (steps * recipe.batch_size)).tolist()
        seconds = (time.perf_counter() - started) / n
        test = _test_accuracy(network, data, n) if epoch in recipe.tested else [None] * n
        rows += [
            {
                "key": key,
                "seed": seed,
                "epoch": epoch,
                "train_loss": train_loss[i],
                "train_accuracy": train_accuracy[i],
                "test_accuracy": test[i],
                "seconds": seconds,
            }
            for i, seed in enumerate(seeds)
        ]
    return rows


@torch.no_grad()
def _test_accuracy(network: nn.Module, data: TrainingData, n: int) -> Sequence[float | None]:
    network.eval()
    hits = torch.zeros(n, device=data.x_test.device)
    for x, y in zip(data.x_test.split(_EVALUATION_BATCH), data.y_test.split(_EVALUATION_BATCH), strict=True):
        logits = network(x.repeat(1, n, 1, 1)).unflatten(1, (n, -1))
        hits += (logits.argmax(-1) == y[:, None]).sum(0)
    accuracies: list[float | None] = (100 * hits / len(data.x_test)).tolist()
    return accuracies


def train_architecture(
    key: str, space: Space, data: TrainingData, recipe: Recipe, device: str = "cpu"
) -> list[Row]:
    """Train `key` once per seed and return one row per seed and epoch.

    Rows have `key`, `seed`, `epoch` (from 1), `train_loss` (mean over the epoch's batches),
    `train_accuracy` (percent, of the images as augmented, while they are trained on),
    `test_accuracy` (percent; None but in `recipe.tested`) and `seconds` of the epoch's training per
    seed. A training that diverges goes on to its end: its loss is NaN or infinite, and its accuracy
    that of the one class which such logits amount to.
    """
    seeds = list(range(recipe.seeds))
    networks = _build(space, key, data, seeds)
    joint = _joint_network(networks, data.x_train)
    data = data.to(device)
    if joint is not None:
        return _train(joint.to(device), data, recipe, seeds, key)
    rows = []
    for seed, network in zip(seeds, networks, strict=True):
        rows += _train(network.to(device), data, recipe, [seed], key)
    return rows
