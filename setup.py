"""What pyproject.toml cannot say: `experiments/`, at the top of the repository, is installed inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["oasis_jax*"]), "oasis_jax.experiments"],
    package_dir={"oasis_jax.experiments": "experiments"},
)
