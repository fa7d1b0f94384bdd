"""Every indicator against a few lines that compute it another way, in float64, on a tiny network.

Those of the loss, of the input's gradient and of stages have a file `test_references_*.py`, those of cells
`test_graph_indicators.py`; all others are here, one function `reference_NAME` each.
"""

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
from fusion.probes.initialisation import kaiming
from fusion.probes.linear_regions import random_patches
from fusion.probes.perturbed_pass import SCALE
from fusion.seeding import derive_seed
from tests.indicators.tiny_network import (
    BATCH,
    CLASSES,
    LAYERS,
    NORMS,
    SAMPLES,
    SEED,
    build,
    codes,
    family,
    subject,
    values,
)

GRAPH = family("graph")
RUNNING = family("running")  # tests/probes/test_running.py
OF_PASSES = family("gradient", "jacobian", "stages", "feature_maps", "gaussian", "synflow")
ELSEWHERE = {*GRAPH, *OF_PASSES, *RUNNING}
HERE = [name for name in INDICATORS if name not in ELSEWHERE]
ALL = [name for name in INDICATORS if name not in GRAPH and name not in RUNNING]


@pytest.fixture(scope="module")
def computed() -> dict[str, float]:
    return values(ALL)


def agreement(c: np.ndarray) -> np.ndarray:
    return np.array([[sum(a == b for a, b in zip(u, v, strict=True)) for v in c] for u in c], dtype=float)


def ability_and_units(batch):
    c = codes(build(), batch.x)
    kernel = agreement(c) / c.shape[1]
    return abs(np.linalg.det(kernel)) ** (1 / SAMPLES), math.log(c.shape[1])


def reference_naswot(batch):
    return math.log(abs(np.linalg.det(agreement(codes(build(), batch.x)))))


def reference_das_distinguish(batch):
    return SAMPLES * math.log(ability_and_units(batch)[0])


def reference_das_units(batch):
    # the stem's 8x8 positions, 4x4 after the stride, twice
    return SAMPLES * math.log(4 * 64 + 6 * 16 + 6 * 16)


def reference_das(batch):
    return np.prod(ability_and_units(batch))


def reference_das_sum(batch):
    return sum(ability_and_units(batch))


def reference_das_harmonic(batch):
    return stats.hmean(ability_and_units(batch))


def reference_swap(batch):
    return len({tuple(unit) for unit in codes(build(), batch.x)[:16].T})


def reference_swap_regularised(batch):
    thousands = reference_params(batch) / 1e3
    return math.log(reference_swap(batch) * math.exp(-((thousands - 1e3) ** 2) / 1e6))


def reference_os(batch):
    noise = torch.randn(
        batch.x.shape, generator=torch.Generator().manual_seed(derive_seed("perturbation", SEED))
    )
    network = build().train()
    with torch.no_grad():
        change = network(batch.x + SCALE * noise) - network(batch.x)
    return np.var(change.numpy().mean(1))


def regions(batch):
    """How many inputs have the same pattern, for each input."""
    c = codes(build(1), random_patches(batch.x, SEED))
    patterns = ["".join(str(int(bit)) for bit in row) for row in c]
    return [patterns.count(p) for p in patterns]


def reference_nlr(batch):
    return sum(1 / size for size in regions(batch))


def reference_nlr_entropy(batch):
    sizes = regions(batch)
    return -sum(math.log(size / len(sizes)) for size in sizes) / len(sizes)


def reference_nlr_single(batch):
    return regions(batch).count(1)


def kernel(batch):
    """One backward pass per sample, with the batch's statistics as constants of evaluation mode."""
    network = build()
    network.load_state_dict(kaiming(network, "fan_out", SEED), strict=False)
    norms = [network.get_submodule(name) for name in NORMS]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(batch.x)
    for norm, positions in zip(norms, (64, 16, 16), strict=True):
        count = SAMPLES * positions  # running variances are unbiased, those of the pass are not
        norm.running_var *= (count - 1) / count
    network.eval()
    rows = []
    for x in batch.x:
        grads = torch.autograd.grad(network(x[None]).sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in grads]))
    G = torch.stack(rows).numpy()
    return G @ G.T


def reference_cnntk(batch):
    return np.linalg.cond(kernel(batch))


def reference_ntk_trace(batch):
    return np.linalg.eigvalsh(kernel(batch)).sum()


