"""All that touches data files."""
