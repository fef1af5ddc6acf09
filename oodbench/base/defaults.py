"""The models, set and folders that functions and commands use by default."""

import os
from pathlib import Path

MODELS = ("jem-digits", "ce-digits")
INSIDE = "digits:0-7"
RESULTS = Path(os.environ.get("OODBENCH_RESULTS") or "results/runs")
DIAGNOSES = RESULTS.parent / "diagnoses"
SAMPLES = RESULTS.parent / "samples"
"""Both lie next to the results, where a report finds what is in them."""
