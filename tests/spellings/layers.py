"""Layers, their weights and their calls, spelled otherwise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from tests.spellings.base import CHANNELS, CLASSES, F, Parts, pair, parts_pair, same_weights, stack


@pair
def relu_in_place():
    return same_weights(stack(), stack(act=lambda: nn.ReLU(inplace=True)))


@pair
def relu_as_function():
    return same_weights(stack(), Parts())


class FunctionalInPlace(Parts):
    def first(self, x):
        return F.relu(self.b1(self.c1(x)), inplace=True)

    def second(self, x):
        return self.b2(self.c2(x)).relu_()


@pair
def relu_as_function_in_place():
    return parts_pair(FunctionalInPlace)


class Preactivated(nn.Module):
    """Blocks that write over what they are given."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.stem = nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(in_place) for _ in range(2))
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(F.relu(x, inplace=self.in_place).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.b, self.c = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return self.c(self.b(F.relu(x, inplace=self.in_place)))


@pair
def blocks_that_write_over_their_input():
    torch.manual_seed(1)
    return same_weights(Preactivated(False), Preactivated(True))


class Residual(nn.Module):
    in_place = False

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        y = self.b(self.a(F.relu(x)))
        if self.in_place:
            y += x
        else:
            y = y + x
        return self.fc(F.relu(y).mean((2, 3)))


class ResidualInPlace(Residual):
    in_place = True


@pair
def sum_in_place():
    return parts_pair(ResidualInPlace, Residual)


class ConvFunctions(Parts):
    def forward(self, x):
        x = F.relu(self.b1(F.conv2d(x, self.c1.weight, self.c1.bias, padding=1)))
        x = F.relu(self.b2(F.conv2d(x, self.c2.weight, self.c2.bias, padding=1)))
        return F.linear(F.adaptive_avg_pool2d(x, 2).flatten(1), self.fc.weight, self.fc.bias)


@pair
def layers_as_functions():
    return parts_pair(ConvFunctions)


class ForwardCalls(Parts):
    def forward(self, x):
        x = F.relu(self.b1.forward(self.c1.forward(x)))
        x = F.relu(self.b2.forward(self.c2.forward(x)))
        return self.fc.forward(F.adaptive_avg_pool2d(x, 2).flatten(1))


@pair
def forward_called_directly():
    return parts_pair(ForwardCalls)


class KeywordCalls(Parts):
    def forward(self, x):
        x = F.relu(input=self.b1(input=self.c1(input=x)))
        x = F.relu(input=self.b2(input=self.c2(input=x)))
        return self.fc(input=F.adaptive_avg_pool2d(input=x, output_size=2).flatten(1))


@pair
def keyword_arguments():
    return parts_pair(KeywordCalls)


class NormFunctions(Parts):
    def _norm(self, x, b):
        return F.batch_norm(
            x, b.running_mean, b.running_var, b.weight, b.bias, self.training, momentum=0.1, eps=b.eps
        )

    def forward(self, x):
        x = F.relu(self._norm(self.c1(x), self.b1))
        return self.end(F.relu(self._norm(self.c2(x), self.b2)))


@pair
def norms_as_functions():
    return parts_pair(NormFunctions)


class NormByHand(Parts):
    def _norm(self, x, b):
        if not self.training:
            mean, var = b.running_mean[:, None, None], b.running_var[:, None, None]
        else:
            mean = x.mean((0, 2, 3), keepdim=True)
            var = x.var((0, 2, 3), keepdim=True, unbiased=False)
        return (x - mean) / (var + b.eps).sqrt() * b.weight[:, None, None] + b.bias[:, None, None]

    def forward(self, x):
        x = F.relu(self._norm(self.c1(x), self.b1))
        return self.end(F.relu(self._norm(self.c2(x), self.b2)))


@pair
def batch_norms_by_hand():
    return parts_pair(NormByHand)


class NormRelu(nn.BatchNorm2d):
    def forward(self, x):
        return F.relu(super().forward(x))


@pair
def norm_with_activation_inside():
    return same_weights(stack(), stack(norm=NormRelu, act=nn.Identity))


class SameConv(nn.Conv2d):
    """Pads its input by itself."""

    def __init__(self, channels, width, size, padding=0) -> None:
        super().__init__(channels, width, size)
        self.around = padding

    def forward(self, x):
        return super().forward(F.pad(x, [self.around] * 4))


@pair
def conv_that_pads_by_itself():
    return same_weights(stack(), stack(conv=SameConv))


def _standardised(w):
    mean, var = w.mean((1, 2, 3), keepdim=True), w.var((1, 2, 3), keepdim=True, unbiased=False)
    return (w - mean) / (var + 1e-8).sqrt()


class StdConv(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, _standardised(self.weight), self.bias, self.stride, self.padding)


class Standardised(nn.Module):
    def forward(self, w):
        return _standardised(w)


def _parametrised(make: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    def conv(*args, **kwargs):
        layer = nn.Conv2d(*args, **kwargs)
        # the bias first, as `parametrize` puts it
        parametrize.register_parametrization(layer, "weight", make())
        return layer

    return conv


@pair
def standardised_weights():
    a, b = stack(conv=StdConv), stack(conv=_parametrised(Standardised))
    with torch.no_grad():
        for i in (0, 3):
            b[i].parametrizations.weight.original.copy_(a[i].weight)
            b[i].bias.copy_(a[i].bias)
        for i in (1, 4, 8):
            b[i].load_state_dict(a[i].state_dict())
    return a, b


@pair
def parametrised_by_identity():
    a, b = stack(), stack(conv=_parametrised(nn.Identity))
    with torch.no_grad():
        for i in (0, 3):
            b[i].parametrizations.weight.original.copy_(a[i].weight)
            b[i].bias.copy_(a[i].bias)
        for i in (1, 4, 8):
            b[i].load_state_dict(a[i].state_dict())
    return a, b


@pair
def weight_norm_of_two_kinds():
    def old():
        network = stack()
        for i in (0, 3):
            nn.utils.weight_norm(network[i])
        return network

    b = stack()
    for i in (0, 3):
        parametrizations.weight_norm(b[i])
    return old, b


class Masked(nn.Module):
    def __init__(self, mask) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, w):
        return w * self.mask


@pair
def pruned_weights():
    def pruned():
        network = stack()
        prune.l1_unstructured(network[3], "weight", 0.5)
        return network

    b = stack()
    parametrize.register_parametrization(b[3], "weight", Masked(pruned()[3].weight_mask))
    return pruned, b


class Checkpointed(Parts):
    reentrant = False

    def forward(self, x):
        x = checkpoint(self.first, x, use_reentrant=self.reentrant)
        return self.end(checkpoint(self.second, x, use_reentrant=self.reentrant))


@pair
def checkpointing():
    return parts_pair(Checkpointed)


class CheckpointedReentrant(Checkpointed):
    reentrant = True


@pair
def checkpointing_that_enters_again():
    return parts_pair(CheckpointedReentrant)


@pair
def linear_as_matrix_product():
    class Matrix(Parts):
        def end(self, x):
            return F.adaptive_avg_pool2d(x, 2).flatten(1) @ self.fc.weight.T + self.fc.bias

    return parts_pair(Matrix)


@pair
def linear_as_einsum():
    class Einsum(Parts):
        def end(self, x):
            x = F.adaptive_avg_pool2d(x, 2).flatten(1)
            return torch.einsum("bi,oi->bo", x, self.fc.weight) + self.fc.bias

    return parts_pair(Einsum)


@pair
def linear_with_a_parameter_of_its_own():
    class Own(nn.Module):
        def __init__(self, inputs, outputs) -> None:
            super().__init__()
            self.w, self.v = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))

        def forward(self, x):
            return F.linear(x, self.w, self.v)

    return same_weights(stack(), stack(head=Own))


@pair
def linear_from_torch_linear_or_subclass():
    class Own(nn.Linear):
        def forward(self, input):
            return torch.addmm(self.bias, input, self.weight.t())

    return same_weights(stack(), stack(head=Own))


@pair
def circular_padding():
    class Circular(nn.Conv2d):
        def __init__(self, a, b, size, padding) -> None:
            super().__init__(a, b, size)

        def forward(self, x):
            return super().forward(F.pad(x, [1] * 4, mode="circular"))

    def conv(a, b, size, padding):
        return nn.Conv2d(a, b, size, padding=padding, padding_mode="circular")

    return same_weights(stack(conv=conv), stack(conv=Circular))


@pair
def padding_in_words():
    def conv(a, b, size, padding):
        return nn.Conv2d(a, b, size, padding="same")

    return same_weights(stack(), stack(conv=conv))


@pair
def hook_that_replaces_the_output():
    class Scaled(nn.Module):
        def forward(self, x):
            return 2 * x

    a, b = stack(), stack()
    b[3].register_forward_hook(lambda module, inputs, output: 2 * output)
    return nn.Sequential(*a[:4], Scaled(), *a[4:]), b
