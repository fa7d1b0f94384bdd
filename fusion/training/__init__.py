"""One network, images and a recipe to training states: losses, accuracies and seconds by epoch."""

from fusion.training.recipe import Recipe, load_recipe
from fusion.training.verb import Measurement, measure

__all__ = ["Measurement", "Recipe", "load_recipe", "measure"]
