"""Pickled arrays, read without running code."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArraysAlone(pickle.Unpickler):
    """Reads arrays and plain values; anything else is an UnpicklingError."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns what makes an array or, in old files, its bytes."""
        if module.startswith("numpy.") and name == "_reconstruct":
            return _empty
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return str.encode
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _empty(kind: type, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Returns the array that the state in the file then fills."""
    return np.ndarray(shape, dtype)
