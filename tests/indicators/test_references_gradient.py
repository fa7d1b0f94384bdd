"""References of the indicators of the loss's gradient at the weights, and of synaptic flow."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.indicators.tiny_network import BATCH, LAYERS, build, family, layer, outputs, values, weights

NAMES = family("gradient", "synflow")


def gradients(batch, **graph):
    """Return for each layer its weight and the gradient of the loss there."""
    network = build().train()
    layers = [network.get_submodule(name).weight for name in LAYERS]
    loss = functional.cross_entropy(network(batch.x), batch.y)
    return list(zip(layers, torch.autograd.grad(loss, layers, **graph), strict=True))


def reference_grad_norm(batch):
    return sum(np.sqrt((g.numpy() ** 2).sum()) for _, g in gradients(batch))


def reference_snip(batch):
    """Derivative of the loss with respect to a factor, 1, at each weight."""
    state = weights(build())
    factors = {f"{name}.weight": torch.ones_like(state[f"{name}.weight"]).requires_grad_() for name in LAYERS}
    o = outputs(batch.x, state | {name: state[name] * c for name, c in factors.items()})
    functional.cross_entropy(o["head"], batch.y).backward()
    return sum(float(c.grad.abs().sum()) for c in factors.values())


def reference_plain(batch):
    """Derivative of the loss with respect to one factor at all weights."""
    state, factor = weights(build()), torch.ones((), dtype=torch.float64, requires_grad=True)
    o = outputs(batch.x, state | {f"{name}.weight": state[f"{name}.weight"] * factor for name in LAYERS})
    functional.cross_entropy(o["head"], batch.y).backward()
    return float(factor.grad)


def reference_grasp(batch):
    """The exact Hessian times the gradient, by differentiating twice."""
    found = gradients(batch, create_graph=True)
    product = sum((g * g.detach()).sum() for _, g in found)
    H_g = torch.autograd.grad(product, [w for w, _ in found])
    return -sum(float((w * h).sum()) for (w, _), h in zip(found, H_g, strict=True))


def reference_fisher(batch):
    state = {name: w.clone().requires_grad_() for name, w in weights(build()).items()}
    o = outputs(batch.x, state)
    loss = functional.cross_entropy(o["head"], batch.y)
    total = 0.0
    for name in LAYERS:
        (g,) = torch.autograd.grad(loss, o[name], retain_graph=True)
        for channel in range(o[name].shape[1]):
            products = [float((o[name][n, channel] * g[n, channel]).sum()) for n in range(len(batch.x))]
            total += 0.5 * np.mean(np.square(products))
    return total


def reference_zico(batch):
    """Each half of the batch goes through weights of its own."""
    copies = [
        {name: w.clone().requires_grad_() for name, w in weights(build()).items() if "1.bias" not in name}
        for _ in range(2)
    ]
    cut = math.ceil(len(batch.x) / 2)

    def two_layers(state, name, a, **how):
        return torch.cat([layer(copies[0], name, a[:cut], **how), layer(copies[1], name, a[cut:], **how)])

    o = outputs(batch.x, weights(build()), layer=two_layers)
    loss = functional.cross_entropy(o["head"], batch.y)
    total = 0.0
    for name in LAYERS:
        g = [torch.autograd.grad(loss, c[f"{name}.weight"], retain_graph=True)[0].numpy() for c in copies]
        ratio = np.mean(np.abs(g), axis=0) / np.std(g, axis=0)
        total += math.log(ratio.sum())
    return total


def reference_synflow(batch):
    state = {name: w.abs().requires_grad_() for name, w in weights(build()).items()}
    o = outputs(torch.ones_like(batch.x[:1]), state, norm=lambda state, name, a: a)
    o["head"].sum().backward()
    return math.log(sum(float((w * w.grad).abs().sum()) for name, w in state.items() if name[:-7] in LAYERS))


@pytest.fixture(scope="module")
def computed():
    return values(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name, computed):
    # grasp takes a difference where the reference differentiates
    rel = 1e-3 if name == "grasp" else 1e-6
    assert computed[name] == pytest.approx(globals()[f"reference_{name}"](BATCH), rel=rel)


def test_the_hand_written_network_is_the_network():
    network = build().train()
    assert torch.allclose(outputs(BATCH.x, weights(network))["head"], network(BATCH.x), rtol=1e-12)
