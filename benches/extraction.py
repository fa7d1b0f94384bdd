"""Seconds per architecture of every probe and preset, in units of one forward and backward.

    python benches/extraction.py --images cifar-10-batches-py [--json FILE]
    python benches/extraction.py --memory 1000 --batch-size 16

The unit is one forward and backward (training mode, cross-entropy, gradients of all weights) of the
same network on the same batch in the same memory format, which is the faster of the two that torch
has. For each architecture a round is [unit, every group in turn, unit, unit in torch's default format];
a time is the shortest over rounds, and a ratio the sum over architectures of a group's seconds over that
of the unit's. Building the network is in neither, and is told beside them. A group starts from a subject
on which nothing but the networks was made before. With `--memory`, resident memory while one process
computes the preset `standard` for so many architectures, in place of the timings. Linux only.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from fusion.extraction.planner import OK, compute
from fusion.extraction.subject import make_subject
from fusion.images import Batch, load_images
from fusion.indicators import INDICATORS, PRESETS, select
from fusion.probes import PROBES, Subject, Undefined
from fusion.probes.base import preserved
from fusion.spaces import Space, make_space
from fusion.work.provenance import hardware

SEVEN = ("grad_norm", "snip", "grasp", "fisher", "cj", "plain", "synflow")
SIX = tuple(name for name in SEVEN if name != "grasp")
BUILD, UNIT, CONTIGUOUS = "build", "unit", "unit, contiguous"
NOISE = "noise:3x32x32"

# Subject -> number of observations or values that are undefined.
Work = Callable[[Subject], int]


def observe(name: str, subject: Subject) -> int:
    """Make all observations of one probe."""
    probe = PROBES[name]
    try:
        found = probe.run(subject, frozenset(probe.provides))
    except Exception:  # as in extraction: no observation for this network, and the time was spent
        return len(probe.provides)
    return sum(isinstance(value, Undefined) for value in found.values())


def values(names: Sequence[str], subject: Subject) -> int:
    """Compute indicators as extraction does."""
    return sum(value.status != OK for value in compute(names, subject))


def groups() -> dict[str, Work]:
    """Return what is timed: every registered probe, every preset, the seven and the six."""
    registered = {"seven": [n for n in SEVEN if n in INDICATORS], "six": [n for n in SIX if n in INDICATORS]}
    return {
        **{f"probe {name}": partial(observe, name) for name in PROBES},
        **{f"preset {name}": partial(values, select(name)) for name in PRESETS},
        **{name: partial(values, chosen) for name, chosen in registered.items()},
    }


def forward_backward(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the seconds of the unit."""
    with preserved(network):
        network.train()
        weights = list(network.parameters())
        started = time.perf_counter()
        torch.autograd.grad(functional.cross_entropy(network(x), y), weights)
        return time.perf_counter() - started


def touch(subject: Subject) -> Subject:
    """Make the networks and the images of `subject`, so that no timing includes them."""
    _ = subject.network, subject.thin_network, subject.x
    return subject


