"""A pipeline file, run: every step of the road, each skipped when its result is there already."""

from fusion.pipeline.config import Pipeline, load_pipeline
from fusion.pipeline.run import run_pipeline

__all__ = ["Pipeline", "load_pipeline", "run_pipeline"]
