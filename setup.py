"""Packages of the wheel: `fusion`, with pipelines, models and data inside it."""

from setuptools import find_packages, setup

BUNDLED = ("pipelines", "models", "data")

setup(
    packages=[*find_packages(include=["fusion", "fusion.*"]), *(f"fusion.{name}" for name in BUNDLED)],
    package_dir={f"fusion.{name}": name for name in BUNDLED},
    package_data={
        **{f"fusion.{name}": ["**/*"] for name in BUNDLED},
        "fusion.evaluation": ["templates/*"],
    },
)
