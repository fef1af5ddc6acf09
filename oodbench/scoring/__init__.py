"""Detectors, and the pass over images that scores them by all detectors at once."""
