"""Cores for tests, and milestones for them to apply."""

from collections.abc import Iterable

from coordinator.issuer import sign_milestone
from tangle.effects import (
    Attached,
    Confirmed,
    Effect,
    Instant,
    PeerId,
)
from tangle.genesis import Genesis, entry_points
from tangle.node import NodeCore
from tangle.outcomes import Outcome
from tangle.transaction import (
    TransactionId,
)
from tangle.verification import Verified
from tests.community import (
    CONTRACTS,
    COORDINATOR,
    START_MS,
    Maker,
    community,
    edge_key,
)

ALICE = PeerId(b"a" * 32)
BOB = PeerId(b"b" * 32)
GENESIS = community()
MAKE = Maker(GENESIS)
G, H = entry_points(GENESIS)
EDGE = edge_key(0)


def at(ms: int) -> Instant:
    return Instant(START_MS + ms, START_MS + ms)


NOW = at(0)


def fresh_core(genesis: Genesis = GENESIS) -> NodeCore:
    return NodeCore(genesis, CONTRACTS)


def milestone(core: NodeCore, parents: Iterable[TransactionId], ms: int) -> Verified:
    """Return the next milestone of `core` over `parents` and the one before it."""
    draft = core.draft_milestone({core.confirmed_id, *parents}, START_MS + ms)
    return sign_milestone(draft, (COORDINATOR,))


def confirm(core: NodeCore, *parents: TransactionId, ms: int) -> Confirmed:
    """Issue and apply a milestone, and return what it did."""
    effects = core.submit(milestone(core, parents or (H,), ms).data, at(ms))
    (confirmed,) = [effect for effect in effects if isinstance(effect, Confirmed)]
    return confirmed


def outcome_of(confirmed: Confirmed, verified: Verified) -> Outcome:
    return dict(confirmed.outcomes)[verified.tx_id]


def attached(effects: Iterable[Effect]) -> list[TransactionId]:
    return [effect.tx_id for effect in effects if isinstance(effect, Attached)]
