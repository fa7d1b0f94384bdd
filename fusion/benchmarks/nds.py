"""Network Design Spaces from its published JSON files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row, standard_deviation
from fusion.errors import FusionError
from fusion.spaces import SPACES
from fusion.storage.files import exists, is_file, read_bytes

# an error of 99.9 % is that of guessing among 1000 classes: the training failed
_FAILED = 99.9
# how many entries a note names
_NAMED = 3
_DOWNLOAD = (
    "download data.zip (github.com/facebookresearch/nds says where from), unpack it, and put the file at"
)


@BENCHMARKS.register
class Nds(Benchmark):
    """Networks sampled from the design spaces of other papers, each trained by one recipe.

    `path` is one of the files, such as `DARTS_in.json`, with its name as published: it says the
    design space, and whether the data set is ImageNet (`_in`) or CIFAR-10. An architecture is the
    JSON of an entry's `net`, keys sorted, without spaces. The accuracy is 100 - `min_test_top1`,
    the best epoch's; failed trainings (an error of 99.9 % or more) are left out, and so are entries
    without an error, which `notes` names. Entries of the same network count as seeds. What a training
    cost is not in the files. The entries may also lie in several lists, as `{"top": [...], "mid": [...]}`.
    """

    name = "nds"
    summary = "design spaces (DARTS, ENAS, NASNet, PNAS, Amoeba, ResNeXt): a JSON file of NDS"
    source = (
        "Radosavovic et al., On Network Design Spaces for Visual Recognition, ICCV 2019, arXiv:1905.13214"
    )
    datasets: tuple[str, ...] = ("ImageNet", "cifar10")
    splits = ("test",)
    epochs: tuple[int, ...] = (50, 100)

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        family = self.path.stem.split("_")[0]
        if is_file(self.path) and f"nds-{family.lower()}" not in SPACES:
            known = ", ".join(name.removeprefix("nds-") for name in SPACES if name.startswith("nds-"))
            raise FusionError(
                f"{self.path}: there is no space for the networks of {family!r}; give a file of another "
                f"design space of NDS ({known}), with its name as published"
            )
        self.space = f"nds-{family.lower()}"
        self.datasets = ("ImageNet",) if self.path.stem.endswith("_in") else ("cifar10",)
        self._errors, self.notes = self._entries()
        self.epochs = tuple(sorted(self._errors))

    def _entries(self) -> tuple[dict[int, dict[str, list[float]]], tuple[str, ...]]:
        """Return epochs -> architecture -> errors in percent; and what was left out."""
        found: dict[int, dict[str, list[float]]] = {}
        empty = []
        for where, entry in self._records():
            try:
                arch = json.dumps(entry["net"], sort_keys=True, separators=(",", ":"))
                epochs, error = int(entry["optim"]["max_ep"]), entry["min_test_top1"]
                percent = np.nan if error is None else float(error)
                if not (np.isnan(percent) or 0 <= percent <= 100):
                    raise ValueError
            except (TypeError, ValueError, KeyError, OverflowError):
                raise FusionError(
                    f"{self.path}: no file of NDS ({where} is no training with net, optim and min_test_top1 "
                    f"in percent); correct it, or {_DOWNLOAD} {self.path}"
                ) from None
            if np.isnan(percent):
                empty.append(where)
                continue
            archs = found.setdefault(epochs, defaultdict(list))
            if percent < _FAILED:
                archs[arch].append(percent)
        if not found:
            raise FusionError(f"{self.path}: holds no trained network; {_DOWNLOAD} {self.path}")
        if not empty:
            return found, ()
        more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
        return found, (f"{self.path}: left out for want of an error: {', '.join(empty[:_NAMED])}{more}",)

    def _records(self) -> Iterator[tuple[str, Any]]:
        """Yield where each entry is, and the entry."""
        if not exists(self.path):
            raise FusionError(f"{self.path}: no such file; {_DOWNLOAD} {self.path}")
        data = read_bytes(self.path)
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            raise FusionError(f"{self.path}: no JSON, or cut short; {_DOWNLOAD} {self.path}") from None
        lists = content if isinstance(content, dict) else {"": content}
        for name, entries in lists.items():
            if not isinstance(entries, list):
                raise FusionError(
                    f"{self.path}: no file of NDS (a list of entries with net, optim and min_test_top1); "
                    f"{_DOWNLOAD} {self.path}"
                )
            for number, entry in enumerate(entries, start=1):
                yield f"entry {number}{f' of {name}' if name else ''}", entry

    def _read(self, dataset: str, split: str, epochs: int, archs: Sequence[str] | None) -> list[Row]:
        found = self._errors[epochs]
        return [
            Row(arch, 100 - float(np.mean(errors)), len(errors), spread=standard_deviation(errors))
            for arch, errors in found.items()
        ]
