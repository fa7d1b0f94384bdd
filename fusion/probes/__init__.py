"""One network and one batch to named observations; one file per kind of pass."""

from fusion.probes import clean_pass, linear_regions, perturbed_pass, structure, tangent_kernel  # noqa: F401
from fusion.probes.base import COSTS, PROBES, Observations, Probe, Subject, Undefined

__all__ = ["COSTS", "PROBES", "Observations", "Probe", "Subject", "Undefined"]
