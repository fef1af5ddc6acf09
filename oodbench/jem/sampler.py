"""Stochastic gradient Langevin dynamics on log p(x)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SGLD:
    """x ← x + step_size · ∇ log p(x) + noise · n with n ~ N(0, I), `steps` times.

    The defaults are those of the JEM paper's code, on pixels in [-1, 1]. They are not
    Langevin dynamics at temperature 1, which has noise = √(2 · step_size), but at
    noise² / (2 · step_size): nearly gradient ascent.

    Grathwohl et al., ICLR 2020, arXiv 1912.03263; the dynamics are those of Welling and
    Teh, Bayesian Learning via Stochastic Gradient Langevin Dynamics, ICML 2011.
    """

    steps: int = 20
    step_size: float = 1.0
    noise: float = 0.01

    def __call__(
        self,
        log_px: Callable[[Tensor], Tensor],
        x: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Returns the chains' last states.

        Args:
            log_px: Maps states to unnormalised log p(x) `[N]`.
            x: The first states, `[N, …]`; left as they are.
            generator: Where the noise comes from.
        """
        x = x.detach().clone()
        for _ in range(self.steps):
            x.requires_grad_(True)
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(log_px(x).sum(), x)
            noise = torch.empty_like(gradient).normal_(generator=generator)
            x = x.detach() + self.step_size * gradient + self.noise * noise
        return x
