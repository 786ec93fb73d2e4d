"""A prediction: what it writes for each file, and what it keeps of that."""
