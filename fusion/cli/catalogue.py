"""What `fusion list` shows, from the registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusion.benchmarks import BENCHMARKS
from fusion.errors import FusionError
from fusion.evaluation.metrics import METRICS, Metric
from fusion.extraction.page import family, indicators_page, table, text
from fusion.indicators import INDICATORS, PRESETS, Indicator, select
from fusion.pipeline.config import Pipeline
from fusion.probes import PROBES
from fusion.registry import Registry, about, suggest
from fusion.regression import MODELS, models_page
from fusion.regression.shipped import shipped_models
from fusion.search import PROPOSERS
from fusion.settings import Settings, describe
from fusion.spaces import SPACES, Space
from fusion.storage.bundled import bundled_names


def catalogue(what: str) -> list[dict[str, Any]]:
    """Return one JSON row per registered thing, with at least `name`, `summary` and `source`.

    Parameters
    ----------
    what : str
        One of `REGISTRIES`, `SHIPPED` or `KEYS`.

    Raises
    ------
    FusionError
        For something else.
    """
    if what == KEYS:
        return [
            {
                "name": f"{prefix}{key.name}",
                "summary": key.text,
                "values": key.wanted,
                "required": key.required,
                "default": key.default,
            }
            for prefix, cls in _pipeline_classes().items()
            for key in describe(cls)
        ]
    if what == SHIPPED:
        return [{"name": name, "summary": title} for name, title in shipped_models().items()]
    if what not in REGISTRIES:
        known = [*REGISTRIES, SHIPPED, KEYS]
        raise FusionError(
            f"list {what}: no such list; {suggest(what, known) or 'known: ' + ', '.join(known)}"
        )
    extra = _EXTRA.get(what, lambda _: {})
    rows = []
    for item in REGISTRIES[what].values():
        one = about(item)
        rows.append({"name": one.name, "summary": one.summary, "source": one.source, **extra(item)})
    return rows


def _indicator(one: Indicator) -> dict[str, Any]:
    presets = [preset for preset in PRESETS if one.name in select(preset)]
    return {**one.describe(), "family": family(one.name), "presets": presets}


def _space(space: type[Space]) -> dict[str, Any]:
    made = space()
    return {"architectures": len(made) if space.enumerable else None, "settings": made.settings}


def _metric(one: Metric) -> dict[str, Any]:
    return {"formula": one.formula, "higher_is_better": one.higher_is_better}


# what `fusion list` can list
KEYS = "pipeline-keys"
SHIPPED = "shipped"
REGISTRIES: dict[str, Registry[Any]] = {
    registry.group.removeprefix("fusion."): registry
    for registry in (SPACES, INDICATORS, PROBES, MODELS, METRICS, BENCHMARKS, PROPOSERS)
}

_EXTRA: dict[str, Callable[[Any], dict[str, Any]]] = {
    "spaces": _space,
    "indicators": _indicator,
    "probes": lambda probe: {"provides": probe.provides},
    "metrics": _metric,
    "benchmarks": lambda benchmark: benchmark.describe(),
}


def _pipeline_classes() -> dict[str, type[Settings]]:
    """Return what stands before the names of keys -> the class of settings that has them."""
    found: dict[str, type[Settings]] = {"": Pipeline}
    for key in describe(Pipeline):
        if key.nested:
            found[f"{key.name}.NAME." if key.name == "models" else f"{key.name}."] = key.nested
    return found


def pipeline_page() -> str:
    """Return all keys of a pipeline, with their defaults, as one Markdown page."""
    sections = [
        "# Pipelines\n\n<!-- Made by `fusion list pipeline-keys --markdown`; do not edit. -->",
        "A pipeline is a YAML file that says what to compute and how to judge it. `fusion run FILE` runs "
        "one, and `fusion run NAME` one that comes with Fusion: "
        + ", ".join(f"`{name}`" for name in bundled_names("pipelines", ".yaml"))
        + ". The shortest, which needs nothing but Fusion:",
        f"```yaml\n{_SHORTEST}```",
        "A key that is left out has its default, and `null` means that there is no such thing. `--set "
        "KEY=VALUE`, such as `--set evaluation.splits=20 search=null models.mine.model=lightgbm`, goes over "
        "the file; an item of a list is named by its number, from 0. An unknown key, or a value of another "
        "kind, is refused before anything is computed. Numbers may be written as 5e-4; anchors and aliases "
        "are refused.",
    ]
    for prefix, cls in _pipeline_classes().items():
        if prefix:
            sections.append(f"## {prefix.rstrip('.')}\n\n{str(cls.__doc__).partition(chr(10))[0]}")
        rows = (
            (
                f"`{key.name}`",
                text(key.wanted),
                "(required)" if key.required else f"`{key.default}`" * bool(key.default),
                text(key.text),
            )
            for key in describe(cls)
        )
        sections.append(table(("key", "value", "default", "meaning"), rows))
    return "\n\n".join(sections) + "\n"


_SHORTEST = """\
title: Small networks on digits
space: {name: nats-tss, channels: 8, cells: 1}
images: digits
target: digits test accuracy
accuracies: {table: data/digits-tss/accuracies.parquet}
"""


def page(what: str) -> str:
    """Return what is listed as the page of the documentation; raises FusionError where there is none."""
    pages = {"indicators": indicators_page, "models": models_page, KEYS: pipeline_page}
    if what not in pages:
        raise FusionError(f"list {what} --markdown: only {', '.join(pages)} have a page; use --json")
    return pages[what]()
