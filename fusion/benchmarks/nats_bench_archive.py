"""Accuracies from the official archive of the NATS-Bench topology space, through `nats_bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from fusion.errors import FusionError

# (data set, split) -> the training as the archive calls it, and the accuracy that answers for it.
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
_EPOCHS = ("12", "200")
_DOWNLOAD = (
    "download NATS-tss-v1_0-3ffb9-simple (github.com/D-X-Y/NATS-Bench says where from), unpack it, and give "
    "the path of that folder"
)


def read_nats_bench(
    path: Path,
    *,
    dataset: str,
    split: str,
    epochs: str = "200",
    archs: Sequence[str] | None = None,
) -> pd.Series[float]:
    """Return accuracies of the NATS-Bench topology space, each the mean over the archive's seeds.

    The official files are pickles, and reading a pickle can run code: read only archives from a
    source that you trust.

    Parameters
    ----------
    path : Path
        The folder `NATS-tss-v1_0-3ffb9-simple` (read architecture by architecture, in little
        memory), or the single file `NATS-tss-v1_0-3ffb9.pickle.pbz2` (read whole).
    dataset : {"cifar10", "cifar100", "ImageNet16-120"}
        Trained and tested on what.
    split : {"test", "val"}
        `test` of CIFAR-10 follows training on all training images, `val` another training on half
        of them. For the other data sets both are of the same trained networks.
    epochs : {"200", "12"}
        The length of the training schedule.
    archs : sequence of str, optional
        Which architecture strings; by default all whose results are in the archive.

    Returns
    -------
    Series of float64
        Accuracies in percent after the last epoch, named `DATASET_SPLIT_EPOCHS`; the index `arch`
        is the architecture strings, in the order of `archs` or of the official index.

    Raises
    ------
    FusionError
        When nothing is at `path`, the archive is damaged or of another space, or it lacks what was
        asked for.

    Notes
    -----
    Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and
    Size", TPAMI 2021, arXiv:2009.00437.
    """
    if (dataset, split) not in _TRAININGS or epochs not in _EPOCHS:
        raise FusionError(
            f"nats-bench: no accuracy of data set {dataset!r}, split {split!r}, epochs {epochs!r}; known: "
            "cifar10, cifar100, ImageNet16-120; test, val; 200, 12"
        )
    api = _open(path)
    if archs is None:
        archs = _archs_with_results(api, path)
    training, metric = _TRAININGS[dataset, split]
    values = [
        _accuracy(api, path, arch, training, metric, epochs)
        for arch in tqdm(archs, desc="nats-bench", unit="arch", delay=2)
    ]
    return pd.Series(
        values, index=pd.Index(archs, name="arch"), name=f"{dataset}_{split}_{epochs}", dtype="float64"
    )


def _open(path: Path) -> Any:
    if not path.exists():
        raise FusionError(f"{path}: no NATS-Bench archive here; {_DOWNLOAD}")
    if path.is_dir() and not (path / "meta.pickle.pbz2").is_file():
        raise FusionError(f"{path}: no meta.pickle.pbz2 in this folder; {_DOWNLOAD}")
    from nats_bench import create  # only this reader needs it

    try:
        api = create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
        topology = all(arch.startswith("|") for arch in api.meta_archs)
    except Exception as error:  # a damaged pickle can raise anything
        raise FusionError(f"{path}: cannot be read ({_reason(error)}); {_DOWNLOAD}") from error
    if not topology:
        raise FusionError(f"{path}: is an archive of another space; {_DOWNLOAD}")
    return api


def _reason(error: Exception) -> str:
    return " ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _file(path: Path, index: int) -> Path:
    """Return the file with the results of the architecture of that index."""
    if path.is_file():
        return path
    names = (f"{index:06d}.pickle.pbz2", f"{index}.pickle.pbz2")
    return next((path / name for name in names if (path / name).is_file()), path / names[0])


def _archs_with_results(api: Any, path: Path) -> list[str]:
    """Return the architectures whose results are there, by official index."""
    if path.is_dir():
        found = [_file(path, index).is_file() for index in range(len(api))]
    else:
        found = [index in api.evaluated_indexes for index in range(len(api))]
    archs = [arch for arch, there in zip(api.meta_archs, found, strict=True) if there]
    if not archs:
        raise FusionError(f"{path}: holds results of no architecture; {_DOWNLOAD}")
    return archs


def _accuracy(api: Any, path: Path, arch: str, training: str, metric: str, epochs: str) -> float:
    # nats_bench answers -1 for a string that it does not know
    index = api.query_index_by_arch(arch)
    if index < 0:
        raise FusionError(f"{path}: {arch!r} is no architecture of this archive")
    file = _file(path, index)
    if not file.is_file():
        raise FusionError(f"{file}: missing, it has the results of {arch}; unpack the whole archive")
    try:
        info = api.get_more_info(index, training, hp=epochs, is_random=False)
        accuracy = float(info[metric])
    except Exception as error:  # a damaged pickle can raise anything
        raise FusionError(
            f"{file}: no {metric} of {arch} after {epochs} epochs on {training} ({_reason(error)}); "
            "fetch the archive again or ask for another accuracy"
        ) from error
    if not np.isfinite(accuracy):
        raise FusionError(f"{file}: the {metric} of {arch} is {accuracy}; fetch the archive again")
    if path.is_dir():
        # nats_bench would keep every file that it read, gigabytes in the end
        api.arch2infos_dict.pop(index)
    return accuracy
