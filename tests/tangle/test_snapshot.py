"""Snapshots: what they hold, and that every forged or damaged one is refused by name."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.issuer import sign_milestone
from tangle.effects import Confirmed
from tangle.errors import InvalidSnapshotError
from tangle.genesis import Genesis, entry_points
from tangle.hashing import digest
from tangle.node import NodeCore
from tangle.snapshot import (
    NO_BASE,
    Snapshot,
    SnapshotCone,
    decode_header,
    decode_snapshot,
    delta_snapshot,
    encode_snapshot,
    full_snapshot,
    merge,
    start_of,
    verify_snapshot,
)
from tangle.transaction import TransactionId
from tests.community import CONTRACTS, START_MS, Maker, key, with_parameters
from tests.tangle.cores import EDGE, GENESIS, at, confirm
from tests.tangle.snapshotting import restored

SHORT = with_parameters(GENESIS, max_depth=3, reference_depth=4)
MALLORY = key(999)


class History:
    """A core that confirms one transaction per milestone, and the cones that remain."""

    def __init__(self, genesis: Genesis = SHORT) -> None:
        self.genesis = genesis
        self.core = NodeCore(genesis, CONTRACTS)
        self.make = Maker(genesis)
        self.cones: list[SnapshotCone] = []
        self.confirmed: list[Confirmed] = []
        self.second = entry_points(genesis)[1]
        self.bodies: list[bytes] = []

    def grow(self, milestones: int) -> Snapshot:
        """Confirm so many more, and return the snapshot of then."""
        for _ in range(milestones):
            number = self.core.confirmed_index
            tx = self.make.transaction(EDGE, number, (self.core.confirmed_id, self.second))
            self.core.submit(tx.data, at(10 * number))
            done = confirm(self.core, tx.tx_id, ms=10 * number + 5)
            issued = self.core.pending(self.core.confirmed_id)
            assert issued is not None
            self.cones.append(SnapshotCone(issued.data, tuple(one for one, _ in done.outcomes)))
            self.confirmed.append(done)
            self.bodies += [tx.data, issued.data]
            self.second = tx.tx_id
        rows = dict(self.core.scan(b""))
        depth = self.genesis.parameters.reference_depth
        return full_snapshot(self.core.rules.network, rows, self.cones[-depth:])


SNAPSHOT = History().grow(7)


# Whole and genuine.


@pytest.mark.parametrize("milestones", [1, 3, 4, 5, 12])
def test_a_genuine_snapshot_survives_its_bytes_and_verifies(milestones: int) -> None:
    snapshot = History().grow(milestones)

    read = decode_snapshot(encode_snapshot(snapshot))

    assert read == snapshot
    assert [one.transaction.sequence for one in verify_snapshot(read, SHORT)] == list(
        range(max(1, milestones - 3), milestones + 1)
    )


def test_the_header_can_be_read_from_the_beginning_alone() -> None:
    header = decode_header(encode_snapshot(SNAPSHOT)[:300])

    assert header == SNAPSHOT.header
    assert (header.kind, header.index, header.base_root) == ("full", 7, NO_BASE)


@pytest.mark.parametrize("milestones", [2, 4, 9])
def test_a_core_that_starts_from_a_snapshot_goes_on_like_one_that_was_always_there(
    milestones: int,
) -> None:
    history = History()
    snapshot = history.grow(milestones)
    core = NodeCore(SHORT, CONTRACTS, restored(start_of(snapshot, SHORT)))
    assert core.state_root == history.core.state_root
    history.bodies.clear()
    history.confirmed.clear()

    history.grow(8)
    effects = [effect for data in history.bodies for effect in core.submit(data, at(1_000))]

    assert core.halted is None
    assert core.confirmed_index == milestones + 8
    assert [one for one in effects if isinstance(one, Confirmed)] == history.confirmed
    assert len(core.graph) == len(history.core.graph)


# Damaged.


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    good = encode_snapshot(SNAPSHOT)
    at_byte = data.draw(st.integers(0, len(good) - 1))
    flipped = good[at_byte] ^ data.draw(st.integers(1, 255))

    with pytest.raises(InvalidSnapshotError, match="damaged"):
        decode_snapshot(good[:at_byte] + bytes([flipped]) + good[at_byte + 1 :])


@given(st.binary(max_size=200))
def test_garbage_is_refused_whatever_its_checksum(garbage: bytes) -> None:
    with pytest.raises(InvalidSnapshotError):
        decode_snapshot(garbage + digest(garbage))


@given(st.integers(0, 2_000))
def test_a_snapshot_cut_short_is_refused(kept: int) -> None:
    good = encode_snapshot(SNAPSHOT)

    with pytest.raises(InvalidSnapshotError):
        decode_snapshot(good[: min(kept, len(good) - 1)])


def test_rows_out_of_order_are_refused() -> None:
    swapped = replace(SNAPSHOT, removed=(b"b", b"a"))

    with pytest.raises(InvalidSnapshotError, match="must ascend"):
        decode_snapshot(encode_snapshot(swapped))


def test_another_version_is_refused() -> None:
    with pytest.raises(InvalidSnapshotError, match="version 2: this is 1"):
        decode_snapshot(encode_snapshot(headed(version=2)))


# Forged: each with a good checksum, and wrong in one thing only.


def headed(**changes: bytes | int | str) -> Snapshot:
    return replace(SNAPSHOT, header=msgspec.structs.replace(SNAPSHOT.header, **changes))


def with_row(key_: bytes, value: bytes | None) -> Snapshot:
    rows = dict(SNAPSHOT.rows)
    if value is None:
        del rows[key_]
    else:
        rows[key_] = value
    return replace(SNAPSHOT, rows=rows)


def with_cone(at_place: int, cone: SnapshotCone | None) -> Snapshot:
    cones = list(SNAPSHOT.cones)
    cones[at_place : at_place + 1] = [] if cone is None else [cone]
    return replace(SNAPSHOT, cones=tuple(cones))


def forged_milestone() -> SnapshotCone:
    last = SNAPSHOT.cones[-1]
    history = History()
    history.grow(6)
    tx = history.make.transaction(EDGE, 6, (history.core.confirmed_id, history.second))
    history.core.submit(tx.data, at(60))
    drafted = history.core.draft_milestone((history.core.confirmed_id, tx.tx_id), START_MS + 65)
    return SnapshotCone(sign_milestone(drafted, (MALLORY,)).data, last.ids)


SOME_KEY = next(one for one in SNAPSHOT.rows if one.startswith(b"balance/eeuro/"))
UNKNOWN = TransactionId(b"u" * 32)

FORGED = [
    pytest.param(lambda: headed(network=b"\x00" * 8), "network", id="network"),
    pytest.param(lambda: headed(kind="delta", base_index=1), "merge it", id="kind"),
    pytest.param(lambda: headed(base_root=b"r" * 32), "merge it", id="base root"),
    pytest.param(lambda: headed(index=8), "index of a milestone", id="index"),
    pytest.param(lambda: headed(milestone_id=UNKNOWN), "milestone id", id="milestone id"),
    pytest.param(lambda: headed(timestamp_ms=1), "timestamp", id="timestamp"),
    pytest.param(lambda: headed(state_root=bytes(32)), "state root of the header", id="root"),
    pytest.param(lambda: with_row(SOME_KEY, b"\x91\xce\x7f\xff\xff\xff"), "rows", id="row"),
    pytest.param(lambda: with_row(SOME_KEY, None), "rows", id="row gone"),
    pytest.param(lambda: with_row(b"balance/eeuro/x", b"\x91\x01"), "rows", id="row more"),
    pytest.param(lambda: replace(SNAPSHOT, removed=(b"x",)), "merge it", id="removed row"),
    pytest.param(lambda: with_cone(0, None), "3 milestones, it needs 4", id="cone gone"),
    pytest.param(lambda: with_cone(1, SNAPSHOT.cones[0]), "index of a milestone", id="twice"),
    pytest.param(
        lambda: with_cone(2, SnapshotCone(SNAPSHOT.cones[2].milestone, (UNKNOWN,))),
        "root over the ids of milestone 6",
        id="ids",
    ),
    pytest.param(
        lambda: with_cone(2, SnapshotCone(SNAPSHOT.cones[2].milestone, ())),
        "root over the ids of milestone 6",
        id="no ids",
    ),
    pytest.param(
        lambda: with_cone(
            1, SnapshotCone(SNAPSHOT.cones[1].milestone, SNAPSHOT.cones[1].ids[::-1])
        ),
        "root over the ids of milestone 5",
        id="order of ids",
    ),
    pytest.param(lambda: with_cone(3, forged_milestone()), "is no coordinator key", id="key"),
    pytest.param(
        lambda: with_cone(3, SnapshotCone(b"\xc0", SNAPSHOT.cones[3].ids)),
        "transaction of 1 bytes",
        id="garbage",
    ),
]


@pytest.mark.parametrize(("forge", "named"), FORGED)
def test_a_forged_snapshot_is_refused_and_what_differs_is_named(
    forge: Callable[[], Snapshot], named: str
) -> None:
    with pytest.raises(InvalidSnapshotError, match=named):
        verify_snapshot(forge(), SHORT)


def test_a_transaction_in_the_place_of_a_milestone_is_refused() -> None:
    history = History()
    history.grow(7)
    note = SnapshotCone(history.bodies[-2], SNAPSHOT.cones[3].ids)

    with pytest.raises(InvalidSnapshotError, match="is no milestone"):
        verify_snapshot(with_cone(3, note), SHORT)


def test_milestones_of_two_histories_do_not_make_one() -> None:
    other = History()
    extra = other.make.transaction(EDGE, 500, entry_points(SHORT))
    other.core.submit(extra.data, at(0))
    other.second = extra.tx_id
    later = other.grow(7)
    mixed = replace(later, cones=(*SNAPSHOT.cones[:3], later.cones[3]))

    with pytest.raises(InvalidSnapshotError, match="milestone before 7"):
        verify_snapshot(mixed, SHORT)


def test_a_snapshot_of_another_network_is_refused() -> None:
    with pytest.raises(InvalidSnapshotError, match="network"):
        verify_snapshot(SNAPSHOT, with_parameters(GENESIS, max_depth=3, reference_depth=5))


# Deltas.


def test_a_delta_upon_its_base_makes_the_later_snapshot() -> None:
    history = History()
    base, later = history.grow(5), history.grow(4)

    delta = decode_snapshot(encode_snapshot(delta_snapshot(base, later)))

    assert merge(base, delta) == later
    assert len(delta.rows) < len(later.rows)
    assert verify_snapshot(merge(base, delta), SHORT)


rows_maps = st.dictionaries(st.binary(min_size=1, max_size=2), st.binary(max_size=2), max_size=8)


@given(rows_maps, rows_maps)
def test_rows_that_come_change_and_go_are_all_in_a_delta(
    before: dict[bytes, bytes], after: dict[bytes, bytes]
) -> None:
    base = replace(headed(index=6), rows=before)
    later = replace(SNAPSHOT, rows=dict(sorted(after.items())))

    delta = delta_snapshot(base, later)

    assert merge(base, delta).rows == after
    assert set(delta.removed) == set(before) - set(after)
    assert all(before.get(one) != value for one, value in delta.rows.items())


def test_a_delta_upon_another_base_is_refused() -> None:
    history = History()
    base, later, latest = history.grow(5), history.grow(2), history.grow(2)

    with pytest.raises(InvalidSnapshotError, match="goes on from milestone 5"):
        merge(later, delta_snapshot(base, latest))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: merge(headed(index=6), SNAPSHOT), "is no delta"),
        (lambda: delta_snapshot(SNAPSHOT, headed(index=7)), "not before 7"),
        (lambda: delta_snapshot(headed(kind="delta"), headed(index=9)), "no full snapshot"),
        (lambda: delta_snapshot(headed(network=b"x" * 8), headed(index=9)), "network"),
    ],
)
def test_what_cannot_be_told_apart_or_joined_is_refused(
    make: Callable[[], Snapshot], named: str
) -> None:
    with pytest.raises(InvalidSnapshotError, match=named):
        make()
