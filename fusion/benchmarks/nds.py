"""Network Design Spaces from its published JSON files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusion.benchmarks.base import BENCHMARKS, Benchmark
from fusion.errors import FusionError

# an error of 99.9 % is that of guessing among 1000 classes: the training failed
_FAILED = 99.9
_DOWNLOAD = (
    "download data.zip (github.com/facebookresearch/nds says where from), unpack it, and put the file at"
)


@BENCHMARKS.register
class Nds(Benchmark):
    """Networks sampled from the design spaces of other papers, each trained by one recipe.

    `path` is one of the files, such as `DARTS_in.json`, with its name as published: it says the
    design space, and whether the data set is ImageNet (`_in`) or CIFAR-10. An architecture is the
    JSON of an entry's `net`, keys sorted, without spaces. The accuracy is 100 - `min_test_top1`,
    the best epoch's; failed trainings (an error of 99.9 % or more) are left out. Entries of the
    same network count as seeds. What a training cost is not in the files.
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
        self.space = f"nds-{family.lower()}"
        self.datasets = ("ImageNet",) if self.path.stem.endswith("_in") else ("cifar10",)
        self._errors = self._entries()
        self.epochs = tuple(sorted(self._errors))

    def _entries(self) -> dict[int, dict[str, list[float]]]:
        """Return epochs -> architecture -> errors in percent."""
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FusionError(f"{self.path}: no such file; {_DOWNLOAD} {self.path}") from None
        except OSError as error:
            raise FusionError(f"{self.path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):
            raise FusionError(f"{self.path}: no JSON, or cut short; {_DOWNLOAD} {self.path}") from None
        found: dict[int, dict[str, list[float]]] = {}
        try:
            for entry in entries:
                arch = json.dumps(entry["net"], sort_keys=True, separators=(",", ":"))
                percent = float(entry["min_test_top1"])
                if not 0 <= percent <= 100:
                    raise ValueError
                archs = found.setdefault(int(entry["optim"]["max_ep"]), defaultdict(list))
                if percent < _FAILED:
                    archs[arch].append(percent)
        except (TypeError, ValueError, KeyError):
            raise FusionError(
                f"{self.path}: no file of NDS (a list of entries with net, optim and min_test_top1); "
                f"{_DOWNLOAD} {self.path}"
            ) from None
        if not found:
            raise FusionError(f"{self.path}: holds no network; {_DOWNLOAD} {self.path}")
        return found

    def _read(
        self, dataset: str, split: str, epochs: int, archs: Sequence[str] | None
    ) -> list[tuple[str, float, int | None, float | None]]:
        found = self._errors[epochs]
        return [(arch, 100 - float(np.mean(errors)), len(errors), None) for arch, errors in found.items()]