def reference_vkdnw(batch):
    """Every logit of every sample differentiated by itself; the first number of each tensor taken."""
    network = build()
    network.load_state_dict(kaiming(network, "fan_in", SEED), strict=False)
    network.eval()  # statistics are fresh: mean 0, variance 1
    tensors = list(network.parameters())
    fisher = np.zeros((len(tensors), len(tensors)))
    for x in batch.x[:16]:
        logits = network(x[None])[0]
        J = np.array(
            [
                [float(g.flatten()[0]) for g in torch.autograd.grad(f, tensors, retain_graph=True)]
                for f in logits
            ]
        )
        p = 0.95 * logits.detach().softmax(0).numpy() + 0.05 / CLASSES
        fisher += J.T @ (np.diag(p) - np.outer(p, p)) @ J / 16
    deciles = np.percentile(np.linalg.eigvalsh(fisher), range(10, 100, 10))
    return stats.entropy(deciles)


def reference_params(batch):
    # stem 4x2x3x3, its norm, 6x2x3x3 with bias, its norm, 6x4 with bias, 6x6x3x3 with bias, its norm, 3x6
    return 72 + 8 + 108 + 6 + 12 + 24 + 6 + 324 + 6 + 12 + 18 + 3


def reference_tensors(batch):
    # stem 1 and 2, body 2 and 2, side 2, block 2 and 2, head 2
    return 15


def reference_flops(batch):
    # 8x8 positions of the stem, 4x4 of the strided layers and of the block, and the linear layer
    return 64 * 72 + 16 * 108 + 16 * 24 + 16 * 324 + 18


def reference_activations(batch):
    # maps of the stem, of the three strided layers and of the block, and logits
    return 64 * 4 + 16 * 6 + 16 * 6 + 16 * 6 + 3


def reference_depth(batch):
    # stem, body or side, block, head
    return 4


def reference_l2_norm(batch):
    state = build().state_dict()
    return sum(math.sqrt(sum(w**2 for w in state[f"{name}.weight"].flatten().tolist())) for name in LAYERS)


@pytest.mark.parametrize("name", HERE)
def test_equals_its_reference(name, computed):
    expected = globals()[f"reference_{name}"](BATCH)
    assert computed[name] == pytest.approx(expected, rel=1e-6)


def test_every_indicator_has_a_reference():
    """No file is named above for the sake of an indicator that none of them tests."""
    from tests.indicators.test_references_gradient import NAMES as GRADIENT
    from tests.indicators.test_references_input_gradient import NAMES as INPUT
    from tests.indicators.test_references_stages import NAMES as STAGES

    assert sorted([*HERE, *GRAPH, *GRADIENT, *INPUT, *STAGES, *RUNNING]) == sorted(INDICATORS)


def test_naswot_is_the_sum_of_the_two_metrics_of_das(computed):
    assert computed["naswot"] == pytest.approx(computed["das_distinguish"] + computed["das_units"], rel=1e-12)


def test_float32_agrees_with_float64_in_rank_and_size(computed):
    single = Batch(BATCH.x.float(), BATCH.y, CLASSES)
    found = compute(ALL, Subject(lambda: build().float(), single, SEED, lambda: build(1).float()))
    for v in found:
        assert v.value == pytest.approx(computed[v.indicator], rel=2e-2), v.indicator


def test_condition_number_does_not_depend_on_the_scale_of_the_logits(computed):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = build()

        def forward(self, x):
            return 5 * self.inner(x)

    times_five = {v.indicator: v.value for v in compute(["cnntk", "ntk_trace"], Subject(Scaled, BATCH, SEED))}
    assert times_five["cnntk"] == pytest.approx(computed["cnntk"], rel=1e-6)
    assert times_five["ntk_trace"] == pytest.approx(25 * computed["ntk_trace"], rel=1e-6)


def test_references_do_not_change_the_network():
    one = subject()
    before = copy.deepcopy(one.network.state_dict())
    compute(ALL, one)
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_rectifiers_in_place_hide_nothing_from_any_indicator():
    def network(inplace: bool) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace)),
            *(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU6(inplace)),
            *(nn.Conv2d(6, 6, 3, padding=1), nn.LeakyReLU(0.1, inplace)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES)),
        ).double()

    names = [name for name in ALL if name not in family("regions")]  # no thin network here
    found = [
        {v.indicator: (v.value, v.status) for v in compute(names, Subject(lambda i=i: network(i), BATCH))}
        for i in (True, False)
    ]
    assert {status for _, status in found[0].values()} == {"ok"}
    assert found[0] == found[1]


def test_spearman_of_repeats_is_high_for_the_stable_indicators():
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
        [compute(["naswot"], Subject(lambda w=w, s=s: network(w, s), BATCH))[0].value or -1e3 for w in widths]
        for s in (0, 1)
    ]
    assert stats.spearmanr(*scores)[0] > 0.8
