"""Rows made by hand, as stored results give them."""

from oodbench.results.rows import Row


def row(detector, outside, role, auroc, **changes):
    """Returns the row of a detector on a set; `pixels` is a control."""
    values = {
        "auroc": auroc, "auroc_low": auroc - 0.01, "auroc_high": auroc + 0.01,
        "fpr95": 1 - auroc, "fpr95_openood": (1 - auroc) / 2,
        "aupr_in": auroc, "aupr_out": auroc,
    }  # fmt: skip
    defaults = {
        "model": "net", "inside": "in:set", "control": detector == "pixels",
        "images_in": 50, "images_out": 40, "values": values,
    }  # fmt: skip
    return Row(outside=outside, detector=detector, role=role, **{**defaults, **changes})
