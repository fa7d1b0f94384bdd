"""Networks of every kind against brute force: autograd on the whole network, one sample at a time."""

import copy
import gc
import math
import weakref
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from fusion.extraction.planner import compute
from fusion.images.base import Batch
from fusion.probes.base import Subject
from fusion.probes.initialisation import kaiming

SIDE, CLASSES, SAMPLES = 8, 5, 9
_GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(SAMPLES, 3, SIDE, SIDE, generator=_GENERATOR, dtype=torch.float64)
Y = torch.arange(SAMPLES) % CLASSES


class Std(nn.Conv2d):
    """Weight standardisation."""

    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.var((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        return functional.conv2d(x, w, self.bias, self.stride, self.padding)


class NormRelu(nn.BatchNorm2d):
    def forward(self, x):
        return functional.relu(super().forward(x))


class Recomputed(nn.Module):
    def __init__(self, inner, reentrant) -> None:
        super().__init__()
        self.inner, self.reentrant = inner, reentrant

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=self.reentrant)


class Calls(nn.Module):
    """A function of its layers."""

    def __init__(self, function, **layers) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def conv(a=3, b=4, size=3, cls=nn.Conv2d, **how):
    return cls(a, b, size, **{"padding": 1, **how})


def plain(*middle, width=4):
    return nn.Sequential(conv(), nn.BatchNorm2d(4), *middle, nn.Flatten(), nn.Linear(width * 64, CLASSES))


def tied():
    network = plain(nn.ReLU(), conv(4), nn.ReLU(), conv(4))
    network[5].weight = network[3].weight
    return network


def pruned():
    network = plain(nn.ReLU(), conv(4))
    prune.l1_unstructured(network[3], "weight", 0.5)
    return network


def frozen():
    network = plain(nn.ReLU(), conv(4))
    network[0].requires_grad_(False)
    return network


def tokens(n, x):
    x = n.patch(x).flatten(2).transpose(1, 2)
    x = x + n.attention(n.norm(x), n.norm(x), n.norm(x))[0]
    return n.head((x + n.mlp(x)).mean(1))


def transformer():
    return Calls(
        tokens,
        patch=nn.Conv2d(3, 8, 4, stride=4),
        norm=nn.LayerNorm(8),
        attention=nn.MultiheadAttention(8, 2, batch_first=True),
        mlp=nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)),
        head=nn.Linear(8, CLASSES),
    )


def steps(n, x):
    x = torch.relu(n.a(x.permute(2, 0, 1, 3).flatten(2)))
    return n.head(torch.relu(n.b(x)).mean(0))


NETWORKS = {
    "standardised weights": lambda: plain(nn.ReLU(), conv(4, cls=Std)),
    "a norm with an activation": lambda: nn.Sequential(
        conv(), NormRelu(4), conv(4), nn.Flatten(), nn.Linear(256, CLASSES)
    ),
    "tied": tied,
    "a layer called twice": lambda: Calls(
        lambda n, x: n.head(n.c(torch.relu(n.c(n.stem(x)))).flatten(1)),
        stem=conv(),
        c=conv(4),
        head=nn.Linear(256, CLASSES),
    ),
    "frozen in part": frozen,
    "group norm": lambda: plain(nn.GroupNorm(2, 4), nn.SiLU(), conv(4)),
    "a norm of vectors without weights": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16, affine=False), nn.ReLU(), nn.Linear(16, CLASSES)
    ),
    "layers as functions": lambda: Calls(
        lambda n, x: n.head(torch.relu(functional.conv2d(x, n.c.weight, n.c.bias, padding=1)).flatten(1)),
        c=conv(),
        head=nn.Linear(256, CLASSES),
    ),
    "recomputed": lambda: plain(Recomputed(nn.Sequential(nn.ReLU(), conv(4), nn.BatchNorm2d(4)), False)),
    "recomputed by entering again": lambda: plain(Recomputed(nn.Sequential(nn.ReLU(), conv(4)), True)),
    "circular padding": lambda: plain(nn.ReLU(), conv(4, padding_mode="circular")),
    "transposed": lambda: plain(nn.ReLU(), nn.ConvTranspose2d(4, 4, 3, padding=1)),
    "signals": lambda: Calls(
        lambda n, x: n.head(torch.relu(n.norm(n.c(x.flatten(2)))).mean(2)),
        c=nn.Conv1d(3, 6, 5),
        norm=nn.BatchNorm1d(6),
        head=nn.Linear(6, CLASSES),
    ),
    "a transformer": transformer,
    "steps first": lambda: Calls(steps, a=nn.Linear(24, 8), b=nn.Linear(8, 8), head=nn.Linear(8, CLASSES)),
    "an auxiliary head": lambda: Calls(
        lambda n, x: (
            (n.head(n.c(x).flatten(1)), n.aux(x.flatten(1))) if n.training else n.head(n.c(x).flatten(1))
        ),
        c=conv(),
        head=nn.Linear(256, CLASSES),
        aux=nn.Linear(192, CLASSES),
    ),
}


