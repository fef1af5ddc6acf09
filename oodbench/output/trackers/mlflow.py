"""Sends numbers to MLflow: one run per detector, in the experiment `oodbench`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from oodbench.output.trackers import Tracked

EXPERIMENT = "oodbench"


def write(place: str, runs: Iterable[Tracked]) -> None:
    """Writes runs to a tracking address such as `sqlite:///mlflow.db`."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=place)
    known = client.get_experiment_by_name(EXPERIMENT)
    home = known.experiment_id if known else client.create_experiment(EXPERIMENT)
    now = int(1000 * time.time())
    for run in runs:
        made = client.create_run(home, run_name=run.name).info.run_id
        facts = [Param(name, value) for name, value in run.facts.items()]
        client.log_batch(made, params=facts)
        for name, value in run.metrics.items():
            client.log_batch(made, metrics=[Metric(name, value, now, 0)])
        client.set_terminated(made)
