"""Activations spelled otherwise, joins and pooling too."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.spellings.base import CHANNELS, CLASSES, F, Parts, pair, parts_pair, same_weights, stack


def relu_by(function: Callable[[torch.Tensor], torch.Tensor]) -> tuple[nn.Module, nn.Module]:
    class By(nn.Module):
        def forward(self, x):
            return function(x)

    return same_weights(stack(), stack(act=By))


@pair
def relu_as_clamp():
    return relu_by(lambda x: x.clamp(min=0))


@pair
def relu_as_clip():
    return relu_by(lambda x: torch.clip(x, 0))


@pair
def relu_as_threshold():
    return relu_by(lambda x: F.threshold(x, 0, 0))


@pair
def relu_as_maximum():
    return relu_by(lambda x: torch.maximum(x, torch.zeros_like(x)))


@pair
def relu_as_where():
    return relu_by(lambda x: torch.where(x > 0, x, torch.zeros_like(x)))


@pair
def relu_as_mask():
    return relu_by(lambda x: x * (x > 0))


@pair
def relu_as_absolute_value():
    return relu_by(lambda x: (x + x.abs()) / 2)


@pair
def relu_as_leaky():
    return relu_by(lambda x: F.leaky_relu(x, 0.0))


@pair
def relu_once_as_where():
    class By(nn.Module):
        def forward(self, x):
            return torch.where(x > 0, x, 0.0)

    a, b = stack(), stack()
    b[2] = By()
    return a, b


def act_by(act: Callable[[], nn.Module], function: Callable[[torch.Tensor], torch.Tensor]):
    class By(nn.Module):
        def forward(self, x):
            return function(x)

    return same_weights(stack(act=act), stack(act=By))


@pair
def relu6_as_hardtanh():
    return act_by(nn.ReLU6, lambda x: F.hardtanh(x, 0, 6))


@pair
def relu6_as_clamp():
    return act_by(nn.ReLU6, lambda x: x.clamp(0, 6))


@pair
def leaky_relu_as_function():
    return act_by(lambda: nn.LeakyReLU(0.1), lambda x: F.leaky_relu(x, negative_slope=0.1))


@pair
def leaky_relu_as_maximum():
    return act_by(lambda: nn.LeakyReLU(0.1), lambda x: torch.maximum(x, 0.1 * x))


@pair
def hard_swish_by_hand():
    return act_by(nn.Hardswish, lambda x: x * F.relu6(x + 3) / 6)


@pair
def hard_swish_by_hand_otherwise():
    return act_by(nn.Hardswish, lambda x: x * (F.relu6(x + 3.0).div(6)))


@pair
def hard_swish_by_clamp():
    return act_by(nn.Hardswish, lambda x: x * torch.clamp(x / 6 + 0.5, 0, 1))


@pair
def silu_by_hand():
    return act_by(nn.SiLU, lambda x: x * torch.sigmoid(x))


@pair
def gelu_by_hand():
    return act_by(nn.GELU, lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)))


@pair
def squared_relu():
    return act_by(lambda: _Squared(), lambda x: F.relu(x) ** 2)


class _Squared(nn.Module):
    def forward(self, x):
        x = F.relu(x)
        return x * x


@pair
def two_spellings_of_sigmoid():
    return act_by(nn.Sigmoid, torch.sigmoid)


class Branches(nn.Module):
    def __init__(self, cat: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.cat = cat
        self.a, self.b = nn.Conv2d(CHANNELS, 4, 3, padding=1), nn.Conv2d(CHANNELS, 4, 1)
        self.c, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, CLASSES)

    def forward(self, x):
        if self.cat:
            x = torch.cat([self.a(x), self.b(x)], 1)
        else:
            out = x.new_empty(len(x), 8, *x.shape[2:])
            out[:, :4] = self.a(x)
            out[:, 4:] = self.b(x)
            x = out
        return self.fc(F.relu(self.c(F.relu(x))).mean((2, 3)))


@pair
def joined_or_written_into():
    return same_weights(Branches(True), Branches(False))


@pair
def pooling_functions():
    class Pools(nn.Module):
        def __init__(self, functions: bool) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.c, self.d = nn.Conv2d(CHANNELS, 8, 3), nn.Conv2d(8, 8, 3)
            self.fc = nn.Linear(8, CLASSES)
            self.functions = functions
            if not functions:
                self.m, self.a = nn.MaxPool2d(2), nn.AvgPool2d(3, 1)

        def forward(self, x):
            x = F.relu(self.c(x))
            x = F.max_pool2d(x, 2) if self.functions else self.m(x)
            x = F.relu(self.d(x))
            x = F.avg_pool2d(x, 3, 1) if self.functions else self.a(x)
            return self.fc(x.mean((2, 3)))

    return same_weights(Pools(False), Pools(True))


def other_parts(**methods):
    """Parts of which some methods are written otherwise."""
    return parts_pair(type("Other", (Parts,), methods))


@pair
def convolution_as_a_product_of_matrices():
    def first(self, x):
        columns = F.unfold(x, 3, padding=1)
        y = self.c1.weight.flatten(1) @ columns + self.c1.bias[:, None]
        return F.relu(self.b1(y.unflatten(2, x.shape[2:])))

    return other_parts(first=first)


@pair
def pooling_by_hand():
    class Pooled(Parts):
        def first(self, x):
            return F.avg_pool2d(super().first(x), 2)

    class ByHand(Parts):
        def first(self, x):
            x = super().first(x)
            b, c, h, w = x.shape
            return x.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))

    return parts_pair(ByHand, Pooled)


class Summed(nn.Module):
    def __init__(self, stacked: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = nn.Conv2d(CHANNELS, 4, 3, padding=1), nn.Conv2d(CHANNELS, 4, 1)
        self.c, self.fc = nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8, CLASSES)
        self.stacked = stacked

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        x = torch.stack([a, b]).sum(0) if self.stacked else a + b
        return self.fc(F.relu(self.c(F.relu(x))).mean((2, 3)))


@pair
def sum_of_a_stack():
    return same_weights(Summed(False), Summed(True))


@pair
def sum_of_a_list():
    class Listed(Summed):
        def forward(self, x):
            x = sum([self.a(x), self.b(x)])
            return self.fc(F.relu(self.c(F.relu(x))).mean((2, 3)))

    return same_weights(Summed(False), Listed(False))
