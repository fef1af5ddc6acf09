"""Parameters of detectors, and temperatures of networks, chosen on a split."""
