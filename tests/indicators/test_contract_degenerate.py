"""The contract where there is little to see: a null and one line that says why, never a sentinel number.

The rest of the contract is in test_indicator_contract.py.
"""

import functools
import math

import pytest
import torch
from torch import nn

from fusion.extraction.planner import OK, Value, compute, plan
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.images.base import Batch
from fusion.indicators import INDICATORS, select
from fusion.probes.base import Subject
from fusion.spaces import make_space
from fusion.work.devices import single_thread

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
BATCH = load_images("digits").batch(12)
X, Y = BATCH.x, BATCH.y
SOUND = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
GRAPH = [name for name in INDICATORS if name.startswith("graph_")]
NAMES = [n for n in select("full") if n not in GRAPH or n in ("graph_count_conv", "graph_shortest_conv_skip")]


class Nan(nn.Module):
    """Hands on what is no number."""

    def forward(self, x):
        return x * math.nan


class Twice(nn.Module):
    """A convolution that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.conv(self.conv(x).relu()).relu().flatten(1))


def cell(arch: str = SOUND, x: torch.Tensor = X, y: torch.Tensor = Y) -> Subject:
    return make_subject(SPACE, arch, Batch(x, y, 10), seed=0, repeat=0)


def zero_classifier() -> Subject:
    one = cell()
    for parameter in one.network.classifier.parameters():
        nn.init.zeros_(parameter)
    return one


def not_a_number() -> Subject:
    one = cell()
    one.network.head.append(Nan())
    return one


def plain(*layers) -> Subject:
    """A network outside any space, of the classes of its layers with their arguments."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(*(kind(*arguments) for kind, *arguments in layers))

    return Subject(build, BATCH)


def convolutions(activation: type[nn.Module], norm: type[nn.Module]) -> Subject:
    block = ((norm, 3), (activation,))
    return plain(
        (nn.Conv2d, 1, 3, 3, 1, 1),
        *block,
        (nn.Conv2d, 3, 3, 3, 1, 1),
        *block,
        (nn.Flatten,),
        (nn.Linear, 192, 10),
    )


CASES = {
    "sound": cell,
    "disconnected": lambda: cell(DISCONNECTED),
    "constant output": zero_classifier,
    "not a number": not_a_number,
    "one class": lambda: cell(y=torch.zeros_like(Y)),
    "batch of one": lambda: cell(x=X[:1], y=Y[:1]),
    "equal images": lambda: cell(x=X[:1].expand(12, -1, -1, -1).contiguous()),
    "blank images": lambda: cell(x=torch.zeros_like(X)),
    "no rectifier": lambda: convolutions(nn.SiLU, nn.BatchNorm2d),
    "called twice": lambda: plain((Twice,)),
    "no batch norm": lambda: convolutions(nn.ReLU, nn.Identity),
    "no layer": lambda: plain((nn.AdaptiveAvgPool2d, (2, 5)), (nn.ReLU,), (nn.Flatten,)),
    "no map": lambda: plain((nn.Flatten,), (nn.Linear, 64, 10)),
}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Value]]:
    """What everything gives for every case."""
    with single_thread():
        return {
            case: {v.indicator: v for v in compute(select("full"), make())} for case, make in CASES.items()
        }


@functools.cache
def of(*probes: str) -> set[str]:
    """The names of the indicators that need one of these passes."""
    return {name for name in NAMES if plan([name]).keys() & set(probes)}


def null(values: dict[str, Value]) -> set[str]:
    return {name for name in NAMES if values[name].value is None}


def why(values: dict[str, Value], names: set[str]) -> set[str]:
    return {values[name].status for name in names}


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_number_or_says_in_one_line_why_not(name, found):
    assert found["sound"][name].status == OK
    for case in CASES:
        value, status = found[case][name].value, found[case][name].status
        if value is None:
            assert status not in (OK, ""), (name, case)
            assert "\n" not in status, (name, case)
            assert len(status) < 250, (name, case)
        else:
            assert status == OK or status.startswith(f"{OK}: "), (name, case)
            assert -1e7 < value < 1e8, (name, case, "a sentinel?")  # nan is not either


def test_the_graph_family_needs_cells_and_nothing_else(found):
    for case, values in found.items():
        for name in GRAPH:
            value = values[name]
            assert (value.value is None) == (value.status != OK), (case, name)
            if case in ("no rectifier", "called twice", "no batch norm", "no layer", "no map"):
                assert value.status == "needs the cells of a search space"
            elif case != "disconnected":
                assert (value.value, value.status) == (
                    found["sound"][name].value,
                    found["sound"][name].status,
                )
    assert {found["disconnected"][name].value for name in GRAPH} == {0.0, None}


