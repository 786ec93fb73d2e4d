"""Slices and volumes on disk: checked, read, made, and turned into batches."""
