"""What is said of snapshots: an offer stands under signed milestones, a chunk under its hash."""

from collections.abc import Callable

import msgspec
import pytest

from edge.joining.offering import describe
from edge.joining.partial_file import _manifests
from edge.joining.snapshots import compressed
from edge.mesh.offers import (
    CHUNK_SIZE,
    MAX_CHUNKS,
    MAX_CHUNKS_ASKED,
    MAX_FILE_SIZE,
    MAX_MANIFEST_SIZE,
    SnapshotChunk,
    SnapshotManifest,
    SnapshotRequest,
    anchor_of,
    chunk_size,
    verify_chunk,
    verify_header,
    verify_manifest,
)
from tangle.anchors import Anchor
from tangle.codec import Decoder, encode
from tangle.errors import InvalidSnapshotError, MalformedBytesError
from tangle.genesis import Genesis
from tangle.hashing import digest
from tangle.snapshot import Snapshot, SnapshotCone, encode_snapshot, full_snapshot
from tests.tangle.anchoring import (
    FIRST_KEYS,
    GENESIS,
    ROWS,
    SECOND_KEYS,
    Said,
    genesis_of,
    milestone_bytes,
    rotated,
)
from tests.tangle.test_snapshot_rotation import NEW_KEYS, NEW_ROWS, ROTATION, snapshot

FOREIGN = genesis_of(name="another network")
PLAIN = full_snapshot(
    snapshot(SECOND_KEYS[:2]).header.network,
    ROWS,
    (SnapshotCone(milestone_bytes(Said(1)), ()),),
)


def file_of(one: Snapshot) -> bytes:
    return compressed(encode_snapshot(one))


def manifest_of(one: Snapshot, genesis: Genesis = GENESIS) -> SnapshotManifest:
    return describe(file_of(one), genesis)


# The manifest of a file.


def test_a_manifest_names_the_signed_milestone_and_every_chunk() -> None:
    data = file_of(PLAIN)

    manifest = describe(data, GENESIS)
    proven = verify_manifest(manifest, GENESIS)

    assert (proven.index, proven.payload.state_root) == (1, PLAIN.header.state_root)
    assert manifest.file_hash == digest(data)
    assert manifest.chunks == (digest(data),)
    assert chunk_size(manifest, 0) == len(data) == manifest.size_bytes
    verify_header(PLAIN.header, proven)


def test_an_offer_follows_a_rotation_of_the_keys() -> None:
    manifest = manifest_of(snapshot(SECOND_KEYS[:2]))

    proven = verify_manifest(manifest, GENESIS)

    assert manifest.anchor.rotations == (ROTATION,)
    assert (proven.index, proven.rotations) == (2, 1)


def test_a_rotation_by_the_offered_milestone_itself_is_left_out() -> None:
    rotation = rotated(1, NEW_KEYS)
    of_the_rotation = full_snapshot(
        PLAIN.header.network, NEW_ROWS, (SnapshotCone(rotation.milestone, ()),), (rotation,)
    )

    manifest = manifest_of(of_the_rotation)

    assert manifest.anchor.rotations == ()
    assert verify_manifest(manifest, GENESIS).index == 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(
            lambda: manifest_of(snapshot(FIRST_KEYS[:2])), "is no coordinator key", id="old keys"
        ),
        pytest.param(
            lambda: manifest_of(snapshot(SECOND_KEYS[:2], knows_rotation=False)),
            "is no coordinator key",
            id="keys from nowhere",
        ),
        pytest.param(lambda: manifest_of(PLAIN, FOREIGN), "network", id="another network"),
        pytest.param(lambda: describe(file_of(PLAIN)[:-9], GENESIS), "damaged", id="cut short"),
        pytest.param(
            lambda: describe(compressed(encode_snapshot(PLAIN)[:-1]), GENESIS),
            "damaged: the bytes hash to",
            id="bad checksum",
        ),
        pytest.param(
            lambda: describe(bytes(MAX_FILE_SIZE + 1), GENESIS), "the maximum is", id="too large"
        ),
        pytest.param(
            lambda: describe(compressed(_summed(b"\0\0\0\1\xc0")), GENESIS),
            "no snapshot",
            id="no header",
        ),
        pytest.param(
            lambda: describe(compressed(_summed(encode_snapshot(PLAIN)[:200])), GENESIS),
            "no snapshot",
            id="half a body",
        ),
        pytest.param(
            lambda: manifest_of(
                Snapshot(msgspec.structs.replace(PLAIN.header, kind="delta"), ROWS, (), PLAIN.cones)
            ),
            "a delta snapshot",
            id="delta",
        ),
        pytest.param(
            lambda: manifest_of(Snapshot(PLAIN.header, ROWS, (), ())),
            "0 milestones",
            id="no milestones",
        ),
    ],
)
def test_what_does_not_hold_is_not_offered(spoil: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidSnapshotError, match=said):
        spoil()


