"""Runs: which scores are missing, computing and storing them."""
