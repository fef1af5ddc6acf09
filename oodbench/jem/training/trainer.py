"""Trains a classifier, by cross-entropy alone or as a joint energy-based model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base import random_numbers
from oodbench.base.errors import InputError
from oodbench.base.processes import ALONE, Processes
from oodbench.jem.training.batches import (
    Shuffled,
    augmented,
    check_sides,
    first_of_each,
    noised,
)
from oodbench.jem.training.chains import Chains, Ends, ReplayBuffer
from oodbench.jem.training.exchange import averaged_gradients
from oodbench.jem.training.guard import Guard, State
from oodbench.jem.training.loss import Loss, Seen, Step, loss_of
from oodbench.jem.training.optimiser import lay_out_alike, moving_average, optimiser_of
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.sharpness import at_worst
from oodbench.jem.training.starts import ClassGaussians, Start, Uniform
from oodbench.networks.precision import Precision, autocast, fastest
from oodbench.networks.result import Joint


class Drawn(NamedTuple):
    """What one iteration learns from."""

    images: Tensor
    """`[N, …]`, labelled."""
    labels: Tensor
    """`[N]`."""
    others: Tensor | None
    """`[M, …]`, the images of −log p(x); None without that term."""
    marginal: Ends | None
    """`[M, …]`, samples of p(x); None likewise."""
    joint: Ends | None
    """`[N, …]`, samples of p(x|y) of the labels; None without −log p(x, y)."""
    adversarial: Tensor | None
    """`[N, …]`, adversarial images of the labelled ones; None without such terms."""


class Trainer:
    """One training run: everything that an iteration reads and changes.

    With several processes, each one has its share of every batch and of the buffer, and
    gradients are averaged. On a CPU, a run that is resumed from its own state comes to
    the same weights as without a break, bit for bit.

    Args:
        module: Maps images to logits `[N, K]` or a `Joint`; on the images' device.
        images: `[N, …]` on the network's own scale, mostly [-1, 1].
        labels: `[N]`, classes from 0.
        recipe: How to train.
        processes: The processes that share the work.
        compiled: Whether torch.compile makes each SGLD step one graph.

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
        check_sides(images, recipe.augment)
        if images.ndim == 4:
            images = images.to(memory_format=_laid_out(module, images))
        processes.spread([*module.parameters(), *module.buffers()])
        self.module = module
        self.images = images
        self.labels = labels
        self.recipe = recipe
        self.processes = processes
        self.iteration = 0
        self.seconds = 0.0
        self.guard = Guard(recipe)
        self.precision: Precision
        if recipe.precision == "auto":
            self.precision = processes.agree(fastest(images.device))
        else:
            self.precision = recipe.precision
        self.optimiser = optimiser_of(module, recipe)
        self.average = moving_average(module, recipe)
        # All processes shuffle in the same order; noise and chains differ.
        order = random_numbers.generator(images.device, recipe.seed, 0)
        self.generator = random_numbers.generator(
            images.device, recipe.seed, 1 + processes.rank
        )
        self.classes = int(labels.max()) + 1
        everything = torch.arange(len(images), device=images.device)
        known = first_of_each(labels, recipe.labels_per_class)
        size = recipe.batch_size
        self.labelled = Shuffled(known, min(size, len(known)), order, processes)
        self.unlabelled = Shuffled(everything, size, order, processes)
        self._order = order
        # Layers such as dropout draw from the global generators.
        self._global = random_numbers.fresh(
            images.device, recipe.seed, 1 + processes.rank
        )
        start: Start = Uniform(tuple(images.shape[1:]))
        if recipe.start == "gaussians":
            start = ClassGaussians(images[known], labels[known])
        buffer = ReplayBuffer(
            recipe.buffer_size // processes.count,
            start,
            recipe.reinit,
            self.generator,
            self.classes if recipe.by_class else 1,
        )
        self.chains = Chains(module, buffer, recipe.sampler(), self.precision, compiled)

    @property
    def iterations(self) -> int:
        """The number of iterations of the whole run."""
        return max(1, round(self.recipe.epochs * self.unlabelled.per_epoch))

    @property
    def trained(self) -> nn.Module:
        """The module to use: the averaged one if the recipe averages weights."""
        return self.module if self.average is None else self.average.module

    def run(
        self,
        tell: Callable[[Step], None] = lambda step: None,
        *,
        save: Callable[[list[State]], None] = lambda states: None,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[int, str], None] = lambda iteration, fault: None,
    ) -> bool:
        """Trains to the end; returns False where `stop` ended the training early.

        Args:
            tell: Receives every iteration.
            save: Receives the last states, the youngest last, at each new state.
            stop: Returns whether to stop; called at each new state.
            report: Receives each return to an earlier state: the iteration of that
                state, and a sentence about the fault.

        Raises:
            DivergedError: Training diverged more often than the recipe allows.
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
            if done or self.guard.is_due(self.iteration):
                if not self._weights_are_finite():
                    self._go_back("some weights are not finite", report)
                    continue
                self._keep_state(save)
                if done or (self.iteration and self.processes.agree(stop())):
                    return done
            began = time.perf_counter()
            step = self.step()
            self.seconds += time.perf_counter() - began
            if fault := self.guard.fault(step):
                self._go_back(fault, report)
                continue
            self.iteration += 1
            tell(step)

    def _weights_are_finite(self) -> bool:
        weights = [*self.trained.parameters(), *self.module.parameters()]
        finite = torch.stack([one.isfinite().all() for one in weights]).all()
        return bool(finite.item())

    def _keep_state(self, save: Callable[[list[State]], None]) -> None:
        self._global = random_numbers.read(self.images.device)
        self.guard.keep(self.state())
        save(self.guard.states)
        self.module.eval()

    def _go_back(self, fault: str, report: Callable[[int, str], None]) -> None:
        self._load(self.guard.go_back(self.iteration, fault))
        random_numbers.write(self._global)
        report(self.iteration, self.guard.faults[-1])

    def state(self) -> State:
        """Returns copies of everything that the run needs to continue, on the host.

        Keys are those of the JEM paper's checkpoints where these have one.
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
            "precision": self.precision,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "rate_factor": self.guard.rate_factor,
            "faults": list(self.guard.faults),
        }

    def resume(self, states: list[State]) -> None:
        """Continues from the last of the states that `run` saved.

        Raises:
            InputError: They are of another number of processes, or of a network whose
                code has changed.
        """
        made_by = len(states[-1]["generators"])
        if made_by != self.processes.count:
            raise InputError(
                f"The checkpoint is of a training with {made_by} processes, but "
                f"{self.processes.count} are running; start {made_by}."
            )
        self.guard.states = list(states)
        self.guard.rate_factor = states[-1]["rate_factor"]
        self.guard.faults = list(states[-1]["faults"])
        try:
            self.precision = self.chains.precision = states[-1]["precision"]
            self._load(states[-1])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                "The checkpoint does not fit the network: its code has changed. Start "
                "again with --overwrite."
            ) from error

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
        """Trains for one iteration; `run` counts it."""
        rate = self.recipe.rate(self.iteration, self.unlabelled.per_epoch)
        rate *= self.guard.rate_factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        drawn = self._draw()
        loss = self._backward(drawn)
        if self.recipe.sharpness:
            with at_worst(
                self.module,
                self.recipe.sharpness,
                adaptive=self.recipe.sharpness_adaptive,
            ):
                self._backward(drawn)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        # The running means of a batch norm differ among processes.
        self.processes.average(
            [one for one in self.module.buffers() if one.is_floating_point()]
        )
        if self.average is not None:
            self.average.update_parameters(self.module)
        values = torch.stack([value.detach().float() for value in loss])
        self.processes.average([values])
        return Step._make([self.iteration, *values.tolist(), rate])

    def _draw(self) -> Drawn:
        recipe = self.recipe
        images, labels = self._batch(self.labelled, augment=True)
        marginal = self._marginal_chains() if recipe.weight_x else None
        joint = self.chains.run(len(labels), labels) if recipe.weight_xy else None
        adversarial = others = None
        if recipe.weight_robust or recipe.weight_neighbours:
            self.module.eval()
            adversarial = recipe.attack()(self._outputs, images, labels)
        if recipe.weight_x:
            others, _ = self._batch(self.unlabelled, augment=recipe.augment_density)
        return Drawn(images, labels, others, marginal, joint, adversarial)

    def _backward(self, drawn: Drawn) -> Loss:
        """Returns the loss; the weights get its gradient, averaged over processes."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(drawn)
        with averaged_gradients(self.module, self.processes):
            loss.total.backward()
        return loss

    def _loss(self, drawn: Drawn) -> Loss:
        # Chains have left the module in evaluation mode. Labelled images come last: a
        # batch norm's running means are mostly those of the last pass.
        self.module.train()

        def outputs(images: Tensor | None) -> Joint | None:
            return None if images is None else self._outputs(images)

        samples = outputs(drawn.marginal and drawn.marginal.states)
        data = outputs(drawn.others)
        samples_xy = outputs(drawn.joint and drawn.joint.states)
        adversarial = outputs(drawn.adversarial)
        labelled = self._outputs(drawn.images)
        seen = Seen(labelled, data, samples, samples_xy, adversarial)
        chains = drawn.marginal or drawn.joint
        return loss_of(self.recipe, seen, drawn.labels, chains)

    def _marginal_chains(self) -> Ends:
        """Returns samples for −log p(x)."""
        count = self.recipe.batch_size // self.processes.count
        if not self.recipe.class_conditional:
            return self.chains.run(count)
        labels = torch.randint(
            self.classes, (count,), generator=self.generator, device=self.labels.device
        )
        return self.chains.run(count, labels)

    def _batch(self, stream: Shuffled, *, augment: bool) -> tuple[Tensor, Tensor]:
        places = stream.next_batch()
        images = self.images[places]
        if augment:
            images = augmented(images, self.recipe.augment, self.generator)
            images = noised(images, self.recipe.input_noise, self.generator)
        return images, self.labels[places]

    def _outputs(self, images: Tensor) -> Joint:
        with autocast(images.device, self.precision):
            return Joint.of(self.module(images))


@torch.no_grad()
def _laid_out(module: nn.Module, images: Tensor) -> torch.memory_format:
    """Puts a module into the order in memory that is fastest for it, and returns it.

    Convolutions are faster with channels last, but a `view` behind one fails then.
    """
    # `contiguous` would leave the strides of grey images as they are.
    few = images[:2].to(memory_format=torch.channels_last)
    try:
        module.to(memory_format=torch.channels_last).eval()(few)
    except RuntimeError:
        module.to(memory_format=torch.contiguous_format)
        return torch.contiguous_format
    return torch.channels_last


def _copy(values: Any) -> Any:
    """Copies all tensors in dictionaries and lists to the host."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", copy=True).contiguous()
    if isinstance(values, dict):
        return {name: _copy(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_copy(value) for value in values)
    return values
