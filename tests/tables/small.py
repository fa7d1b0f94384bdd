"""Small indicator tables and accuracies, of made-up values, as things."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fusion.images import load_images
from fusion.indicators import INDICATORS
from fusion.spaces import make_space
from fusion.storage.parts import PartStore
from fusion.tables import Accuracies, IndicatorTable
from fusion.tables.indicator_table import KEYS, KIND

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
NAMES = ["cj", "os", "nlr", "cnntk", "params", "flops"]
IMAGES = "noise:1x8x8"


def distinct(n, seed=0, space=SPACE):
    """Return `n` architectures, no two of which are the same network, as their keys."""
    found = dict.fromkeys(space.canonical(arch) for arch in space.sample(4 * n, seed))
    return list(found)[:n]


def table_of(folder, values, *, provenance=None, **meta):
    """Return the table on disk that holds `values`, a frame by key; `meta` replaces metadata."""
    space = meta.pop("of", SPACE)
    batch = load_images(IMAGES).batch(8, 0)
    wanted = {
        "kind": KIND,
        **space.identity,
        "batch_digest": batch.digest,
        "batch_size": 8,
        "seed": 0,
        "device": "cpu",
        **meta,
    }
    store = PartStore.create(folder, KEYS, wanted, provenance or {"images": IMAGES})
    long = values.rename_axis(index="key", columns="indicator").stack(future_stack=True)  # noqa: PD013
    rows = long.rename("value").reset_index().assign(repeat=0, seconds=0.1)
    rows["status"] = np.where(rows["value"].notna(), "ok", "undefined here")
    store.add(rows)
    versions = {name: INDICATORS[name].version for name in values if name in INDICATORS}
    store.note(indicator_versions=meta.get("indicator_versions", versions))
    return IndicatorTable.open(folder, space)


def values_of(keys, seed=0, names=NAMES):
    """Return made-up values, some undefined, and the quality from which they come, by key."""
    rng = np.random.default_rng(seed)
    quality = pd.Series(rng.normal(size=len(keys)), pd.Index(keys, name="key"))
    noise = rng.normal(size=(len(keys), len(names)))
    values = pd.DataFrame(quality.to_numpy()[:, None] + 0.5 * noise, quality.index, names)
    values.iloc[3, 1] = np.nan
    return values, quality


def accuracies_of(by_arch, **changed):
    """Return accuracies by architecture as if they had been read; `changed` replaces what is unknown."""
    by_arch = by_arch.rename("accuracy").rename_axis(index="arch")
    unknown = {
        "seeds": pd.Series(pd.NA, by_arch.index, dtype="Int64"),
        "cost": pd.Series(np.nan, by_arch.index),
        "spread": pd.Series(np.nan, by_arch.index),
        "source": "own.csv",
        "rows": len(by_arch),
    }
    return Accuracies(by_arch=by_arch, **{**unknown, **changed})


def labelled(folder, n=60, measured=40, draw=0, names=NAMES, **meta):
    """Return `n` networks with values, of which the first `measured` have an accuracy."""
    values, quality = values_of(distinct(n, space=meta.get("of", SPACE)), draw, names)
    table = table_of(folder, values, **meta)
    return table.labelled(accuracies_of(80 + 5 * quality[:measured]))
