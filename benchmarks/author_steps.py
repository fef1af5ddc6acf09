"""One training iteration of each recipe by its authors' code, for `jem_step.py`.

Nothing of their code is here: samplers, networks and optimisers are called in the order
of their training loops, without data loaders and logs.

| recipe | repository | commit | folder of the code |
|---|---|---|---|
| `jem-paper` | wgrathwohl/JEM | 3d01161 | |
| `jem++` | sndnyang/JEMPP | fba6ba5 | |
| `sada-jem` | sndnyang/SADAJEM | 9d8f3c7 | |
| `eb-jdat` | jkcjkc/EB-JDAT | 327ea16 | EB-JDAT-SADAJEM |
| `dat` | xuwangyin/DAT | fb2ffc7 | |

They need tqdm, tensorboardX, matplotlib, scikit-learn, einops and omegaconf.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn import functional as F

from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.starts import ClassGaussians
from oodbench.networks.architectures.jem_wrn import JEMWideResNet

Iterate = Callable[[], object]
"""Trains for one iteration."""
CLASSES = 10


class Problem(NamedTuple):
    """What both sides train on, and how."""

    recipe: Recipe
    depth: int
    width: int
    norm: str
    images: Tensor
    """`[N, 3, 32, 32]` in [-1, 1]."""
    labels: Tensor
    """`[N]`."""

    def network(self) -> JEMWideResNet:
        """Returns an untrained network."""
        module = JEMWideResNet(
            depth=self.depth, width=self.width, norm=self.norm, classes=CLASSES
        )
        return module.to(self.images.device)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Returns images and labels of a random batch."""
        places = torch.randint(len(self.images), (self.recipe.batch_size,))
        return self.images[places], self.labels[places]

    def settings(self, **given: object) -> Namespace:
        """Returns the arguments that the scripts of the JEM family share."""
        recipe = self.recipe
        return Namespace(
            depth=self.depth, width=self.width, dropout_rate=0.0, uncond=False,
            norm=None if self.norm == "none" else self.norm, n_classes=CLASSES,
            load_path=None, dataset="cifar10", gpu_id="0", device=self.images.device,
            buffer_size=recipe.buffer_size, reinit_freq=recipe.reinit, init="gm",
            batch_size=recipe.batch_size, n_steps=recipe.sgld_steps,
            sgld_lr=recipe.sgld_step_size, sgld_std=recipe.sgld_noise, **given,
        )  # fmt: skip

    def sgd(self) -> dict[str, float]:
        """Returns the settings of their SGD."""
        recipe = self.recipe
        return {
            "lr": recipe.learning_rate,
            "momentum": 0.9,
            "weight_decay": recipe.weight_decay,
        }


def check(loss: Tensor) -> None:
    """Stops where the loss diverges, as their loops do."""
    if loss.abs().item() > 1e8:
        raise RuntimeError("diverged")


