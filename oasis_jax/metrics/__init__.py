"""Scores from counts, and their statistics: pure functions."""
