"""Networks that belong to no space: every kind gets its values, and none is touched."""

import copy
import math
import threading
from functools import partial

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.errors import FusionError
from fusion.extraction import scoring as module
from fusion.extraction.planner import OK, compute
from fusion.extraction.scoring import load_network, score
from fusion.extraction.subject import make_subject
from fusion.images import Batch, load_images
from fusion.indicators import select
from fusion.seeding import derive_seed, seeded
from fusion.spaces import make_space

BATCH = load_images("digits").batch(8)


class Functional(nn.Module):
    """Rectifies by a function; its `view` needs the default memory format."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4 * 4 * 4, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv(x)), 2)
        return self.head(x.view(len(x), -1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.relu(self.stem(x))
        return self.head(self.relu(self.body(x) + x).mean((2, 3)))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.position = nn.Parameter(torch.zeros(1, 4, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 10))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        normed = self.norm(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return self.head(x.mean(1))


class Volume(nn.Module):
    """Has weights of five dimensions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 4, (1, 3, 3))
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(functional.relu(self.conv(x[:, :, None])).mean((2, 3, 4)))


class Shifted(nn.Module):
    """Subtracts a half from the images, in place or not."""

    def __init__(self, network, inplace):
        super().__init__()
        self.network, self.inplace = network, inplace

    def forward(self, x):
        return self.network(x.sub_(0.5) if self.inplace else x - 0.5)


def plain(activation=nn.ReLU, dropout=0.0, classes=10, channels=1):
    return nn.Sequential(
        *(nn.Conv2d(channels, 4, 3), activation(), nn.Dropout(dropout), nn.Flatten()),
        nn.Linear(4 * 36, classes),
    )


NETWORKS = {
    "functional": Functional,
    "silu": partial(plain, nn.SiLU),
    "transformer": Transformer,
    "residual": Residual,
    "volume": Volume,
    "dropout": partial(plain, dropout=0.5),
    "in place": lambda: Shifted(Functional(), inplace=True),
}


def values(*arguments, **settings):
    """Return all that does not depend on the clock."""
    return score(*arguments, **settings).drop(columns="seconds")


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_every_kind_of_network(build):
    found = score(build, BATCH)
    assert list(found.index) == select("standard")
    assert found.index.name == "indicator"
    assert list(found.columns) == ["value", "status", "assumes", "seconds"]
    assert (found["value"].isna() == ~found["status"].str.startswith(OK)).all()
    assert all(math.isfinite(value) for value in found["value"].dropna())
    assert (found["assumes"].str.len() > 0).all()
    assert found.loc["params", "value"] == sum(p.numel() for p in build().parameters())
    for name in ("cj", "os"):
        assert found.loc[name, "status"] == OK


def test_an_undefined_value_is_null_with_its_reason():
    found = score(partial(plain, nn.SiLU), BATCH, "naswot,nlr,params")
    assert found["value"].isna().tolist() == [False, True, False]
    assert found.loc["naswot", "status"].startswith("ok: codes are the signs")
    assert "search space" in found.loc["nlr", "status"]
    assert found["value"].dtype == "Float64"


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_two_calls_give_the_same_numbers(build):
    network = build()
    first = values(network, BATCH)
    torch.rand(7)
    with torch.no_grad():
        pd.testing.assert_frame_equal(values(network, BATCH), first)
    for name in ("cj", "os"):  # the same alone, whatever passes are left out
        pd.testing.assert_frame_equal(values(network, BATCH, [name]), first.loc[[name]])


def test_dropout_has_the_same_masks_in_every_pass():
    """Else `os` would be the noise of dropout: it is the same size as without."""
    network = plain(dropout=0.5)
    without = copy.deepcopy(network)
    without[2].p = 0.0
    ratio = score(network, BATCH, "os").loc["os", "value"] / score(without, BATCH, "os").loc["os", "value"]
    assert 0.1 < ratio < 10
    assert ratio != 1


def test_a_network_that_works_in_place_on_the_images():
    network, x = Functional(), BATCH.x.clone()
    in_place = values(Shifted(network, inplace=True), BATCH)
    assert torch.equal(BATCH.x, x)
    pd.testing.assert_frame_equal(in_place, values(Shifted(network, inplace=False), BATCH))


def test_the_callers_module_is_left_as_it_is():
    seen = []
    network = Residual().to(memory_format=torch.channels_last)
    network(BATCH.x).sum().backward()
    network.stem.weight.requires_grad_(False)
    network.eval()
    network.body.train()
    hook = network.stem.register_forward_hook(lambda *_: seen.append(1))

    def state():
        tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        return [
            {name: (t.data_ptr(), t.stride(), t.requires_grad) for name, t in tensors.items()},
            {name: t.detach().clone().tolist() for name, t in tensors.items()},
            {name: p.grad.clone().tolist() for name, p in network.named_parameters()},
            [(m.training, list(m._forward_hooks), list(m._forward_pre_hooks)) for m in network.modules()],
            (torch.random.get_rng_state().tolist(), torch.get_num_threads(), torch.is_grad_enabled()),
        ]

    before = state()
    score(network, BATCH)
    assert state() == before
    hook.remove()


