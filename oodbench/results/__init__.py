"""Stored scores, and the rows and comparisons that are computed from them."""
