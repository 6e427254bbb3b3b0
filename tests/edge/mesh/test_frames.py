"""Frames: one spelling, one sender, once each, within limits."""

import random
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.mesh.frames import (
    FRAME_OVERHEAD,
    MAX_FRAME_ITEM_BYTES,
    MAX_FRAME_ITEMS,
    MAX_FRAME_SIZE,
    MAX_HEARTBEAT_TIPS,
    MAX_REQUEST_IDS,
    REPLAY_WINDOW,
    Body,
    ConeRequest,
    Frame,
    Heartbeat,
    Numbering,
    ReplayGuard,
    Request,
    SignedFrame,
    Transactions,
    decode_frame,
    sign_frame,
    split,
    split_request,
    verify_frame,
)
from edge.mesh.offers import (
    CHUNK_SIZE,
    MAX_CHUNKS,
    MAX_CHUNKS_ASKED,
    MAX_FILE_SIZE,
    NoSnapshot,
    SnapshotChunk,
    SnapshotManifest,
    SnapshotQuery,
    SnapshotRequest,
)
from tangle.anchors import Anchor
from tangle.codec import encode
from tangle.errors import (
    ForeignFrameError,
    ForgedFrameError,
    InvalidError,
    MalformedBytesError,
    ReplayedFrameError,
    UnknownSenderError,
)
from tangle.hashing import domain
from tangle.keys import SigningKey
from tangle.proposals import MAX_PROPOSAL_SIZE, CoSignature, Proposal
from tangle.transaction import MAX_INTEGER, MAX_TRANSACTION_SIZE, KeySignature, TransactionId

NETWORK = b"network1"
ALICE = SigningKey(b"a" * 32)
MALLORY = SigningKey(b"m" * 32)
PEERS = frozenset({ALICE.public})
HEARTBEAT = Heartbeat(7, b"c" * 32, (b"t" * 32,), "0.1.0", 3)

hashes = st.binary(min_size=32, max_size=32)
labels = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
counters = st.integers(0, MAX_INTEGER)
signed = st.builds(KeySignature, hashes, st.binary(min_size=64, max_size=64))
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        Transactions,
        st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5).map(tuple),
    ),
    st.builds(Request, st.lists(hashes, min_size=1, max_size=5).map(tuple)),
    st.builds(
        Heartbeat, counters, hashes, st.lists(hashes, max_size=5).map(tuple), labels, counters
    ),
    st.builds(ConeRequest, st.integers(1, MAX_INTEGER)),
    st.builds(Proposal, st.binary(min_size=1, max_size=300), signed),
    st.builds(CoSignature, counters, hashes, hashes, st.binary(min_size=64, max_size=64)),
    st.builds(SnapshotQuery, hashes),
    st.just(NoSnapshot()),
    st.builds(
        SnapshotManifest,
        st.builds(Anchor, st.just(()), st.binary(max_size=300)),
        hashes,
        st.integers(1, CHUNK_SIZE),
        st.tuples(hashes),
    ),
    st.builds(SnapshotRequest, hashes, st.lists(counters, min_size=1, max_size=5).map(tuple)),
    st.builds(SnapshotChunk, hashes, counters, st.binary(min_size=1, max_size=300)),
)


def ids(count: int) -> tuple[bytes, ...]:
    return tuple(n.to_bytes(32, "big") for n in range(count))


def spelled(body: object, key: SigningKey = ALICE, network: bytes = NETWORK) -> bytes:
    """Canonical bytes of a properly signed frame around anything at all."""
    frame = (network, key.public, 3, 5, body)
    return encode((frame, key.sign(domain("frame") + encode(frame))))


def numbered(number: int, epoch: int = 1, sender: SigningKey = ALICE) -> Frame:
    return Frame(NETWORK, sender.public, epoch, number, HEARTBEAT)


@given(bodies, counters, counters)
def test_what_a_peer_says_arrives_as_it_was_said(body: Body, epoch: int, number: int) -> None:
    data = sign_frame(ALICE, NETWORK, epoch, number, body)

    assert verify_frame(data, NETWORK, PEERS) == Frame(NETWORK, ALICE.public, epoch, number, body)


@given(st.data())
def test_no_byte_of_a_frame_can_be_changed(data: st.DataObject) -> None:
    signed = sign_frame(ALICE, NETWORK, 1, 2, data.draw(bodies))
    place = data.draw(st.integers(0, len(signed) - 1))
    flipped = signed[place] ^ data.draw(st.integers(1, 255))
    tampered = signed[:place] + bytes([flipped]) + signed[place + 1 :]

    with pytest.raises(InvalidError):
        verify_frame(tampered, NETWORK, PEERS)


