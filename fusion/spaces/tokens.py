"""What can be said of an architecture of any space: the tokens of its string, the operations of its cells."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from fusion.spaces.graph import WIRE, CellGraph

_TOKEN = re.compile(r"[\w.]+")
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_LONGEST = 100  # characters of a token that are told


def string_features(key: str, graphs: Mapping[str, CellGraph]) -> dict[str, float | str]:
    """Return what `Space.features` says unless a space says better.

    Parameters
    ----------
    key : str
        Its tokens are what stands between characters that are no letter, digit, `_` or `.`; of a JSON object
        or list, its values.
    graphs : mapping of str to CellGraph

    Returns
    -------
    dict
        `number.P` or `token.P`, the token at place P (0, 1, ...; of JSON the path, such as `widths.0`),
        depending on whether it is a number, so that a name is always of one type; `count.T`, how often the
        token T that is no number occurs; `CELL.count.KIND`, how many operations of a kind a cell has.
    """
    found: dict[str, float | str] = {}
    texts: Counter[str] = Counter()
    for place, value in _tokens(key):
        if isinstance(value, str):
            found[f"token.{place}"] = value
            texts[value] += 1
        else:
            found[f"number.{place}"] = value
    found |= {f"count.{_named(text)}": number for text, number in texts.items()}
    for name, graph in graphs.items():
        kinds = Counter(kind for _, _, kind in graph.edges if kind != WIRE)
        found |= {f"{_named(name)}.count.{_named(kind)}": number for kind, number in kinds.items()}
    return found


def _tokens(key: str) -> Iterator[tuple[str, float | str]]:
    try:
        content = json.loads(key)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict | list):
        yield from _flat(content, "")
        return
    for place, token in enumerate(_TOKEN.findall(key)):
        number = float(token) if _NUMBER.fullmatch(token) else math.inf
        yield str(place), number if math.isfinite(number) else token[:_LONGEST]


def _flat(content: Any, path: str) -> Iterator[tuple[str, float | str]]:
    """Yield the numbers and texts of JSON values with their paths; nothing for null."""
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for name, value in items:
            yield from _flat(value, f"{path}.{_named(str(name))}".lstrip("."))
    elif isinstance(content, str):
        yield path, " ".join(content.split())[:_LONGEST]
    elif isinstance(content, int | float) and abs(content) < 1e300:
        yield path, float(content)


def _named(text: str) -> str:
    """Return a text as part of a name: names tell their parts by `.` and `=`, and stand on one line."""
    return re.sub(r"[^\w.+-]+", "_", text)[:_LONGEST]
