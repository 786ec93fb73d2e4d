"""A user's own volumes and pictures: read, cut into slices, written back."""
