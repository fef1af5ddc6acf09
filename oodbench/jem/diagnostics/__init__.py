"""Diagnoses a model's p(x): convergence of chains, log Z, coverage."""
