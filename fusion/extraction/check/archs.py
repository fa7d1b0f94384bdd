"""Properties of a space's architecture strings: which there are, their keys, what is next to them."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from itertools import islice

import numpy as np

from fusion.errors import InvalidArchitecture
from fusion.extraction.check.sample import Failed, Sample, Wrong, check_property, once, told
from fusion.spaces.graph import CellGraph


@check_property("metadata", once)
def _metadata(s: Sample, _: str) -> Wrong:
    for name in ("name", "summary", "source"):
        text = getattr(s.space, name, None)
        if not (isinstance(text, str) and text.strip() and "\n" not in text):
            yield f"`{name}` is {text!r}; say it in one line of text"


@check_property("listing", once)
def _listing(s: Sample, _: str) -> Wrong:
    space = s.space
    if space.enumerable:
        s.archs = list(islice(space.enumerate(), s.size))  # something to examine, whatever follows
        strings = list(space.enumerate())
        s.archs = [strings[i] for i in s.rng("sample").permutation(len(strings))[: s.size]]
        s.listed = frozenset(strings)
        if len(strings) != len(space):
            yield f"`enumerate` yields {len(strings)} strings, `__len__` says {len(space)}"
        if len(s.listed) < len(strings):
            yield f"`enumerate` yields {len(strings) - len(s.listed)} strings more than once"
        most = min(s.size, len(strings))
    else:
        rng = s.rng("sample")
        s.archs = list(dict.fromkeys(space.random(rng) for _ in range(s.size)))
        if len(s.archs) == 1 < s.size:
            yield f"`random` drew {s.archs[0]} {s.size} times"
        if space.random(s.rng("again")) != space.random(s.rng("again")):
            yield "`random` does not depend on its generator alone"
        most = len({space.canonical(arch) for arch in s.archs})
    if not s.archs:
        yield "there are no architectures"
    drawn = space.sample(most, s.seed)
    if len(set(drawn)) != most or drawn != space.sample(most, s.seed):
        yield "`sample` does not give different architectures, the same for the same seed"


@check_property("settings", once)
def _settings(s: Sample, _: str) -> Wrong:
    settings = s.space.settings
    if json.loads(json.dumps(settings)) != settings:
        yield f"`settings` {settings} are no JSON values"
    arguments = inspect.signature(type(s.space)).parameters.values()
    for argument in arguments:
        named = argument.kind in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY)
        if named and argument.name not in settings:
            yield f"`settings` lacks {argument.name!r}, an argument of `__init__`"
    for how, again in (
        ("made again from its `settings`", type(s.space)(**settings)),
        ("sent to a worker (pickled)", pickle.loads(pickle.dumps(s.space))),
    ):
        if again.settings != settings:
            yield f"{how} it has settings {again.settings} instead of {settings}"
        for arch in s.archs[:1]:
            same_key = again.canonical(arch) == s.space.canonical(arch)
            if not same_key or s.size_of(arch, again) != s.size_of(arch):
                yield f"{how} it has another key or network for {arch}"


@check_property("key")
def _key(s: Sample, arch: str) -> Wrong:
    key = s.space.canonical(arch)
    if reason := s.invalid(key):
        yield f"its key is {reason}"
        return
    if s.space.canonical(key) != key:
        yield f"its key {key} has another key, {s.space.canonical(key)}"
    if s.space.canonical(arch) != key:
        yield "it has another key when asked again"
    if s.space.twins(key) != s.space.twins(arch):
        yield f"`twins` parts it from its key {key}"
    for other in s.spellings(arch):
        if s.space.canonical(other) != key:
            yield f"written as {other} it has another key, {s.space.canonical(other)} instead of {key}"


@check_property("neighbours")
def _neighbours(s: Sample, arch: str) -> Wrong:
    found = s.space.neighbours(arch)
    if not found:
        yield "has no neighbours"
    if arch in found or len(set(found)) < len(found):
        yield "`neighbours` lists itself, or one twice"
    for other in found:
        if reason := s.invalid(other):
            yield f"`neighbours` lists {reason}"


@check_property("mutation")
def _mutation(s: Sample, arch: str) -> Wrong:
    rng, same = s.rng("mutation", arch), s.rng("mutation", arch)
    for _ in range(5):
        other = s.space.mutate(arch, rng)
        if other == arch:
            yield "`mutate` returns it unchanged"
        if reason := s.invalid(other):
            yield f"`mutate` gives {reason}"
        if s.space.mutate(arch, same) != other:
            yield "`mutate` does not depend on its generator alone"


@check_property("bad strings")
def _bad_strings(s: Sample, arch: str) -> Wrong:
    places = s.rng("damage", arch).integers(len(arch), size=4).tolist()
    texts = ["", "no architecture", arch + "?", *(f"{arch[:i]}?{arch[i + 1 :]}" for i in places)]
    if s.listed is not None:  # of a space that is not, a part of an architecture may be one
        texts += [part for i in places for part in (arch[:i], arch[i:]) if not s.listed & {part}]
    for text in texts:
        try:
            s.space.canonical(text)
            yield f"`canonical` takes {text!r}; raise InvalidArchitecture"
        except InvalidArchitecture as error:
            if "\n" in str(error):
                yield f"the message of InvalidArchitecture for {text!r} has several lines"
        except Exception as error:
            yield f"`canonical` of {text!r} raised {told(error)}; raise InvalidArchitecture"


@check_property("graphs")
def _graphs(s: Sample, arch: str) -> Wrong:
    s.space.has_dead_edge(arch)
    for name, graph in s.space.graphs(arch).items():
        if not isinstance(graph, CellGraph):
            yield f"graph {name!r} is a {type(graph).__name__}, not a CellGraph"
            continue
        for source, target, kind in graph.edges:
            if not 0 <= source < target < graph.nodes or not (isinstance(kind, str) and kind):
                yield f"graph {name!r} has the edge {source, target, kind}; see CellGraph"


@check_property("features", lambda s: s.some_keys)
def _features(s: Sample, key: str) -> Wrong:
    found = s.space.features(key)
    if not (isinstance(found, dict) and found):
        raise Failed("`features` says nothing; describe it, or leave `features` out")
    for name, value in found.items():
        if not (isinstance(name, str) and name.isprintable() and name and "=" not in name):
            yield f"`features` has the name {name!r}; give a line of text without ="
        elif isinstance(value, str):
            if not value or not value.isprintable():
                yield f"`features` gives {name} the choice {value!r}; give a line of text"
        elif not (isinstance(value, int | float | np.number) and math.isfinite(value)):
            yield f"`features` gives {name} the value {value!r}; give a finite number or a text"
        if isinstance(value, str) != s.texts.setdefault(name, isinstance(value, str)):
            yield f"`features` gives {name} a number here and a text elsewhere, or the other way round"
    if s.space.features(key) != found:
        yield "`features` says something else when asked again"
