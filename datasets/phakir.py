"""The PhaKIR benchmark of OpenMIBOOD."""

from oodbench import Dataset
from oodbench.datasets._openmibood import Part, medical_set

PARTS = {
    "medium_smoke": Part("_medium_smoke_csid", "covariate", "822"),
    "heavy_smoke": Part("_heavy_smoke_csid", "covariate", "891"),
    "cholec": Part("_cholec_near", "near", "66,033"),
    "endovis2015": Part("_endovis2015_near", "near", "120"),
    "endovis2018": Part("_endovis2018_near", "near", "750"),
    "kvasir": Part("_kvasir_far", "far", "900"),
    "cataracts": Part("_cataracts_far", "far", "107,937"),
    "far": Part("_far", "far", "200 val", "val"),
}


def phakir(argument: str) -> Dataset:
    """Opens frames of surgery, or another part of the benchmark: `phakir:heavy_smoke`.

    The parts `medium_smoke` and `heavy_smoke` are covariate shifts, `cholec`,
    `endovis2015` and `endovis2018` are near, `kvasir` and `cataracts` far; `far` has
    other images of the last two, to choose settings on. Images have various sizes and
    lie in `openmibood/phakir` of the data folder.
    """
    inside = "3,824 train, 370 val, 427 test"
    return medical_set("phakir", argument, inside, PARTS, None)
