"""Every indicator against a few lines that compute it another way, in float64, on a tiny network."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from fusion.extraction.planner import compute
from fusion.images.base import Batch
from fusion.indicators import INDICATORS
from fusion.probes.base import Subject
from fusion.probes.linear_regions import random_patches
from fusion.probes.perturbed_pass import SCALE
from fusion.probes.tangent_kernel import kaiming_fan_out
from fusion.seeding import derive_seed

SAMPLES, CLASSES, SEED = 6, 3, 7


class Tiny(nn.Module):
    """Convolutions with and without bias, stride, groups and padding; norms; a linear layer."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6), nn.ReLU()
        )
        self.side = nn.Conv2d(4, 6, 1, stride=2)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        return self.head((self.body(x) + self.side(x)).mean((2, 3)))


def build(channels: int = 2) -> nn.Module:
    torch.manual_seed(3)
    return Tiny(channels).double()


@pytest.fixture(scope="module")
def batch() -> Batch:
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(SAMPLES, 2, 7, 7, generator=generator, dtype=torch.float64)
    return Batch(x, torch.arange(SAMPLES) % CLASSES, CLASSES)


@pytest.fixture(scope="module")
def computed(batch) -> dict[str, float]:
    subject = Subject(build, batch, seed=SEED, build_thin=lambda: build(1))
    values = compute(list(INDICATORS), subject)
    assert {v.status for v in values} == {"ok"}
    return {v.indicator: v.value for v in values}


def codes(network: nn.Module, x: torch.Tensor) -> np.ndarray:
    """Signs of the inputs of both ReLUs, by calling the layers one after another."""
    network.train()
    with torch.no_grad():
        a = network.stem(x)
        b = network.body[2](network.body[1](a.clamp(min=0)))
    return np.concatenate([(a > 0).flatten(1).numpy(), (b > 0).flatten(1).numpy()], 1).astype(float)


def agreement(c: np.ndarray) -> np.ndarray:
    return np.array([[sum(a == b for a, b in zip(u, v, strict=True)) for v in c] for u in c], dtype=float)


def reference_naswot(batch):
    return math.log(abs(np.linalg.det(agreement(codes(build(), batch.x)))))


def reference_das_distinguish(batch):
    c = codes(build(), batch.x)
    return math.log(abs(np.linalg.det(agreement(c) / c.shape[1])))


def reference_das_units(batch):
    return SAMPLES * math.log(codes(build(), batch.x).shape[1])


def reference_das(batch):
    c = codes(build(), batch.x)
    return abs(np.linalg.det(agreement(c) / c.shape[1])) ** (1 / SAMPLES) * math.log(c.shape[1])


def reference_cj(batch):
    network, x = build(), batch.x.clone().requires_grad_()
    network.train()
    rows = torch.autograd.grad(network(x).sum(), x)[0].reshape(SAMPLES, -1).numpy()
    v = np.linalg.eigvals(np.corrcoef(rows)).real.clip(min=0)
    return -sum(math.log(e + 1e-5) + 1 / (e + 1e-5) for e in v)


def reference_os(batch):
    noise = torch.randn(
        batch.x.shape, generator=torch.Generator().manual_seed(derive_seed("perturbation", SEED))
    )
    network = build().train()
    with torch.no_grad():
        change = network(batch.x + SCALE * noise) - network(batch.x)
    return np.var(change.numpy().mean(1))


def reference_nlr(batch):
    c = codes(build(1), random_patches(batch.x, SEED))
    patterns = ["".join(str(int(bit)) for bit in row) for row in c]
    return sum(1 / patterns.count(p) for p in patterns)


def reference_cnntk(batch):
    """One backward pass per sample, with the batch's statistics as constants of evaluation mode."""
    network = build()
    kaiming_fan_out(network, SEED)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(batch.x)
    count = {id(norms[0]): SAMPLES * 49, id(norms[1]): SAMPLES * 16}
    for norm in norms:  # running variances are unbiased, those of the pass are not
        norm.running_var *= (count[id(norm)] - 1) / count[id(norm)]
    network.eval()
    rows = []
    for x in batch.x:
        grads = torch.autograd.grad(network(x[None]).sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in grads]))
    G = torch.stack(rows).numpy()
    return np.linalg.cond(G @ G.T)


def reference_params(batch):
    # stem 4x2x3x3, its norm, 6x2x3x3 with bias, its norm, 6x4 with bias, 3x6 with bias
    return 72 + 8 + 108 + 6 + 12 + 24 + 6 + 18 + 3


def reference_flops(batch):
    # 7x7 positions of the stem, 4x4 of the strided layers, and the linear layer
    return 49 * 72 + 16 * 108 + 16 * 24 + 18


@pytest.mark.parametrize("name", list(INDICATORS))
def test_equals_its_reference(name, batch, computed):
    expected = globals()[f"reference_{name}"](batch)
    assert computed[name] == pytest.approx(expected, rel=1e-6)


def test_naswot_is_the_sum_of_the_two_metrics_of_das(computed):
    assert computed["naswot"] == pytest.approx(computed["das_distinguish"] + computed["das_units"], rel=1e-12)


def test_float32_agrees_with_float64_in_rank_and_size(batch, computed):
    single = Batch(batch.x.float(), batch.y, CLASSES)
    values = compute(
        list(INDICATORS), Subject(lambda: build().float(), single, SEED, lambda: build(1).float())
    )
    for v in values:
        assert v.value == pytest.approx(computed[v.indicator], rel=2e-2), v.indicator


def test_correlation_of_jacobian_is_highest_for_unrelated_samples():
    cj = INDICATORS["cj"].function
    rng = np.random.default_rng(0)
    unrelated = torch.from_numpy(rng.standard_normal((8, 500)))
    related = torch.from_numpy(rng.standard_normal((1, 500)) + 0.3 * rng.standard_normal((8, 500)))
    assert cj(unrelated) > cj(related)


def test_condition_number_does_not_depend_on_the_scale_of_the_logits(batch):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build()

        def forward(self, x):
            return 5 * self.inner(x)

    plain, times_five = (compute(["cnntk"], Subject(make, batch, SEED))[0].value for make in (build, Scaled))
    assert times_five == pytest.approx(plain, rel=1e-6)


def test_references_do_not_change_the_network(batch):
    network = build()
    before = copy.deepcopy(network.state_dict())
    compute(list(INDICATORS), Subject(lambda: network, batch, SEED, lambda: build(1)))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_spearman_of_repeats_is_high_for_the_stable_indicators(batch):
    """Networks of different widths keep their order under another initialisation."""

    def network(width: int, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(2, width, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, CLASSES),
        ).double()

    widths = (2, 4, 8, 16, 32)
    scores = [
        [compute(["naswot"], Subject(lambda w=w, s=s: network(w, s), batch))[0].value or -1e3 for w in widths]
        for s in (0, 1)
    ]
    assert stats.spearmanr(*scores)[0] > 0.8