def build(name):
    torch.manual_seed(3)
    return NETWORKS[name]().double()


def values(name, *indicators):
    found = compute(indicators, Subject(lambda: build(name), Batch(X, Y, CLASSES), seed=4))
    assert [v.status for v in found if v.value is None] == []
    return {v.indicator: v.value for v in found}


def logits(network, x):
    out = network(x)
    return out if isinstance(out, torch.Tensor) else out[0]


def with_constant_statistics(network):
    """Return the network in evaluation mode, its statistics those of the batch in training mode."""

    def take(norm, inputs):
        dims = [d for d in range(inputs[0].dim()) if d != 1]
        norm.running_mean.copy_(inputs[0].detach().mean(dims))
        norm.running_var.copy_(inputs[0].detach().var(dims, correction=0))

    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [norm.register_forward_pre_hook(take) for norm in norms]
    with torch.no_grad():
        network.eval()(X)
    for handle in handles:
        handle.remove()
    return network


def without_checkpoints(network):
    """Return the network with its parts called as they are."""
    network = copy.deepcopy(network)
    for i, part in enumerate(network.children()):
        if isinstance(part, Recomputed):
            network[i] = part.inner
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_tangent_kernel(name):
    network = build(name)
    network.load_state_dict(kaiming(network, "fan_out", 4), strict=False)
    network = with_constant_statistics(without_checkpoints(network))
    trained = [p for p in network.parameters() if p.requires_grad]
    rows = []
    for x in X:
        found = torch.autograd.grad(logits(network, x[None]).sum(), trained, allow_unused=True)
        rows.append(torch.cat([g.flatten() for g in found if g is not None]))
    G = torch.stack(rows)
    eigenvalues = torch.linalg.eigvalsh(G @ G.T)
    found = values(name, "ntk_trace", "cnntk")
    assert found["ntk_trace"] == pytest.approx(float(eigenvalues.sum()), rel=1e-6)
    assert found["cnntk"] == pytest.approx(float(eigenvalues[-1] / eigenvalues[0]), rel=1e-4)


def layer_weights(network):
    """Weights that multiply, each once; of attention both."""
    kinds = nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear
    found = [m.weight for m in network.modules() if isinstance(m, kinds) and m.weight.requires_grad]
    found += [m.in_proj_weight for m in network.modules() if isinstance(m, nn.MultiheadAttention)]
    return list({id(weight): weight for weight in found}.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_the_loss(name):
    network = without_checkpoints(build(name)).train()
    weights = layer_weights(network)
    loss = functional.cross_entropy(logits(network, X), Y)
    pairs = zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True)
    pairs = [(w.detach(), g) for w, g in pairs if g is not None]
    found = values(name, "grad_norm", "snip", "plain", "l2_norm")
    assert found["grad_norm"] == pytest.approx(sum(float(g.norm()) for _, g in pairs))
    assert found["snip"] == pytest.approx(sum(float((w * g).abs().sum()) for w, g in pairs))
    assert found["plain"] == pytest.approx(sum(float((w * g).sum()) for w, g in pairs), abs=1e-9)
    assert found["l2_norm"] == pytest.approx(sum(float(w.detach().norm()) for w in weights))


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "a transformer"])
def test_multiply_accumulates(name):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        without_checkpoints(build(name)).eval()(X[:1])
    assert 2 * values(name, "flops")["flops"] == counter.get_total_flops()


def test_of_attention_the_products_with_weights_are_counted():
    patches, width = 4, 8
    of_tokens = 3 * width * width + width * width + 2 * width * 16
    expected = patches * (width * 3 * 16 + of_tokens) + width * CLASSES
    assert values("a transformer", "flops")["flops"] == expected