def _summed(content: bytes) -> bytes:
    return content + digest(content)


def test_what_is_too_large_to_be_said_in_one_frame_is_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(encode(manifest_of(PLAIN)))
    monkeypatch.setattr("edge.joining.offering.MAX_MANIFEST_SIZE", size - 1)

    with pytest.raises(InvalidSnapshotError, match=f"manifest of {size} bytes"):
        manifest_of(PLAIN)


# What a peer may say.


def test_an_offer_that_nobody_signed_is_refused_before_any_byte_is_fetched() -> None:
    honest = manifest_of(PLAIN)
    forged = Anchor((), milestone_bytes(Said(1), signers=SECOND_KEYS[:2]))

    with pytest.raises(InvalidSnapshotError, match="offered snapshot: milestone"):
        verify_manifest(msgspec.structs.replace(honest, anchor=forged), GENESIS)


@pytest.mark.parametrize("size", [1, CHUNK_SIZE, CHUNK_SIZE + 1, MAX_FILE_SIZE])
def test_a_manifest_has_as_many_chunks_as_its_file(size: int) -> None:
    count = -(-size // CHUNK_SIZE)
    anchor = Anchor((), b"m")

    made = SnapshotManifest(anchor, bytes(32), size, (bytes(32),) * count)

    assert sum(chunk_size(made, number) for number in range(count)) == size
    for wrong in (count - 1, count + 1):
        with pytest.raises(ValueError, match=f"it has {count}"):
            SnapshotManifest(anchor, bytes(32), size, (bytes(32),) * wrong)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(((), b"m"), id="not even fields"),
        pytest.param(("snapshot-manifest", ((), b"m"), bytes(32), 0, ()), id="empty file"),
        pytest.param(
            ("snapshot-manifest", ((), b"m"), bytes(32), 1, (bytes(31),)), id="short hash"
        ),
        pytest.param(
            ("snapshot-manifest", ((), b"m"), bytes(32), 1, (bytes(32),) * 2), id="too many chunks"
        ),
        pytest.param(
            (
                "snapshot-manifest",
                ((), b"m"),
                bytes(32),
                MAX_FILE_SIZE + 1,
                (bytes(32),) * (MAX_CHUNKS + 1),
            ),
            id="too large a file",
        ),
    ],
)
def test_a_manifest_out_of_its_limits_does_not_decode(bad: object) -> None:
    with pytest.raises(MalformedBytesError):
        _manifests.decode(encode(bad))


def test_the_fullest_manifest_without_rotations_is_far_from_its_limit() -> None:
    full = SnapshotManifest(
        Anchor((), bytes(32_768)), bytes(32), MAX_FILE_SIZE, (bytes(32),) * MAX_CHUNKS
    )

    assert len(encode(full)) < MAX_MANIFEST_SIZE // 4
    assert _manifests.decode(encode(full)) == full


@pytest.mark.parametrize("count", [0, MAX_CHUNKS_ASKED + 1])
def test_a_request_asks_for_some_chunks_and_not_for_all(count: int) -> None:
    decoder = Decoder(SnapshotRequest, "request", 10_000)

    with pytest.raises(MalformedBytesError):
        decoder.decode(encode(SnapshotRequest(bytes(32), tuple(range(count)))))


def test_a_chunk_that_differs_is_named_with_both_hashes() -> None:
    data = file_of(PLAIN)
    manifest = describe(data, GENESIS)
    verify_chunk(manifest, SnapshotChunk(manifest.file_hash, 0, data))
    wrong = data[:-1] + b"?"

    with pytest.raises(InvalidSnapshotError) as refused:
        verify_chunk(manifest, SnapshotChunk(manifest.file_hash, 0, wrong))

    assert digest(wrong).hex() in str(refused.value)
    assert digest(data).hex() in str(refused.value)
    assert "chunk 0" in str(refused.value)


def test_a_file_of_another_milestone_than_offered_is_named_with_both() -> None:
    offered = verify_manifest(manifest_of(PLAIN), GENESIS)
    other = snapshot(SECOND_KEYS[:2]).header

    with pytest.raises(InvalidSnapshotError) as refused:
        verify_header(other, offered)

    assert f"offered was milestone 1 {offered.milestone_id.hex()}" in str(refused.value)
    assert f"of 2 {other.milestone_id.hex()}" in str(refused.value)


def test_the_anchor_of_a_file_is_its_last_milestone() -> None:
    header, anchor = anchor_of(encode_snapshot(PLAIN))

    assert header == PLAIN.header
    assert anchor == Anchor((), PLAIN.cones[-1].milestone)
