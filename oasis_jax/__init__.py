"""Segment OASIS brain MR slices with an Improved U-Net, in JAX and Flax."""

__version__ = "0.1.0"