def measure(subject: Subject, works: dict[str, Work], rounds: int) -> tuple[dict[str, float], Counter[str]]:
    """Return the shortest seconds of everything for one network, and how much was undefined."""
    started = time.perf_counter()
    touch(subject)
    times: defaultdict[str, list[float]] = defaultdict(list, {BUILD: [time.perf_counter() - started]})
    undefined: Counter[str] = Counter()
    y = subject.batch.y
    plain = copy.deepcopy(subject.network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    forward_backward(subject.network, subject.x, y)  # warm-up
    for _ in range(rounds):
        times[UNIT].append(forward_backward(subject.network, subject.x, y))
        for name, work in works.items():
            fresh = touch(
                replace(subject, build=lambda: subject.network, build_thin=lambda: subject.thin_network)
            )
            started = time.perf_counter()
            undefined[name] = work(fresh)
            times[name].append(time.perf_counter() - started)
        times[UNIT].append(forward_backward(subject.network, subject.x, y))
        times[CONTIGUOUS].append(forward_backward(plain, subject.batch.x.contiguous(), y))
    return {name: min(seconds) for name, seconds in times.items()}, undefined


def timings(space: Space, keys: Sequence[str], batch: Batch, seed: int, rounds: int) -> dict[str, Any]:
    """Print the table of seconds and ratios; return it as JSON values."""
    works = groups()
    rows, undefined = [], Counter[str]()
    for key in tqdm(keys, desc="architectures", mininterval=1.0):
        seconds, lost = measure(make_subject(space, key, batch, seed=seed, repeat=0), works, rounds)
        rows.append(seconds)
        undefined += lost
    frame = pd.DataFrame(rows)
    table = pd.DataFrame(
        {
            "seconds": frame.mean(),
            "ratio": frame.sum() / frame[UNIT].sum(),
            "median_ratio": frame.div(frame[UNIT], axis=0).median(),
        }
    )
    print(f"{'':<26}{'s / network':>12}{'x unit':>10}{'median':>10}{'undefined':>11}")
    for name, row in table.iterrows():
        print(f"{name!s:<26}" + "{:>12.4f}{:>10.2f}{:>10.2f}".format(*row) + f"{undefined[str(name)]:>11}")
    entries: dict[str, dict[str, float]] = {str(name): dict(row) for name, row in table.iterrows()}
    return {
        **{f"{name}_ratio": entries[name]["ratio"] for name in ("seven", "six")},
        **{f"{name}_ratio": entries[f"preset {name}"]["ratio"] for name in ("fast", "standard", "full")},
        "unit_seconds": entries[UNIT]["seconds"],
        "unit_seconds_contiguous": entries[CONTIGUOUS]["seconds"],
        "build_seconds": entries[BUILD]["seconds"],
        "per_probe": {name: entries[f"probe {name}"] for name in PROBES},
        "per_preset": {name: entries[f"preset {name}"] for name in PRESETS},
        "per_group": {name: entries[name] for name in ("seven", "six")},
        "rounds": rounds,
    }


def resident() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(space: Space, keys: Sequence[str], batch: Batch, seed: int) -> dict[str, Any]:
    """Print resident memory every tenth of `keys`; return start, first tenth, end and growth in MB."""
    names = select("standard")
    step = max(1, len(keys) // 10)
    marks = [resident()]
    print(f"{'networks':>8}{'resident MB':>13}\n{0:>8}{marks[0]:>13.1f}")
    for done, key in enumerate(keys, 1):
        compute(names, make_subject(space, key, batch, seed=seed, repeat=0))
        if done % step == 0 or done == len(keys):
            marks.append(resident())
            print(f"{done:>8}{marks[-1]:>13.1f}", flush=True)
    print(f"growth after the first tenth: {marks[-1] - marks[1]:.1f} MB")
    return {
        "memory_start_mb": marks[0],
        "memory_first_tenth_mb": marks[1],
        "memory_end_mb": marks[-1],
        "memory_growth_mb": marks[-1] - marks[1],
    }


def main() -> None:
    """Print the timings, or the memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", default=NOISE, help="as for `fusion extract` (default: %(default)s)")
    parser.add_argument("--archs", type=int, default=16, help="architectures, drawn from nats-tss")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch; default: 1, as in each worker")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--memory", type=int, metavar="N", help="watch memory over N architectures instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = make_space("nats-tss", {"channels": args.channels, "cells": args.cells})
    keys = [space.canonical(arch) for arch in space.sample(args.memory or args.archs, args.seed)]
    batch = load_images(args.images).batch(args.batch_size, args.seed)
    missing = [name for name in SEVEN if name not in INDICATORS]
    context = {
        "archs": len(keys),
        "batch": args.batch_size,
        "threads": torch.get_num_threads(),
        "images": args.images,
        "space_settings": space.settings,
        "not_registered": missing,
        "torch": torch.__version__,
        "hardware": hardware("cpu"),
    }
    print(
        f"{len(keys)} architectures of nats-tss {space.settings}, batch {args.batch_size} of {args.images}\n"
        f"{context['threads']} torch threads (extraction gives each worker one), "
        f"torch {context['torch']}, {context['hardware']}"
    )
    if args.images == NOISE:
        print("images are noise: times are the same as with real ones, which the README's figures use")
    if missing:
        print(f"not registered, so left out of the seven and the six: {', '.join(missing)}")
    if args.memory:
        figures = memory(space, keys, batch, args.seed)
    else:
        print("unit: one forward and backward in channels last, the fast format; contiguous for information")
        figures = timings(space, keys, batch, args.seed, args.rounds)
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process: {figures['peak_rss_mb']:.0f} MB")
    if args.json:
        args.json.write_text(json.dumps(context | figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
