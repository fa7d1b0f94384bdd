"""Accuracies from the official archives of NATS-Bench, read through `nats_bench`.

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021, arXiv:2009.00437.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from fusion.benchmarks.base import BENCHMARKS, Benchmark, Row
from fusion.errors import FusionError
from fusion.storage.files import exists, is_file, is_folder

# (data set, split) -> the training as the archives call it, and the accuracy that answers for it.
# `cifar10` is trained on all 50,000 training images and has no validation images left;
# `cifar10-valid` is trained on half of them and validated on the other half. The two other data
# sets are trained once, and their original test images are split into x-valid and x-test.
_TRAININGS = {
    ("cifar10", "test"): ("cifar10", "test-accuracy"),
    ("cifar10", "val"): ("cifar10-valid", "valid-accuracy"),
    ("cifar100", "test"): ("cifar100", "test-accuracy"),
    ("cifar100", "val"): ("cifar100", "valid-accuracy"),
    ("ImageNet16-120", "test"): ("ImageNet16-120", "test-accuracy"),
    ("ImageNet16-120", "val"): ("ImageNet16-120", "valid-accuracy"),
}


class NatsBench(Benchmark):
    """An archive of NATS-Bench: the folder `...-simple`, or the single file `....pickle.pbz2`.

    The folder is read architecture by architecture, in little memory; the file is read whole. The
    official files are pickles, and reading a pickle can run code: read only archives from a source
    that you trust.

    Accuracies of CIFAR-10's split `test` follow training on all training images, those of `val`
    another training on half of them. For the other data sets both are of the same trained networks.
    Unknown architectures among `archs`, or ones whose results are missing, are refused; without
    `archs`, all are read whose results are there.
    """

    source = "Dong et al., NATS-Bench, TPAMI 2021, arXiv:2009.00437"
    datasets = ("cifar10", "cifar100", "ImageNet16-120")
    splits = ("test", "val")
    archive: ClassVar[str]
    kind: ClassVar[str]  # of the space, as `nats_bench` calls it
    mark: ClassVar[str]  # in every architecture string of the space, and in none of the other

    @property
    def _download(self) -> str:
        return (
            f"download {self.archive}-simple.tar (github.com/D-X-Y/NATS-Bench, section Preparation and "
            f"Download), unpack it with tar xf, and put the folder {self.archive}-simple at {self.path}"
        )

    def _read(self, dataset: str, split: str, epochs: int, archs: Sequence[str] | None) -> list[Row]:
        api = self._open()
        if archs is None:
            archs = self._archs_with_results(api)
        training, metric = _TRAININGS[dataset, split]
        return [
            Row(arch, *self._one(api, arch, training, metric, epochs))
            for arch in tqdm(archs, desc=self.name, unit="arch", delay=2)
        ]

    def _open(self) -> Any:
        path = self.path
        if not exists(path):
            raise FusionError(f"{path}: no NATS-Bench archive here; {self._download}")
        if is_folder(path) and not is_file(path / "meta.pickle.pbz2"):
            raise FusionError(f"{path}: no meta.pickle.pbz2 in this folder; {self._download}")
        from nats_bench import create  # only this reader needs it

        try:
            api = create(str(path), self.kind, fast_mode=is_folder(path), verbose=False)
            own = all(self.mark in arch for arch in api.meta_archs)
        except Exception as error:  # a damaged pickle can raise anything
            raise FusionError(f"{path}: cannot be read ({_reason(error)}); {self._download}") from error
        if not own:
            raise FusionError(f"{path}: is an archive of another space; {self._download}")
        return api

    def _file(self, index: int) -> Path:
        """Return the file with the results of the architecture of that index."""
        if is_file(self.path):
            return self.path
        files = [self.path / f"{index:06d}.pickle.pbz2", self.path / f"{index}.pickle.pbz2"]
        return next((file for file in files if is_file(file)), files[0])

    def _archs_with_results(self, api: Any) -> list[str]:
        """Return the architectures whose results are there, by official index."""
        if is_folder(self.path):
            found = [is_file(self._file(index)) for index in range(len(api))]
        else:
            found = [index in api.evaluated_indexes for index in range(len(api))]
        archs = [arch for arch, there in zip(api.meta_archs, found, strict=True) if there]
        if not archs:
            raise FusionError(f"{self.path}: holds results of no architecture; {self._download}")
        return archs

    def _one(self, api: Any, arch: str, training: str, metric: str, epochs: int) -> tuple[float, int, float]:
        """Return the accuracy, the number of seeds, and the seconds of one training."""
        # nats_bench answers -1 for a string that it does not know
        index = api.query_index_by_arch(arch)
        if index < 0:
            raise FusionError(f"{self.path}: {arch!r} is no architecture of this archive")
        file = self._file(index)
        if not is_file(file):
            raise FusionError(f"{file}: missing, it has the results of {arch}; unpack the whole archive")
        try:
            hp = f"{epochs:02d}"
            info = api.get_more_info(index, training, hp=hp, is_random=False)
            accuracy, seconds = float(info[metric]), float(info["train-all-time"])
            seeds = len(api.arch2infos_dict[index][hp].get_dataset_seeds(training))
        except Exception as error:  # a damaged pickle can raise anything
            raise FusionError(
                f"{file}: no {metric} of {arch} after {epochs} epochs on {training} ({_reason(error)}); "
                "fetch the archive again or ask for another accuracy"
            ) from error
        if not np.isfinite(accuracy):
            raise FusionError(f"{file}: the {metric} of {arch} is {accuracy}; fetch the archive again")
        if is_folder(self.path):
            # nats_bench would keep every file that it read, gigabytes in the end
            api.arch2infos_dict.pop(index)
        return accuracy, seeds, seconds


def _reason(error: Exception) -> str:
    return " ".join([type(error).__name__, *str(error).splitlines()[:1]])


@BENCHMARKS.register
class NatsTssArchive(NatsBench):
    """The topology space: 15,625 cells, each trained for 200 and for 12 epochs."""

    name = "nats-tss"
    summary = "NATS-Bench topology (NAS-Bench-201): its archive, read through nats_bench"
    space = "nats-tss"
    epochs = (200, 12)
    archive = "NATS-tss-v1_0-3ffb9"
    kind = "tss"
    mark = "|"


@BENCHMARKS.register
class NatsSssArchive(NatsBench):
    """The size space: 32,768 choices of five widths, each trained for 90, 12 and 1 epochs."""

    name = "nats-sss"
    summary = "NATS-Bench size: its archive, read through nats_bench"
    space = "nats-sss"
    epochs = (90, 12, 1)
    archive = "NATS-sss-v1_0-50262"
    kind = "sss"
    mark = ":"
