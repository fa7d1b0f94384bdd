"""Small tables with accuracies, made in a temporary folder, and pages taken apart."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd

from fusion.spaces import make_space
from fusion.storage.parts import PartStore
from fusion.tables import Accuracies, IndicatorTable, Labelled
from fusion.tables.indicator_table import KEYS


def table_of(folder, values, space, reasons=None):
    """An indicator table with these values by key; `reasons` are the statuses of undefined indicators."""
    meta = {
        **space.identity,
        "kind": "indicators",
        "batch_digest": "0",
        "batch_size": 8,
        "seed": 0,
        "device": "cpu",
    }
    store = PartStore.create(folder, KEYS, meta, {"images": "digits"})
    store.note(indicator_versions=dict.fromkeys(values.columns, 1))
    rows = values.rename_axis(index="key").reset_index().melt("key", var_name="indicator")
    rows = rows.assign(repeat=0, seconds=0.1)
    status = rows["indicator"].map(lambda name: (reasons or {}).get(name, "undefined"))
    rows["status"] = status.where(rows["value"].isna(), "ok")
    store.add(rows[[*KEYS, "value", "status", "seconds"]])
    return IndicatorTable.open(folder)


def accuracies_of(by_arch, **changed):
    """Accuracies of which seeds and costs are not known."""
    settings = {
        "seeds": pd.Series(pd.NA, by_arch.index, dtype="Int64"),
        "cost": pd.Series(np.nan, by_arch.index),
        "spread": pd.Series(np.nan, by_arch.index),
        "source": "acc.csv",
        "rows": len(by_arch),
    }
    return Accuracies(by_arch=by_arch.rename("accuracy"), **{**settings, **changed})


def labelled(folder, n, space="nats-sss", seed=0, **changed):
    """`n` architectures with a good, a fair, a reversed, an empty and a constant indicator."""
    space = make_space(space)
    archs = space.sample(n, seed)
    keys = list(dict.fromkeys(map(space.canonical, archs)))
    rng = np.random.default_rng(seed)
    quality = pd.Series(rng.normal(size=len(keys)), keys)
    noise = rng.normal(size=(3, len(keys)))
    values = pd.DataFrame(
        {
            "good": quality + 0.3 * noise[0],
            "fair": quality + noise[1],
            "wrong": -quality + 0.1 * noise[2],
            "empty": np.nan,
            "flat": 3.0,
        },
        index=keys,
    )
    table = table_of(folder, values, space, {"empty": "the space has no cells"})
    by_arch = pd.Series(90 + quality[[space.canonical(arch) for arch in archs]].to_numpy(), archs)
    return Labelled.join(table, accuracies_of(by_arch, **changed))


class Page(HTMLParser):
    """Tags with their attributes, and the text of cells, headings and paragraphs."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.stack, self.rows = [], {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("h1", "h2", "th", "td", "pre", "p", "li", "title", "summary"):
            self.stack.append(tag)
            self.texts.setdefault(tag, []).append("")
            if tag in ("th", "td"):
                self.rows[-1].append("")

    def handle_endtag(self, tag):
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data):
        if self.stack:
            self.texts[self.stack[-1]][-1] += data
            if self.stack[-1] in ("th", "td"):
                self.rows[-1][-1] += data + " "
