"""What the examples in docstrings find at hand: `digits`, a small indicator table, and an empty `folder`."""

from __future__ import annotations

from pathlib import Path

import pytest

import fusion


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a table of 24 small NAS-Bench-201 cells on digits."""
    out = tmp_path_factory.mktemp("examples") / "digits"
    space = fusion.space("nats-tss", channels=2, cells=1)
    batch = fusion.images("digits").batch(8)
    work = fusion.Work(device="cpu", workers=1, progress=False)
    fusion.extract(space, _networks(space, 24), images=batch, out=out, work=work)
    return out


def _networks(space: fusion.spaces.Space, n: int) -> list[str]:
    keys = dict.fromkeys(space.canonical(arch) for arch in space.sample(2 * n, seed=0))
    return list(keys)[:n]


@pytest.fixture(autouse=True)
def examples(request: pytest.FixtureRequest, tmp_path: Path, doctest_namespace: dict[str, object]) -> None:
    """Put both into the names of an example that speaks of them."""
    if isinstance(request.node, pytest.DoctestItem):
        doctest_namespace["folder"] = tmp_path
        if any("digits)" in example.source for example in request.node.dtest.examples):
            doctest_namespace["digits"] = request.getfixturevalue("digits")
