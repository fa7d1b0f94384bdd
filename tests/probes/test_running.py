"""What running a network costs: memory by hand, time by a clock of ours, energy by made-up counters."""

import sys
import types
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fusion.extraction.planner import compute
from fusion.images import load_images
from fusion.indicators import COST, select
from fusion.probes import running
from fusion.probes.base import Subject
from fusion.probes.running import peak_bytes
from fusion.work import energy

BATCH = load_images("digits").batch(8)


def costs(make, names=COST):
    return {value.indicator: value for value in compute(names, Subject(make, BATCH))}


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def test_peak_memory_counts_what_is_alive_together():
    standing = 64 + sum(p.numel() for p in small().parameters())
    x = torch.zeros(1, 1, 8, 8)
    # while the rectifier runs, both its sides are there; views take nothing
    assert peak_bytes(small().eval(), x) == 4 * (standing + 32 + 32)
    in_place = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(inplace=True), nn.Linear(32, 10))
    assert peak_bytes(in_place.eval(), x) == 4 * (standing + 32 + 10)
    tied = nn.Linear(64, 64, bias=False)
    both = nn.Sequential(nn.Flatten(), tied, nn.Linear(64, 64, bias=False), tied)
    both[2].weight = tied.weight
    assert peak_bytes(both, x) == 4 * (64 * 64 + 64 + 64 + 64)


def test_a_network_that_keeps_its_maps_needs_more_than_one_that_lets_go():
    class Chain(nn.Module):
        def __init__(self, keep):
            super().__init__()
            self.keep, self.layers = keep, nn.ModuleList(nn.Conv2d(1, 1, 1, bias=False) for _ in range(6))

        def forward(self, x):
            kept = []
            for layer in self.layers:
                x = layer(x)
                if self.keep:
                    kept.append(x)
            return x.flatten(1)

    x = torch.zeros(1, 1, 8, 8)
    with torch.no_grad():
        loose, kept = peak_bytes(Chain(False), x), peak_bytes(Chain(True), x)
    assert loose == 4 * (64 + 6 + 2 * 64)
    assert kept == 4 * (64 + 6 + 6 * 64)


def test_latency_is_the_median_of_one_image_in_evaluation_mode(monkeypatch):
    seen, now = [], [0.0]
    monkeypatch.setattr(running, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            seen.append((len(x), self.training, torch.is_grad_enabled()))
            now[0] += 0.02
            return self.head(x.flatten(1))

    found = costs(Slow, ["latency", "peak_memory"])
    assert found["latency"].value == pytest.approx(20)
    timed = [one for one in seen if one[0] == 1]
    assert len(timed) >= 3 + 15
    assert set(timed) == {(1, False, False)}
    assert found["latency"].status.startswith("ok: median of one image of 1 x 8 x 8, 1 thread")
    assert found["peak_memory"].status == "ok: of one image of 1 x 8 x 8"
    again = costs(Slow, ["peak_memory"])
    assert again["peak_memory"].value == found["peak_memory"].value


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_energy_is_null_where_the_device_tells_none(monkeypatch, tmp_path):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "nothing")
    found = costs(small, ["energy", "latency"])
    assert found["energy"].value is None
    assert found["energy"].status == "this device does not tell what energy it has used"
    assert found["latency"].value > 0


def package(folder, microjoules, end=10**6):
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{end}\n")


def test_counters_of_packages_add_up_and_begin_again(monkeypatch, tmp_path):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    package(tmp_path / "intel-rapl:0", 999_990)
    package(tmp_path / "intel-rapl:1", 500)
    package(tmp_path / "intel-rapl:0:0", 77)  # a part of the first
    counter = energy.energy_counter("cpu")
    assert counter() == 0
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("9\n")  # 20 later
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("1500\n")
    assert counter() == pytest.approx(1020e-6)
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("much\n")
    assert energy.energy_counter("cpu") is None


def test_energy_is_what_the_counter_moved_by_run(monkeypatch):
    runs = []
    monkeypatch.setattr(running, "energy_counter", lambda device: lambda: 0.5 * len(runs))
    monkeypatch.setattr(running, "_SECONDS_OF_ENERGY", 0.0)

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            runs.append(len(x))
            return self.head(x.flatten(1))

    assert costs(Counting, ["energy"])["energy"].value == pytest.approx(500)


def test_cuda_is_asked_by_the_number_of_the_device(monkeypatch):
    asked = []
    nvml = types.ModuleType("pynvml")
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByUUID = lambda uuid: asked.append(uuid) or uuid
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 2500
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    assert energy.energy_counter("cuda:1")() == 2.5
    assert asked == ["GPU-12-34"]
    monkeypatch.setattr(nvml, "nvmlInit", lambda: 1 / 0)
    assert energy.energy_counter("cuda:1") is None


def test_costs_are_in_no_preset_but_their_own():
    assert select("cost") == list(COST)
    assert not {"latency", "peak_memory", "energy"} & set(select("full"))
