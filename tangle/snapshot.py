"""Snapshots: the state after one milestone, with what it takes to check it and to go on from it.

A full snapshot holds all rows, a delta those that changed since its base. Both hold the last
`reference_depth` milestones, signed, and the ids that each of them references: what later
transactions may still approve. Nothing in it needs to be believed. The rows lead to the state
root of the last milestone, the ids to the inclusion roots, and the milestones are signed by the
coordinator keys that genesis names, or that followed them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from tangle.anchors import MAX_ROTATIONS, Keyring, Rotation, follow_rotations, verify_signed
from tangle.codec import Decoder, encode
from tangle.errors import (
    InvalidProofError,
    InvalidSnapshotError,
    InvalidTransactionError,
    MalformedBytesError,
)
from tangle.genesis import Genesis, network_id
from tangle.hashing import HASH_SIZE, digest
from tangle.merkle import merkle_root
from tangle.transaction import (
    MAX_TRANSACTION_SIZE,
    NETWORK_SIZE,
    Counter,
    HashField,
    Milestone,
    TransactionId,
    TransactionIdField,
)
from tangle.trie import Trie
from tangle.verification import Verified, parse

SNAPSHOT_VERSION: Final = 1
MAX_SNAPSHOT_SIZE: Final = 512 * 2**20
"""Of the bytes before compression: some five million rows."""

MAX_HEADER_SIZE: Final = 512
MAX_ROW_KEY_SIZE: Final = 256
MAX_ROW_VALUE_SIZE: Final = 65_536
LENGTH_SIZE: Final = 4
"""Bytes before the header that say how long it is, most significant first."""

NOTICE_LABEL: Final = "snapshot"
NO_BASE: Final = bytes(HASH_SIZE)
"""Stands for the base of a full snapshot, which has none."""

Kind = Literal["full", "delta"]


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot is of."""

    version: Annotated[int, msgspec.Meta(ge=0, le=255)]
    network: Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]
    kind: Kind
    index: Annotated[int, msgspec.Meta(ge=1)]
    """Milestone after which the state is this one."""

    milestone_id: HashField
    timestamp_ms: Counter
    """Of that milestone, ledger time."""

    state_root: HashField
    base_index: Counter
    """Of the snapshot that a delta goes on from; 0 for a full one."""

    base_root: HashField
    """State root of that snapshot; `NO_BASE` for a full one."""


class SnapshotRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of the state."""

    key: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_ROW_KEY_SIZE)]
    value: Annotated[bytes, msgspec.Meta(max_length=MAX_ROW_VALUE_SIZE)]


class SnapshotCone(msgspec.Struct, frozen=True, array_like=True):
    """One of the last milestones, and what it references."""

    milestone: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_TRANSACTION_SIZE)]
    """Canonical bytes with its signatures."""

    ids: tuple[TransactionIdField, ...]
    """In white-flag order."""


class _Body(msgspec.Struct, frozen=True, array_like=True):
    rows: tuple[SnapshotRow, ...]
    removed: tuple[Annotated[bytes, msgspec.Meta(max_length=MAX_ROW_KEY_SIZE)], ...]
    cones: tuple[SnapshotCone, ...]
    rotations: Annotated[tuple[Rotation, ...], msgspec.Meta(max_length=MAX_ROTATIONS)]


class SnapshotNotice(msgspec.Struct, frozen=True, array_like=True):
    """What the coordinator says of a snapshot it wrote: a data transaction of `NOTICE_LABEL`."""

    index: Annotated[int, msgspec.Meta(ge=1)]
    state_root: HashField
    file_hash: HashField
    """BLAKE2b-256 of the file."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A decoded snapshot; nothing of it is checked yet."""

    header: SnapshotHeader
    rows: Mapping[bytes, bytes]
    """All of them, ascending by key; in a delta those that changed."""

    removed: tuple[bytes, ...]
    """Keys of rows that are gone since the base of a delta, ascending; none in a full one."""

    cones: tuple[SnapshotCone, ...]
    """Of the last milestones, ascending by index."""

    rotations: tuple[Rotation, ...] = ()
    """Every change of the coordinator keys since genesis, ascending by index."""


