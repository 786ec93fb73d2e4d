"""The console commands: `oasis-train` is `python -m oasis_jax.train`, and so for the others.

This file imports nothing that takes time, so that signals are handled from the first line on.
"""

from functools import partial
from importlib import import_module

from oasis_jax.system import guard


def _run(module: str) -> None:
    guard.install()  # before the imports that take seconds
    from oasis_jax.system.errors import run_command

    run_command(import_module(module).main)


train = partial(_run, "oasis_jax.train")
evaluate = partial(_run, "oasis_jax.evaluate")
predict = partial(_run, "oasis_jax.predict")
compare = partial(_run, "oasis_jax.compare")
info = partial(_run, "oasis_jax.info")
export = partial(_run, "oasis_jax.export")
data = partial(_run, "oasis_jax.data.__main__")
