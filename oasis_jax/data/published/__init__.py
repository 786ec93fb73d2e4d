"""The published OASIS slices: verified, and made again from the discs."""
