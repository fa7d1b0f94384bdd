"""Pairs of small networks that compute the same function, spelled differently.

Both have the same trained weights, registered in the same order unless a pair says otherwise.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

CHANNELS, SIDE, CLASSES = 3, 12, 10
F = functional

PAIRS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {}


def pair(function: Callable[[], tuple[nn.Module, nn.Module]]) -> Callable[[], tuple[nn.Module, nn.Module]]:
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


# norms other than batch normalisation


def normed(norm: Callable[[int], nn.Module], other: Callable[[int], nn.Module]):
    return same_weights(stack(norm=norm), stack(norm=other))


class _Own(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def scaled(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class _GroupByHand(_Own):
    def forward(self, x):
        mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), keepdim=True, unbiased=False)
        return self.scaled((x - mean) * torch.rsqrt(var + 1e-5))


class _GroupAsLayer(_Own):
    def forward(self, x):
        return self.scaled(F.layer_norm(x, x.shape[1:], eps=1e-5))


class _GroupFunction(_Own):
    def forward(self, x):
        return F.group_norm(x, 1, self.weight, self.bias, 1e-5)


def _group(width: int) -> nn.Module:
    return nn.GroupNorm(1, width)


@pair
def group_norm_by_hand():
    return normed(_group, _GroupByHand)


@pair
def group_norm_as_layer_norm():
    return normed(_group, _GroupAsLayer)


@pair
def group_norm_as_function():
    return normed(_group, _GroupFunction)


class _Root(nn.Module):
    def __init__(self, width: int, by_hand: bool = False) -> None:
        super().__init__()
        self.weight, self.by_hand = nn.Parameter(torch.ones(width)), by_hand

    def forward(self, x):
        x = x.movedim(1, -1)
        if self.by_hand:
            x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * self.weight
        else:
            x = F.rms_norm(x, x.shape[-1:], self.weight, 1e-6)
        return x.movedim(-1, 1)


@pair
def root_mean_square_norm_by_hand():
    return normed(_Root, lambda width: _Root(width, by_hand=True))


@pair
def instance_norm_as_function():
    class Own(_Own):
        def forward(self, x):
            return F.instance_norm(x, weight=self.weight, bias=self.bias)

    return normed(lambda width: nn.InstanceNorm2d(width, affine=True), Own)


@pair
def batch_norm_without_weights():
    class Own(nn.Module):
        def __init__(self, width) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(width)
            self.norm.weight.requires_grad_(False)
            self.norm.bias.requires_grad_(False)

        def forward(self, x):
            return self.norm(x)

    a = stack(norm=lambda width: nn.BatchNorm2d(width, affine=False))
    b = stack(norm=Own)
    with torch.no_grad():
        for i in (0, 3, 8):
            b[i].load_state_dict(a[i].state_dict())
    return a, b


# tokens and steps


class Tokens(nn.Module):
    """Patches of the image, one transformer block, the mean of the tokens."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.patch = nn.Conv2d(CHANNELS, 16, 4, stride=4)
        self.block = block
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc(self.block(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


class TokensFirst(Tokens):
    def forward(self, x):
        return self.fc(self.block(self.patch(x).flatten(2).permute(2, 0, 1)).mean(0))


def _encoder(batch_first: bool) -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=batch_first)


@pair
def tokens_first():
    return same_weights(Tokens(_encoder(True)), TokensFirst(_encoder(False)))


class Attention(nn.Module):
    """As `nn.MultiheadAttention` without it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv_weight = nn.Parameter(torch.empty(48, 16))
        self.qkv_bias = nn.Parameter(torch.empty(48))
        self.out = nn.Linear(16, 16)

    def forward(self, x):
        b, n, c = x.shape
        qkv = F.linear(x, self.qkv_weight, self.qkv_bias).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.out(x.transpose(1, 2).reshape(b, n, c))


class AttentionLayers(Attention):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (c // 2) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, c))


class Torchs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


@pair
def attention_of_torch_or_of_layers():
    return same_weights(Tokens(Torchs()), Tokens(AttentionLayers()))


@pair
def attention_of_parameters_or_of_layers():
    return same_weights(Tokens(AttentionLayers()), Tokens(Attention()))


class Rows(nn.Module):
    """Each row of the image is a step."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.batch_first = batch_first
        self.a, self.b = nn.Linear(CHANNELS * SIDE, 16), nn.Linear(16, 16)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3) if self.batch_first else x.permute(2, 0, 1, 3)
        x = torch.relu(self.b(torch.relu(self.a(x.flatten(2)))))
        return self.fc(x.mean(1 if self.batch_first else 0))


@pair
def steps_first():
    return same_weights(Rows(True), Rows(False))


class FoldedRows(Rows):
    """Steps and samples in one dimension, steps outside or inside."""

    def forward(self, x):
        n = len(x)
        x = x.permute(0, 2, 1, 3) if self.batch_first else x.permute(2, 0, 1, 3)
        x = torch.relu(self.b(torch.relu(self.a(x.flatten(2).flatten(0, 1)))))
        x = x.unflatten(0, (n, SIDE) if self.batch_first else (SIDE, n))
        return self.fc(x.mean(1 if self.batch_first else 0))


@pair
def steps_folded():
    return same_weights(FoldedRows(True), FoldedRows(False))


@pair
def steps_folded_or_not():
    return same_weights(Rows(True), FoldedRows(False))


class Recurrent(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.batch_first = batch_first
        self.cell = nn.LSTM(CHANNELS * SIDE, 8, batch_first=batch_first)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3).flatten(2)
        if self.batch_first:
            return self.fc(self.cell(x)[0][:, -1])
        return self.fc(self.cell(x.transpose(0, 1))[0][-1])


class RecurrentByHand(Recurrent):
    def forward(self, x):
        x = x.permute(2, 0, 1, 3).flatten(2)
        h, c = x.new_zeros(x.shape[1], 8), x.new_zeros(x.shape[1], 8)
        w, u, v, t = (
            self.cell.weight_ih_l0,
            self.cell.weight_hh_l0,
            self.cell.bias_ih_l0,
            self.cell.bias_hh_l0,
        )
        for step in x:
            i, f, g, o = (F.linear(step, w, v) + F.linear(h, u, t)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.fc(h)


@pair
def recurrent_steps_first():
    return same_weights(Recurrent(True), Recurrent(False))


@pair
def recurrent_by_hand():
    return same_weights(Recurrent(True), RecurrentByHand(True))


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
def hook_that_replaces_the_output():
    class Scaled(nn.Module):
        def forward(self, x):
            return 2 * x

    a, b = stack(), stack()
    b[3].register_forward_hook(lambda module, inputs, output: 2 * output)
    return nn.Sequential(*a[:4], Scaled(), *a[4:]), b


@pair
def lazy_layers():
    a, b = stack(), stack()
    lazy = nn.Sequential(
        nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(), *b[3:8], nn.LazyLinear(CLASSES)
    )
    lazy(torch.zeros(2, CHANNELS, SIDE, SIDE))
    return same_weights(a, lazy)


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
