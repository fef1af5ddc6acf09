"""Checkpoints to networks: files, state dicts, architectures, devices."""
