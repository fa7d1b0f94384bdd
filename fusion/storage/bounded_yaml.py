"""YAML files that people write: read with limits, since they may come from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fusion.errors import FusionError

MAX_BYTES = 2**20
MAX_DEPTH = 20
"""How deep mappings and lists may be nested."""


class _Loader(yaml.SafeLoader):
    """Bounded, each key once, no aliases; 5e-4 is a number, a date is text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias; write the value out", problem_mark=mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key {name!r} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 takes 5e-4 for text, for want of a dot
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says: mappings, lists, texts, numbers, booleans and None.

    Raises
    ------
    ValueError
        With the reason, in one line, when it is no such text.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: bytes that are no UTF-8, endless numbers
        raise ValueError(" ".join(str(error).split())) from None


def read_yaml(path: Path, what: str) -> Any:
    """Return what a YAML file says.

    Parameters
    ----------
    path : Path
    what : str
        Of what the file is, for messages.

    Raises
    ------
    FusionError
        When it cannot be read, is larger than `MAX_BYTES`, or is no such YAML.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FusionError(f"{what} {path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise FusionError(f"{what} {path}: more than {MAX_BYTES:,} bytes are too many for this file")
    try:
        return parse_yaml(data)
    except ValueError as error:
        raise FusionError(f"{what} {path}: not readable as YAML ({error})") from None
