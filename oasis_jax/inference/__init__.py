"""The network forward: for validation, evaluation and prediction."""
