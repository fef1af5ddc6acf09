"""The models, set and folder that functions and commands use by default."""

import os
from pathlib import Path

MODELS = ("jem-digits", "ce-digits")
INSIDE = "digits:0-7"
RESULTS = Path(os.environ.get("OODBENCH_RESULTS") or "results/runs")
