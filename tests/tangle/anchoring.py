"""Milestones signed by hand, and states that name their own coordinator keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coordinator.issuer import sign_milestone
from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys, genesis_rows
from tangle.anchors import Rotation, prove_rotation
from tangle.codec import encode
from tangle.genesis import Genesis, entry_points, network_id
from tangle.keys import SigningKey
from tangle.merkle import merkle_root
from tangle.transaction import (
    MILESTONE_ISSUER,
    VERSION,
    Milestone,
    Transaction,
    TransactionId,
)
from tangle.trie import Trie
from tests.community import START_MS, community, key

FIRST_KEYS = (key(900), key(901), key(902))
SECOND_KEYS = (key(910), key(911), key(912))
THIRD_KEYS = (key(920),)


def genesis_of(keys: Sequence[SigningKey] = FIRST_KEYS, name: str = "test") -> Genesis:
    """Return a genesis whose milestones need more than half of `keys`."""
    made = community()
    return Genesis(
        name,
        made.created_at_ms,
        made.ledger_start_ms,
        made.parameters,
        tuple(sorted(one.public for one in keys)),
        len(keys) // 2 + 1,
        made.identities,
        made.allocations,
    )


GENESIS = genesis_of()
ROWS = genesis_rows(GENESIS)


def named(keys: Sequence[SigningKey], quorum: int | None = None) -> bytes:
    """Return the value of the row `coordinators` that names `keys`."""
    ascending = tuple(sorted(one.public for one in keys))
    return encode(CoordinatorKeys(ascending, len(keys) // 2 + 1 if quorum is None else quorum))


@dataclass(frozen=True, slots=True)
class Said:
    """What a milestone made by hand claims."""

    index: int
    rows: Mapping[bytes, bytes] = field(default_factory=lambda: ROWS)
    referenced: tuple[TransactionId, ...] = ()
    applied: tuple[TransactionId, ...] = ()
    genesis: Genesis = GENESIS
    later_ms: int = 0


def draft_of(said: Said) -> Transaction:
    timestamp_ms = START_MS + 2_000 * said.index + said.later_ms
    first, second = entry_points(said.genesis)
    payload = Milestone(
        said.index,
        timestamp_ms,
        first,
        merkle_root(said.referenced),
        merkle_root(said.applied),
        Trie.of(said.rows).root,
    )
    return Transaction(
        VERSION,
        network_id(said.genesis),
        tuple(sorted((first, second))),
        MILESTONE_ISSUER,
        said.index,
        timestamp_ms,
        payload,
    )


def milestone_bytes(said: Said, signers: Sequence[SigningKey] = FIRST_KEYS[:2]) -> bytes:
    return sign_milestone(draft_of(said), tuple(signers)).data


def rotated(
    index: int, value: bytes, signers: Sequence[SigningKey] = FIRST_KEYS[:2], later_ms: int = 0
) -> Rotation:
    """Return a change of the keys to those in `value`, under a milestone by `signers`."""
    rows = {**ROWS, COORDINATORS_KEY: value}
    said = Said(index, rows, later_ms=later_ms)
    return prove_rotation(milestone_bytes(said, signers), Trie.of(rows), value)
