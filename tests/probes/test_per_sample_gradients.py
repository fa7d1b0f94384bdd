"""Gradients per sample from one backward pass, against one backward pass for each sample."""

import numpy as np
import pytest
import torch
from torch import nn

from fusion.images.base import Batch
from fusion.probes import PROBES
from fusion.probes.base import Subject, Undefined
from fusion.probes.initialisation import kaiming
from fusion.probes.one_by_one import gram_one_by_one
from fusion.probes.tangent_kernel import per_sample_gram

SAMPLES = 5
X = torch.randn(SAMPLES, 4, 9, 8, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
BATCH = Batch(X, torch.arange(SAMPLES) % 2, 2)
CONVOLUTIONS = {
    "plain": {"kernel_size": 3},
    "padded": {"kernel_size": 3, "padding": (1, 2)},
    "strided": {"kernel_size": 3, "stride": (2, 3), "padding": 1},
    "strided with a rest": {"kernel_size": 4, "stride": 3},
    "grouped": {"kernel_size": 3, "groups": 2, "bias": False},
    "depthwise": {"kernel_size": 3, "groups": 4, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 3, "dilation": (2, 3), "padding": 2},
    "kernel 1": {"kernel_size": 1},
    "kernel 1 strided": {"kernel_size": 1, "stride": (2, 3), "bias": False},
    "kernel 1 grouped": {"kernel_size": 1, "groups": 2, "stride": 2},
    "kernel 1 padded": {"kernel_size": 1, "padding": 1},
    "padded beyond the kernel": {"kernel_size": 2, "padding": 2, "stride": 2},
    "oblong": {"kernel_size": (5, 2), "padding": (2, 0)},
}


class Net(nn.Module):
    """One convolution among others; linear layers on vectors and on sequences."""

    def __init__(self, how: dict, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, **how)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.mix = nn.Linear(8, 6)
        self.head = nn.Linear(6, 2, bias=False)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.head(torch.relu(self.mix(x.flatten(2).transpose(1, 2))).mean(1))


def build(case: str, norm: bool = True) -> nn.Module:
    torch.manual_seed(9)
    network = Net(CONVOLUTIONS[case], norm).double()
    for p in network.parameters():
        nn.init.normal_(p, 0.3, 0.5)
    return network


def own(network):
    return {name: p.detach() for name, p in network.named_parameters()}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_gram_matrix_of_a_convolution(case):
    network = build(case, norm=False)
    rows = []
    for x in X:
        found = torch.autograd.grad(network(x[None]).sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in found]))
    G = torch.stack(rows)
    torch.testing.assert_close(per_sample_gram(network, own(network), X), G @ G.T)


def test_gram_matrix_with_the_statistics_of_the_batch():
    """Batch normalisation, with weights that are not 1 and 0, as one affine map for all samples."""
    network = build("plain")
    maps = network.conv(X).detach()
    norm = network.norm
    norm.running_mean = maps.mean((0, 2, 3))
    norm.running_var = maps.var((0, 2, 3), correction=0)
    rows = []
    for x in X:
        found = torch.autograd.grad(network.eval()(x[None]).sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in found]))
    G = torch.stack(rows)
    nn.init.zeros_(norm.running_mean)
    nn.init.ones_(norm.running_var)
    torch.testing.assert_close(per_sample_gram(network, own(network), X), G @ G.T)
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1).all()


def fisher(network):
    """The Fisher information of the first number of each tensor, sample by sample and class by class."""
    network.load_state_dict(kaiming(network, "fan_in", 0), strict=False)
    network.eval()
    tensors = list(network.parameters())
    total = np.zeros((len(tensors), len(tensors)))
    for x in X:
        logits = network(x[None])[0]
        rows = [torch.autograd.grad(logit, tensors, retain_graph=True) for logit in logits]
        J = np.array([[float(g.flatten()[0]) for g in row] for row in rows])
        p = 0.95 * logits.detach().softmax(0).numpy() + 0.05 / len(logits)
        total += J.T @ (np.diag(p) - np.outer(p, p)) @ J
    return torch.from_numpy(total / len(X))


def fisher_information(network, batch=BATCH):
    return PROBES["fisher_spectrum"].run(Subject(lambda: network, batch), frozenset({"fisher_information"}))[
        "fisher_information"
    ]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_first_weights_of_a_convolution(case):
    torch.testing.assert_close(fisher_information(build(case)), fisher(build(case)))


def test_first_weights_do_not_depend_on_statistics_seen_before():
    network = build("strided").train()
    network(3 * X + 1)
    torch.testing.assert_close(fisher_information(network), fisher(build("strided")))


def test_more_logits_than_classes_of_the_images():
    torch.testing.assert_close(
        fisher_information(build("plain"), Batch(X, BATCH.y, 1)), fisher(build("plain"))
    )


def test_weights_of_another_kind_one_sample_after_the_other():
    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__(CONVOLUTIONS["plain"])
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return super().forward(x) * self.scale

    def scaled():
        torch.manual_seed(9)
        return Scaled().double()

    torch.testing.assert_close(fisher_information(scaled()), fisher(scaled()))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalised_maps_that_are_read_as_tokens(memory_format):
    """Of one image alone, the gradient of torch's batch normalisation may be wrong there."""

    class Tokens(Net):
        def forward(self, x):
            tokens = self.norm(self.conv(x)).flatten(2).transpose(1, 2)
            weighed = tokens * torch.linspace(0, 1, tokens[0].numel()).view_as(tokens[:1])
            return self.head(torch.relu(self.mix(weighed.sum(1))))

    torch.manual_seed(9)
    network = Tokens(CONVOLUTIONS["plain"]).double().to(memory_format=memory_format).eval()
    x = X.contiguous(memory_format=memory_format)
    trained = [name for name, _ in network.named_parameters()]
    found = gram_one_by_one(network, own(network), trained, x, [True])
    network.norm.momentum = None  # so that the running statistics are those of the batch
    maps = network.train().conv(x)
    network.norm(maps)
    network.norm.running_var.copy_(maps.detach().var((0, 2, 3), correction=0))
    logits = network.eval()(x)
    rows = []
    for own_logits in logits:
        gradients = torch.autograd.grad(own_logits.sum(), list(network.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    G = torch.stack(rows)
    torch.testing.assert_close(found, G @ G.T)


def test_a_norm_without_statistics_couples_samples():
    network = build("plain")
    network.norm = nn.BatchNorm2d(8, track_running_stats=False).double()
    with pytest.raises(Undefined, match="statistics"):
        fisher_information(network)
    with pytest.raises(Undefined, match="statistics"):
        per_sample_gram(network, own(network), X)