@pytest.mark.parametrize("fused", [True, False])
def test_activations_of_attention_are_those_of_its_layers_scores_and_sums(fused):
    def attend(n, x):
        q, k, v = n.layer(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        if fused:
            out = functional.scaled_dot_product_attention(q[:, None], k[:, None, :5], v[:, None, :5])[:, 0]
        else:
            out = (q @ k[:, :5].transpose(1, 2)).softmax(-1) @ v[:, :5]
        return n.head(out.mean(1))

    network = Calls(attend, layer=nn.Linear(3, 12), head=nn.Linear(4, CLASSES)).double()
    found = compute(["activations"], Subject(lambda: network, Batch(X, Y, CLASSES)))
    positions, keys = 64, 5
    assert found[0].value == positions * (12 + keys + 4) + CLASSES


def test_activations_of_a_transformer_are_those_of_its_layers_scores_and_sums():
    patches, width, heads = 4, 8, 2
    of_tokens = width + 3 * width + heads * patches + width + width + 16 + width
    assert values("a transformer", "activations")["activations"] == patches * of_tokens + CLASSES


def test_of_a_pruned_layer_the_gradient_is_that_of_what_is_trained():
    torch.manual_seed(3)
    network = pruned().double().train()
    weights = [network[0].weight, network[3].weight_orig, network[5].weight]
    loss = functional.cross_entropy(network(X), Y)
    expected = sum(float(g.norm()) for g in torch.autograd.grad(loss, weights))

    def again():
        torch.manual_seed(3)
        return pruned().double()

    found = {
        v.indicator: v
        for v in compute(["grad_norm", "cnntk", "zen", "synflow"], Subject(again, Batch(X, Y, 5)))
    }
    assert found["grad_norm"].value == pytest.approx(expected)
    assert "weight_orig" in found["cnntk"].status
    assert "weight_orig" in found["zen"].status
    assert "weight_orig" in found["synflow"].status


def test_a_recurrent_layer_is_counted_step_by_step():
    network = Calls(
        lambda n, x: n.head(n.cell(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1]),
        cell=nn.LSTM(24, 6, batch_first=True),
        head=nn.Linear(6, CLASSES),
    ).double()
    found = {
        v.indicator: v.value for v in compute(["flops", "depth"], Subject(lambda: network, Batch(X, Y, 5)))
    }
    # the state is 0 before the first of eight steps
    assert found["flops"] == 8 * 24 * 24 + 7 * 6 * 24 + 6 * CLASSES
    assert found["depth"] == 8 + 1


def test_a_product_that_is_not_known_leaves_no_sum_without_its_weight():
    network = Calls(
        lambda n, x: n.head(n.both(x.flatten(1), x.flatten(1))),
        both=nn.Bilinear(192, 192, 4),
        head=nn.Linear(4, 5),
    ).double()
    names = ["flops", "depth", "snip", "l2_norm", "cnntk", "naswot", "params"]
    found = {v.indicator: v for v in compute(names, Subject(lambda: network, Batch(X, Y, CLASSES)))}
    assert all("trilinear are not known" in found[name].status for name in names[:5])
    assert found["params"].value == 192 * 192 * 4 + 4 + 25


def test_few_rectifiers_have_codes_of_all_activations_and_say_so():
    network = nn.Sequential(conv(), nn.Hardswish(), conv(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, CLASSES))
    (found,) = compute(["naswot"], Subject(network.double, Batch(X, Y, CLASSES)))
    a = network[0](X)
    codes = torch.cat([(a > 0).flatten(1), (network[2](network[1](a)) > 0).flatten(1)], 1).double()
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    assert found.value == pytest.approx(float(torch.linalg.slogdet(kernel)[1]))
    assert found.status == "ok: codes are the signs of the inputs of all activations, not of rectifiers alone"


def test_outputs_that_sum_to_the_same_have_no_gradient_of_their_sum():
    network = nn.Sequential(plain(nn.ReLU()), nn.Softmax(1)).double()
    names = ["cj", "synflow", "ntk_trace", "grad_norm", "naswot"]
    found = {v.indicator: v for v in compute(names, Subject(lambda: network, Batch(X, Y, CLASSES)))}
    assert all("probabilities" in found[name].status for name in names[:3])
    assert found["grad_norm"].value > 0
    assert math.isfinite(found["naswot"].value)


@pytest.mark.parametrize("name", ["standardised weights", "steps first", "a layer called twice"])
def test_a_network_is_freed_when_it_is_done_with(name):
    """Also where values are undefined: a reason keeps no frames."""

    def measured():
        network = build(name)
        found = compute(names, Subject(partial(lambda module: module, network), Batch(X, Y, CLASSES)))
        assert any(value.value is None for value in found)
        return weakref.ref(network)

    names = ["naswot", "fisher", "zico", "cnntk", "zen", "synflow", "az_trainability"]
    gc.disable()
    try:
        assert measured()() is None
    finally:
        gc.enable()


def test_a_network_that_computes_otherwise_for_more_images():
    """What was found out with two images is not taken for granted where the calls are others."""

    def forward(n, x):
        x = torch.relu(n.c(x))
        return n.head((torch.relu(n.d(x)) if len(x) > 2 else n.d(x)).flatten(1))

    network = Calls(forward, c=conv(), d=conv(4), head=nn.Linear(256, CLASSES)).double()
    names = ["naswot", "meco", "az_expressivity", "zico", "grad_norm", "params"]
    found = {v.indicator: v for v in compute(names, Subject(lambda: network, Batch(X, Y, CLASSES)))}
    assert "for more images" in found["naswot"].status
    assert "for more images" in found["meco"].status
    assert "for more images" in found["az_expressivity"].status
    assert found["zico"].value is None
    assert found["grad_norm"].value > 0