_headers: Final = Decoder(SnapshotHeader, "snapshot header", MAX_HEADER_SIZE)
_bodies: Final = Decoder(_Body, "snapshot", MAX_SNAPSHOT_SIZE)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot: length of the header, header, body, checksum."""
    header = encode(snapshot.header)
    rows = tuple(SnapshotRow(key, value) for key, value in sorted(snapshot.rows.items()))
    body = _Body(rows, snapshot.removed, snapshot.cones, snapshot.rotations)
    content = len(header).to_bytes(LENGTH_SIZE, "big") + header + encode(body)
    return content + digest(content)


def decode_header(data: bytes) -> SnapshotHeader:
    """Return the header of a snapshot, of which `data` may be the beginning alone.

    Raises:
        InvalidSnapshotError: It is no header.
    """
    size = int.from_bytes(data[:LENGTH_SIZE], "big")
    try:
        return _headers.decode(data[LENGTH_SIZE : LENGTH_SIZE + size])
    except MalformedBytesError as error:
        raise InvalidSnapshotError(f"no snapshot: {error}") from error


def decode_snapshot(data: bytes) -> Snapshot:
    """Parse the bytes of a snapshot and check that they are whole; see `verify_snapshot`.

    Raises:
        InvalidSnapshotError: Too long, damaged, of another version, or not canonical.
    """
    if len(data) > MAX_SNAPSHOT_SIZE:
        raise InvalidSnapshotError(
            f"snapshot of {len(data)} bytes: the maximum is {MAX_SNAPSHOT_SIZE}"
        )
    content, checksum = data[:-HASH_SIZE], data[-HASH_SIZE:]
    if digest(content) != checksum:
        raise InvalidSnapshotError(
            f"damaged: the bytes hash to {digest(content).hex()}, the checksum is {checksum.hex()}"
        )
    header = decode_header(content)
    if header.version != SNAPSHOT_VERSION:
        raise InvalidSnapshotError(f"version {header.version}: this is {SNAPSHOT_VERSION}")
    start = LENGTH_SIZE + int.from_bytes(content[:LENGTH_SIZE], "big")
    try:
        body = _bodies.decode(content[start:])
    except MalformedBytesError as error:
        raise InvalidSnapshotError(str(error)) from error
    _verify_ascending("row", [row.key for row in body.rows])
    _verify_ascending("removed row", body.removed)
    rows = {row.key: row.value for row in body.rows}
    return Snapshot(header, rows, body.removed, body.cones, body.rotations)


def full_snapshot(
    network: bytes,
    rows: Mapping[bytes, bytes],
    cones: Sequence[SnapshotCone],
    rotations: Sequence[Rotation] = (),
) -> Snapshot:
    """Return the snapshot of a node's state.

    Args:
        network: First 8 bytes of the genesis hash.
        rows: All of them, after the last of the milestones.
        cones: Of the last `reference_depth` milestones, ascending by index; at least one.
        rotations: Every change of the coordinator keys since genesis, ascending by index.
    """
    last = parse(cones[-1].milestone)
    claimed = last.milestone
    assert claimed is not None, "the cone of what is no milestone"
    header = SnapshotHeader(
        SNAPSHOT_VERSION,
        network,
        "full",
        claimed.index,
        last.tx_id,
        claimed.timestamp_ms,
        claimed.state_root,
        0,
        NO_BASE,
    )
    return Snapshot(header, dict(sorted(rows.items())), (), tuple(cones), tuple(rotations))


def delta_snapshot(base: Snapshot, later: Snapshot) -> Snapshot:
    """Return what changed from one full snapshot to a later full one of the same network.

    Raises:
        InvalidSnapshotError: They are not, or the other way round.
    """
    _verify_order(base.header, later.header)
    changed = {key: value for key, value in later.rows.items() if base.rows.get(key) != value}
    removed = tuple(sorted(key for key in base.rows if key not in later.rows))
    header = msgspec.structs.replace(
        later.header,
        kind="delta",
        base_index=base.header.index,
        base_root=base.header.state_root,
    )
    return Snapshot(header, changed, removed, later.cones, later.rotations)


def merge(base: Snapshot, delta: Snapshot) -> Snapshot:
    """Return the full snapshot that a full one and a delta upon it make.

    Raises:
        InvalidSnapshotError: The delta goes on from another snapshot.
    """
    header = delta.header
    _verify_order(base.header, header)
    if header.kind != "delta":
        raise InvalidSnapshotError(f"the snapshot of milestone {header.index} is no delta")
    if (header.base_index, header.base_root) != (base.header.index, base.header.state_root):
        raise InvalidSnapshotError(
            f"the delta goes on from milestone {header.base_index} with state root "
            f"{header.base_root.hex()}, this snapshot is of milestone {base.header.index} with "
            f"{base.header.state_root.hex()}"
        )
    gone = frozenset(delta.removed)
    rows = {key: value for key, value in base.rows.items() if key not in gone}
    rows.update(delta.rows)
    full = msgspec.structs.replace(header, kind="full", base_index=0, base_root=NO_BASE)
    return Snapshot(full, dict(sorted(rows.items())), (), delta.cones, delta.rotations)


def verify_snapshot(snapshot: Snapshot, genesis: Genesis) -> tuple[Verified, ...]:
    """Check a full snapshot against nothing but the genesis.

    Returns:
        Its milestones, ascending by index.

    Raises:
        InvalidSnapshotError: What differs, with both values.
    """
    header = snapshot.header
    if header.network != network_id(genesis):
        raise InvalidSnapshotError(
            f"it is of network {header.network.hex()}, this one is {network_id(genesis).hex()}"
        )
    if header.kind != "full" or snapshot.removed or header.base_root != NO_BASE:
        raise InvalidSnapshotError(
            f"it is a {header.kind} upon milestone {header.base_index}: merge it with its base"
        )
    milestones = _verified_milestones(snapshot, genesis)
    last = milestones[-1]
    claimed = _milestone_of(last)
    _verify_equal("milestone id", header.milestone_id, last.tx_id)
    _verify_equal("timestamp", header.timestamp_ms, claimed.timestamp_ms)
    _verify_equal("state root of the header", header.state_root, claimed.state_root)
    _verify_equal("root over the rows", Trie.of(snapshot.rows).root, claimed.state_root)
    return milestones


def _verified_milestones(snapshot: Snapshot, genesis: Genesis) -> tuple[Verified, ...]:
    index, depth = snapshot.header.index, genesis.parameters.reference_depth
    expected = min(index, depth)
    if len(snapshot.cones) != expected:
        raise InvalidSnapshotError(
            f"it holds the cones of {len(snapshot.cones)} milestones, it needs {expected}"
        )
    try:
        keyring, _ = follow_rotations(snapshot.rotations, genesis)
    except InvalidProofError as error:
        raise InvalidSnapshotError(str(error)) from error
    milestones: list[Verified] = []
    for at, cone in enumerate(snapshot.cones, index - expected + 1):
        verified = _signed_milestone(cone.milestone, keyring)
        claimed = _milestone_of(verified)
        _verify_equal("index of a milestone", claimed.index, at)
        _verify_equal(
            f"root over the ids of milestone {at}", merkle_root(cone.ids), claimed.inclusion_root
        )
        if milestones:
            _verify_equal(f"milestone before {at}", claimed.previous, milestones[-1].tx_id)
        milestones.append(verified)
    return tuple(milestones)


def _signed_milestone(data: bytes, keyring: Keyring) -> Verified:
    try:
        verified = parse(data)
        if verified.milestone is None:
            raise InvalidSnapshotError(f"{verified.tx_id.hex()} is no milestone")
        verify_signed(verified, keyring)
    except (MalformedBytesError, InvalidTransactionError) as error:
        raise InvalidSnapshotError(str(error)) from error
    return verified


def _milestone_of(verified: Verified) -> Milestone:
    milestone = verified.milestone
    assert milestone is not None, verified.tx_id.hex()
    return milestone


def _verify_equal(what: str, found: bytes | int, signed: bytes | int) -> None:
    if found != signed:
        raise InvalidSnapshotError(f"{what}: it has {_shown(found)}, signed is {_shown(signed)}")


def _shown(value: bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _verify_ascending(what: str, keys: Iterable[bytes]) -> None:
    for low, high in pairwise(keys):
        if low >= high:
            raise InvalidSnapshotError(f"{what} {high!r} stands after {low!r}: keys must ascend")


def _verify_order(base: SnapshotHeader, later: SnapshotHeader) -> None:
    if base.kind != "full":
        raise InvalidSnapshotError(f"the base, of milestone {base.index}, is no full snapshot")
    if base.network != later.network:
        raise InvalidSnapshotError(
            f"the base is of network {base.network.hex()}, this one of {later.network.hex()}"
        )
    if base.index >= later.index:
        raise InvalidSnapshotError(
            f"the base is of milestone {base.index}, not before {later.index}"
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What a node begins with that starts from a snapshot: all of it is checked."""

    index: int
    milestone_id: TransactionId
    rows: Mapping[bytes, bytes]
    milestones: tuple[Verified, ...]
    """Ascending by index."""

    cones: tuple[tuple[TransactionId, ...], ...]
    """What each of them references, in white-flag order."""

    rotations: tuple[Rotation, ...] = ()
    """Every change of the coordinator keys since genesis, ascending by index."""


def start_of(snapshot: Snapshot, genesis: Genesis) -> Start:
    """Check a full snapshot and return what a node begins with. Raises as `verify_snapshot`."""
    milestones = verify_snapshot(snapshot, genesis)
    return Start(
        snapshot.header.index,
        milestones[-1].tx_id,
        snapshot.rows,
        milestones,
        tuple(cone.ids for cone in snapshot.cones),
        snapshot.rotations,
    )
