"""Detectors, and the shared pass that scores images with all of them."""
