"""Benchmarks by name: their sets, their rules, and what was published with them."""
