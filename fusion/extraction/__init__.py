"""From many architectures to the indicator table: planning, and the contract with work and storage."""

from fusion.extraction.cost import Estimate
from fusion.extraction.scoring import score
from fusion.extraction.verb import attach, estimate, extract

__all__ = ["Estimate", "attach", "estimate", "extract", "score"]
