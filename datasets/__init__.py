"""The built-in data sets, one per file; the file has the name of its function."""

if __name__ != "oodbench.datasets":
    raise ImportError(f"import oodbench.datasets, not {__name__}")
