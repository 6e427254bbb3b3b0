"""What may be done to streams on the ledger: open one or move it, add a chunk, erase chunks."""

from typing import Annotated, Final

import msgspec

from access.identity.idot import signing_key
from access.streams.stream import (
    ERASED_ROW,
    Chunk,
    Resolution,
    SealedAddresses,
    Stream,
    chunk,
    chunk_key,
    stream,
    stream_id,
    stream_key,
)
from access.threshold.tdh2 import CapsuleField
from access.vaults.vault import vault
from tangle.accounts import NO_ADDRESS, identity, network_hash
from tangle.address import Address, AddressField
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.hashing import domain
from tangle.keys import SignatureField, is_signed
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

MAX_GRACE_MS: Final = 7 * 86_400_000
"""For which a device that was offline may seal for the vault before."""

MAX_CHUNK_MS: Final = 31 * 86_400_000
MAX_ERASED: Final = 1_024
"""Chunk numbers that one operation looks at."""

_CHUNK: Final = domain("access.chunk")


class OpenStream(msgspec.Struct, frozen=True, array_like=True, tag="open_stream"):
    """Let a device seal readings for a vault, or for another one from now on. By the owner."""

    device: AddressField
    resolution: Resolution
    chunk_ms: Annotated[int, msgspec.Meta(ge=1_000, le=MAX_CHUNK_MS)]
    vault: HashField
    grace_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_GRACE_MS)]
    """For which chunks for the vault before still count."""


class ChunkBody(msgspec.Struct, frozen=True, array_like=True):
    """What a device signs of a chunk."""

    stream: HashField
    number: Counter
    from_ms: Counter
    to_ms: Counter
    vault: HashField
    generation: Counter
    capsule: CapsuleField
    key_commitment: HashField
    root: HashField
    sealed_addresses: SealedAddresses


class AddChunk(msgspec.Struct, frozen=True, array_like=True, tag="chunk"):
    """Enter sealed readings. By anybody: the device's signature decides."""

    body: ChunkBody
    signature: SignatureField


class EraseChunks(msgspec.Struct, frozen=True, array_like=True, tag="erase"):
    """Take capsules off the ledger, so that no node opens them any more. By the owner."""

    stream: HashField
    first: Counter
    last: Counter
    """Inclusive."""


StreamCall = OpenStream | AddChunk | EraseChunks


class _SignedChunk(msgspec.Struct, frozen=True, array_like=True):
    genesis_hash: HashField
    body: ChunkBody


def chunk_message(genesis_hash: bytes, body: ChunkBody) -> bytes:
    """Return the bytes that a device signs."""
    return _CHUNK + encode(_SignedChunk(genesis_hash, body))


def apply_stream(rows: RowReader, call: StreamCall, context: Context) -> Changed | Reason:
    """Decide one call."""
    match call:
        case OpenStream():
            return _open_stream(rows, call, context)
        case AddChunk():
            return _add_chunk(rows, call, context)
        case EraseChunks():
            return _erase(rows, call, context)


def _open_stream(rows: RowReader, call: OpenStream, context: Context) -> Changed | Reason:
    """Make or move a stream; or `UNKNOWN_MEMBER`, `NOT_ALLOWED`, `NO_SUCH_OBJECT`, `NOT_ACTIVE`."""
    device = identity(rows, call.device)
    if device is None:
        return Reason.UNKNOWN_MEMBER
    owner = call.device if device.owner == NO_ADDRESS else device.owner
    held = vault(rows, call.vault)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if context.address != owner or held.owner != owner:
        return Reason.NOT_ALLOWED
    if held.state != "active":
        return Reason.NOT_ACTIVE
    identifier = stream_id(network_hash(rows), call.device, call.resolution)
    before = stream(rows, identifier)
    # a device that changed hands starts without the vault of whom it was taken from
    is_moved = before is not None and before.owner == owner and before.vault != call.vault
    after = Stream(
        call.device,
        Address(owner),
        call.resolution,
        call.chunk_ms,
        call.vault,
        before.vault if before is not None and is_moved else None,
        context.timestamp_ms + call.grace_ms if is_moved else 0,
    )
    event = Event(
        "access.stream_opened",
        (("stream", identifier.hex()), ("device", call.device), ("vault", call.vault.hex())),
    )
    return Changed({stream_key(identifier): encode(after)}, (event,))