@given(st.binary(max_size=400))
def test_garbage_is_refused_and_never_crashes(data: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        decode_frame(data)


GOOD = sign_frame(ALICE, NETWORK, 3, 5, HEARTBEAT)
_SIGNED = decode_frame(GOOD)
STOLEN = encode(SignedFrame(_SIGNED.frame, MALLORY.sign(domain("frame") + encode(_SIGNED.frame))))
OTHER_DOMAIN = encode(
    SignedFrame(_SIGNED.frame, ALICE.sign(domain("transaction") + encode(_SIGNED.frame)))
)


def test_the_table_of_refusals_starts_from_a_good_frame() -> None:
    body = ("heartbeat", 7, b"c" * 32, (b"t" * 32,), "0.1.0", 3)

    assert spelled(body) == GOOD
    assert verify_frame(GOOD, NETWORK, PEERS).body == HEARTBEAT


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(spelled(HEARTBEAT, network=b"network2"), ForeignFrameError, id="network"),
        pytest.param(spelled(HEARTBEAT, key=MALLORY), UnknownSenderError, id="stranger"),
        pytest.param(STOLEN, ForgedFrameError, id="signed by another"),
        pytest.param(OTHER_DOMAIN, ForgedFrameError, id="signed as something else"),
        pytest.param(b"", MalformedBytesError, id="empty"),
        pytest.param(GOOD[:-1], MalformedBytesError, id="cut short"),
        pytest.param(GOOD + b"\0", MalformedBytesError, id="trailing byte"),
        pytest.param(b"\xdc\x00\x02" + GOOD[1:], MalformedBytesError, id="longer spelling"),
        pytest.param(bytes(MAX_FRAME_SIZE + 1), MalformedBytesError, id="too long"),
        pytest.param(spelled(("hello", 1)), MalformedBytesError, id="unknown body"),
        pytest.param(
            spelled(HEARTBEAT, network=b"network"), MalformedBytesError, id="short network"
        ),
        pytest.param(spelled(("transactions", ())), MalformedBytesError, id="no transaction"),
        pytest.param(
            spelled(("transactions", (b"",))), MalformedBytesError, id="empty transaction"
        ),
        pytest.param(
            spelled(("transactions", (b"x",) * (MAX_FRAME_ITEMS + 1))),
            MalformedBytesError,
            id="too many transactions",
        ),
        pytest.param(
            spelled(("transactions", (bytes(MAX_TRANSACTION_SIZE + 1),))),
            MalformedBytesError,
            id="too large a transaction",
        ),
        pytest.param(
            spelled(("transactions", (bytes(MAX_TRANSACTION_SIZE),) * 32 + (b"x",))),
            MalformedBytesError,
            id="one byte too many in all",
        ),
        pytest.param(spelled(("request", ())), MalformedBytesError, id="no id"),
        pytest.param(
            spelled(("proposal", bytes(MAX_PROPOSAL_SIZE + 1), (bytes(32), bytes(64)))),
            MalformedBytesError,
            id="too long a proposal",
        ),
        pytest.param(
            spelled(("co-signature", 1, bytes(32), bytes(32), bytes(63))),
            MalformedBytesError,
            id="short co-signature",
        ),
        pytest.param(spelled(("request", (bytes(31),))), MalformedBytesError, id="short id"),
        pytest.param(
            spelled(("snapshot-query", bytes(31))), MalformedBytesError, id="short file hash"
        ),
        pytest.param(
            spelled(("snapshot-request", bytes(32), ())), MalformedBytesError, id="no chunk asked"
        ),
        pytest.param(
            spelled(("snapshot-request", bytes(32), tuple(range(MAX_CHUNKS_ASKED + 1)))),
            MalformedBytesError,
            id="too many chunks asked",
        ),
        pytest.param(
            spelled(("snapshot-chunk", bytes(32), 0, b"")), MalformedBytesError, id="empty chunk"
        ),
        pytest.param(
            spelled(("snapshot-chunk", bytes(32), 0, bytes(CHUNK_SIZE + 1))),
            MalformedBytesError,
            id="too large a chunk",
        ),
        pytest.param(
            spelled(("snapshot-manifest", ((), b"m"), bytes(32), 2, ())),
            MalformedBytesError,
            id="a manifest without chunks",
        ),
        pytest.param(
            spelled(("request", ids(MAX_REQUEST_IDS + 1))), MalformedBytesError, id="too many ids"
        ),
        pytest.param(
            spelled(("heartbeat", 7, bytes(32), ids(MAX_HEARTBEAT_TIPS + 1), "1")),
            MalformedBytesError,
            id="too many tips",
        ),
        pytest.param(
            spelled(("heartbeat", -1, bytes(32), (), "1")), MalformedBytesError, id="index below 0"
        ),
        pytest.param(
            spelled(("heartbeat", 7, bytes(32), (), "v" * 65)),
            MalformedBytesError,
            id="long version",
        ),
    ],
)
def test_a_frame_is_refused(data: bytes, error: type[InvalidError]) -> None:
    with pytest.raises(error) as refused:
        verify_frame(data, NETWORK, PEERS)

    assert type(refused.value) is error


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(Transactions((bytes(MAX_TRANSACTION_SIZE),) * 32), id="bytes"),
        pytest.param(Transactions((bytes(MAX_FRAME_ITEM_BYTES // 64),) * 64), id="both"),
        pytest.param(Request(ids(MAX_REQUEST_IDS)), id="ids"),
        pytest.param(
            Heartbeat(MAX_INTEGER, bytes(32), ids(MAX_HEARTBEAT_TIPS), "v" * 64, MAX_INTEGER),
            id="tips",
        ),
        pytest.param(
            Proposal(bytes(MAX_PROPOSAL_SIZE), KeySignature(ALICE.public, bytes(64))), id="proposal"
        ),
        pytest.param(SnapshotChunk(bytes(32), MAX_INTEGER, bytes(CHUNK_SIZE)), id="snapshot chunk"),
        pytest.param(
            SnapshotManifest(
                Anchor((), bytes(MAX_TRANSACTION_SIZE)),
                bytes(32),
                MAX_FILE_SIZE,
                (bytes(32),) * MAX_CHUNKS,
            ),
            id="snapshot manifest",
        ),
    ],
)
def test_the_fullest_frame_still_fits(body: Body) -> None:
    data = sign_frame(ALICE, NETWORK, MAX_INTEGER, MAX_INTEGER, body)

    assert len(data) <= MAX_FRAME_SIZE
    assert verify_frame(data, NETWORK, PEERS).body == body


def test_the_overhead_has_room_to_spare() -> None:
    items = (bytes(MAX_FRAME_ITEM_BYTES // 64),) * 64

    data = sign_frame(ALICE, NETWORK, MAX_INTEGER, MAX_INTEGER, Transactions(items))

    assert len(data) - MAX_FRAME_ITEM_BYTES < FRAME_OVERHEAD // 2


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Transactions((b"x",) * (MAX_FRAME_ITEMS + 1)), id="transactions"),
        pytest.param(lambda: Transactions((bytes(MAX_FRAME_ITEM_BYTES + 1),)), id="bytes"),
        pytest.param(lambda: Request(()), id="ids"),
        pytest.param(lambda: Heartbeat(0, bytes(32), ids(65), "1"), id="tips"),
    ],
)
def test_no_node_can_make_a_body_that_its_peers_would_refuse(
    make: Callable[[], Body],
) -> None:
    with pytest.raises(ValueError, match="in one frame"):
        make()


@given(st.lists(st.integers(1, MAX_TRANSACTION_SIZE), max_size=200))
def test_splitting_keeps_every_item_in_order_within_the_limits(sizes: list[int]) -> None:
    items = [n.to_bytes(2, "big").rjust(size, b"\0") for n, size in enumerate(sizes)]

    batches = split(items)

    assert [item for batch in batches for item in batch.items] == items
    for batch, following in pairwise(batches):
        size = sum(map(len, batch.items))
        assert (
            len(batch.items) == MAX_FRAME_ITEMS
            or size + len(following.items[0]) > MAX_FRAME_ITEM_BYTES
        )


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([300] * 64, [64], id="just as many as fit"),
        pytest.param([300] * 65, [64, 1], id="one more"),
        pytest.param([MAX_TRANSACTION_SIZE] * 32, [32], id="just as much as fits"),
        pytest.param([MAX_TRANSACTION_SIZE] * 32 + [1], [32, 1], id="one byte more"),
        pytest.param([300] * 20_000, [64] * 312 + [32], id="a burst"),
    ],
)
def test_splitting_fills_one_frame_after_the_other(sizes: list[int], batches: list[int]) -> None:
    assert [len(batch.items) for batch in split(map(bytes, sizes))] == batches


