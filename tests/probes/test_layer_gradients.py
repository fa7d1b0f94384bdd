"""Gradients of layers, taken as a backward pass comes by, against autograd's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.probes.base import Undefined
from fusion.probes.layers import LayerGradients
from fusion.probes.survey import declared_weights

BATCH = 5


def flat(network):
    """The network with its output as logits."""
    return nn.Sequential(network, nn.Flatten())


def images(*size):
    return torch.randn(BATCH, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def watched(network, x):
    """Return the gradients by name of the layer, of a loss that mixes outputs but no samples."""
    x = x.clone().requires_grad_()
    gradients = watch(network)
    with gradients.watching():
        out = network(x)
    loss = sum_of_squares(out)
    return dict(zip(names(network), gradients.backward(loss, x), strict=True))


def names(network):
    return [name.removesuffix(".weight") for name in declared_weights(network)]


def watch(network):
    """Watch a network of which nothing is known but that samples come first."""
    return LayerGradients(declared_weights(network), BATCH, lambda number: True)


def sum_of_squares(out):
    target = torch.linspace(-1, 1, out[0].numel(), dtype=out.dtype)
    return (out.flatten(1) - target).square().sum(1).mean()


def own_gradients(network, x, part=slice(None)):
    """Autograd's gradients from a part of the samples, as parts of the mean over all."""
    loss = sum_of_squares(network(x[part])) * len(x[part]) / len(x)
    found = torch.autograd.grad(loss, [*declared_weights(network).values()])
    return dict(zip(names(network), found, strict=True))


CASES = {
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1), (4, 9)),
    "conv2d": (nn.Conv2d(4, 6, 3), (4, 7, 6)),
    "conv3d": (nn.Conv3d(2, 3, 3, padding=1), (2, 4, 5, 3)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (4, 7, 7)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (4, 7, 7)),
    "strided": (nn.Conv2d(4, 6, 3, stride=(2, 3)), (4, 8, 9)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=(2, 1), padding=(2, 0)), (4, 8, 9)),
    "same": (nn.Conv2d(4, 6, (4, 3), padding="same"), (4, 8, 9)),
    "same dilated": (nn.Conv1d(4, 6, 4, padding="same", dilation=3), (4, 12)),
    "valid": (nn.Conv2d(4, 6, 3, padding="valid"), (4, 8, 9)),
    "reflect": (nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="reflect"), (4, 8, 9)),
    "circular": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", stride=2), (4, 8, 8)),
    "same replicate": (nn.Conv2d(4, 6, 4, padding="same", padding_mode="replicate"), (4, 8, 8)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (4, 5, 6)),
    "transposed grouped": (nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2), (4, 5, 6)),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3, stride=2), (4, 5)),
    "transposed 3d": (nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 3, 2, 3)),
    "linear": (nn.Linear(6, 4), (6,)),
    "linear on sequences": (nn.Linear(6, 4, bias=False), (7, 6)),
    "linear on maps": (nn.Linear(6, 4), (3, 2, 6)),
}


@pytest.mark.parametrize("case", CASES)
def test_gradient_and_halves_equal_autograd(case):
    layer, size = CASES[case]
    network, x = flat(layer).double(), images(*size)
    found = watched(network, x)
    cut = (BATCH + 1) // 2
    whole, *halves = (own_gradients(network, x, s) for s in (slice(None), slice(cut), slice(cut, None)))
    assert torch.equal(found["0"].weight, layer.weight)
    torch.testing.assert_close(found["0"].gradient, whole["0"])
    torch.testing.assert_close(found["0"].halves, torch.stack([half["0"] for half in halves]))


@pytest.mark.parametrize("case", CASES)
def test_saliency_is_the_mean_square_of_each_channels_product(case):
    layer, size = CASES[case]
    network, x = flat(layer).double(), images(*size)
    y = layer(x).detach().requires_grad_()
    (g,) = torch.autograd.grad(sum_of_squares(y), y)
    channels = -1 if isinstance(layer, nn.Linear) else 1
    product = (y * g).detach().movedim(channels, 1).reshape(BATCH, y.shape[channels], -1).sum(2)
    torch.testing.assert_close(watched(network, x)["0"].saliency, product.square().mean(0))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3 * 16, 2)

    def forward(self, x):
        return self.head(self.conv(self.conv(x).relu()).flatten(1))


