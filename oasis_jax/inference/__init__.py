"""The forward pass of networks, for validation, evaluation and prediction."""
