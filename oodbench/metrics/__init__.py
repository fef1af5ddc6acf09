"""Numbers from scores: ranking, intervals, tests, calibration. NumPy only."""
