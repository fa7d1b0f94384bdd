"""One contract for everything registered: nothing left behind, nothing depends on what ran before.

Degenerate networks and batches are in test_contract_degenerate.py.
"""

import itertools
import json
import math
import os
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fusion.extraction.planner import OK, compute, plan
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.images.base import Batch
from fusion.indicators import INDICATORS, indicator, select
from fusion.probes.base import COSTS, PROBES, Subject, Undefined, probe
from fusion.spaces import make_space
from fusion.work.devices import single_thread

ROOT = Path(__file__).parents[2]
SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
ARCHS = [SPACE.canonical(arch) for arch in SPACE.sample(6, 5)]
BATCH = load_images("digits").batch(12)
CONVOLUTIONS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)
# the 61 indicators of the cell's graph are made by one loop: two stand for them where each name has a test
GRAPH = [name for name in INDICATORS if name.startswith("graph_")]
ALL = select("full")
TIMED = [name for name in INDICATORS if name not in ALL]
NAMES = [n for n in ALL if n not in GRAPH or n in ("graph_count_conv", "graph_shortest_conv_skip")]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with single_thread():
        yield


def subject(arch: str = CONVOLUTIONS, repeat: int = 0, batch: Batch = BATCH) -> Subject:
    return make_subject(SPACE, arch, batch, seed=0, repeat=repeat)


def by_name(names, of: Subject) -> dict[str, tuple[float | None, str]]:
    return {v.indicator: (v.value, v.status) for v in compute(names, of)}


# what everything says of itself


@pytest.mark.parametrize("name", INDICATORS)
def test_has_metadata(name):
    described = INDICATORS[name].describe()
    for what in ("summary", "formula", "source", "assumes", "cost"):
        assert described[what].strip(), what
    assert described["cost"] in COSTS
    assert isinstance(described["higher_is_better"], bool)
    # the family: the page of all indicators shows the first line of its file under its name
    assert sys.modules[INDICATORS[name].function.__module__].__doc__.strip()


@pytest.mark.parametrize("name", PROBES)
def test_observations_are_documented_and_of_use(name):
    found = PROBES[name]
    documented = re.findall(
        r"^ +(\w+(?:, \w+)*) : ", found.run.__doc__.partition("Observations\n")[2], re.MULTILINE
    )
    assert set(", ".join(documented).split(", ")) == set(found.provides)
    used = {need for one in INDICATORS for need in INDICATORS[one].needs}
    used.add("code_agreement")  # for the indicators of users: docs/new-indicator.md builds on it
    assert found.provides.keys() <= used


def test_presets_are_nested_and_there_are_enough():
    nested = [set(select(preset)) for preset in ("structure", "forward", "fast", "standard", "full")]
    assert all(small < large for small, large in itertools.pairwise(nested))
    assert len(nested[-1].difference(GRAPH)) >= 35


def test_select_knows_presets_lists_and_unknown_names():
    assert select("fi") == ["cj", "os", "nlr", "cnntk"]
    assert select("full") == [name for name in INDICATORS if name not in ("latency", "peak_memory", "energy")]
    assert select("params, cj,params") == ["params", "cj"]
    assert select("encoding,params") == select("params", ["encoding.a"]) == ["params"]
    assert select("params,encoding", ["encoding.a", "encoding.b"]) == ["params", "encoding.a", "encoding.b"]
    assert select("structure", ["encoding.a"]) == [*select("structure"), "encoding.a"]
    assert select("fast", ["encoding.a"]) == select("fast")
    with pytest.raises(Exception, match="the encoding is read off the architectures"):
        select("encoding")
    with pytest.raises(Exception, match="did you mean 'naswot'"):
        select("nasswot")
    with pytest.raises(Exception, match="preset"):
        select(" , ")


# nothing is left behind


