"""From many architectures to the indicator table: planning, and the contract with work and storage."""

from fusion.extraction.verb import extract

__all__ = ["extract"]
