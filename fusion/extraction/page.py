"""The page of all indicators, from the registries."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from fusion.extraction.planner import plan
from fusion.indicators import ENCODING, INDICATORS, PRESETS, Indicator, select
from fusion.probes import COSTS, PROBES
from fusion.tables.encoding import PREFIX

# A family with more members is listed by the beginnings of their names instead of one by one.
_FEW = 12

_COSTS = {
    "structure": "no pass over the batch",
    "forward": "one forward pass",
    "backward": "one forward and one backward pass",
    "passes": "a few passes",
    "many": "more than a few passes",
    "running": "repeated forward passes of one image",
}


def family(name: str) -> str:
    """Return the module that an indicator is from: `activation`, or `package.module` of another package."""
    return INDICATORS[name].function.__module__.removeprefix("fusion.indicators.")


def indicators_page() -> str:
    """Return everything known about the registered indicators as one Markdown page."""
    families: dict[str, list[Indicator]] = {}
    for name in INDICATORS:
        families.setdefault(family(name), []).append(INDICATORS[name])
    sections = [
        "# Indicators\n\n<!-- Made by `fusion list indicators --markdown`; do not edit. -->",
        "An indicator is one number per untrained network, computed from what a few passes over one batch of "
        "images show, or from the structure alone. ↑ means that its source expects better architectures to "
        "have higher values, ↓ lower ones; whether they do is for an evaluation to say. A pass is made once "
        "for all indicators that need it. Where an indicator has no value for a network, the table says why "
        "instead. `fusion list indicators --json` has the same as data; "
        "[How to add an indicator](new-indicator.md) continues from here.",
        "## Presets\n\nWherever names of indicators are asked for, a preset stands for several.",
        table(("preset", "indicators", "costs at most", "passes"), map(_preset, PRESETS)),
        "Cost classes: " + "; ".join(f"`{cost}`, {_COSTS[cost]}" for cost in COSTS) + ".",
    ]
    sections.append(_encoding())
    for name, members in families.items():
        sections += [
            f"## {name}",
            text(str(sys.modules[members[0].function.__module__].__doc__).split("\n")[0]),
        ]
        sections += _all(members) if len(members) <= _FEW else _by_kind(members)
    sections += [
        "## Passes and what they give\n\nThe observations that an indicator may ask for; the docstring of "
        "each probe in `fusion/probes` says what they are.",
        table(
            ("probe", "pass", "observations and their cost class"),
            ((f"`{name}`", text(PROBES[name].summary), _provides(name)) for name in PROBES),
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _encoding() -> str:
    named = f"`{ENCODING}`, and the preset `structure` beside its indicators, stand"
    return (
        f"## {ENCODING}\n\nWhat the space says of an architecture (`Space.features`), as columns: "
        f"`{PREFIX}NAME`, a number; `{PREFIX}NAME=CHOICE`, 1 where that is the choice, else 0; numbers with "
        "at most 8 values in a table are choices too. They are no indicators: nothing computes, stores or "
        f"ranks them; models within one space read them beside the indicators. Where the indicators of a "
        f"model are named, {named} for all of them; between spaces they are left out. "
        "[The spaces](spaces.md#encoding) say what theirs are."
    )


def _all(members: Sequence[Indicator]) -> list[str]:
    rows = ((f"`{one.name}`", _arrow(one), one.cost, _code(one.formula), text(one.source)) for one in members)
    notes = (f"- `{one.name}`: {text(one.summary)} Assumes: {text(one.assumes)}." for one in members)
    return [table(("name", "", "cost", "formula", "source"), rows), "\n".join(notes)]


def _by_kind(members: Sequence[Indicator]) -> list[str]:
    """Join members whose names begin with the same two words; the first stands for their formulas."""
    kinds: dict[tuple[str, ...], list[Indicator]] = {}
    for one in members:
        kinds.setdefault((*one.name.split("_")[:2], _arrow(one), one.cost), []).append(one)
    rows = (
        (
            ", ".join(f"`{one.name}`" for one in kind),
            _arrow(kind[0]),
            kind[0].cost,
            _code(kind[0].formula),
        )
        for kind in kinds.values()
    )
    sources, assumed = (
        dict.fromkeys(found) for found in zip(*((m.source, m.assumes) for m in members), strict=True)
    )
    return [
        table(("names", "", "cost", "formula (of the first)"), rows),
        f"Source: {text('; '.join(sources))}.\n\nAssume: {text('; '.join(assumed))}.",
    ]


def _preset(name: str) -> tuple[str, ...]:
    chosen = select(name)
    cost = max((INDICATORS[one].cost for one in chosen), key=COSTS.index)
    named = ": " + ", ".join(f"`{one}`" for one in chosen) if len(chosen) <= _FEW else ""
    return f"`{name}`", f"{len(chosen)}{named}", _COSTS[cost], ", ".join(f"`{one}`" for one in plan(chosen))


def _provides(probe: str) -> str:
    return ", ".join(f"`{name}` ({cost})" for name, cost in PROBES[probe].provides.items())


def _arrow(one: Indicator) -> str:
    return "↑" if one.higher_is_better else "↓"


def _code(text: str) -> str:
    # a table ends its cell at a bar inside code too
    return "`" + text.replace("|", r"\|") + "`"


def text(words: str) -> str:
    """Return words of which Markdown makes nothing else."""
    return re.sub(r"([*<|])", r"\\\1", words)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
