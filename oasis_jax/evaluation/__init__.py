"""Predictions against truth, as scores."""
