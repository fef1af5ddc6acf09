"""Thresholds from stored scores, and what accepts or rejects new images by them."""
