"""References of the indicators of the gradient at the input, from Jacobians formed as they are."""

import math

import numpy as np
import pytest
import torch

from fusion.extraction.planner import compute
from fusion.indicators import INDICATORS
from fusion.probes.base import Subject
from fusion.probes.clean_pass import random_signs
from fusion.probes.perturbed_pass import SCALE
from tests.indicators.tiny_network import (
    BATCH,
    CLASSES,
    SAMPLES,
    SEED,
    build,
    family,
    outputs,
    values,
    weights,
)

NAMES = family("jacobian")


def jacobian(batch):
    """Return d f[n, k] / d x[m, i] as (samples, classes, samples, pixels), and f."""
    state = weights(build())
    J = torch.autograd.functional.jacobian(lambda x: outputs(x, state)["head"], batch.x)
    return J.flatten(3).numpy(), outputs(batch.x, state)["head"]


def random_rows(batch):
    """Return for each sample the gradient of the logits, summed with random signs."""
    J, f = jacobian(batch)
    r = random_signs(f, SEED).numpy()
    return np.array(
        [sum(r[n, k] * J[n, k, m] for n in range(SAMPLES) for k in range(CLASSES)) for m in range(SAMPLES)]
    )


def reference_cj(batch):
    rows = jacobian(batch)[0].sum((0, 1))
    v = np.linalg.eigvals(np.corrcoef(rows)).real.clip(min=0)
    return -sum(math.log(e + 1e-5) + 1 / (e + 1e-5) for e in v)


def reference_epe_nas(batch):
    rows = jacobian(batch)[0].sum((0, 1))
    total = 0.0
    for c in range(CLASSES):
        mine = [row for row, y in zip(rows, batch.y, strict=True) if y == c]
        total += abs(sum(math.log(abs(np.corrcoef(a, b)[0, 1]) + 1e-5) for a in mine for b in mine))
    return total


def reference_jacobian_norm(batch):
    return math.sqrt(np.mean([(row**2).sum() for row in random_rows(batch)]))


def reference_os_limit(batch):
    rows = jacobian(batch)[0].mean(1).sum(0)  # of the mean of the logits
    return np.mean([SCALE**2 * (row**2).sum() for row in rows])


def reference_nlc(batch):
    S = np.cov(batch.x.flatten(1).numpy().T, bias=True)
    spread = np.trace(np.cov(jacobian(batch)[1].numpy().T, bias=True))
    return math.sqrt(np.mean([row @ S @ row for row in random_rows(batch)]) / spread)


@pytest.fixture(scope="module")
def computed():
    return values(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name, computed):
    assert computed[name] == pytest.approx(globals()[f"reference_{name}"](BATCH), rel=1e-6)


def test_squares_average_to_those_of_the_whole_jacobian():
    J, f = jacobian(BATCH)
    S = np.cov(BATCH.x.flatten(1).numpy().T, bias=True)
    exact = {
        "jacobian_norm": (J**2).sum() / SAMPLES,
        "nlc": np.einsum("nkmi,ij,nkmj->", J, S, J) / SAMPLES / np.var(f.numpy(), axis=0).sum(),
    }
    network = build()
    found = [
        {v.indicator: v.value**2 for v in compute(list(exact), Subject(lambda: network, BATCH, seed))}
        for seed in range(200)
    ]
    for name, value in exact.items():
        draws = [squares[name] for squares in found]
        error = np.std(draws) / math.sqrt(len(draws))
        assert error < 0.05 * value
        assert abs(np.mean(draws) - value) < 4 * error, name


def test_a_linear_network_has_a_nonlinearity_coefficient_of_one():
    x = BATCH.x.flatten(1)

    def linear():
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(x.shape[1], CLASSES)).double()

    network = linear()
    draws = [compute(["nlc"], Subject(lambda: network, BATCH, seed))[0].value ** 2 for seed in range(200)]
    assert np.mean(draws) == pytest.approx(1, abs=4 * np.std(draws) / math.sqrt(200))
    assert np.std(draws) / math.sqrt(200) < 0.05


def test_correlation_of_jacobian_is_highest_for_unrelated_samples():
    cj = INDICATORS["cj"].function
    rng = np.random.default_rng(0)
    unrelated = rng.standard_normal((8, 500))
    related = rng.standard_normal((1, 500)) + 0.3 * rng.standard_normal((8, 500))
    assert cj(torch.from_numpy(np.corrcoef(unrelated))) > cj(torch.from_numpy(np.corrcoef(related)))
