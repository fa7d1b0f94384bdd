"""The card of a fitted model: what to know before using it, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusion.regression.base import MODELS
from fusion.regression.saving import Document
from fusion.regression.source import Source
from fusion.tables.encoding import not_encoded

_STRONGEST = 10


def card(about: Document, weights: Mapping[str, float]) -> str:
    """Return what a model is, what it learned from, by which protocol, and its limits.

    Parameters
    ----------
    about : Document
    weights : mapping of str to float
        Of its features; empty where it has none.
    """
    model = MODELS[about.model]
    learned = model.uses_labels and any(source.architectures for source in about.sources)
    if learned:
        judged = (
            "All of these accuracies were learned from, so none is left to judge the model by: how well such "
            "a model predicts is what `fusion evaluate` says of the same table."
        )
    elif about.fitted_anew:
        judged = "It learned from none of them: it is fitted anew on each table that it is given."
    else:
        judged = "It learned from their indicators and from no accuracy, and only ranks."
    parts = [
        f"# {about.model}: {about.target}",
        f"{model.summary}. Source: {model.source}.",
        _list({**{f"`{name}`": str(value) for name, value in about.params.items()}}, "Settings"),
        _reads(about.features),
        "## Learned from",
        *(_source(source) for source in about.sources),
        judged,
    ]
    if weights:
        parts += ["## What carries it", _weights(weights)]
    parts += ["## Limits", _limits(about, ranks=not learned or model.gives == "score")]
    if about.notes:
        parts += ["## Told when it was fitted", "\n".join(f"- {note}" for note in about.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reads(features: Sequence[str]) -> str:
    names = not_encoded(features)
    encoded = f"{len(features) - len(names)} numbers of the encoding, which the space gives by itself"
    if not names:
        return f"It reads {encoded}."
    more = f", and {encoded}" if len(features) > len(names) else ""
    return f"It reads {len(names)} indicators: {', '.join(names)}{more}."


def _source(source: Source) -> str:
    counts = f"{source.architectures:,} architectures, {source.networks:,} different networks"
    facts = {
        "accuracies": counts if source.architectures else "none",
        "space": f"{source.space} {_settings(source.space_settings)}".strip(),
        "images": f"{source.images or 'not said'}, batch of {source.batch_size}, "
        f"SHA-256 `{source.batch_digest[:16]}`",
        "initialisations": f"{source.repeats}, seed {source.seed}, on {source.device}",
    }
    return _list(facts, ": ".join(filter(None, [source.group, source.target])) or "Indicators alone")


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _list(facts: Mapping[str, str], title: str) -> str:
    if not facts:
        return ""
    return "\n".join([f"{title}:", "", *(f"- {name}: {value}" for name, value in facts.items())])


def _weights(weights: Mapping[str, float]) -> str:
    strongest: Sequence[tuple[str, float]] = sorted(weights.items(), key=lambda item: -abs(item[1]))
    used = [item for item in strongest if item[1]]
    lines = ["| feature | weight |", "|---|---|"]
    lines += [f"| {name} | {weight:.4g} |" for name, weight in used[:_STRONGEST]]
    return "\n".join(lines) + f"\n\nThe strongest of {len(used)} weights that are not zero."


def _limits(about: Document, *, ranks: bool) -> str:
    several = len(about.sources) > 1
    if not several and ranks:
        return (
            "It predicts no accuracies: it ranks the architectures of the space and images above. Of other "
            "images or another device the indicators are others, and are refused."
        )
    if several:
        versions = "" if about.fitted_anew else ", with the indicators in the same versions"
        return (
            "It predicts no accuracies: it ranks the architectures of a table within that table, whatever "
            f"its space and images{versions}. Ranks among few say little."
        )
    sense = "lower is better" if about.lower_is_better else "higher is better"
    return (
        f"It predicts for the space, images and recipe above ({sense}); of other images or another "
        "device the indicators are others, and are refused. Architectures unlike those that "
        "it learned from are told when it predicts."
    )
