"""The built-in detectors, one a file."""

if __name__ != "oodbench.detectors":
    raise ImportError(f"import oodbench.detectors, not {__name__}")
