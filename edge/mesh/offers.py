"""What nodes say to each other of snapshots: who holds which, and its bytes in chunks. Pure.

Whoever offers a snapshot shows first that its milestone is signed, by the coordinator keys that
follow from genesis, and then the hash of every chunk. So a stranger's state is refused before a
byte of it is fetched, and a wrong chunk the moment it comes, by the name of who signed its frame.
"""

from itertools import takewhile
from typing import Annotated, Final

import msgspec

from tangle.anchors import Anchor, ProvenMilestone, Rotation, verify_anchor
from tangle.errors import InvalidProofError, InvalidSnapshotError
from tangle.genesis import Genesis
from tangle.hashing import HASH_SIZE, digest
from tangle.snapshot import (
    LENGTH_SIZE,
    MAX_SNAPSHOT_SIZE,
    SnapshotCone,
    SnapshotHeader,
    decode_header,
)
from tangle.transaction import Counter, HashField
from tangle.verification import parse

CHUNK_SIZE: Final = 256 * 2**10
"""Bytes of a file in one frame: some hundred hashes for a large state, and a slow link still
carries one within a second."""

MAX_CHUNKS: Final = MAX_SNAPSHOT_SIZE // CHUNK_SIZE
MAX_FILE_SIZE: Final = MAX_CHUNKS * CHUNK_SIZE
"""A file is compressed, so that what may be larger is no snapshot that could be read."""

MAX_CHUNKS_ASKED: Final = 16
"""In one request."""

MAX_MANIFEST_SIZE: Final = 768 * 2**10
"""Bytes: some hundred changes of the coordinator keys, and all chunks of the largest file. A node
does not offer what needs more."""

ANY_FILE: Final = bytes(HASH_SIZE)
"""In a query: no file is preferred."""


class SnapshotQuery(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-query"):
    """The sender asks for the manifest of the newest snapshot, or of one it holds in part."""

    file_hash: HashField
    """Of the file to offer if it is still there; `ANY_FILE` for none."""


class NoSnapshot(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-none"):
    """The sender holds none: nobody need wait for its offer."""


class SnapshotManifest(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-manifest"):
    """A full snapshot that the sender holds as a file."""

    anchor: Anchor
    """The milestone that the state is of, signed, and every change of the keys before it."""

    file_hash: HashField
    """BLAKE2b-256 of the file: what a notice of the coordinator names."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE_SIZE)]
    chunks: Annotated[tuple[HashField, ...], msgspec.Meta(min_length=1, max_length=MAX_CHUNKS)]
    """BLAKE2b-256 of each `CHUNK_SIZE` bytes, the last one perhaps of fewer."""

    def __post_init__(self) -> None:
        needed = -(-self.size_bytes // CHUNK_SIZE)
        if len(self.chunks) != needed:
            raise ValueError(
                f"{len(self.chunks)} chunks of a file of {self.size_bytes} bytes: it has {needed}"
            )


class SnapshotRequest(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-request"):
    """Chunks of a file that the sender asks for."""

    file_hash: HashField
    numbers: Annotated[tuple[Counter, ...], msgspec.Meta(min_length=1, max_length=MAX_CHUNKS_ASKED)]


class SnapshotChunk(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-chunk"):
    """One chunk of a file."""

    file_hash: HashField
    number: Counter
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=CHUNK_SIZE)]


SnapshotBody = SnapshotQuery | NoSnapshot | SnapshotManifest | SnapshotRequest | SnapshotChunk


class _Rest(msgspec.Struct, frozen=True, array_like=True):
    """The body of a snapshot whose rows stay bytes: an offer needs none of them as values."""

    rows: msgspec.Raw
    removed: msgspec.Raw
    cones: tuple[SnapshotCone, ...]
    rotations: tuple[Rotation, ...]


def anchor_of(data: bytes) -> tuple[SnapshotHeader, Anchor]:
    """Return of what milestone the bytes of a full snapshot are, with what proves it signed.

    Its rows are not looked at; whether the bytes are whole is.

    Raises:
        InvalidSnapshotError: Damaged, no full snapshot, or without milestones.
    """
    content, checksum = data[:-HASH_SIZE], data[-HASH_SIZE:]
    if digest(content) != checksum:
        raise InvalidSnapshotError(
            f"damaged: the bytes hash to {digest(content).hex()}, the checksum is {checksum.hex()}"
        )
    header = decode_header(content)
    start = LENGTH_SIZE + int.from_bytes(content[:LENGTH_SIZE], "big")
    try:
        rest = msgspec.msgpack.decode(content[start:], type=_Rest)
    except msgspec.MsgspecError as error:
        raise InvalidSnapshotError(f"no snapshot: {error}") from error
    if header.kind != "full" or not rest.cones:
        raise InvalidSnapshotError(
            f"a {header.kind} snapshot with {len(rest.cones)} milestones: nobody can start from it"
        )
    return header, Anchor(_before(rest.rotations, header.index), rest.cones[-1].milestone)


def _before(rotations: tuple[Rotation, ...], index: int) -> tuple[Rotation, ...]:
    """Return the changes of the keys that hold for the milestone of `index` already."""
    return tuple(
        takewhile(lambda one: parse(one.milestone).transaction.sequence < index, rotations)
    )


def verify_manifest(manifest: SnapshotManifest, genesis: Genesis) -> ProvenMilestone:
    """Return the milestone that an offered snapshot must be of; its file is not there yet.

    Raises:
        InvalidSnapshotError: It is not signed by the keys that genesis leads to.
    """
    try:
        proven, _ = verify_anchor(manifest.anchor, genesis)
    except InvalidProofError as error:
        raise InvalidSnapshotError(f"offered snapshot: {error}") from error
    return proven


def verify_header(header: SnapshotHeader, offered: ProvenMilestone) -> None:
    """Check that a file is of the milestone under which it was offered.

    Raises:
        InvalidSnapshotError: It is of another; names both.
    """
    found = (header.index, header.milestone_id, header.state_root)
    wanted = (offered.index, offered.milestone_id, offered.payload.state_root)
    if found != wanted:
        raise InvalidSnapshotError(
            f"offered was milestone {wanted[0]} {wanted[1].hex()} with state root "
            f"{wanted[2].hex()}, the file is of {found[0]} {found[1].hex()} with {found[2].hex()}"
        )


def chunk_size(manifest: SnapshotManifest, number: int) -> int:
    """Return how many bytes chunk `number` has."""
    return min(CHUNK_SIZE, manifest.size_bytes - number * CHUNK_SIZE)


def verify_chunk(manifest: SnapshotManifest, chunk: SnapshotChunk) -> None:
    """Check the bytes of a chunk that was asked for.

    Raises:
        InvalidSnapshotError: They are not those of the manifest; names both hashes.
    """
    number, wanted = chunk.number, manifest.chunks[chunk.number]
    found = digest(chunk.data)
    if found != wanted:
        raise InvalidSnapshotError(
            f"chunk {number} of snapshot file {manifest.file_hash.hex()} hashes to {found.hex()}, "
            f"announced was {wanted.hex()}"
        )
