"""Genesis: the parameters, keys and balances that a network begins with, and its identity."""

from typing import Annotated, Final

import msgspec

from tangle.codec import Decoder, encode
from tangle.hashing import HASH_SIZE, digest, domain
from tangle.keys import KeyField
from tangle.transaction import (
    MAX_COORDINATOR_KEYS,
    NETWORK_SIZE,
    Counter,
    HashField,
    Label,
    TransactionId,
)

MAX_GENESIS_SIZE: Final = 16 * 2**20
MAX_GENESIS_ENTRIES: Final = 100_000

Admission = Annotated[str, msgspec.Meta(pattern=r"^(open|registered)\Z")]
Role = Annotated[str, msgspec.Meta(pattern=r"^(member|voter|edge|meter)\Z")]


class Parameters(msgspec.Struct, frozen=True, array_like=True):
    """Numbers that every node of one network must agree on. Intervals are wall time."""

    work_per_byte: Annotated[int, msgspec.Meta(ge=0, le=2**20)] = 64
    """Hash trials per byte of signed fields."""

    milestone_interval_ms: Annotated[int, msgspec.Meta(ge=50, le=3_600_000)] = 2_000
    max_clock_ahead_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 60_000
    max_depth: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 15
    """Milestones: whose oldest cone root lies further back is never offered as a tip."""

    reference_depth: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20
    """Milestones: a parent referenced longer ago makes the milestone above it invalid."""

    max_cone_transactions: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 50_000
    max_cone_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**30)] = 32 * 2**20
    """Of signed fields, in what one milestone newly references."""

    walk_depth: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 5
    """Milestones back from which random walkers start."""

    alpha_ppm: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 10_000
    """Bias of the weighted walk in millionths: 10,000 is α = 0.01."""

    admission: Admission = "registered"
    time_scale: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 1
    """Ledger milliseconds per wall millisecond; above 1 in a demonstration only."""

    snapshot_interval: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 300
    """Milestones between the snapshots that the coordinator writes and announces."""


class GenesisIdentity(msgspec.Struct, frozen=True, array_like=True):
    """A key that may issue from the first milestone on."""

    key: KeyField
    role: Role


class Allocation(msgspec.Struct, frozen=True, array_like=True):
    """eEuro that an address begins with. ENT comes from energy alone."""

    address: HashField
    amount_ueur: Annotated[int, msgspec.Meta(ge=1, le=10**15)]


class Genesis(msgspec.Struct, frozen=True, array_like=True):
    """What every node of one network starts from, byte for byte."""

    name: Label
    created_at_ms: Counter
    """Wall clock, ms since the Unix epoch; `wall_start` of the ledger clock."""

    ledger_start_ms: Counter
    """Ledger time at `created_at_ms`."""

    parameters: Parameters
    coordinator_keys: Annotated[
        tuple[KeyField, ...], msgspec.Meta(min_length=1, max_length=MAX_COORDINATOR_KEYS)
    ]
    """Strictly ascending."""

    quorum: Annotated[int, msgspec.Meta(ge=1, le=MAX_COORDINATOR_KEYS)]
    """Signatures a milestone needs: more than half of the keys."""

    identities: Annotated[tuple[GenesisIdentity, ...], msgspec.Meta(max_length=MAX_GENESIS_ENTRIES)]
    """Strictly ascending by key."""

    allocations: Annotated[tuple[Allocation, ...], msgspec.Meta(max_length=MAX_GENESIS_ENTRIES)]
    """Strictly ascending by address."""


_decoder: Final = Decoder(Genesis, "genesis", MAX_GENESIS_SIZE)
_DOMAIN: Final = domain("genesis")


def decode_genesis(data: bytes) -> Genesis:
    """Parse the canonical bytes of a genesis. Raises `MalformedBytesError`."""
    return _decoder.decode(data)


def genesis_hash(genesis: Genesis) -> bytes:
    """Return BLAKE2b-256 of the domain prefix and the canonical genesis."""
    return digest(_DOMAIN + encode(genesis))


def network_id(genesis: Genesis) -> bytes:
    """Return the 8 bytes by which transactions name their network."""
    return genesis_hash(genesis)[:NETWORK_SIZE]


def entry_points(genesis: Genesis) -> tuple[TransactionId, TransactionId]:
    """Return the two roots that the first transactions approve, both referenced at index 0.

    The first of them stands for the milestone of index 0.
    """
    first = genesis_hash(genesis)
    second = digest(first + b"\x01")
    assert len(first) == HASH_SIZE
    return TransactionId(first), TransactionId(second)
