"""Data sets: their splits, their images, and batches in a network's shape."""
