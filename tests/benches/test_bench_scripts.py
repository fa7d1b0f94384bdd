"""The scripts run by their one command, and write the figures that others read."""

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fusion.spaces import make_space

BENCHES = Path(__file__).parents[2] / "benches"
TINY = ["--channels", "4", "--cells", "1", "--batch-size", "4", "--images", "noise:3x8x8"]


def run(tmp_path, script, *options):
    """Return what the script writes, and what it prints."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHES / script), *TINY, *options, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stdout


def test_extraction_times_every_probe_and_preset(tmp_path):
    from fusion.indicators import INDICATORS, PRESETS
    from fusion.probes import PROBES

    found, printed = run(tmp_path, "extraction.py", "--archs", "2", "--rounds", "1", "--threads", "1")
    assert (found["archs"], found["batch"], found["threads"]) == (2, 4, 1)
    assert found["per_probe"].keys() == set(PROBES)
    assert found["per_preset"].keys() == set(PRESETS)
    for name in ("seven", "six", "fast", "standard", "full"):
        assert found[f"{name}_ratio"] > 0
    for name in ("unit_seconds", "unit_seconds_contiguous", "build_seconds", "peak_rss_mb"):
        assert found[name] > 0
    for entry in [*found["per_probe"].values(), *found["per_preset"].values()]:
        assert min(entry["seconds"], entry["ratio"], entry["median_ratio"]) > 0
        assert entry["seconds"] == pytest.approx(entry["ratio"] * found["unit_seconds"])
    assert not set(found["not_registered"]) & set(INDICATORS)
    assert {"torch", "hardware"} <= found.keys()
    assert all(name in printed for name in (*PROBES, *PRESETS, "seven", "six", "channels last"))


def test_extraction_watches_memory(tmp_path):
    found, printed = run(tmp_path, "extraction.py", "--memory", "10", "--threads", "1")
    assert found["memory_growth_mb"] == found["memory_end_mb"] - found["memory_first_tenth_mb"]
    assert 0 < found["memory_start_mb"] <= found["peak_rss_mb"]
    lines = printed.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split() == ["networks", "resident", "MB"])
    assert [int(line.split()[0]) for line in lines[start + 1 : start + 12]] == list(range(11))


def test_gpu_script_runs_without_one(tmp_path):
    from fusion.indicators import select

    options = ["--device", "cpu", "--archs", "2", "--agree", "2", "--ideas", "baseline,cudnn.benchmark"]
    found, printed = run(tmp_path, "gpu.py", *options)
    assert found["ideas"].keys() == {"baseline"}
    assert found["ideas"]["baseline"]["archs_per_second"] > 0
    assert found["ideas"]["baseline"]["busy"] is None
    assert "left out: needs a CUDA device" in printed
    (agreement,) = found["agreement"].values()
    assert list(agreement) == select("standard")
    # the same device twice: a value must not depend on which call made it
    assert {entry["statuses_differ"] for entry in agreement.values()} == {0}
    assert {entry["difference"] for entry in agreement.values()} <= {0.0, None}


def test_busy_time_counts_overlaps_once():
    spec = importlib.util.spec_from_file_location("gpu_bench", BENCHES / "gpu.py")
    gpu = importlib.util.module_from_spec(spec)
    sys.modules["gpu_bench"] = gpu  # dataclasses look their module up
    try:
        spec.loader.exec_module(gpu)
    finally:
        del sys.modules["gpu_bench"]
    draw = random.Random(0)
    for _ in range(50):
        starts = [draw.randrange(30) for _ in range(draw.randrange(8))]
        intervals = [(start, start + draw.randrange(10)) for start in starts]
        assert gpu.union(intervals) == len({t for start, end in intervals for t in range(start, end)})
    assert gpu.relative(0.0, 0.0) == 0.0
    assert gpu.relative(2.0, -1.0) == 1.5


def script(name, *options):
    """Return what a script prints."""
    command = [sys.executable, str(BENCHES / name), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_metrics_as_a_table(tmp_path):
    def method(kind, srocc):
        found = {"mean": srocc, "low": srocc, "high": srocc}
        return {"kind": kind, "scores": dict.fromkeys(("plcc", "rmse", "srocc", "krocc"), found)}

    methods = {
        "sum": method("model", 0.9),
        "worst": method("indicator", 0.1),
        "best": method("indicator", 0.95),
        "named": method("indicator", 0.2),
    }
    protocol = {"architectures": 5, "networks": 4, "train_size": 2, "splits": 1}
    krocc = {"mean": 0.5, "low": 0.25, "high": 0.75}
    curve = {"sum": [{"train_size": 7, "scores": {"krocc": krocc}}]}
    metrics = {"protocol": protocol, "methods": methods, "learning_curve": curve}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    printed = script("metrics_table.py", tmp_path, "--best", "1", "--also", "named")
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[:4]] == ["| method", "| `best`", "| **`sum`**", "| `named`"]
    assert rows[2][1:3] == ["0.900 <sub>0.900 to 0.900</sub>", "0.90 <sub>0.90 to 0.90</sub>"]
    assert rows[4:] == [["| trained on", "KROCC of `sum` |"], ["| 7", "0.500 <sub>0.250 to 0.750</sub> |"]]


def test_tables_of_published_accuracies(tmp_path, shared_data):
    script("accuracy_tables.py", "--data", shared_data, "--out", tmp_path)
    spaces = {"nats-tss": 1000, "nats-sss": 2000, "nas-bench-101": 23973, "darts": 594}
    spaces |= {"nds-darts": 121, "nds-amoeba": 124, "nds-resnext-b": 164}
    for name, size in spaces.items():
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(table) == size
        assert 0 <= table["accuracy"].min() < 60 or name == "nats-sss"
        assert (60 if name.startswith("nds") else 80) < table["accuracy"].max() < 100
        for arch in table["arch"][:20]:
            make_space(name).canonical(arch)
