"""The models, set and folder that functions and commands use by default."""

from pathlib import Path

MODELS = ("jem-digits", "ce-digits")
INSIDE = "digits:0-7"
RESULTS = Path("results/runs")