def jem(problem: Problem) -> Mapping[str, Iterate]:
    """Returns an iteration of Grathwohl et al., with Adam."""
    theirs, device = import_module("train_wrn_ebm"), problem.images.device
    settings = problem.settings()
    sample_q = theirs.get_sample_q(settings, device)
    network, buffer = theirs.get_model_and_buffer(settings, device, sample_q)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)

    def iterate() -> None:
        (data, _), (known, truth) = problem.batch(), problem.batch()
        samples = sample_q(network, buffer)
        loss = -(network(data).mean() - network(samples).mean())
        loss = loss + F.cross_entropy(network.classify(known), truth)
        check(loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return {"the authors' code": iterate}


def with_gaussians(name: str, problem: Problem, settings: Namespace) -> ModuleType:
    """Returns a training script that knows its arguments and the classes' Gaussians."""
    theirs = import_module(name)
    theirs.args = settings
    known = ClassGaussians(problem.images.cpu(), problem.labels.cpu())
    device = problem.images.device
    theirs.conditionals[:] = [
        MultivariateNormal(mean.to(device), scale_tril=factor.to(device))
        for mean, factor in zip(known.means, known.factors, strict=True)
    ]
    return theirs


def jem_pp(problem: Problem) -> Mapping[str, Iterate]:
    """Returns iterations of Yang and Ji: their command (YOPO), and our steps of 1."""
    return {
        "the authors' code, inner steps": _jem_pp(problem, 5),
        "the authors' code, steps of 1": _jem_pp(problem, 0),
    }


def _jem_pp(problem: Problem, inner: int) -> Iterate:
    settings = problem.settings(model="yopo", eps=1.0, pyld_lr=0.2)
    if inner:
        settings.sgld_lr = 0.0
    theirs = with_gaussians("train_jempp", problem, settings)
    network, buffer = theirs.get_model_and_buffer(settings, settings.device)
    optimiser = torch.optim.SGD(network.parameters(), **problem.sgd())

    def iterate() -> None:
        (data, _), (known, truth) = problem.batch(), problem.batch()
        log_p = network(data).mean()
        samples = theirs.sample_q(
            network, buffer, n_steps=settings.n_steps, in_steps=inner, args=settings
        )
        loss = -(log_p - network(samples).mean())
        loss = loss + F.cross_entropy(network.classify(known), truth)
        check(loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return iterate


class SadaJEM:
    """The code of Yang, Su and Ji, with their sharpness-aware optimiser."""

    def __init__(self, problem: Problem) -> None:
        self.settings = problem.settings(model="wrn")
        self.theirs = with_gaussians("train_sadajem", problem, self.settings)
        self.network, self.buffer = self.theirs.get_model_and_buffer(
            self.settings, self.settings.device
        )
        recipe = problem.recipe
        self.optimiser = self.theirs.SAM(
            self.network.parameters(),
            torch.optim.SGD,
            rho=recipe.sharpness,
            adaptive=recipe.sharpness_adaptive,
            **problem.sgd(),
        )

    def begin(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Returns samples, and the loss of data and samples."""
        self.theirs.enable_running_stats(self.network)
        log_p = self.network(data).mean()
        samples = self.theirs.sample_q(
            self.network, self.buffer, n_steps=self.settings.n_steps, args=self.settings
        )
        loss = -(log_p - self.network(samples).mean())
        check(loss)
        return samples, loss

    def first_step(self, loss: Tensor) -> None:
        """Moves the weights to where the loss is worst nearby."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.first_step(zero_grad=True)
        self.theirs.disable_running_stats(self.network)

    def second_step(self, loss: Tensor) -> None:
        """Moves the weights back, and down the slope that was found there."""
        loss.backward()
        self.optimiser.second_step(zero_grad=True)


def sada_jem(problem: Problem) -> Mapping[str, Iterate]:
    """Returns an iteration of Yang, Su and Ji."""
    code = SadaJEM(problem)
    network = code.network

    def iterate() -> None:
        (data, _), (known, truth) = problem.batch(), problem.batch()
        samples, loss = code.begin(data)
        code.first_step(loss + F.cross_entropy(network.classify(known), truth))
        loss = -(network(data).mean() - network(samples).mean())
        code.second_step(loss + F.cross_entropy(network.classify(known), truth))

    return {"the authors' code": iterate}


def eb_jdat(problem: Problem) -> Mapping[str, Iterate]:
    """Returns an iteration of Jiang et al. on top of SADA-JEM.

    Their function for adversarial images takes two images at a time.
    """
    code, recipe = SadaJEM(problem), problem.recipe
    network, device = code.network, code.settings.device

    def terms(known: Tensor, truth: Tensor, adversarial: Tensor) -> Tensor:
        robust = F.cross_entropy(network.classify(adversarial), truth)
        return F.cross_entropy(network.classify(known), truth) + robust

    def gap(data: Tensor, others: Tensor) -> Tensor:
        return network(data).mean() - network(others).mean()

    def iterate() -> None:
        (data, _), (known, truth) = problem.batch(), problem.batch()
        samples, loss = code.begin(data)
        adversarial = code.theirs.sampleXadv(
            network, known, truth, device, recipe.adversary_steps
        )
        loss = loss - recipe.weight_neighbours * gap(data, adversarial)
        code.first_step(loss + terms(known, truth, adversarial))
        loss = -gap(data, samples) + terms(known, truth, adversarial)
        code.second_step(loss - recipe.weight_neighbours * gap(data, adversarial))

    return {"the authors' code": iterate}


class OnPixels(nn.Module):
    """Our network on pixels in [0, 1], as the code of `dat` calls its networks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns logits `[N, K]`, or those of the labels `[N]`."""
        logits = self.network(2 * x - 1)
        return logits if y is None else logits.gather(1, y[:, None])[:, 0]


def dat(problem: Problem) -> Mapping[str, Iterate]:
    """Returns an iteration of Yin et al. on our network; negatives begin at images."""
    for unused in ("pytorch_fid.fid_score", "rebm.eval.inception_score"):
        sys.modules[unused] = ModuleType(unused)
    sys.modules["pytorch_fid.fid_score"].calculate_fid_given_paths = None
    sys.modules["rebm.eval.inception_score"].compute_inception_score = None
    theirs = import_module("rebm.training.metrics")
    averages = import_module("rebm.training.average_model")
    recipe, model = problem.recipe, OnPixels(problem.network())
    average = averages.AveragedModel(
        model, ema_decay=recipe.ema, avg_batchnorm=True, device=problem.images.device
    )
    optimiser = torch.optim.SGD(model.parameters(), **problem.sgd())
    steps = recipe.adversary_steps
    attack = Namespace(
        attack_type="pgd", norm="L2", eps=torch.inf, step_size=recipe.sgld_step_size / 2
    )
    adversary = Namespace(
        max_steps=steps, fixed_steps=steps, start_step=steps, norm="L2",
        eps=recipe.adversary_radius / 2, step_size=recipe.adversary_step_size / 2,
    )  # fmt: skip
    settings = Namespace(
        attack=attack, indist_attack_clf=adversary, indist_perturb=False, r1reg=0,
        track_r1=False, logsumexp=True, logsumexp_sampling=False,
    )  # fmt: skip
    pixels = problem._replace(images=(problem.images + 1) / 2)

    def iterate() -> None:
        (data, of_data), (known, truth) = pixels.batch(), pixels.batch()
        optimiser.zero_grad()
        found = theirs.compute_ebm_metrics(
            indist_imgs=data,
            indist_labels=of_data,
            outdist_imgs=pixels.batch()[0],
            outdist_step=recipe.sgld_steps,
            model=model,
            cfg=settings,
            criterion=nn.BCEWithLogitsLoss(),
        )
        robust = theirs.compute_clf_adv_loss(
            indist_imgs=known,
            indist_labels=truth,
            model=model,
            cfg=settings,
            criterion=nn.CrossEntropyLoss(),
        )
        (found.ebm_total_loss + robust).backward()
        optimiser.step()
        with torch.no_grad():
            average.update_parameters(model)

    return {"the authors' code": iterate}


STEPS: Mapping[str, Callable[[Problem], Mapping[str, Iterate]]] = {
    "jem-paper": jem,
    "jem++": jem_pp,
    "sada-jem": sada_jem,
    "eb-jdat": eb_jdat,
    "dat": dat,
}


def author_steps(name: str, checkout: Path, problem: Problem) -> Mapping[str, Iterate]:
    """Returns the iterations of a recipe by its authors' code.

    Args:
        name: The recipe.
        checkout: The folder of the code.
        problem: What to train on; it needs images of every class.
    """
    sys.path.insert(0, str(checkout))
    threads = torch.get_num_threads()
    found = STEPS[name](problem)
    torch.set_num_threads(threads)  # some of them set it
    return found
