"""The page of all fusion models, from the registry."""

from __future__ import annotations

import inspect

from fusion.extraction.page import table, text
from fusion.regression.base import MODELS, FusionModel


def models_page() -> str:
    """Return everything known about the registered models as one Markdown page."""
    sections = [
        "# Known models\n\n<!-- Made by `fusion list models --markdown`; do not edit. -->",
        "A model reads indicators and predicts accuracies, or gives a score that only ranks. With a *spread*"
        ", a standard deviation of its own for each architecture, its intervals are narrower where it knows "
        "more; without one they are all as wide, in Gaussian scores of ranks. A *pool*: indicators without "
        "accuracies, by which it knows where values lie. [How to use them](models.md), "
        "[how to add one](new-model.md).",
        table(
            ("model", "gives", "learns from", "spread", "summary"),
            (
                (
                    f"[`{name}`](#{name})",
                    _gives(model),
                    _needs(model),
                    "yes" if model.has_spread else "",
                    text(model.summary),
                )
                for name, model in sorted(MODELS.items())
            ),
        ),
    ]
    for name, model in sorted(MODELS.items()):
        doc = inspect.getdoc(model) or ""
        sections += [f"## {name}", text(doc.partition("\n")[0]), f"Source: {text(model.source)}."]
        if model.indicators is not None:
            sections.append(
                f"Reads, unless others are named: {', '.join(f'`{one}`' for one in model.indicators)}."
            )
        if rows := _settings(model, doc):
            sections.append(table(("setting", "default", "meaning"), rows))
    return "\n\n".join(sections) + "\n"


def _gives(model: type[FusionModel]) -> str:
    return (
        model.gives if model.needs_labels or not model.uses_labels else "accuracy; score without accuracies"
    )


def _needs(model: type[FusionModel]) -> str:
    labels = "no accuracies"
    if model.uses_labels:
        labels = f"accuracies, at least {model.fewest}" if model.needs_labels else "accuracies, or none"
    return f"{labels}; pool" if model.uses_pool else labels


def _settings(model: type[FusionModel], doc: str) -> list[tuple[str, str, str]]:
    """Return each setting with its default, and what the docstring says of it."""
    _, _, parameters = doc.partition("Parameters\n----------\n")
    said: dict[str, list[str]] = {}
    name = ""
    for line in parameters.partition("\n\n")[0].splitlines():
        if line.startswith(" "):
            said[name].append(line.strip())
        else:
            name, _, kind = line.partition(" : ")
            said[name] = [f"{kind.removesuffix(', optional')}."] if kind.startswith("{") else []
    return [
        (f"`{name}`", f"`{parameter.default!r}`", text(" ".join(said.get(name, []))))
        for name, parameter in inspect.signature(model).parameters.items()
    ]
