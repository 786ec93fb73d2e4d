"""T1 heads drawn from label maps, with their labels."""
