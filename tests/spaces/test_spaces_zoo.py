"""Networks by name, of libraries that stand in for timm and torchvision, and of files."""

import fnmatch
import math
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.extraction import extract, score
from fusion.extraction.scoring import load_network
from fusion.spaces import make_space
from fusion.spaces.zoo import _described, _names, family
from fusion.tables.choosing import named_architectures
from fusion.work import Work


def small(num_classes, in_chans):
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.ReLU(), *pooled, nn.Linear(4, num_classes))


def create_model(name, num_classes=1000, in_chans=3, **told):
    if "vit" in name:
        if told["img_size"] % 2:
            raise ValueError("odd")
    elif told:
        raise TypeError("takes no img_size")
    return small(num_classes, in_chans)


@pytest.fixture
def libraries(monkeypatch):
    """A timm and a torchvision of a few networks."""
    timm, vision, models = ModuleType("timm"), ModuleType("torchvision"), ModuleType("torchvision.models")
    timm.list_models = lambda: ["resnet18", "resnet50", "tf_efficientnet_b0", "vit_tiny_patch16_224"]
    timm.create_model = create_model
    sizes = {
        "resnet18": (None, (3, 192, 192)),
        "resnet50.first_in1k": (None, (3, 224, 224)),
        "resnet50.second_in1k": ((3, 288, 288), (3, 224, 224)),
        "resnet50.more_in22k_ft_in1k": (None, (3, 384, 384)),
        "resnet50.more_in22k": (None, (3, 384, 384)),
    }
    timm.get_pretrained_cfg = lambda name: (
        SimpleNamespace(test_input_size=sizes[name][0], input_size=sizes[name][1]) if name in sizes else None
    )
    timm.list_pretrained = lambda pattern: fnmatch.filter(sizes, pattern)

    def resnet18(*, weights=None, **kwargs):
        assert weights is None
        return small(kwargs["num_classes"], 3)

    crop = SimpleNamespace(crop_size=[232])
    models.get_model_weights = lambda name: SimpleNamespace(DEFAULT=SimpleNamespace(transforms=lambda: crop))
    models.list_models = lambda: ["resnet18"]
    models.get_model_builder = lambda name: resnet18
    models.get_model = lambda name, **kwargs: resnet18(**kwargs)
    vision.models = models
    for name, module in (("timm", timm), ("torchvision", vision), ("torchvision.models", models)):
        monkeypatch.setitem(sys.modules, name, module)
    _names.cache_clear()
    _described.cache_clear()
    yield
    _names.cache_clear()
    _described.cache_clear()


