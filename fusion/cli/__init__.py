"""The `fusion` command."""

from fusion.cli.main import main

__all__ = ["main"]
