"""Networks that cannot be scored as they come, and what is told then."""

import json

import pandas as pd
import pytest
import torch
from torch import nn

from fusion.cli import main
from fusion.errors import FusionError
from fusion.extraction import score
from fusion.extraction.scoring import lines, load_network
from fusion.images import load_images

BATCH = load_images("digits").batch(8)


def plain(lazy=False):
    if lazy:
        layers = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    else:
        layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
    return nn.Sequential(*layers)


def test_lazy_layers_get_the_weights_of_others():
    expected = score(plain, BATCH).drop(columns="seconds")
    pd.testing.assert_frame_equal(score(lambda: plain(lazy=True), BATCH).drop(columns="seconds"), expected)
    module = plain(lazy=True)
    assert score(module, BATCH, "params").loc["params", "value"] == 4 * 9 + 4 + 8 + 1440 + 10
    assert isinstance(module[0], nn.LazyConv2d)  # the caller's own is left as it is


class Unreached(nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.more = plain(), nn.LazyLinear(3)

    def forward(self, x):
        return self.network(x)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (lambda: nn.Sequential(nn.LazyConv2d(4, 9), nn.Flatten()), r"lazy layers .* fail on .*8, 8"),
        (Unreached, "lazy layers that its forward pass does not reach"),
        (lambda: torch.jit.script(plain()), "made by torch.jit, which shows no layers"),
        (lambda: torch.jit.trace(plain().eval(), BATCH.x), "made by torch.jit, which shows no layers"),
        (lambda: nn.Sequential(torch.jit.script(plain())), "made by torch.jit"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_scored(network, told):
    with pytest.raises(FusionError, match=told):
        score(network, BATCH, "params")
    if not isinstance(network, type):
        with pytest.raises(FusionError, match=told):
            score(network(), BATCH, "params")


def test_reasons_are_told_whole():
    def fails():
        raise RuntimeError("word " * 100)

    with pytest.raises(FusionError) as raised:
        score(fails, BATCH, "params")
    assert str(raised.value).count("word") == 100


def test_what_a_network_prints_goes_to_standard_error(own_folder, capsys):
    (own_folder / "loud.py").write_text(
        "print('imported')\nfrom torch import nn\n"
        "class Loud(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        print('built')\n"
        "        self.fc = nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        print('run')\n"
        "        return self.fc(x.flatten(1))\n"
    )
    command = [
        "score",
        "loud.py:Loud",
        "--images",
        "digits",
        "--batch-size",
        "4",
        "--indicators",
        "params,cj",
    ]
    assert main([*command, "--json"]) == 0
    printed, told = capsys.readouterr()
    assert [row["indicator"] for row in json.loads(printed)] == ["params", "cj"]
    assert {"imported", "built", "run"} <= set(told.split())


def test_a_module_that_fails_when_asked_for_a_name(own_folder):
    (own_folder / "asked.py").write_text("def __getattr__(name):\n    raise RuntimeError('not today')\n")
    with pytest.raises(FusionError, match="not today"):
        load_network("asked.py:net")


def test_more_outputs_than_logits_are_said():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = plain()

        def forward(self, x):
            out = self.network(x)
            return (out, out * 2) if self.training else out

    table = score(Auxiliary, BATCH, "params,cj")
    assert set(table["status"]) == {"ok"}
    assert any(line.startswith("note: the network gives more than logits") for line in lines(table))


def test_what_is_said_of_codes_is_printed():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 10))
    said = [line for line in lines(score(network, BATCH, "naswot,swap,params")) if line.startswith("note")]
    assert said == [
        "note: codes are the signs of the inputs of all activations, not of rectifiers alone (naswot, swap)"
    ]
