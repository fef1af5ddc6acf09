"""Tells all that is stored in one HTML file that needs nothing else."""
