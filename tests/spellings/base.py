"""The base of pairs: a registry, and the plain networks that are spelled otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

CHANNELS, SIDE, CLASSES = 3, 12, 10
F = functional

Pair: TypeAlias = Callable[[], tuple[nn.Module, nn.Module]]
PAIRS: dict[str, Pair] = {}


def pair(function: Pair) -> Pair:
    """Register what returns two networks that compute the same function."""
    PAIRS[function.__name__] = function
    return function


def same_weights(a: nn.Module, b: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Give the second the weights of the first, in the order of their registration."""
    ours, theirs = list(a.parameters()), list(b.parameters())
    assert len(ours) == len(theirs)
    with torch.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            q.copy_(p.reshape(q.shape))
    return a, b


def stack(act=nn.ReLU, conv=nn.Conv2d, norm=nn.BatchNorm2d, head=nn.Linear, width: int = 8) -> nn.Sequential:
    """A plain stack of layers."""
    torch.manual_seed(1)
    return nn.Sequential(
        conv(CHANNELS, width, 3, padding=1),
        norm(width),
        act(),
        conv(width, width, 3, padding=1),
        norm(width),
        act(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        head(4 * width, CLASSES),
    )


class Parts(nn.Module):
    """The layers of `stack`, for forwards that are written out."""

    def __init__(self, width: int = 8, conv=nn.Conv2d, norm=nn.BatchNorm2d) -> None:
        super().__init__()
        self.c1, self.b1 = conv(CHANNELS, width, 3, padding=1), norm(width)
        self.c2, self.b2 = conv(width, width, 3, padding=1), norm(width)
        self.fc = nn.Linear(4 * width, CLASSES)

    def first(self, x):
        return F.relu(self.b1(self.c1(x)))

    def second(self, x):
        return F.relu(self.b2(self.c2(x)))

    def end(self, x):
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))

    def forward(self, x):
        return self.end(self.second(self.first(x)))


def parts_pair(other: type[nn.Module], base: type[nn.Module] = Parts) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    return same_weights(base(), other())