def test_a_layer_called_twice_has_the_sum_of_both_calls():
    network, x = Twice().double(), images(3, 4, 4)
    found, expected = watched(network, x), own_gradients(network, x)
    for name in expected:
        torch.testing.assert_close(found[name].gradient, expected[name])
    parts = [own_gradients(network, x, s)["conv"] for s in (slice(3), slice(3, None))]
    torch.testing.assert_close(found["conv"].halves, torch.stack(parts))
    assert "twice" in str(found["conv"].saliency)
    assert not isinstance(found["head"].saliency, Undefined)


class Attention(nn.Module):
    """Uses the weight of its output projection without calling that layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 2, stride=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        return self.head((tokens + self.attention(tokens, tokens, tokens)[0]).mean(1))


def test_weights_used_without_calling_their_layer():
    network, x = Attention().double(), images(3, 6, 6)
    found, expected = watched(network, x), own_gradients(network, x)
    assert "attention.out_proj" in expected
    assert "attention.in_proj_weight" in expected
    for name in expected:
        torch.testing.assert_close(found[name].gradient, expected[name])
    assert found["attention.out_proj"].halves is None
    assert "otherwise than by calling" in str(found["attention.out_proj"].saliency)
    assert found["embed"].halves is not None


def test_frozen_weights_are_left_out():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2)).double()
    network[0].weight.requires_grad_(False)
    x = images(3, 6, 6)
    found = watched(network, x)
    assert list(found) == ["2"]
    torch.testing.assert_close(found["2"].gradient, own_gradients(network, x)["2"])


def test_samples_that_a_layer_mixes_up_have_no_halves():
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.over, self.head = nn.Linear(BATCH, BATCH), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(self.over(x.T).T)

    # 6 rows for 5 samples: a feature each
    found = watched(Mixing().double(), images(6))
    assert found["over"].halves is None
    assert found["head"].halves is not None


def test_layers_that_do_not_see_the_images():
    """As those that make relative positions out of coordinates."""

    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(1, 4), nn.Linear(4, 6), nn.Linear(6, 2)
            self.query, self.ask = nn.Parameter(torch.ones(3)), nn.Linear(3, 6)

        def forward(self, x):
            positions = self.second(self.first(torch.ones(1, 1, dtype=x.dtype)).tanh())
            return self.head((x * positions + self.ask(self.query)).tanh())

    network, x = Positions().double(), images(6)
    found, expected = watched(network, x), own_gradients(network, x)
    for name in ("first", "second", "ask", "head"):
        torch.testing.assert_close(found[name].gradient, expected[name])
        assert (found[name].halves is None) == (name != "head")


def test_layers_that_the_loss_does_not_use_are_left_out():
    class Idle(Twice):
        def __init__(self) -> None:
            super().__init__()
            self.never, self.in_vain = nn.Linear(2, 2), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            self.in_vain(x)
            return super().forward(x)

    network, x = Idle().double(), images(3, 4, 4).requires_grad_()
    gradients = watch(network)
    with gradients.watching():
        loss = sum_of_squares(network(x))
    found = [layer.weight for layer in gradients.backward(loss, x)]
    assert [weight.shape for weight in found] == [network.conv.weight.shape, network.head.weight.shape]


def test_an_output_changed_in_place_is_kept_as_it_was():
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(64, 2)

        def forward(self, x):
            return self.head(functional.relu_(self.conv(x)).flatten(1))

    network, x = InPlace().double(), images(3, 6, 6)
    found, expected = watched(network, x), own_gradients(network, x)
    torch.testing.assert_close(found["conv"].gradient, expected["conv"])
    y = network.conv(x).detach().requires_grad_()
    (g,) = torch.autograd.grad(sum_of_squares(network.head(y.relu().flatten(1))), y)
    torch.testing.assert_close(found["conv"].saliency, (y * g).detach().sum((2, 3)).square().mean(0))


def test_no_hook_is_left_and_the_graph_is_kept():
    network, x = Twice().double(), images(3, 4, 4).requires_grad_()
    gradients = watch(network)
    with gradients.watching():
        loss = sum_of_squares(network(x))
    assert not any(module._forward_hooks for module in network.modules())
    found = gradients.backward(loss, x)
    before = [layer.gradient.clone() for layer in found]
    loss.backward()
    assert all(torch.equal(a, layer.gradient) for a, layer in zip(before, found, strict=True))
