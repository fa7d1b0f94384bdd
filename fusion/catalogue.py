"""What `fusion list` shows, from the registries."""

from __future__ import annotations

from typing import Any

from fusion.benchmarks import BENCHMARKS
from fusion.indicators import INDICATORS
from fusion.regression import MODELS
from fusion.spaces import SPACES


def catalogue(what: str) -> list[dict[str, Any]]:
    """Return one JSON row per registered thing; each has at least `name` and `summary`.

    Parameters
    ----------
    what : {"spaces", "indicators", "models", "benchmarks"}
    """
    if what == "indicators":
        return [INDICATORS[name].describe() for name in INDICATORS]
    if what == "models":
        return [
            {"name": name, "summary": MODELS[name].summary, "source": MODELS[name].source} for name in MODELS
        ]
    if what == "spaces":
        spaces = [SPACES[name] for name in SPACES]
        return [
            {
                "name": space.name,
                "summary": space.summary,
                "source": space.source,
                "architectures": len(space()),
                "settings": space().settings,
            }
            for space in spaces
        ]
    return [{"name": name, **BENCHMARKS[name]} for name in BENCHMARKS]