@pytest.mark.parametrize("size", [0, MAX_TRANSACTION_SIZE + 1])
def test_splitting_refuses_what_is_no_transaction(size: int) -> None:
    with pytest.raises(ValueError, match=f"item of {size} bytes"):
        split([b"x", bytes(size)])


@pytest.mark.parametrize("count", [0, 1, MAX_REQUEST_IDS, MAX_REQUEST_IDS + 1, 1_000])
def test_a_long_request_is_split_in_order(count: int) -> None:
    wanted = [TransactionId(one) for one in ids(count)]

    requests = split_request(wanted)

    assert [tx_id for request in requests for tx_id in request.ids] == wanted
    assert len(requests) == -(-count // MAX_REQUEST_IDS)


def test_a_sender_counts_its_frames_from_zero() -> None:
    numbering = Numbering(epoch=9)

    assert [numbering.next() for _ in range(3)] == [0, 1, 2]
    assert numbering.epoch == 9


def test_a_frame_heard_twice_is_refused() -> None:
    guard = ReplayGuard()
    guard.accept(numbered(5))

    with pytest.raises(ReplayedFrameError, match="heard before"):
        guard.accept(numbered(5))


def test_frames_that_overtook_each_other_are_each_accepted_once() -> None:
    guard = ReplayGuard()
    for number in (4, 9, 6, 8, 4 + REPLAY_WINDOW, 10):
        guard.accept(numbered(number))

    for number in (9, 6, 8, 10, 4 + REPLAY_WINDOW):
        with pytest.raises(ReplayedFrameError, match="heard before"):
            guard.accept(numbered(number))


def test_the_window_ends_where_it_says() -> None:
    guard = ReplayGuard()
    guard.accept(numbered(1_000))

    guard.accept(numbered(1_000 - REPLAY_WINDOW + 1))
    with pytest.raises(ReplayedFrameError, match=f"{REPLAY_WINDOW} behind the latest"):
        guard.accept(numbered(1_000 - REPLAY_WINDOW))


def test_a_jump_of_any_width_costs_nothing_and_forgets_nothing_it_must_keep() -> None:
    guard = ReplayGuard()
    guard.accept(numbered(3))

    guard.accept(numbered(MAX_INTEGER))

    guard.accept(numbered(MAX_INTEGER - 1))
    for number in (3, MAX_INTEGER, MAX_INTEGER - 1):
        with pytest.raises(ReplayedFrameError):
            guard.accept(numbered(number))


def test_what_is_remembered_of_a_sender_does_not_grow() -> None:
    guard = ReplayGuard()

    for number in range(0, 20_000, 100):
        guard.accept(numbered(number))

    (heard,) = guard._heard.values()
    assert heard.recent.bit_length() <= REPLAY_WINDOW


def test_a_restarted_sender_counts_anew_and_its_past_is_refused() -> None:
    guard = ReplayGuard()
    guard.accept(numbered(50, epoch=1))

    guard.accept(numbered(0, epoch=2))

    with pytest.raises(ReplayedFrameError, match="has reached epoch 2"):
        guard.accept(numbered(51, epoch=1))
    guard.accept(numbered(1, epoch=2))


def test_senders_do_not_share_a_count() -> None:
    guard = ReplayGuard()
    guard.accept(numbered(5, epoch=8))

    guard.accept(numbered(5, epoch=1, sender=MALLORY))

    with pytest.raises(ReplayedFrameError):
        guard.accept(numbered(5, epoch=8))


@settings(max_examples=25)
@given(st.integers(1, 600), st.randoms(use_true_random=False))
def test_shuffled_within_the_window_every_frame_is_accepted_and_every_repetition_refused(
    count: int, rng: random.Random
) -> None:
    guard = ReplayGuard()
    # each frame is late by less than a window, so none is overtaken by a whole one
    order = sorted(range(count), key=lambda number: number + rng.uniform(0, REPLAY_WINDOW - 1))

    for number in order:
        guard.accept(numbered(number))

    for number in order:
        with pytest.raises(ReplayedFrameError):
            guard.accept(numbered(number))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 700))))
def test_no_frame_is_ever_accepted_twice(heard: list[tuple[int, int]]) -> None:
    guard = ReplayGuard()
    accepted = []

    for epoch, number in heard:
        try:
            guard.accept(numbered(number, epoch))
        except ReplayedFrameError:
            continue
        accepted.append((epoch, number))

    assert len(accepted) == len(set(accepted))
    assert [epoch for epoch, _ in accepted] == sorted(epoch for epoch, _ in accepted)


def test_a_frame_has_the_bytes_the_protocol_shows() -> None:
    frame = Frame(NETWORK, ALICE.public, 1, 2, Request((b"i" * 32,)))

    fields = msgspec.msgpack.decode(encode(frame))

    assert fields == [NETWORK, ALICE.public, 1, 2, ["request", [b"i" * 32]]]