def test_where_the_output_ignores_the_input_there_is_nothing_to_see(found):
    for case in ("disconnected", "equal images", "blank images"):
        assert why(found[case], of("clean_pass", "perturbed_pass")) == {
            "the output is the same for every input"
        }
    assert null(found["disconnected"]) >= {"synflow", "zen", "vkdnw", "cnntk", "graph_shortest_conv_skip"}
    for case in ("equal images", "blank images"):
        assert "cnntk" in null(found[case]), case
    for case, values in found.items():  # they count, whatever comes out
        if case not in ("no layer", "no map"):
            assert values["params"].value > values["tensors"].value > values["depth"].value > 0, case
    # a constant map has a single linear region, and 3,000 inputs share it
    assert [found["disconnected"][name].value for name in ("nlr", "nlr_entropy", "nlr_single")] == [1, 0, 0]


def test_a_classifier_of_zeros_hides_nothing_of_what_is_before_it(found):
    values, sound = found["constant output"], found["sound"]
    for name in ("naswot", "swap", "meco", "az_expressivity", "az_progressivity"):
        assert values[name].value == sound[name].value, name
    for name in ("cj", "grad_norm", "os", "nlc"):
        assert values[name].status == "the output is the same for every input", name


def test_what_draws_its_own_weights_does_not_look_at_the_classifier(found):
    for name in ("cnntk", "ntk_trace", "vkdnw", "zen"):
        assert found["constant output"][name].value == found["sound"][name].value, name
    assert "no flow" in found["constant output"]["synflow"].status


def test_nothing_is_made_of_what_is_no_number(found):
    values = found["not a number"]
    assert why(values, of("clean_pass")) == {"the outputs are not finite"}
    assert null(values) == of("clean_pass", "fisher_spectrum", "linearised_pass", "tangent_kernel")


def test_labels_of_one_class_are_null_for_what_looks_at_labels_and_says_so(found):
    lost = null(found["one class"])
    assert lost >= {"grad_norm", "snip", "plain", "grasp", "fisher", "zico", "epe_nas"}
    assert why(found["one class"], lost) == {"the labels of the batch hold a single class"}
    assert lost == {name for name in NAMES if "labels of at least two classes" in INDICATORS[name].assumes}
    for name in set(NAMES) - lost:
        assert found["one class"][name].value == found["sound"][name].value, name


def test_a_batch_of_one_has_nothing_to_compare(found):
    compared = of("clean_pass", "tangent_kernel", "fisher_spectrum")
    assert null(found["batch of one"]) >= compared | null(found["one class"])
    assert why(found["batch of one"], compared) == {"needs a batch of at least 2"}


def test_a_network_without_rectifiers_has_codes_of_its_activations(found):
    values = found["no rectifier"]
    codes = {
        name for name in NAMES if {"code_units", "code_spectrum", "unit_patterns"} & {*INDICATORS[name].needs}
    }
    assert {"naswot", "das", "swap"} < codes
    assert all("signs of the inputs of all activations" in values[name].status for name in codes)
    assert null(values) == of("linear_regions", "cells")
    assert why(values, of("linear_regions")) == {
        "needs a thin version of the network, which only a search space has"
    }


def test_weights_shared_between_calls_are_named(found):
    values = found["called twice"]
    assert null(values) - of("linear_regions", "cells") == {"fisher"}
    assert "twice" in values["fisher"].status


def test_batch_norm_is_not_needed(found):
    assert null(found["no batch norm"]) == of("linear_regions", "cells")


def test_without_a_layer_there_is_no_gradient_of_one(found):
    values = found["no layer"]
    assert null(values) >= {
        "grad_norm",
        "snip",
        "plain",
        "grasp",
        "fisher",
        "zico",
        "synflow",
        "zen",
        "cnntk",
    }
    assert [values[name].value for name in ("params", "tensors", "flops", "depth", "l2_norm")] == [0] * 5


def test_without_feature_maps_only_what_looks_at_them_is_lost(found):
    lost = null(found["no map"])
    assert lost >= {"meco", "zen", "az_expressivity", "az_progressivity", "az_trainability"}
    assert not lost & {"grad_norm", "synflow", "cnntk", "cj", "vkdnw"}


def test_other_normalisation_has_gradients_per_sample_too():
    one = plain((nn.Conv2d, 1, 4, 3), (nn.GroupNorm, 2, 4), (nn.ReLU,), (nn.Flatten,), (nn.Linear, 144, 10))
    assert all(value.status == OK for value in compute(["cnntk", "ntk_trace", "vkdnw"], one))


def test_rectifiers_in_place_hide_nothing():
    def network(inplace: bool) -> Subject:
        return plain(
            *((nn.Conv2d, 1, 4, 3), (nn.BatchNorm2d, 4), (nn.ReLU, inplace)),
            *((nn.Conv2d, 4, 4, 3), (nn.ReLU, inplace), (nn.Flatten,), (nn.Linear, 64, 10)),
        )

    hidden, shown = (compute(NAMES, network(inplace)) for inplace in (True, False))
    assert [(v.indicator, v.value, v.status) for v in hidden] == [
        (v.indicator, v.value, v.status) for v in shown
    ]
