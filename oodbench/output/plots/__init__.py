"""Plots of scores and of calibration."""
