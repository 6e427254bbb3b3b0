"""What came out of an experiment: every transaction, and the pool over time."""

from dataclasses import dataclass
from enum import StrEnum

from tip_selection.laboratory.experiment import Experiment


class Party(StrEnum):
    """Who issued a transaction."""

    GENESIS = "genesis"
    HONEST = "honest"
    ATTACKER = "attacker"
    COORDINATOR = "coordinator"


class Branch(StrEnum):
    """Which side of a conflict a transaction approves."""

    NEITHER = "neither"
    FIRST = "first"
    """The payment; of a split the one half."""

    SECOND = "second"
    """The second payment of the same coins."""

    BOTH = "both"


@dataclass(slots=True, eq=False)
class Entry:
    """One transaction, milestone or entry point; its number is its place in the record."""

    issued_s: float
    parents: tuple[int, ...]
    """Numbers."""

    party: Party
    branch: Branch
    seen_s: float | None = None
    """When everybody saw it; `None`: at the end nobody had."""

    first_approved_s: float | None = None
    """When the first that approves it was issued, secretly or not."""

    referenced_s: float | None = None
    """By a milestone."""

    ledger_place: int | None = None
    """Among all that milestones referenced, in white-flag order: of a conflict the first counts."""

    expired_s: float | None = None
    """When it fell below the depth at which no milestone can take it any more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The tangle as everybody sees it, when an honest transaction is issued."""

    at_s: float
    tips: int
    left_behind: int
    """Seen longer than `LEFT_BEHIND_DELAYS` delays ago and still tips."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Confirmation confidence of one transaction at one age."""

    number: int
    age_s: float
    percent: int


@dataclass(frozen=True, slots=True)
class Record:
    """A whole run."""

    experiment: Experiment
    entries: tuple[Entry, ...]
    """The first two are the entry points."""

    samples: tuple[Sample, ...]
    beliefs: tuple[Belief, ...]
    end_s: float
    walks: int
    fallbacks: int
    """Parents that were drawn uniformly, because no walk ended well in time."""

    dodged: int
    """Times an issuer met both sides of a conflict again and again, and stayed on one."""


def joined(branches: list[Branch]) -> Branch:
    """Return what approves all these approves."""
    sides = set(branches) - {Branch.NEITHER}
    if len(sides) > 1 or Branch.BOTH in sides:
        return Branch.BOTH
    return sides.pop() if sides else Branch.NEITHER
