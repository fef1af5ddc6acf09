"""Joint energy-based models: energies, sampling and training."""
