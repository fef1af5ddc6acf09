"""Samples from a JEM, and what is measured of them."""
