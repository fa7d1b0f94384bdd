"""Architectures per second on a GPU, how busy it is, and how far its values are from the CPU's.

    python benches/gpu.py [--archs 32] [--agree 16] [--json FILE]
    python benches/gpu.py --device cpu --archs 4 --agree 2 --batch-size 8

The preset `standard` is extracted into a temporary folder, first as it is (`baseline`), then with one
idea at a time; each extraction runs twice and the second is timed. Busy is the part of the time in which
the GPU runs a kernel or a copy: the union of their intervals, from torch's profiler, over the seconds
that the same architectures take without the profiler, which slows the CPU's side. For several processes
the baseline's is scaled by the gain in architectures per second: kernels of different processes take turns.

Agreement is the largest |gpu - cpu| / max(|gpu|, |cpu|) over architectures with a value on the CPU, with
TF32 off, as extraction has it, and on. Without a GPU the ideas that need one are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile

from fusion.extraction.planner import Value, compute
from fusion.extraction.subject import make_subject
from fusion.extraction.verb import extract
from fusion.images import Batch, load_images
from fusion.indicators import select
from fusion.probes import Subject
from fusion.registry import Registry
from fusion.spaces import Space, make_space
from fusion.work import Work
from fusion.work.devices import pick_device, single_thread
from fusion.work.precision import full_precision
from fusion.work.provenance import hardware


@dataclass(frozen=True)
class Idea:
    """A way to use the device: a setting of this process, or a number of processes."""

    name: str
    setting: Callable[[], AbstractContextManager[Any]] = nullcontext
    processes: int = 1
    needs_gpu: bool = True


@contextmanager
def cudnn_benchmark() -> Iterator[None]:
    """Let cuDNN try its algorithms on every new shape and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def tf32() -> Iterator[None]:
    """Let products and convolutions round their inputs to 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # cuDNN's convolutions do so by default
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


IDEAS: Registry[Idea] = Registry("idea")
IDEAS.register(Idea("baseline", needs_gpu=False))
IDEAS.register(
    Idea("channels_last", lambda: mock.patch.object(Subject, "memory_format", torch.channels_last))
)
IDEAS.register(Idea("cudnn.benchmark", cudnn_benchmark))
IDEAS.register(Idea("processes=2", processes=2, needs_gpu=False))
IDEAS.register(Idea("processes=4", processes=4))
IDEAS.register(Idea("processes=8", processes=8))


@dataclass(frozen=True)
class Bench:
    """What every idea extracts."""

    space: Space
    keys: Sequence[str]
    batch: Batch
    names: Sequence[str]
    device: str
    seed: int = 0

    def values(self, key: str, device: str) -> list[Value]:
        """Return the values of one architecture, computed in this process."""
        return compute(
            self.names, make_subject(self.space, key, self.batch.to(device), seed=self.seed, repeat=0)
        )

    def rate(self, processes: int) -> float:
        """Return architectures per second of `extract`; the first run starts processes and warms up."""
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                extract(
                    self.space,
                    self.keys,
                    self.names,
                    images=self.batch,
                    out=folder,
                    seed=self.seed,
                    work=Work(self.device, processes, progress=False),
                )
                seconds = time.perf_counter() - started
        return len(self.keys) / seconds

    def busy(self, count: int) -> float:
        """Return the part of the time in which the GPU works, for the first `count` architectures."""

        def run() -> float:
            started = time.perf_counter()
            with single_thread(), full_precision():
                for key in self.keys[:count]:
                    self.values(key, self.device)
            torch.cuda.synchronize(self.device)
            return time.perf_counter() - started

        run()
        seconds = run()
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            run()
        spans = [e.time_range for e in profiler.events() or [] if e.device_type.name == "CUDA"]
        return union([(span.start, span.end) for span in spans]) * 1e-6 / seconds

    def differences(self, expected: Sequence[list[Value]]) -> dict[str, dict[str, Any]]:
        """Return, per indicator, the largest relative difference and in how many the statuses differ."""
        worst: dict[str, float | None] = dict.fromkeys(self.names)
        statuses = dict.fromkeys(self.names, 0)
        for key, on_cpu in zip(self.keys, expected, strict=False):
            for a, b in zip(on_cpu, self.values(key, self.device), strict=True):
                statuses[a.indicator] += a.status != b.status
                if a.value is not None and b.value is not None:
                    worst[a.indicator] = max(worst[a.indicator] or 0.0, relative(a.value, b.value))
        return {name: {"difference": worst[name], "statuses_differ": statuses[name]} for name in self.names}


def union(intervals: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def relative(a: float, b: float) -> float:
    """Return |a - b| over the larger of both magnitudes, 0 for equal numbers."""
    return 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))


def try_ideas(bench: Bench, wanted: Sequence[str], profiled: int) -> dict[str, dict[str, float | None]]:
    """Print and return architectures per second, gain over the baseline, and busy for each idea."""
    on_gpu = torch.device(bench.device).type == "cuda"
    found: dict[str, dict[str, float | None]] = {}
    print(f"\n{'idea':<18}{'archs / s':>10}{'gain':>8}{'busy':>8}")
    for name in wanted:
        idea = IDEAS[name]
        if idea.needs_gpu and not on_gpu:
            print(f"{name:<18}left out: needs a CUDA device")
            continue
        with idea.setting():
            rate = bench.rate(idea.processes)
            busy = bench.busy(profiled) if on_gpu and idea.processes == 1 else None
        first = found.get("baseline", {"archs_per_second": rate, "busy": None})
        gain = rate / (first["archs_per_second"] or rate)
        if idea.processes > 1 and first["busy"] is not None:
            busy = first["busy"] * gain
        found[name] = {"archs_per_second": rate, "gain": gain, "busy": busy}
        print(f"{name:<18}{rate:>10.3f}{gain:>8.2f}{'-' if busy is None else f'{busy:.0%}':>8}", flush=True)
    return found


def agreement(bench: Bench, count: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Print and return the differences from the CPU, with TF32 off and on."""
    found = {}
    with single_thread():
        expected = [bench.values(key, "cpu") for key in bench.keys[:count]]
        with full_precision():
            found["tf32_off"] = bench.differences(expected)
        if torch.device(bench.device).type == "cuda":
            with tf32():
                found["tf32_on"] = bench.differences(expected)
    width = max(map(len, ["largest difference", *bench.names]))
    print(f"\n{'largest difference':<{width}}" + "".join(f"{name:>12}{'statuses':>12}" for name in found))
    for name in bench.names:
        line = f"{name:<{width}}"
        for column in found.values():
            difference, statuses = column[name].values()
            told = "-" if difference is None else f"{difference:.1e}"
            line += f"{told:>12}{f'{statuses} differ' if statuses else 'agree':>12}"
        print(line)
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--images", default="noise:3x32x32", help="as for `fusion extract`")
    parser.add_argument("--archs", type=int, default=32, help="architectures, drawn from nats-tss")
    parser.add_argument("--agree", type=int, default=16, help="of them compared with the CPU")
    parser.add_argument("--profile", type=int, default=4, help="of them profiled")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--ideas", default=",".join(IDEAS), help="beside the baseline (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args()
    space = make_space("nats-tss", {"channels": args.channels, "cells": args.cells})
    # extraction computes each network once, so here are exactly so many different ones
    keys = list(dict.fromkeys(space.canonical(arch) for arch in space.sample(len(space), args.seed)))
    batch = load_images(args.images).batch(args.batch_size, args.seed)
    bench = Bench(space, keys[: args.archs], batch, select("standard"), pick_device(args.device), args.seed)
    context = {
        "device": bench.device,
        "hardware": hardware(bench.device),
        "torch": torch.__version__,
        "archs": len(bench.keys),
        "batch": args.batch_size,
        "space_settings": space.settings,
        "indicators": bench.names,
    }
    print(
        f"{len(bench.keys)} networks of nats-tss {space.settings}, batch {args.batch_size} of {args.images}\n"
        f"standard: {len(bench.names)} indicators; {context['hardware']}, torch {context['torch']}"
    )
    wanted = list(dict.fromkeys(["baseline", *args.ideas.split(",")]))
    ideas = try_ideas(bench, wanted, args.profile)
    figures = {"ideas": ideas, "agreement": agreement(bench, args.agree)}
    if args.json:
        args.json.write_text(json.dumps(context | figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