@pytest.fixture
def none(monkeypatch):
    """Neither library is installed."""
    for name in ("timm", "torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    _names.cache_clear()
    _described.cache_clear()
    yield
    _names.cache_clear()
    _described.cache_clear()


@pytest.mark.parametrize(
    ("arch", "size"),
    [
        ("timm:resnet18", 192),
        ("timm:resnet50", 288),  # the largest of those trained on ImageNet-1k alone
        ("timm:tf_efficientnet_b0", 224),  # never trained
        ("torchvision:resnet18", 232),
    ],
)
def test_a_network_is_described_at_the_size_at_which_its_weights_are_judged(arch, size, libraries):
    found = make_space("zoo").features(arch)
    assert found["image_size"] == size
    assert found["log.multiply_adds"] == pytest.approx(math.log((size - 2) ** 2 * 4 * 27 + 4000), rel=1e-12)
    assert found == make_space("zoo", {"size": 8}).features(arch)


def test_a_network_that_is_not_there_is_not_described(libraries):
    assert make_space("zoo").features("timm:resnet19") == {}


def test_of_a_network_that_does_not_run_the_size_alone_is_told(libraries, monkeypatch):
    monkeypatch.setattr(sys.modules["timm"], "create_model", lambda name, **told: nn.Linear(3, 4))
    assert make_space("zoo").features("timm:resnet18") == {"image_size": 192}


def test_what_is_found_of_a_version_is_kept_between_runs(libraries, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys.modules["timm"], "__version__", "1.2", raising=False)
    found = make_space("zoo").features("timm:resnet18")
    _described.cache_clear()
    monkeypatch.delattr(sys.modules["timm"], "create_model")
    assert make_space("zoo").features("timm:resnet18") == found
    _described.cache_clear()
    monkeypatch.setattr(sys.modules["timm"], "__version__", "1.3")
    assert make_space("zoo").features("timm:resnet18") == {"image_size": 192}


def test_without_the_library_nothing_is_described(none):
    zoo = make_space("zoo")
    for arch in ("timm:resnet18", "torchvision:resnet18"):
        with pytest.raises(FusionError, match="pip install"):
            zoo.features(arch)


def test_a_network_of_ones_own_is_described_too(own_folder):
    (own_folder / "described_nets.py").write_text(
        "from torch import nn\n"
        "def net(num_classes, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size ** 2, num_classes))\n"
    )
    found = make_space("zoo").features("described_nets.py:net")
    assert (found["image_size"], found["log.width"]) == (224, math.log(3 * 224**2))
    assert found["share.linear"] == 1


def test_without_the_library_nothing_is_stored(none, tmp_path):
    with pytest.raises(FusionError, match="pip install"):
        extract(make_space("zoo"), ["timm:resnet18"], "params", images="noise:3x8x8", out=tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_names_are_listed_by_pattern_and_drawn(libraries):
    zoo = make_space("zoo")
    assert named_architectures(zoo, "timm:*resnet*") == ["timm:resnet18", "timm:resnet50"]
    assert sorted(named_architectures(zoo, "sample:5")) == sorted(zoo.enumerate())
    with pytest.raises(FusionError, match="no architecture of zoo has such a name"):
        named_architectures(zoo, "timm:*nothing*")
    assert zoo.neighbours("timm:resnet18") == ["timm:resnet50"]


@pytest.mark.parametrize(
    ("arch", "of"),
    [
        ("timm:resnet18", "timm:resnet"),
        ("timm:tf_efficientnet_b0", "timm:efficientnet"),
        ("torchvision:vit_b_16", "torchvision:vit"),
        ("nets.py:small", "nets.py:small"),
    ],
)
def test_a_family_is_one_group(arch, of):
    assert family(arch) == make_space("zoo").twins(arch) == of


@pytest.mark.parametrize("arch", ["timm:resnet18", "torchvision:resnet18", "timm:vit_tiny_patch16_224"])
def test_networks_are_built_with_so_many_classes(arch, libraries):
    network = make_space("zoo", {"size": 8}).build(arch, num_classes=7)
    assert network[-1].out_features == 7


def test_a_network_of_a_library_is_scored_by_its_name(libraries):
    found = score(load_network("timm:resnet18", {"num_classes": 10}), "noise:3x8x8", "params")
    assert found.loc["params", "value"] == 4 * 27 + 4 + 50
    assert score(load_network("torchvision:resnet18"), "noise:3x8x8", "params").loc["params", "value"] == 5112
    with pytest.raises(FusionError, match="takes num_classes, in_channels and size, not depth"):
        load_network("timm:resnet18", {"depth": 3})


def test_a_network_of_a_file(tmp_path, own_folder):
    (own_folder / "zoo_nets.py").write_text(
        "from torch import nn\n"
        "def net(num_classes, in_channels):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.Flatten(), nn.Linear(144, num_classes))\n"
        "three = 3\n"
    )
    zoo = make_space("zoo")
    assert zoo.build("zoo_nets.py:net", in_channels=1, num_classes=4)[-1].out_features == 4
    with pytest.raises(InvalidArchitecture, match="a function or a class"):
        zoo.build("zoo_nets.py:three")


@pytest.mark.parametrize("arch", ["resnet18", "timm:", ":net", "timm:a b", "a/b:net", " timm:resnet18"])
def test_what_is_no_name(arch):
    with pytest.raises(InvalidArchitecture, match="expected timm:NAME"):
        make_space("zoo").canonical(arch)


def test_unknown_names_and_missing_libraries(libraries):
    with pytest.raises(InvalidArchitecture, match="has no network of this name"):
        make_space("zoo").build("timm:resnet19")
    with pytest.raises(FusionError, match="size"):
        make_space("zoo", {"size": 0})


def test_without_the_libraries_names_are_known_and_one_line_says_what_to_install(none):
    zoo = make_space("zoo")
    assert zoo.canonical("timm:resnet18") == "timm:resnet18"
    for call in (lambda: zoo.build("timm:resnet18"), lambda: list(zoo.enumerate())):
        with pytest.raises(FusionError, match=r"pip install 'fusion-nas\[zoo\]'"):
            call()


def test_the_table_of_a_zoo_has_no_thin_networks(libraries, tmp_path):
    archs = ["timm:resnet18", "torchvision:resnet18"]
    work = Work(workers=1, progress=False)  # the libraries are of this process alone
    table = extract(
        make_space("zoo"), archs, "params,nlr", images="noise:3x8x8", out=tmp_path / "t", work=work
    )
    assert table.values()["params"].tolist() == [4 * 27 + 4 + 50] * 2
    assert np.isnan(table.values()["nlr"]).all()
    assert "thin" in table.undefined()["status"][0]


SEVERAL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.conv, self.head = nn.Conv2d(in_channels, 4, 3), nn.Linear(4, num_classes)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return self.head(x), x
"""


def test_what_is_said_of_a_network_is_in_its_row(tmp_path, monkeypatch):
    (tmp_path / "several.py").write_text(SEVERAL)
    monkeypatch.chdir(tmp_path)
    work = Work("cpu", 1, progress=False)
    table = extract(
        make_space("zoo"),
        ["several.py:Net"],
        "params,naswot,latency",
        images="noise:3x8x8",
        out="t",
        work=work,
    )
    status = table.store.read().set_index("indicator")["status"]
    assert status["params"] == "ok"
    assert status["naswot"].startswith("ok: ")
    # machines are told apart by it
    assert status["naswot"].removeprefix("ok: ") not in status["latency"]
    line = next(line for line in table.remarks() if "(naswot" in line)
    assert line == f"{status['naswot'].removeprefix('ok: ')} (naswot; 1 network)"
