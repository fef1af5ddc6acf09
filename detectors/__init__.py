"""The built-in detectors, one per file."""

if __name__ != "oodbench.detectors":
    raise ImportError(f"import oodbench.detectors, not {__name__}")
