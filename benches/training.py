"""Seconds per training: all seeds of an architecture stacked into one network, or one by one.

    python benches/training.py [--archs 8] [--seeds 8]

The recipe is that of data/digits-tss. Prints means over architectures and the ratio.
"""

from __future__ import annotations

import argparse
import time
from unittest import mock

import torch

from fusion.images import load_images
from fusion.spaces import make_space
from fusion.training.recipe import Recipe
from fusion.training.train import train_architecture, training_data


def main() -> None:
    """Print the timings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(epochs=5, batch_size=32, lr=0.2, train_images=192, seeds=args.seeds)
    space = make_space("nats-tss", {"channels": 8, "cells": 1})
    data = training_data(load_images("digits"), recipe)
    keys = [space.canonical(arch) for arch in space.sample(args.archs, 0)]

    def seconds() -> float:
        train_architecture(keys[0], space, data, recipe)  # warm-up
        started = time.perf_counter()
        for key in keys:
            train_architecture(key, space, data, recipe)
        return (time.perf_counter() - started) / (len(keys) * recipe.seeds)

    stacked = seconds()
    with mock.patch("fusion.training.train._joint_network", return_value=None):
        alone = seconds()
    print(
        f"stacked {stacked:.3f} s, one by one {alone:.3f} s per training: {alone / stacked:.2f} times as fast"
    )


if __name__ == "__main__":
    main()