def _add_chunk(rows: RowReader, call: AddChunk, context: Context) -> Changed | Reason:
    """Enter a chunk; or why not.

    `NO_SUCH_OBJECT` (no such stream), `WRONG_VAULT` (a vault or generation that is not the
    stream's), `NOT_ALLOWED` (the device has another owner now, or no keys), `OUT_OF_RANGE` (times),
    `EXISTS` (it is there, or was erased), `BAD_PROOF`.
    """
    body = call.body
    held = stream(rows, body.stream)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if not _is_of_stream(rows, body, held, context.timestamp_ms):
        return Reason.WRONG_VAULT
    signer = signing_key(rows, Address(held.device))
    if signer is None or not _belongs(rows, held):
        return Reason.NOT_ALLOWED
    if not 0 < body.to_ms - body.from_ms <= held.chunk_ms:
        return Reason.OUT_OF_RANGE
    key = chunk_key(body.stream, body.number)
    is_there = rows.get(key) is not None
    if not is_signed(signer, chunk_message(network_hash(rows), body), call.signature) or is_there:
        return Reason.EXISTS if is_there else Reason.BAD_PROOF
    return Changed({key: encode(_row(body, call.signature, signer))}, (_added(body),))


def _belongs(rows: RowReader, held: Stream) -> bool:
    """Return whether the device is still its stream's owner's."""
    registered = identity(rows, Address(held.device))
    return registered is not None and registered.owner in (held.owner, NO_ADDRESS)


def _is_of_stream(rows: RowReader, body: ChunkBody, held: Stream, now_ms: int) -> bool:
    """Return whether a chunk is for the stream's vault, or in time for the one before."""
    is_late = body.vault == held.previous_vault and now_ms < held.previous_until_ms
    if body.vault != held.vault and not is_late:
        return False
    of_vault = vault(rows, body.vault)
    return of_vault is not None and of_vault.generation == body.generation


def _row(body: ChunkBody, signature: bytes, signer: bytes) -> Chunk:
    return Chunk(
        body.from_ms,
        body.to_ms,
        body.vault,
        body.capsule,
        body.key_commitment,
        body.root,
        body.sealed_addresses,
        signature,
        signer,
    )


def _added(body: ChunkBody) -> Event:
    fields = (
        ("stream", body.stream.hex()),
        ("number", body.number),
        ("from_ms", body.from_ms),
        ("to_ms", body.to_ms),
    )
    return Event("access.chunk_added", fields)


def _erase(rows: RowReader, call: EraseChunks, context: Context) -> Changed | Reason:
    """Leave nothing of chunks but that they were erased.

    Or `NO_SUCH_OBJECT` (no such stream, or nothing there), `NOT_ALLOWED`, `OUT_OF_RANGE`.
    """
    held = stream(rows, call.stream)
    if held is None:
        return Reason.NO_SUCH_OBJECT
    if held.owner != context.address:
        return Reason.NOT_ALLOWED
    if not 0 <= call.last - call.first < MAX_ERASED:
        return Reason.OUT_OF_RANGE
    gone = {
        chunk_key(call.stream, number): ERASED_ROW
        for number in range(call.first, call.last + 1)
        if chunk(rows, call.stream, number) is not None
    }
    if not gone:
        return Reason.NO_SUCH_OBJECT
    fields = (("stream", call.stream.hex()), ("first", call.first), ("last", call.last))
    return Changed(gone, (Event("access.chunks_erased", (*fields, ("chunks", len(gone)))),))
