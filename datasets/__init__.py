"""The built-in data sets, one or a close family a file."""

if __name__ != "oodbench.datasets":
    raise ImportError(f"import oodbench.datasets, not {__name__}")
