"""Segment OASIS brain MR slices with an Improved U-Net, in JAX and Flax."""

import os

__version__ = "0.1.0"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences XLA's messages at its start; read when JAX is imported
