"""Numbers from scores: ranking, intervals, tests and calibration, with NumPy."""
