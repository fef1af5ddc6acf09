# ruff: noqa: NPY002, T201 - these are the faults
"""Plug-ins that do what they must not; a test gives them entry points."""

import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from oodbench import Dataset, Detector, Need, Shape, Split


def _with_head(deed):
    return lambda batch: deed(batch.head)


def _generator_of_another_kind(batch):
    np.random.set_bit_generator(np.random.PCG64(0))


SCORES = {
    "shape": lambda batch: batch.logits,
    "nan": lambda batch: batch.log_px * torch.nan,
    "numpy": lambda batch: batch.log_px.numpy(),
    "nothing": lambda batch: None,
    "one_short": lambda batch: batch.log_px[1:],
}
"""What a detector must not return."""

DEEDS = {
    "inputs": lambda batch: batch.inputs.zero_(),
    "logits": lambda batch: batch.logits.mul_(2),
    "gradient": lambda batch: batch.gradient(mean_logit).zero_(),
    "train": _with_head(lambda head: head.train()),
    "hook": _with_head(lambda head: head.register_forward_hook(lambda *_: None)),
    "weight": _with_head(lambda head: head.weight.zero_()),
    "torch_seed": lambda batch: torch.manual_seed(0),
    "torch_draw": lambda batch: torch.rand(3),
    "numpy_seed": lambda batch: np.random.seed(0),
    "numpy_draw": lambda batch: np.random.rand(3),
    "numpy_generator": _generator_of_another_kind,
    "python_draw": lambda batch: random.random(),
    "grad": lambda batch: torch.set_grad_enabled(not torch.is_grad_enabled()),
    "dtype": lambda batch: torch.set_default_dtype(torch.float64),
    "device": lambda batch: torch.set_default_device("meta"),
    "threads": lambda batch: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic": lambda batch: torch.use_deterministic_algorithms(True),
    "precision": lambda batch: torch.set_float32_matmul_precision("medium"),
    "tf32": lambda batch: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "one_backend": lambda batch: setattr(
        torch.backends.mkldnn.matmul, "fp32_precision", "bf16"
    ),
    "benchmark": lambda batch: setattr(torch.backends.cudnn, "benchmark", True),
    "autocast": lambda batch: torch.autocast("cpu", torch.bfloat16).__enter__(),
    "folder": lambda batch: os.chdir(Path.cwd().anchor),
    "raise": lambda batch: {}["missing"],
    "memory": lambda batch: bytearray(2**62),
    "lines": lambda batch: int("one\ntwo"),
    "exit": lambda batch: sys.exit(3),
    "base": lambda batch: (_ for _ in ()).throw(BaseException("out")),
    "prints": lambda batch: print("noise of a plug-in"),
}
"""What a detector must not do on its way; printing alone fails nobody."""


def mean_logit(result):
    return result.logits.mean(1)


def writing(result):
    result.logits.mul_(0)
    result.log_px.mul_(0)
    return result.logits.sum(1)


def raising(result):
    return 1 // 0


def drawing(result):
    return result.logits.sum(1) + torch.rand(len(result.logits))


def greedy(result):
    raise MemoryError("no room")


def constant(result):
    return torch.ones(len(result.logits))


@dataclass
class Faulty(Detector):
    """Does what its parameter says whenever it scores."""

    needs = Need.INPUTS | Need.HEAD | Need.FEATURES | Need.GRADIENT
    objectives = (mean_logit,)
    deed: str = "raise"

    def score(self, batch):
        if self.deed in SCORES:
            return SCORES[self.deed](batch)
        DEEDS[self.deed](batch)
        return batch.log_px


@dataclass
class FaultyFit(Detector):
    """Does what its parameter says when it is fitted."""

    needs = Faulty.needs
    objectives = Faulty.objectives
    fitted_on = "train"
    deed: str = "raise"

    def fit(self, known):
        DEEDS[self.deed](known)

    def score(self, batch):
        return batch.log_px


@dataclass
class FaultyObjective(Detector):
    """Lists an objective that does what its parameter says."""

    needs = Need.GRADIENT
    deed: str = "raising"

    @property
    def objectives(self):
        return (mean_logit, globals()[self.deed])

    def score(self, batch):
        return batch.gradient(globals()[self.deed]).flatten(1).norm(dim=1)


@dataclass
class Undeclared(Detector):
    """Declares its needs in words."""

    needs = "features"

    def score(self, batch):
        return batch.log_px


@dataclass
class Abstract(Detector):
    """Has no score."""


class Plain(Detector):
    """Is no dataclass."""

    def score(self, batch):
        return batch.log_px


def grey(count):
    return np.zeros((count, 8, 8, 1), np.uint8)


class Lying:
    """Says that it has more images than it gives."""

    def __len__(self):
        return 40

    def __getitem__(self, chunk):
        return grey(36)[chunk]


class Breaking(Lying):
    def __getitem__(self, chunk):
        if chunk.stop > 32:
            raise OSError("the disk is gone")
        return grey(40)[chunk]


class Lists(Lying):
    def __getitem__(self, chunk):
        return [[0]] * len(range(*chunk.indices(40)))


class Endless(Lying):
    def __len__(self):
        return -1


SPLITS = {
    "raises": lambda: 1 // 0,
    "exits": lambda: sys.exit(4),
    "nothing": lambda: None,
    "dtype": lambda: Split(grey(4).astype(np.float64)),
    "rank": lambda: Split(grey(4)[..., 0]),
    "channels": lambda: Split(grey(4).repeat(2, 3)),
    "range": lambda: Split(grey(4).astype(np.float32) + 7),
    "labels": lambda: Split(grey(4), np.zeros(3, np.int64)),
    "label_kind": lambda: Split(grey(4), np.zeros(4)),
    "label_list": lambda: Split(grey(4), [0, 1, 2, 3]),
    "clusters": lambda: Split(grey(4), clusters=np.zeros(5, np.int64)),
    "lies": lambda: Split(Lying()),
    "breaks": lambda: Split(Breaking()),
    "lists": lambda: Split(Lists()),
    "endless": lambda: Split(Endless()),
    "number": lambda: Split(3),
}


def faulty_set(argument):
    """Opens a set that is what its argument says."""
    if argument == "none":
        return None
    if argument == "refuses":
        raise LookupError("no such thing")

    def load(split, shape: Shape):
        return SPLITS[argument]()

    return Dataset(f"faulty:{argument}", load, "far")


def no_network():
    return nn.Linear(2, 2)


def raising_model():
    raise RuntimeError("weights\nare gone")


def exiting_model():
    sys.exit(5)
