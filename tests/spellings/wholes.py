"""Whole networks, run otherwise: wrapped, compiled, tied, frozen, nested."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from tests.spellings.base import CHANNELS, CLASSES, SIDE, F, Parts, pair, parts_pair, same_weights, stack


@pair
def data_parallel():
    return stack(), nn.DataParallel(stack())


@pair
def part_data_parallel():
    a = stack()
    b = copy.deepcopy(a)
    return a, nn.Sequential(nn.DataParallel(b[:6]), b[6:])


@pair
def compiled():
    a = stack()
    return a, torch.compile(copy.deepcopy(a), backend="eager")


@pair
def compiled_part():
    class Outer(nn.Module):
        def __init__(self, inner, head) -> None:
            super().__init__()
            self.inner, self.head = inner, head

        def forward(self, x):
            return self.head(self.inner(x))

    a = stack()
    b = copy.deepcopy(a)
    return Outer(a[:6], a[6:]), Outer(torch.compile(b[:6], backend="eager"), b[6:])


@pair
def traced_by_fx():
    torch.manual_seed(1)
    network = Parts()
    return network, torch.fx.symbolic_trace(copy.deepcopy(network))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.c, self.d = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.d.weight, self.d.bias = self.c.weight, self.c.bias
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.fc(F.relu(self.d(F.relu(self.c(F.relu(self.stem(x)))))).mean((2, 3)))


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for _ in range(2):
            x = F.relu(self.c(x))
        return self.fc(x.mean((2, 3)))


class UsedAgain(CalledTwice):
    def forward(self, x):
        x = F.relu(self.c(F.relu(self.stem(x))))
        return self.fc(F.relu(F.conv2d(x, self.c.weight, self.c.bias, padding=1)).mean((2, 3)))


@pair
def tied_or_called_twice():
    torch.manual_seed(1)
    return same_weights(CalledTwice(), Tied())


@pair
def called_twice_or_used_again():
    return parts_pair(UsedAgain, CalledTwice)


@pair
def one_name_or_two():
    torch.manual_seed(1)
    a = CalledTwice()
    b = copy.deepcopy(a)
    b.again = b.c
    return a, b


class FrozenBuffers(Parts):
    """The first convolution's weights are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        weight, bias = self.c1.weight.detach().clone(), self.c1.bias.detach().clone()
        del self.c1
        self.register_buffer("w", weight)
        self.register_buffer("v", bias)

    def first(self, x):
        return F.relu(self.b1(F.conv2d(x, self.w, self.v, padding=1)))


@pair
def frozen_or_buffers():
    torch.manual_seed(1)
    a = Parts()
    a.c1.requires_grad_(False)
    b = FrozenBuffers()
    b.load_state_dict({**a.state_dict(), "w": a.c1.weight, "v": a.c1.bias}, strict=False)
    return a, b


class NoGradient(Parts):
    def first(self, x):
        with torch.no_grad():
            return super().first(x)


@pair
def frozen_or_without_gradient():
    torch.manual_seed(1)
    a = Parts()
    a.c1.requires_grad_(False)
    a.b1.requires_grad_(False)
    return same_weights(a, NoGradient())


class Views(Parts):
    def end(self, x):
        x = F.adaptive_avg_pool2d(x, 2)
        return self.fc(x.reshape(x.size(0), -1))


@pair
def reshape_or_flatten():
    return parts_pair(Views)


class Contiguous(Parts):
    def forward(self, x):
        x = self.first(x.contiguous(memory_format=torch.channels_last)).contiguous()
        x = F.adaptive_avg_pool2d(self.second(x), 2).contiguous()
        return self.fc(x.view(x.size(0), -1))


@pair
def memory_formats():
    return parts_pair(Contiguous)


@pair
def identities_and_no_dropout():
    a, b = stack(), stack()
    return a, nn.Sequential(*b[:2], nn.Identity(), *b[2:6], nn.Dropout(0.0), *b[6:], nn.Identity())


@pair
def dropout_as_function():
    class Dropped(Parts):
        def end(self, x):
            return super().end(F.dropout(x, 0.3, self.training))

    class DroppedModule(Parts):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.3)

        def end(self, x):
            return super().end(self.drop(x))

    return parts_pair(Dropped, DroppedModule)


@pair
def nested_sequences():
    a, b = stack(), stack()
    return a, nn.Sequential(nn.Sequential(b[0], nn.Sequential(b[1], b[2])), b[3:6], b[6:])


@pair
def named_sequence():
    a, b = stack(), stack()
    names = ["conv", "norm", "act", "conv2", "norm2", "act2", "pool", "flat", "fc"]
    return a, nn.Sequential(OrderedDict(zip(names, b, strict=True)))


@pair
def list_of_modules():
    class Loop(nn.Module):
        def __init__(self, layers) -> None:
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    class Named(nn.Module):
        def __init__(self, layers) -> None:
            super().__init__()
            self.layers = nn.ModuleDict({f"l{i}": layer for i, layer in enumerate(layers)})

        def forward(self, x):
            for layer in self.layers.values():
                x = layer(x)
            return x

    return Loop(stack()), Named(stack())


def ending(make: Callable[[torch.Tensor], torch.Tensor], other: Callable[[torch.Tensor], torch.Tensor]):
    class Ending(Parts):
        def forward(self, x):
            return make(super().forward(x))

    class Other(Parts):
        def forward(self, x):
            return other(super().forward(x))

    return parts_pair(Other, Ending)


@pair
def softmax_by_hand():
    return ending(lambda z: z.softmax(1), lambda z: z.exp() / z.exp().sum(1, keepdim=True))


@pair
def centred_logits():
    return ending(lambda z: z - z.mean(1, keepdim=True), lambda z: z - z.sum(1, keepdim=True) / CLASSES)


@pair
def outputs_in_a_tuple():
    class Auxiliary(Parts):
        def forward(self, x):
            out = super().forward(x)
            return (out, out.detach()) if self.training else out

    return parts_pair(Auxiliary)


@pair
def auxiliary_head():
    class Auxiliary(Parts):
        def __init__(self) -> None:
            super().__init__()
            self.aux = nn.Linear(8, CLASSES)

        def forward(self, x):
            x = self.first(x)
            out = self.end(self.second(x))
            return (out, self.aux(x.mean((2, 3)))) if self.training else out

    class Unused(Auxiliary):
        def forward(self, x):
            return self.end(self.second(self.first(x)))

    return parts_pair(Auxiliary, Unused)


@pair
def outputs_in_a_mapping():
    class Mapped(Parts):
        def forward(self, x):
            return {"logits": super().forward(x), "loss": None}

    return parts_pair(Mapped)


@pair
def lazy_layers():
    a, b = stack(), stack()
    lazy = nn.Sequential(
        nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(), *b[3:8], nn.LazyLinear(CLASSES)
    )
    lazy(torch.zeros(2, CHANNELS, SIDE, SIDE))
    return same_weights(a, lazy)
