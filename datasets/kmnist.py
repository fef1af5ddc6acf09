"""Kuzushiji-MNIST."""

from oodbench import Dataset
from oodbench.data.sources.source import Origin
from oodbench.datasets._idx import idx_set, idx_sources

ORIGIN = Origin(
    idx_sources(
        "kmnist",
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    images="60,000 train, 10,000 test",
    citation="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, Deep Learning "
    "for Classical Japanese Literature, arXiv 1812.01718",
    homepage="https://github.com/rois-codh/kmnist",
)


def kmnist(argument: str) -> Dataset:
    """Opens ten Japanese characters in cursive, or some of them: `kmnist:0-7`.

    Images are `[N, 28, 28, 1]`, uint8. The last 6,000 training images are val.
    """
    return idx_set("kmnist", argument, ORIGIN, family="characters")
