"""Samples from a JEM, and measurements on them."""
