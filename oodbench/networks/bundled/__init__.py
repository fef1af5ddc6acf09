"""The bundled models; each has a card that says how it was made."""

from importlib.resources import as_file, files

from oodbench.networks.load import load_network
from oodbench.networks.network import Network


def jem_digits() -> Network:
    """A JEM on the digits 0 to 7: cross-entropy and log p(x), SGLD samples."""
    return _bundled("jem-digits")


def ce_digits() -> Network:
    """A plain classifier on the digits 0 to 7, trained like `jem-digits` otherwise."""
    return _bundled("ce-digits")


def _bundled(name: str) -> Network:
    with as_file(files(__package__) / f"{name}.safetensors") as path:
        return load_network(path)
