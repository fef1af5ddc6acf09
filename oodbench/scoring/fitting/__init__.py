"""What detectors are fitted on, what they share of it, and what they learn."""
