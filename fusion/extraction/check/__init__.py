"""Whether a space has the properties on which everything else relies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

# in the order of the properties, the first of which draws the sample
from fusion.extraction.check import archs, networks, passes  # noqa: F401  (register their properties)
from fusion.extraction.check.sample import PROPERTIES, Failed, NotBuilt, Note, Sample, told
from fusion.spaces.base import Space

# findings of one property that are shown one by one
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """What is wrong: the property, the architecture (empty for the space as a whole), and a sentence."""

    property: str
    arch: str
    wrong: str

    def __str__(self) -> str:
        return " ".join(f"{self.property}: {self.arch or 'the space'}: {self.wrong}".split())


def check_space(
    space: Space, sample: int = 20, seed: int = 0, *, passed: Callable[[str, int, str], None] | None = None
) -> list[Finding]:
    """Return what is wrong with `space`; an exception in its methods is a finding too.

    Parameters
    ----------
    space : Space
        One with small networks is checked sooner.
    sample : int
        Architectures to examine.
    seed : int
        Of the sample, and of everything else that is random.
    passed : callable, optional
        Told the name of each property that holds, of how many things, and what is to be known of it.
    """
    subject = Sample(space, sample, seed)
    findings: list[Finding] = []
    for name in PROPERTIES:
        number, before = 0, len(findings)
        notes: list[str] = []
        for arch in PROPERTIES[name].over(subject):
            try:
                for wrong in PROPERTIES[name].examine(subject, arch):
                    if isinstance(wrong, Note):
                        notes.append(wrong)
                    else:
                        findings.append(Finding(name, arch, wrong))
            except NotBuilt:
                continue
            except Failed as error:
                findings.append(Finding(name, arch, str(error)))
            except Exception as error:  # another's code may raise anything
                findings.append(Finding(name, arch, f"raised {told(error)}"))
            number += 1
        if passed and len(findings) == before:
            passed(name, number, "; ".join(notes))
    return findings


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return findings as text: of each property the first three, and how many more there are."""
    text = []
    for name, group in groupby(findings, attrgetter("property")):
        mine = list(group)
        text += [str(finding) for finding in mine[:_SHOWN]]
        if len(mine) > _SHOWN:
            text.append(f"{name}: and {len(mine) - _SHOWN} more")
    return text
