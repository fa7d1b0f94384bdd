"""References of the indicators of feature maps: of stages, of layers, and with Gaussian weights."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from fusion.probes.gaussian_pass import gaussian_weights
from fusion.seeding import derive_seed
from tests.indicators.tiny_network import BATCH, SEED, build, family, outputs, values, weights

NAMES = family("stages", "feature_maps", "gaussian")
# the stem, and where maps are joined
STAGES = ("stem.0", "sum", "block")
# modules without parts whose outputs are maps; "sum" and "block" are no such modules
MODULES = ("stem.0", "stem.1", "body.0", "body.1", "body.2", "body.3")
MODULES += ("side", "block.relu", "block.conv", "block.norm")


def entropies(batch):
    o = outputs(batch.x, weights(build()))
    found = []
    for name in STAGES:
        by_channel = np.array([o[name][:, c].flatten().numpy() for c in range(o[name].shape[1])])
        found.append(stats.entropy(np.linalg.eigvalsh(np.cov(by_channel, bias=True))))
    return found


def reference_az_expressivity(batch):
    return sum(entropies(batch))


def reference_az_progressivity(batch):
    return min(np.diff(entropies(batch)))


def reference_az_trainability(batch):
    """The Jacobian of each step as it is, times random signs, channel by channel."""
    o, network = outputs(batch.x, weights(build())), build().train()

    def branches(a):
        a = network.stem[1](a)
        return network.body(a) + network.side(a)

    scores = []
    for before, after, step in (("stem.0", "sum", branches), ("sum", "block", network.block)):
        r = torch.empty(o[after].shape, dtype=torch.int8)
        r.random_(0, 2, generator=torch.Generator().manual_seed(derive_seed("signs", SEED, tuple(r.shape))))
        r = r.double() * 2 - 1
        J = torch.autograd.functional.jacobian(step, o[before])
        g = torch.tensordot(r, J, 4)
        stride = o[before].shape[2] // o[after].shape[2]
        M = [
            [float((g[:, c, top::stride, left::stride] * r[:, d]).mean()) for d in range(r.shape[1])]
            for c in range(g.shape[1])
            for top in range(stride)
            for left in range(stride)
        ]
        s = np.linalg.svd(np.array(M), compute_uv=False).max()
        scores.append(2 - s - 1 / s)
    return np.mean(scores)


def reference_meco(batch):
    o = outputs(batch.x, weights(build()))
    with np.errstate(invalid="ignore"):  # a constant channel correlates with nothing
        found = [np.nan_to_num(np.corrcoef(o[name][0].flatten(1).numpy())) for name in MODULES]
    return sum(np.linalg.eigvalsh(correlations)[0] for correlations in found)


def reference_zen(batch):
    shape = (16, *batch.x.shape[1:])
    generator = torch.Generator().manual_seed(derive_seed("gaussian", SEED, shape))
    x, e = torch.randn(shape, generator=generator).double(), torch.randn(shape, generator=generator).double()
    state = gaussian_weights(build(), SEED)
    clean, noisy = outputs(x, state), outputs(x + 0.01 * e, state)
    change = [float((a - b).abs().sum()) for a, b in zip(clean["block"], noisy["block"], strict=True)]
    score = math.log(np.mean(change))
    for name in ("stem.0", "body.1", "block.conv"):  # what the normalisations meet
        score += math.log(math.sqrt(np.mean([np.var(c.numpy(), ddof=1) for c in clean[name].unbind(1)])))
    return score


@pytest.fixture(scope="module")
def computed():
    return values(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name, computed):
    # the source adds 1e-6 to a singular value before it divides
    rel = 1e-5 if name == "az_trainability" else 1e-6
    assert computed[name] == pytest.approx(globals()[f"reference_{name}"](BATCH), rel=rel)
