"""Measures the time and the memory of another process."""

import os
import subprocess
import sys
import time


def measure(command):
    """Returns the seconds and processor seconds of a process, and its most MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    busy = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - began, busy, usage.ru_maxrss / 1024
