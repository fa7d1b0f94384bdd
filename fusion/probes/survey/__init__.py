"""What is found out about any network before passes are made through it."""

from fusion.probes.survey.network import Survey, declared_weights, require, survey

__all__ = ["Survey", "declared_weights", "require", "survey"]
