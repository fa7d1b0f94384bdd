"""Folders of the package that are called like the function for which they are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from types import ModuleType
from typing import Any


def callable_folder(name: str, function: Callable[..., Any]) -> None:
    """Let the module `name` be called as `function`.

    `fusion.images` and `fusion.search` are folders and, in the front door, functions; Python binds the
    name to the folder as soon as anything in it is imported, so the folder answers the call.
    """
    module = sys.modules[name]

    class Folder(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    update_wrapper(Folder.__call__, function)
    module.__class__ = Folder