def test_passes_run_in_one_thread_with_gradients_on(monkeypatch):
    seen = []

    def watch(names, subject):
        seen.append((torch.get_num_threads(), torch.is_grad_enabled()))
        return compute(names, subject)

    monkeypatch.setattr(module, "compute", watch)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            score(plain, BATCH, "params")
        assert seen == [(1, True)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_one_image_is_enough_for_what_needs_no_training_mode():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    found = score(network, load_images("digits").batch(1), "params,cj")
    assert found.loc["params", "value"] == 64 * 10 + 10 + 20
    assert "more than 1 value" in found.loc["cj", "status"]


def test_a_function_is_called_once_from_the_seed():
    calls = []
    found = values(lambda: calls.append(1) or plain(), BATCH)
    assert calls == [1]
    with seeded(derive_seed("init", 0)):
        network = plain()
    pd.testing.assert_frame_equal(found, values(network, BATCH))
    other = values(plain, BATCH, seed=1)
    assert other.loc["cj", "value"] != found.loc["cj", "value"]
    assert other.loc["params", "value"] == found.loc["params", "value"]


def test_a_network_of_a_space_has_the_values_of_its_table():
    space = make_space("nats-tss", {"channels": 4, "cells": 1})
    arch = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    subject = make_subject(space, arch, BATCH, seed=0, repeat=0)
    names = ["params", "flops", "naswot", "os"]
    found = score(subject.build, BATCH, names)  # seeds itself, as in the table
    for expected in compute(names, subject):
        # the table's passes are in another memory format, so sums are rounded otherwise
        assert found.loc[expected.indicator, "value"] == pytest.approx(expected.value, rel=1e-3)


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("no\nforward here")


class Returns(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.network, self.change = plain(), change

    def forward(self, x):
        return self.change(self.network(x))


def raises():
    raise ValueError("no network today")


def uncopyable():
    network = plain()
    network.lock = threading.Lock()
    return network


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (3, "expected an nn.Module or a function that returns one, but got int"),
        (lambda: 3, "must return an nn.Module, but returned int"),
        (lambda depth: plain(), "building the network failed: TypeError: .*'depth'"),
        (raises, "building the network failed: ValueError: no network today"),
        (uncopyable(), "cannot be copied .*lock.*; give a function"),
        (Fails(), r"fails on images of shape \(1, 8, 8\): RuntimeError: no forward here"),
        (plain(channels=3), "fails on images of shape .*3 channels"),
        (plain().double(), "fails on images of shape .*"),
        (Returns(lambda y: ()), "returns a tuple; it must return logits"),
        (Returns(lambda y: {"scores": y}), "returns a dict; it must return logits"),
        (Returns(lambda y: y[0]), r"maps images \(2, 1, 8, 8\) to \(10,\); it must return logits"),
        (Returns(lambda y: y[:, :, None]), r"to \(2, 10, 1\); it must return logits"),
        (Returns(lambda y: y[:1]), r"to \(1, 10\); it must return logits"),
        (plain(classes=5), "gives 5 logits, but the images have a label 9; give it 10 classes"),
    ],
)
def test_networks_that_cannot_be_scored(network, told, monkeypatch):
    monkeypatch.setattr(module, "compute", None)  # it is told before any pass
    with pytest.raises(FusionError, match=told) as error:
        score(network, BATCH, "params")
    assert "\n" not in str(error.value)


def test_unknown_names():
    with pytest.raises(FusionError, match="did you mean 'naswot'"):
        score(plain, BATCH, "naswott")
    with pytest.raises(FusionError, match="auto, cpu, cuda"):
        score(plain, BATCH, "params", device="gpu")


def test_more_logits_than_classes_and_few_labels_are_fine():
    assert score(partial(plain, classes=20), BATCH, "cj").loc["cj", "status"] == OK
    few = Batch(BATCH.x, BATCH.y % 5, 10)
    assert score(partial(plain, classes=5), few, "cj").loc["cj", "status"] == OK


def test_loading_a_network():
    assert load_network("torch.nn:Linear") is nn.Linear
    network = load_network("torch.nn:Linear", {"in_features": 2, "out_features": 3})()
    assert network.weight.shape == (3, 2)
    with pytest.raises(FusionError, match="'math:pi' is of type float; only a function takes arguments"):
        load_network("math:pi", {"digits": 3})
