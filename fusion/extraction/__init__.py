"""From many architectures to the indicator table: planning, and the contract with work and storage."""

from fusion.extraction.cost import Estimate
from fusion.extraction.scoring import score
from fusion.extraction.verb import estimate, extract

__all__ = ["Estimate", "estimate", "extract", "score"]
