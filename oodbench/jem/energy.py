"""A classifier's logits read as energies.

Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is Secretly an
Energy Based Model and You Should Treat it Like One, ICLR 2020, arXiv 1912.03263.
"""

from torch import Tensor


def free_energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Returns E(x; T) = −T · LogSumExp_y(f(x)[y] / T), `[N]`, from logits `[N, K]`.

    At T = 1 it is the JEM's E(x), with log p(x) = −E(x) − log Z.
    """
    return -temperature * (logits / temperature).logsumexp(1)
