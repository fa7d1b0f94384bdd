"""Files that come with the package: pipelines, models, data."""

from __future__ import annotations

from pathlib import Path

from fusion.storage.documents import PACKED

MODEL_FILE = "model.json"
"""In the folder of a fitted model, perhaps packed."""

_PACKAGE = Path(__file__).parents[1]


def bundled(relative: str) -> Path:
    """Return the path of a bundled file or folder such as `data/digits-tss`.

    In an installed package these folders lie inside it; in a checkout beside it.
    """
    inside = _PACKAGE / relative
    return inside if inside.exists() else _PACKAGE.parent / relative


def bundled_names(relative: str, suffix: str) -> list[str]:
    """Return the names, less `suffix`, of the bundled files of this kind in a folder, sorted."""
    return sorted(file.name.removesuffix(suffix) for file in bundled(relative).glob(f"*{suffix}"))


def find(path: str | Path) -> Path:
    """Return `path` where it exists, else the bundled file of that name, else `path` as it is."""
    given = Path(path).expanduser()
    if given.exists() or given.is_absolute():
        return given
    inside = bundled(str(given))
    return inside if inside.exists() else given


def is_model(folder: Path) -> bool:
    """Return whether a fitted model lies in a folder."""
    return any((folder / name).exists() for name in (MODEL_FILE, f"{MODEL_FILE}{PACKED}"))


def find_model(name: str | Path) -> Path:
    """Return the folder of a model: a path, or the name of a bundled one.

    Examples
    --------
    >>> find_model("digits-tss").name
    'digits-tss'
    """
    given, inside = find(name), bundled("models") / name
    return inside if not is_model(given) and is_model(inside) else given


def bundled_models() -> list[Path]:
    """Return the folders of the bundled models, sorted."""
    return sorted(folder for folder in bundled("models").iterdir() if is_model(folder))


def bundled_tables() -> list[Path]:
    """Return the metadata files of the bundled tables, sorted."""
    return sorted(bundled("data").rglob("meta.json"))
