"""Trains a classifier, by cross-entropy alone or as a joint energy-based model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.base import random_numbers
from oodbench.base.errors import InputError
from oodbench.base.processes import ALONE, Processes
from oodbench.jem.energy import log_p_xy, log_p_y_given_x, of_class
from oodbench.jem.training.batches import PAD, Shuffled, augmented, noised
from oodbench.jem.training.buffer import ReplayBuffer
from oodbench.jem.training.chains import Chains, Samples
from oodbench.jem.training.contrast import Contrast
from oodbench.jem.training.guard import Guard, State
from oodbench.jem.training.layout import lay_out_alike, takes_channels_last
from oodbench.jem.training.optimiser import new_average, new_optimiser
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.step import Step
from oodbench.networks.network import Joint, autocast


class Trainer:
    """One training run: everything that an iteration reads and changes.

    Of several processes each has its share of every batch and of the buffer; gradients
    are averaged. On a CPU, a run that is loaded from its own state goes on to the same
    weights, bit for bit.

    Args:
        module: Maps images to logits `[N, K]` or a `Joint`; on the images' device.
        images: `[N, …]` on the network's own scale, mostly [-1, 1].
        labels: `[N]`.
        recipe: How to train.
        processes: Who shares the work.
        compiled: Whether torch.compile makes the gradient of log p(x).

    Raises:
        InputError: The recipe does not fit the images.
    """

    def __init__(
        self,
        module: nn.Module,
        images: Tensor,
        labels: Tensor,
        recipe: Recipe,
        *,
        processes: Processes = ALONE,
        compiled: bool = False,
    ) -> None:
        _check_sides(images, recipe)
        if images.ndim == 4 and takes_channels_last(module, images):
            images = images.contiguous(memory_format=torch.channels_last)
        processes.spread([*module.parameters(), *module.buffers()])
        self.module = module
        self.images = images
        self.labels = labels
        self.recipe = recipe
        self.processes = processes
        self.iteration = 0
        self.seconds = 0.0
        self.guard = Guard(recipe)
        self.optimiser = new_optimiser(module, recipe)
        self.average = new_average(module, recipe)
        # All processes shuffle alike; noise and chains are each one's own.
        order = random_numbers.generator(images.device, recipe.seed, 0)
        self.generator = random_numbers.generator(
            images.device, recipe.seed, 1 + processes.rank
        )
        self.classes = int(labels.max()) + 1
        everything = torch.arange(len(images), device=images.device)
        known = _labelled(labels, recipe.labels_per_class)
        size = recipe.batch_size
        self.labelled = Shuffled(known, min(size, len(known)), order, processes)
        self.unlabelled = Shuffled(everything, size, order, processes)
        self._order = order
        # Layers such as dropout draw from the global generators.
        self._global = random_numbers.fresh(
            images.device, recipe.seed, 1 + processes.rank
        )
        buffer = ReplayBuffer(
            recipe.buffer_size // processes.count,
            tuple(images.shape[1:]),
            recipe.reinit,
            self.generator,
            self.classes if recipe.by_class else 1,
        )
        self.chains = Chains(
            module, buffer, recipe.sampler(), recipe.precision, compiled
        )

    @property
    def iterations(self) -> int:
        """Of the whole run."""
        return max(1, round(self.recipe.epochs * self.unlabelled.per_epoch))

    @property
    def trained(self) -> nn.Module:
        """The module to use: the average of the weights where there is one."""
        return self.module if self.average is None else self.average.module

    def run(
        self,
        tell: Callable[[Step], None] = lambda step: None,
        *,
        save: Callable[[list[State]], None] = lambda states: None,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[int, str], None] = lambda iteration, fault: None,
    ) -> bool:
        """Trains to the end; returns whether it came there.

        Args:
            tell: Is told of every iteration.
            save: Is given the last states, the younger last, when there is a new one.
            stop: Is asked at each new state whether to stop there.
            report: Is told when training diverged: the iteration to which it went
                back, and a sentence.

        Raises:
            InputError: It diverged more often than the recipe allows.
        """
        devices = [self.images.device] if self.images.is_cuda else []
        with torch.random.fork_rng(devices):
            random_numbers.write(self._global)
            return self._run(tell, save, stop, report)

    def _run(
        self,
        tell: Callable[[Step], None],
        save: Callable[[list[State]], None],
        stop: Callable[[], bool],
        report: Callable[[int, str], None],
    ) -> bool:
        while True:
            done = self.iteration == self.iterations
            fault, step = "", None
            if done or self.guard.is_due(self.iteration):
                fault = self._lost()
                if not fault:
                    self._keep(save)
                    self.module.eval()
                    if done or (self.iteration and self.processes.agree(stop())):
                        return done
            if not fault:
                began = time.perf_counter()
                step = self.step()
                self.seconds += time.perf_counter() - began
                fault = self.guard.fault(step)
            if fault or step is None:
                self._go_back(fault, report)
                continue
            self.iteration += 1
            tell(step)

    def _keep(self, save: Callable[[list[State]], None]) -> None:
        self._global = random_numbers.read(self.images.device)
        self.guard.keep(self.state())
        save(self.guard.states)

    def _go_back(self, fault: str, report: Callable[[int, str], None]) -> None:
        iteration = self.iteration
        try:
            self._load(self.guard.go_back(iteration, fault))
        finally:  # also when it gives up
            report(self.iteration, self.guard.faults[-1])
        random_numbers.write(self._global)

    def _lost(self) -> str:
        """Returns whether weights are no numbers any more, in words."""
        weights = [*self.trained.parameters(), *self.module.parameters()]
        finite = torch.stack([one.isfinite().all() for one in weights]).all()
        return "" if finite.item() else "some weights are not finite"

    def state(self) -> State:
        """Returns copies of all that the run is, on the host.

        The names are those of the JEM paper's checkpoints, where they have one.
        """
        buffers = self.processes.gather(self.chains.buffer.states.cpu())
        average = {} if self.average is None else self.average.state_dict()
        return {
            "model_state_dict": _copy(self.module.state_dict()),
            **({"state_dict_ema": _copy(average)} if average else {}),
            "replay_buffer": torch.cat(buffers).contiguous(),
            "optimiser": _copy(self.optimiser.state_dict()),
            "order": self._order.get_state(),
            "labelled": self.labelled.state(),
            "unlabelled": self.unlabelled.state(),
            "generators": self.processes.gather(self.generator.get_state()),
            "global": self.processes.gather(self._global),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "rate_factor": self.guard.rate_factor,
            "faults": list(self.guard.faults),
        }

    def resume(self, states: list[State]) -> None:
        """Goes on from states that `run` saved, the last of them.

        Raises:
            InputError: Another number of processes made them.
        """
        made_by = len(states[-1]["generators"])
        if made_by != self.processes.count:
            raise InputError(
                f"The checkpoint is of {made_by} processes, and there are "
                f"{self.processes.count}; start as many."
            )
        self.guard.states = list(states)
        self.guard.rate_factor = states[-1]["rate_factor"]
        self.guard.faults = list(states[-1]["faults"])
        self._load(states[-1])

    def _load(self, state: State) -> None:
        self.module.load_state_dict(state["model_state_dict"])
        if self.average is not None:
            self.average.load_state_dict(state["state_dict_ema"])
        # A copy, since the optimiser takes the tensors themselves.
        self.optimiser.load_state_dict(_copy(state["optimiser"]))
        lay_out_alike(self.optimiser)
        parts = state["replay_buffer"].chunk(self.processes.count)
        self.chains.buffer.states.copy_(parts[self.processes.rank])
        self._order.set_state(state["order"])
        self.labelled.load(state["labelled"])
        self.unlabelled.load(state["unlabelled"])
        self.generator.set_state(state["generators"][self.processes.rank])
        self._global = state["global"][self.processes.rank]
        self.iteration = state["iteration"]
        self.seconds = state["seconds"]

    def step(self) -> Step:
        """Takes one iteration; its number stays for `run` to raise."""
        rate = self.recipe.rate(self.iteration, self.unlabelled.per_epoch)
        rate *= self.guard.rate_factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss, shown = self._loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average(
            [one.grad for one in self.module.parameters() if one.grad is not None]
        )
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        # The running means of a batch norm differ among processes.
        self.processes.average(
            [one for one in self.module.buffers() if one.is_floating_point()]
        )
        if self.average is not None:
            self.average.update_parameters(self.module)
        values = torch.stack([loss.detach().float(), *shown])
        self.processes.average([values])
        return Step._make([self.iteration, *values.tolist(), rate])

    def _loss(self) -> tuple[Tensor, list[Tensor]]:
        """Returns the loss, and what a `Step` shows besides."""
        recipe = self.recipe
        images, labels = self._batch(self.labelled, augment=True)
        # Chains first: they need the module in evaluation mode. Labelled images last:
        # a batch norm's running means are mostly those of the last pass.
        marginal = self._marginal() if recipe.weight_x else None
        joint = self.chains.run(len(labels), labels) if recipe.weight_xy else None
        self.module.train()
        nothing = images.new_zeros(1)
        x = xy = Contrast(nothing, nothing)
        if marginal is not None:
            samples = self._joint(marginal.states).log_px
            others, _ = self._batch(self.unlabelled, augment=recipe.augment_density)
            x = Contrast(self._joint(others).log_px, samples)
        if joint is not None:
            samples = of_class(log_p_xy(self._joint(joint.states)), labels)
        said = self._joint(images)
        if joint is not None:
            xy = Contrast(of_class(log_p_xy(said), labels), samples)
        log_p_y = log_p_y_given_x(said)
        cross_entropy = -of_class(log_p_y, labels).mean()
        loss = (
            recipe.weight_y_given_x * cross_entropy
            - recipe.weight_x * x.gap
            - recipe.weight_xy * xy.gap
            + recipe.energy_l2 * (x.size + xy.size)
        )
        chains = marginal or joint
        shown = [
            cross_entropy,
            (log_p_y.argmax(1) == labels).float().mean(),
            x.data.mean(),
            x.samples.mean(),
            xy.gap,
            chains.moved if chains else nothing.mean(),
            chains.outside if chains else nothing.mean(),
        ]
        return loss, [value.detach().float() for value in shown]

    def _marginal(self) -> Samples:
        """Runs chains for −log p(x)."""
        count = self.recipe.batch_size // self.processes.count
        if not self.recipe.class_conditional:
            return self.chains.run(count)
        labels = torch.randint(
            self.classes, (count,), generator=self.generator, device=self.labels.device
        )
        return self.chains.run(count, labels)

    def _batch(self, stream: Shuffled, *, augment: bool) -> tuple[Tensor, Tensor]:
        places = stream.draw()
        images = self.images[places]
        if augment:
            images = augmented(images, self.recipe.augment, self.generator)
            images = noised(images, self.recipe.input_noise, self.generator)
        return images, self.labels[places]

    def _joint(self, images: Tensor) -> Joint:
        with autocast(images.device, self.recipe.precision):
            return Joint.of(self.module(images))


def _check_sides(images: Tensor, recipe: Recipe) -> None:
    if recipe.augment != "none" and min(images.shape[2:], default=0) <= PAD:
        raise InputError(
            f"Images of {'x'.join(map(str, images.shape[1:]))} are too small to be "
            f"cropped at random by {PAD} pixels; train with --augment none."
        )


def _labelled(labels: Tensor, per_class: int) -> Tensor:
    """Returns the numbers of the images whose labels are used, the first of a class."""
    if not per_class:
        return torch.arange(len(labels), device=labels.device)
    kinds = labels.unique().tolist()
    first = [torch.nonzero(labels == kind)[:per_class, 0] for kind in kinds]
    return torch.cat(first).sort().values


def _copy(values: Any) -> Any:
    """Copies all tensors in dictionaries and lists to the host."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", copy=True).contiguous()
    if isinstance(values, dict):
        return {name: _copy(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_copy(value) for value in values)
    return values
