"""Times several runs in interleaved rounds, so that other work slows all of them."""

import statistics
import time

import torch

CPU = torch.device("cpu")


def cpu_seconds(run):
    """Returns the seconds of the processor that a run takes."""
    began = time.process_time()
    run()
    return time.process_time() - began


def wall_seconds(run, device=CPU):
    """Returns the seconds of the clock that a run takes, with its work on a GPU."""
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def medians(runs, rounds, seconds=cpu_seconds):
    """Returns the median of the seconds of each run, by its name.

    Args:
        runs: Functions without arguments, by name.
        rounds: How often each of them runs.
        seconds: Runs a function and returns how long that took.
    """
    taken = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return {name: statistics.median(each) for name, each in taken.items()}
