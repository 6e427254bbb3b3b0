"""What *The Tangle* (S. Popov, v1.4.3, section 3) expects where tips are chosen at random."""

from typing import Final

ADAPTATION_RATE: Final = 0.352
"""W(1/2), Lambert's function: with two parents the mean cumulative weight of a new transaction
grows as exp(0.352 t/h), until most tips approve it; from then on by λ in a second."""


def expected_tips(rate_per_s: float, delay_s: float, parents: int) -> float:
    """Return L₀ = k λh / (k − 1): tips as everybody sees them, in the long run."""
    return parents * rate_per_s * delay_s / (parents - 1)


def expected_first_approval_s(delay_s: float, parents: int) -> float:
    """Return how long it takes on average until the first approval: h + L₀ / kλ, 2h for k = 2."""
    return delay_s + delay_s / (parents - 1)
