"""Notations that tables of other programs have in place of architecture strings."""

from __future__ import annotations

import re


def official_number(text: str) -> int | None:
    """Return the whole number that `text` is, also where a column of floats made `7.0` of it; else None."""
    match = re.fullmatch(r"(\d{1,9})(\.0*)?", text.strip(), re.ASCII)
    return int(match[1]) if match else None


def bracketed(text: str) -> tuple[int, ...] | None:
    """Return the whole numbers of a list or tuple such as `[8, 16]`, `(8, 16)`, `[8 16]`; else None."""
    inner = re.fullmatch(r"\[(.*)\]|\((.*)\)", text.strip())
    numbers = re.split(r"\s*,\s*|\s+", (inner[1] or inner[2] or "").strip().rstrip(",")) if inner else []
    if not numbers or not all(re.fullmatch(r"\d{1,9}", number, re.ASCII) for number in numbers):
        return None
    return tuple(map(int, numbers))
