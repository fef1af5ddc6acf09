"""Omniglot."""

from __future__ import annotations

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import chosen, images_in, labelled

FOLDER = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
BACKGROUND = Source(
    "omniglot/images_background.zip",
    (f"{FOLDER}/images_background.zip",),
    checksum="md5:68d2efa1b9178cc56df9314c21c6e718",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
EVALUATION = Source(
    "omniglot/images_evaluation.zip",
    (f"{FOLDER}/images_evaluation.zip",),
    checksum="md5:6b91aef0f799c5bb55b94e3f2daec811",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (BACKGROUND, EVALUATION),
    images="19,280 background, 13,180 evaluation (unverified)",
    citation="Lake, Salakhutdinov and Tenenbaum, Human-Level Concept Learning through "
    "Probabilistic Program Induction, Science 2015",
    licence="MIT (repository)",
    homepage="https://github.com/brendenlake/omniglot",
    trouble="Ink is dark on white, in MNIST bright on black; inverted:omniglot is the "
    "negative. The Outlier Exposure paper takes 15 of the background alphabets.",
)
PARTS = {
    "all": (BACKGROUND, EVALUATION),
    "background": (BACKGROUND,),
    "evaluation": (EVALUATION,),
}


def omniglot(argument: str) -> Dataset:
    """Opens drawn characters of 50 alphabets, or a part: `omniglot:background`.

    Images are 105x105, grey, all in the test split. A class is one character. The other
    part is `omniglot:evaluation`.
    """
    part = chosen("omniglot", argument, list(PARTS))

    def load(split: SplitName, shape: Shape) -> Split:
        paths = [p for source in PARTS[part] for p in images_in(fetched(source))]
        return labelled(paths, ["/".join(path.parts[-3:-1]) for path in paths])

    return Dataset(
        name="omniglot" if part == "all" else f"omniglot:{part}",
        load=load,
        role="far",
        family="characters",
        shape=Shape(1, 105, 105),
        origin=ORIGIN,
    )
