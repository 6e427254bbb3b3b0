"""What is tried: arrivals, delay, selector, milestones, and who attacks.

Times are seconds of a simulated clock, as floats: nothing here decides about a ledger.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never

from tip_selection.heaviest_branch import select_heaviest_branch
from tip_selection.selection import Selection, Selector, complete
from tip_selection.uniform import select_uniform
from tip_selection.unweighted_walk import select_unweighted_walk
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk


class SelectorName(StrEnum):
    """The ways to choose parents that there are."""

    UNIFORM = "uniform"
    UNWEIGHTED_WALK = "unweighted-walk"
    WEIGHTED_WALK = "weighted-walk"
    HEAVIEST_BRANCH = "heaviest-branch"
    """How the coordinator chooses, done by everybody."""


@dataclass(frozen=True, slots=True)
class ParasiteChain:
    """A payment, and in secret a chain over a second payment of the same coins.

    *The Tangle*, section 4.1: every transaction of the chain approves the one before it and one of
    the main tangle from before the payment.
    """

    begin_s: float
    """The next honest transaction is the payment."""

    release_s: float
    """From then on the chain is public, and goes on."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """Two conflicting transactions, whose branches are kept at one weight (section 4.2)."""

    begin_s: float


@dataclass(frozen=True, slots=True)
class Lazy:
    """Two old transactions are approved, and no tips."""

    age_s: float
    """How long ago everybody saw them."""


@dataclass(frozen=True, slots=True)
class Spam:
    """More than others issue, over any tips."""

    begin_s: float
    end_s: float


Attack = ParasiteChain | Splitting | Lazy | Spam


@dataclass(frozen=True, slots=True)
class Experiment:
    """One run. The same experiment has the same result, to the last transaction."""

    transactions: int
    """To issue, the attacker's included; milestones and checkpoints come on top."""

    rate_per_s: float
    """λ of *The Tangle*: honest transactions in a second, in a Poisson process."""

    delay_s: float
    """h: from the choice of parents until everybody sees the transaction."""

    selector: SelectorName = SelectorName.WEIGHTED_WALK
    alpha: float = 0.01
    """Of the weighted walk; in steps of a millionth."""

    is_bounded: bool = False
    """Lower α under load, as nodes do."""

    parents: int = 2
    """k: each transaction approves so many, where there are as many tips."""

    milestone_interval_s: float | None = None
    """`None`: no coordinator; walks begin at genesis, and issuers do not approve both sides of a
    conflict. With one, conflicts are settled by order, and issuers need not care."""

    attack: Attack | None = None
    share: float = 0.0
    """Of all transactions that are the attacker's while the attack lasts; below 1."""

    watched: int = 0
    """Transactions whose confirmation confidence is followed."""

    seed: int = 1

    @property
    def total_rate_per_s(self) -> float:
        """Honest transactions and the attacker's."""
        return self.rate_per_s / (1 - self.share) if self.attack else self.rate_per_s


def selector_of(name: SelectorName) -> Selector:
    """Return the selector of a name."""
    match name:
        case SelectorName.UNIFORM:
            return select_uniform
        case SelectorName.UNWEIGHTED_WALK:
            return select_unweighted_walk
        case SelectorName.WEIGHTED_WALK:
            return select_weighted_walk
        case SelectorName.HEAVIEST_BRANCH:
            return _select_heaviest
    assert_never(name)


def _select_heaviest(view: View, rng: Random, count: int) -> Selection:
    return Selection(complete(view, select_heaviest_branch(view, rng, count), count))