def state(network: nn.Module) -> dict[str, object]:
    """Every attribute of every module, hooks among them, and every number in it."""
    found: dict[str, object] = {}
    for path, module in network.named_modules():
        for key, value in vars(module).items():
            found[f"{path}.{key}"] = list(value) if isinstance(value, dict) else repr(value)
    for name, t in (*network.named_parameters(), *network.named_buffers()):
        found[name] = (id(t), t.requires_grad, t.tolist(), repr(t._backward_hooks))
        found[f"{name}.grad"] = None if t.grad is None else (id(t.grad), t.grad.tolist())
    return found


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def random_state() -> bytes:
    return pickle.dumps(
        (random.getstate(), np.random.mtrand._rand.get_state(), torch.get_rng_state().numpy())
    )


class Odd(nn.Module):
    """Puts another buffer in place of its own, and has one that cannot be written to."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("ones", torch.ones(1, 1).expand(4, 4))

    def forward(self, x):
        self.calls = self.calls + 1
        return x * self.ones[0, 0]


class Broken(nn.Module):
    """Raises in forward or in backward, and notes that it did."""

    def __init__(self, backward: bool, reached: list[str]) -> None:
        super().__init__()

        class Raises(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                if not backward:
                    reached.append("forward")
                    raise RuntimeError("broken here")
                return x.clone()

            @staticmethod
            def backward(ctx, g):
                reached.append("backward")
                raise RuntimeError("broken here")

        self.forward = Raises.apply


def untidy(how: str, reached: list[str]) -> Subject:
    """A subject none of whose networks is as it was built; broken but for `how` sound."""
    one = subject()
    for network in (one.network, one.thin_network):
        network.stem.eval()
        network.body[0].requires_grad_(False)
        network.head[0].momentum = None
        network.head[1].inplace = True
        network.head.append(Odd())
        for parameter in network.classifier.parameters():
            parameter.grad = torch.ones_like(parameter)
        if how == "early":
            network.stem.insert(0, Broken(False, reached))
        elif how != "sound":
            network.head.append(Broken(how == "backward", reached))
    return one


@pytest.mark.parametrize("how", ["sound", "early", "late", "backward"])
@pytest.mark.parametrize("name", [*NAMES, *TIMED])
def test_leaves_network_images_and_random_state_as_they_were(name, how):
    reached: list[str] = []
    one = untidy(how, reached)
    before = [state(network) for network in (one.network, one.thin_network)]
    images = BATCH.x.clone(), BATCH.y.clone()
    torch.rand(3)  # away from where every test starts: setting that seed again must show
    randomness = random_state()
    (found,) = compute([name], one)
    assert random_state() == randomness, "the global random state has changed"
    after = [state(network) for network in (one.network, one.thin_network)]
    assert [changes(b, a) for b, a in zip(before, after, strict=True)] == [[], []]
    assert torch.equal(BATCH.x, images[0])
    assert torch.equal(BATCH.y, images[1])
    if reached:
        assert found.value is None
        assert "broken here" in found.status
    elif name not in TIMED:  # few devices tell their energy
        assert found.status == OK
        assert found.value is not None


def test_what_raises_loses_only_what_needs_it():
    reached: list[str] = []
    for how in ("early", "late"):
        found = by_name(NAMES, untidy(how, reached))
        assert {name for name in NAMES if found[name][0] is not None} == {
            name for name in NAMES if plan([name]).keys() <= {"structure", "cells"}
        }
    found = by_name(NAMES, untidy("backward", reached))
    lost = {name for name in NAMES if found[name][0] is None}
    assert not lost & {name for name in NAMES if INDICATORS[name].cost in ("structure", "forward")}
    assert lost >= {"cj", "grad_norm", "grasp", "cnntk", "synflow"}


# nothing depends on what ran before


@pytest.fixture(scope="module")
def among_all() -> list[dict[str, tuple[float | None, str]]]:
    """The values of all together, in order and in reverse."""
    return [by_name(order, subject()) for order in (ALL, ALL[::-1])]


@pytest.mark.parametrize("name", NAMES)
def test_alone_equals_among_all_in_any_order(name, among_all):
    alone = by_name([name], one := subject())[name]
    assert alone[1] == OK
    assert [found[name] for found in among_all] == [alone, alone]
    assert by_name([name], one)[name] == alone, "another value for the same subject again"
    # what is kept from other shapes, types and networks must not be found
    few = Batch(BATCH.x[:5].double(), BATCH.y[:5], 10)
    other = subject(ARCHS[0], repeat=1, batch=few)
    other.network.double()
    other.thin_network.double()
    compute([name], other)
    torch.rand(17)
    random.random()
    np.random.mtrand._rand.random_sample()
    assert by_name([name], subject())[name] == alone, "another value after another network"


OTHER_PROCESS = """
import json, sys
from fusion.extraction.planner import compute
from fusion.work.devices import single_thread
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.spaces import make_space

