"""From a config to the best checkpoint."""
