"""The MIDOG benchmark of OpenMIBOOD."""

from oodbench import Dataset, Shape
from oodbench.datasets._openmibood import Part, medical_set

PARTS = {
    "1b": Part("_1b", "covariate", "2,956"),
    "1c": Part("_1c", "covariate", "2,946"),
    "2": Part("_2", "near", "3,248"),
    "3": Part("_3", "near", "14,725"),
    "4": Part("_4", "near", "5,992"),
    "5": Part("_5", "near", "3,515"),
    "6a": Part("_6a", "near", "5,678"),
    "6b": Part("_6b", "near", "863"),
    "7": Part("_7", "near", "3,511"),
    "ccagt": Part("_ccagt", "far", "21,897"),
    "fnac2019": Part("_fnac2019", "far", "1,879"),
    "far": Part("_far", "far", "414 val", "val"),
}


def midog(argument: str) -> Dataset:
    """Opens images of cells in tumours, three classes, or another part: `midog:1b`.

    The in-distribution set is domain 1a. The parts `1b` and `1c` are covariate shifts,
    `2`, `3`, `4`, `5`, `6a`, `6b` and `7` are near, `ccagt` and `fnac2019` far; `far`
    has other images of the last two, to choose settings on. Images are `[N, 50, 50,
    3]`, uint8, and lie in `openmibood/midog` of the data folder.
    """
    inside = "1,896 train, 181 val, 251 test"
    return medical_set("midog", argument, inside, PARTS, Shape(3, 50, 50))
