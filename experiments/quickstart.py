"""A newcomer's first run: made-up heads, a narrow network, a laptop CPU.

Claim:    every class reaches hard Dice 0.90, pooled over the phantom test split, in 5 minutes on 2 CPU cores.
Command:  python -m oasis_jax.train          (the same as: python -m oasis_jax.train quickstart)
Score:    see the table in README.md; phantoms are not patients.
Cost:     240 steps of 8 slices on a network of stem 8 (a quarter of the original's parameters); drawing the phantoms
          takes part of a minute, once.
"""

from oasis_jax.config import Config

config = Config()