space = make_space("nats-tss", {"channels": 4, "cells": 1})
one = make_subject(space, sys.argv[1], load_images("digits").batch(12), seed=0, repeat=0)
with single_thread():
    values = compute(sys.argv[2].split(","), one)
print(json.dumps({v.indicator: (v.value, v.status) for v in values}))
"""


@pytest.mark.parametrize("name", NAMES)
def test_neither_reads_nor_moves_the_global_random_state(name):
    """Looked at without the planner, which seeds every pass for networks that drop out."""
    values = []
    for seed in (1, 2):
        one, observations = subject(), {}
        _ = one.network, one.thin_network
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        for wanted_of, wanted in plan([name]).items():
            observations |= PROBES[wanted_of].run(one, wanted)
        values.append(INDICATORS[name](observations))
        assert torch.equal(before, torch.random.get_rng_state())
    assert values[0] == values[1]


def test_another_process_gives_the_same_values(among_all):
    names = [name for name in ALL if INDICATORS[name].function.__module__.startswith("fusion.")]
    random.Random(3).shuffle(names)
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, CONVOLUTIONS, ",".join(names)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    there = {name: tuple(found) for name, found in json.loads(done.stdout).items()}
    assert there == {name: among_all[0][name] for name in names}


def test_other_repeats_and_architectures_give_other_values(among_all):
    again = by_name(NAMES, subject(repeat=1))
    for name in ("cj", "cnntk", "grad_norm", "naswot", "os", "synflow", "vkdnw", "zen"):
        assert among_all[0][name] != again[name], name
    assert by_name(["params"], subject()) != by_name(["params"], subject(ARCHS[0]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("arch", [CONVOLUTIONS, *ARCHS])
def test_cuda_agrees_with_cpu(arch):
    on_gpu, on_cpu = by_name(NAMES, subject(arch, batch=BATCH.to("cuda"))), by_name(NAMES, subject(arch))
    for name in NAMES:
        assert on_gpu[name][1] == on_cpu[name][1]
        if on_cpu[name][0] is not None:
            assert on_gpu[name][0] == pytest.approx(on_cpu[name][0], rel=5e-2), name


# the machinery


def test_each_pass_is_made_once(monkeypatch):
    calls = []
    for name in PROBES:
        found = PROBES[name]

        def counted(s, wanted, found=found):
            calls.append(found.name)
            return found.run(s, wanted)

        monkeypatch.setitem(
            PROBES._items, name, type(found)(found.name, found.summary, found.provides, counted)
        )
    compute([*NAMES, *TIMED], subject())
    assert sorted(calls) == sorted(PROBES)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_value_that_is_not_finite_becomes_null(number):
    @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
    def diverging(parameter_count):
        """Not finite."""
        return number

    try:
        assert by_name(["diverging", "params"], subject())["diverging"] == (None, f"value is {number}")
    finally:
        del INDICATORS._items["diverging"]


def test_a_registered_name_or_observation_is_not_taken_twice():
    with pytest.raises(ValueError, match="registered already"):

        @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
        def params(parameter_count):
            """The same name again."""

    with pytest.raises(ValueError, match="comes from probe"):

        @probe(logits="forward")
        def another(s, wanted):
            """Gives what another gives."""

    with pytest.raises(KeyError):

        @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
        def needs_nothing_known(no_such_observation):
            """Needs what no probe gives."""

    assert issubclass(Undefined, Exception)
