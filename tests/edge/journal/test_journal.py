import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from edge.journal.entries import (
    AppliedBatch,
    Arrival,
    Batch,
    Counts,
    FormedBatch,
    StoredMilestone,
    TakenReading,
)
from edge.journal.journal import Journal
from edge.journal.pruning import delete_referenced
from edge.journal.records import decode_outcome, encode_outcome
from edge.journal.storage import JOURNAL_NAME
from tangle.accounts import genesis_rows
from tangle.effects import Halted
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError
from tangle.keys import SigningKey
from tangle.outcomes import Applied, Event, Ignored, NoValue, Reason
from tangle.restored import StoredVertex
from tangle.transaction import MAX_INTEGER, ReadingBatch, TransactionId
from tests.edge.making import (
    DEVICE,
    GENESIS,
    NETWORK,
    NODE,
    OTHER_DEVICE,
    OTHER_NODE,
    ROOTS,
    arrival,
    confirmed,
)

A, B = arrival(1), arrival(2)
M1 = arrival(3, (A.tx_id, B.tx_id))
C = arrival(4, (A.tx_id, M1.tx_id))
M2 = arrival(5, (C.tx_id, M1.tx_id))
ROOT = bytes([9]) * 32
NOWHERE = TransactionId(bytes(32))
EVENTS = (Event("x.done", (("amount_ueur", 5), ("to", b"\x01"))),)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path, NETWORK) as opened:
        opened.restore(GENESIS, 20)
        yield opened


def reopened(journal: Journal) -> Journal:
    journal.close()
    return Journal(journal.path.parent, NETWORK)


def taken(sequence: int) -> TakenReading:
    return TakenReading(DEVICE, sequence, b"sealed %d" % sequence)


def test_a_fresh_journal_restores_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path, NETWORK) as journal:
        assert journal.restore(GENESIS, 20) is None
        assert journal.restore(GENESIS, 20) is None
        assert journal.counts() == Counts(0, 0, 0, 0)
        assert journal.latest_milestone() is None
        assert journal.transaction(A.tx_id) is None


def test_what_is_journalled_before_the_first_milestone_stands_on_genesis(journal: Journal) -> None:
    journal.commit(Batch(arrivals=(A, B)))

    with reopened(journal) as after:
        restored = after.restore(GENESIS, 20)

    assert restored is not None
    assert (restored.index, restored.milestone_id, restored.timestamp_ms) == (0, ROOTS[0], 0)
    assert restored.rows == genesis_rows(GENESIS)
    assert restored.recent == (
        StoredVertex(A.tx_id, A.data, 1, None),
        StoredVertex(B.tx_id, B.data, 2, None),
    )


def test_a_milestone_is_restored_with_rows_and_recent_tangle(journal: Journal) -> None:
    one_row = next(iter(genesis_rows(GENESIS)))
    journal.commit(
        Batch(
            arrivals=(A, B, M1),
            confirmed=(
                confirmed(1, M1, B, A, changes={b"new": b"1", b"old": b"2", one_row: None}),
            ),
        )
    )
    journal.commit(
        Batch(
            arrivals=(C, M2),
            confirmed=(confirmed(2, M2, M1, C, changes={b"new": b"3", b"old": None}),),
        )
    )

    with reopened(journal) as after:
        restored = after.restore(GENESIS, 20)

    assert restored is not None
    assert (restored.index, restored.milestone_id, restored.timestamp_ms) == (2, M2.tx_id, 2_000)
    rows = genesis_rows(GENESIS) | {b"new": b"3"}
    del rows[one_row]
    assert restored.rows == rows
    assert [(each.tx_id, each.referenced_index) for each in restored.recent] == [
        (A.tx_id, 1),
        (B.tx_id, 1),
        (M1.tx_id, 2),
        (C.tx_id, 2),
        (M2.tx_id, None),
    ]
    assert restored.halted is None


def test_only_the_last_milestones_and_what_is_pending_are_recent(journal: Journal) -> None:
    pending_on_roots = arrival(100)
    chain = [A]
    journal.commit(Batch(arrivals=(A, pending_on_roots)))
    for index in range(1, 7):
        milestone = arrival(10 + index, (chain[-1].tx_id, ROOTS[0]))
        journal.commit(
            Batch(arrivals=(milestone,), confirmed=(confirmed(index, milestone, chain[-1]),))
        )
        chain.append(milestone)

    restored = journal.restore(GENESIS, 2)

    assert restored is not None
    assert restored.index == 6
    assert [each.tx_id for each in restored.recent] == [each.tx_id for each in chain[3:]]


def test_what_no_valid_milestone_can_reference_any_more_is_left_out(journal: Journal) -> None:
    lost, m1 = arrival(100), arrival(11)
    lost_too = arrival(101, (lost.tx_id, m1.tx_id))
    kept = arrival(102, (m1.tx_id, A.tx_id))
    journal.commit(Batch(arrivals=(A, m1, lost, lost_too, kept), confirmed=(confirmed(1, m1, A),)))

    restored = journal.restore(GENESIS, 0)

    assert restored is not None
    assert [each.tx_id for each in restored.recent] == [A.tx_id, m1.tx_id, kept.tx_id]
    assert journal.transaction(lost_too.tx_id) is not None


def test_another_genesis_is_refused(journal: Journal) -> None:
    with pytest.raises(ForeignStoreError, match="a journal of genesis"):
        journal.restore(structs.replace(GENESIS, name="other"), 20)


def test_a_transaction_is_found_with_what_became_of_it(journal: Journal) -> None:
    journal.commit(Batch(arrivals=(A, B, M1)))
    outcomes = ((B.tx_id, Applied(EVENTS)), (A.tx_id, Ignored(Reason.TOO_SMALL)))

    journal.commit(Batch(confirmed=(replace(confirmed(1, M1), outcomes=outcomes),)))

    first, second = journal.referenced_by(1)
    assert (first.tx_id, first.position, first.outcome) == (B.tx_id, 0, Applied(EVENTS))
    assert second == journal.transaction(A.tx_id)
    assert (second.data, second.attached_at_ms, second.milestone_index) == (A.data, 1, 1)
    assert (second.position, second.outcome) == (1, Ignored(Reason.TOO_SMALL))
    pending = journal.transaction(M1.tx_id)
    assert pending is not None
    assert (pending.milestone_index, pending.position, pending.outcome) == (None, None, None)
    assert journal.transaction(NOWHERE) is None
    assert journal.referenced_by(2) == []


def test_milestones_are_found_by_index(journal: Journal) -> None:
    journal.commit(Batch(arrivals=(A, M1), confirmed=(confirmed(1, M1, A),)))

    stored = StoredMilestone(1, M1.tx_id, 1_000, (1).to_bytes(32, "big"), 1)
    assert journal.milestone(1) == journal.latest_milestone() == stored
    assert journal.milestone(0) is None
    assert journal.milestone(2) is None


def test_what_a_milestone_ended_with_is_found_by_index_until_it_is_pruned(
    journal: Journal,
) -> None:
    ended = (Event("market.expired", (("owner", bytes(32)), ("left_uent", 5))),)
    journal.commit(Batch(arrivals=(A, M1), confirmed=(confirmed(1, M1, A, ended=ended),)))

    first = journal.milestone(1)
    assert first is not None
    assert first.ended == ended
    assert journal.latest_milestone() == first
    with journal._storage.transaction() as connection:
        delete_referenced(connection, 1, 10)
    notes = journal._storage.table("meta", "WHERE name LIKE 'ended/%'")
    assert notes == []


def test_what_is_attached_again_after_a_restart_is_one_transaction(journal: Journal) -> None:
    journal.commit(Batch(arrivals=(A, M1), confirmed=(confirmed(1, M1, A),)))

    journal.commit(Batch(arrivals=(structs.replace(A, attached_at_ms=99), B)))

    assert journal.counts() == Counts(transactions=3, pending=2, milestones=1, readings=0)
    found = journal.transaction(A.tx_id)
    assert found is not None
    assert (found.attached_at_ms, found.milestone_index) == (1, 1)


def test_own_unreferenced_transactions_are_of_one_issuer_and_pending(journal: Journal) -> None:
    foreign = arrival(7, key=OTHER_NODE)
    journal.commit(Batch(arrivals=(A, foreign, B, M1), confirmed=(confirmed(1, M1, A),)))

    own = journal.own_unreferenced(NODE.public)

    assert [each.tx_id for each in own] == [B.tx_id, M1.tx_id]


def test_evidence_survives_a_restart(journal: Journal) -> None:
    halted = Halted(2, M2.tx_id, "state root: claimed 00, computed 01", (M1.data, M2.data))

    journal.commit(Batch(arrivals=(A,), halted=halted))

    with reopened(journal) as after:
        restored = after.restore(GENESIS, 20)
        assert restored is not None
        assert restored.halted == halted == after.halted()


def test_a_node_that_halted_before_anything_came_is_still_halted_after_a_restart(
    journal: Journal,
) -> None:
    halted = Halted(1, M1.tx_id, "state root: claimed 00, computed 01", (M1.data,))

    journal.commit(Batch(halted=halted))

    with reopened(journal) as after:
        restored = after.restore(GENESIS, 20)
        assert restored is not None
        assert restored.halted == halted


def test_counters_keep_their_last_value(journal: Journal) -> None:
    journal.commit(Batch(counters={"issued": 5, "epoch": 1}))
    journal.commit(Batch(counters={"issued": 3}))

    with reopened(journal) as after:
        assert (after.counter("issued"), after.counter("epoch"), after.counter("none")) == (3, 1, 0)


def test_epochs_grow_even_if_the_clock_was_set_back(journal: Journal) -> None:
    assert journal.next_epoch(1_000) == 1_000
    assert journal.next_epoch(1_000) == 1_001
    with reopened(journal) as after:
        assert after.next_epoch(5) == 1_002
        assert after.next_epoch(9_000) == 9_000


def test_readings_are_kept_in_order_by_device(journal: Journal) -> None:
    other = TakenReading(OTHER_DEVICE, 0, b"other")
    journal.commit(Batch(readings=(taken(5), other, taken(6))))
    journal.commit(Batch(readings=(taken(7),)))

    with reopened(journal) as after:
        assert after.meters() == {DEVICE: ((5, 7),), OTHER_DEVICE: ((0, 0),)}
        assert after.readings(DEVICE, 6, 9) == [taken(6), taken(7)]
        assert after.readings(OTHER_DEVICE, 0, 0) == [other]
        assert after.counts().readings == 4


def test_a_reading_after_a_loss_begins_a_new_run(journal: Journal) -> None:
    anew = TakenReading(DEVICE, 9, b"sealed 9", begins_anew=True)
    journal.commit(Batch(readings=(taken(5), taken(6), anew, taken(10))))

    with reopened(journal) as after:
        assert after.meters() == {DEVICE: ((5, 6), (9, 10))}
        assert [one.sequence for one in after.readings(DEVICE, 0, 20)] == [5, 6, 9, 10]
        assert after.readings(DEVICE, 7, 8) == []
        after.verify()


@pytest.mark.parametrize("sequence", [4, 5, 6])
def test_nothing_begins_anew_without_a_gap(journal: Journal, sequence: int) -> None:
    journal.commit(Batch(readings=(taken(5),)))

    with pytest.raises(AssertionError, match=f"{sequence} begins nothing after 5"):
        journal.commit(Batch(readings=(replace(taken(sequence), begins_anew=True),)))


def test_formed_batches_are_found_until_they_are_referenced(journal: Journal) -> None:
    first = FormedBatch(A.tx_id, DEVICE, 0, 3, 1)
    again = FormedBatch(B.tx_id, DEVICE, 0, 3, 1)
    later = FormedBatch(C.tx_id, DEVICE, 4, 4, 2)
    journal.commit(Batch(arrivals=(A, B, M1, C), formed=(first, again, later)))

    assert journal.unreferenced_batches() == [first, again, later]
    assert journal.batches_holding(DEVICE, 3) == sorted([first, again], key=lambda b: b.tx_id)
    assert journal.batches_holding(DEVICE, 4) == [later]
    assert journal.batches_holding(DEVICE, 5) == journal.batches_holding(OTHER_DEVICE, 3) == []

    journal.commit(Batch(confirmed=(confirmed(1, M1, A, outcome=Applied()),)))

    assert journal.unreferenced_batches() == [again, later]


def batch_of(first: int, key: SigningKey = NODE) -> Arrival:
    return arrival(first, payload=ReadingBatch(DEVICE, first, first + 1, ROOT), key=key)


def test_confirmed_readings_are_the_applied_batches_of_anyone(journal: Journal) -> None:
    late, early = batch_of(4), batch_of(0, OTHER_NODE)
    refused, pending, plain = batch_of(8), batch_of(10), arrival(5)
    journal.commit(Batch(arrivals=(early, late, refused, pending, plain, M1)))
    outcomes = (
        (late.tx_id, Applied()),
        (plain.tx_id, NoValue()),
        (refused.tx_id, Ignored(Reason.READING_USED)),
        (early.tx_id, Applied()),
    )
    journal.commit(Batch(confirmed=(replace(confirmed(1, M1), outcomes=outcomes),)))

    assert journal.confirmed_readings() == {
        DEVICE: [AppliedBatch(late.tx_id, 4, 5, ROOT), AppliedBatch(early.tx_id, 0, 1, ROOT)]
    }


BUGS = {
    "a milestone out of turn": Batch(confirmed=(confirmed(2, M1, A),)),
    "a milestone over what is not here": Batch(confirmed=(confirmed(1, M1, A, C),)),
    "a transaction referenced twice": Batch(
        confirmed=(confirmed(1, M1, A), confirmed(2, M1, A)),
    ),
    "a gap between readings": Batch(readings=(taken(2),)),
    "a reading journalled twice": Batch(readings=(taken(0),)),
    "a batch formed twice": Batch(formed=(FormedBatch(NOWHERE, DEVICE, 0, 0, 0),) * 2),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_commit_that_raises_in_the_middle_leaves_nothing_behind(
    journal: Journal, bug: Batch
) -> None:
    journal.commit(Batch(arrivals=(A, B, M1), readings=(taken(0),), counters={"n": 1}))
    before = dump(journal)

    with pytest.raises((AssertionError, sqlite3.IntegrityError)):
        journal.commit(
            replace(
                bug,
                arrivals=(arrival(50),),
                halted=Halted(1, NOWHERE, "", ()),
                counters={"n": 2},
            )
        )

    assert dump(journal) == before
    journal.commit(Batch(readings=(taken(1),), confirmed=(confirmed(1, M1, A, B),)))


def test_a_milestone_before_the_rows_of_genesis_is_a_bug(tmp_path: Path) -> None:
    with Journal(tmp_path, NETWORK) as journal, pytest.raises(AssertionError, match="genesis"):
        journal.commit(Batch(arrivals=(A, M1), confirmed=(confirmed(1, M1, A),)))


def test_a_full_disk_refuses_the_whole_commit(journal: Journal) -> None:
    journal.commit(Batch(arrivals=(A,)))
    before = dump(journal)
    pages = journal._storage.rows("PRAGMA page_count")[0][0]
    journal._storage.rows(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(StorageError, match=str(journal.path)):
        journal.commit(Batch(arrivals=tuple(arrival(n) for n in range(10, 200))))

    assert dump(journal) == before
    journal._storage.rows(f"PRAGMA max_page_count = {pages + 1_000}")
    journal.commit(Batch(arrivals=tuple(arrival(n) for n in range(10, 200))))
    assert journal.counts().transactions == 191


@pytest.mark.parametrize(
    ("statement", "query"),
    [
        ("UPDATE transactions SET outcome = x'ff'", lambda journal: journal.referenced_by(1)),
        ("UPDATE bodies SET data = x'c1'", lambda journal: journal.restore(GENESIS, 20)),
        ("UPDATE bodies SET data = x'c1'", lambda journal: journal.confirmed_readings()),
        ("UPDATE meta SET value = x'c1' WHERE name = 'halted'", lambda journal: journal.halted()),
    ],
)
def test_altered_bytes_are_named_when_they_are_read(
    journal: Journal, statement: str, query: Callable[[Journal], object]
) -> None:
    journal.commit(
        Batch(
            arrivals=(A, B, M1),
            confirmed=(confirmed(1, M1, A),),
            halted=Halted(2, NOWHERE, "", ()),
        )
    )
    journal.close()
    connection = sqlite3.connect(journal.path)
    connection.execute(statement)
    connection.commit()
    connection.close()

    with (
        Journal(journal.path.parent, NETWORK) as after,
        pytest.raises(DamagedStoreError, match=JOURNAL_NAME),
    ):
        query(after)


def dump(journal: Journal) -> list[object]:
    tables = journal._storage.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [journal._storage.rows(f"SELECT * FROM {name}") for (name,) in tables]


def test_the_end_of_every_session_of_a_large_unit_is_one_outcome() -> None:
    ended = Event(
        "energy.session_ended",
        (
            ("unit", bytes(32)),
            ("member", bytes(32)),
            ("returned_uent", MAX_INTEGER),
            ("energy_wh", MAX_INTEGER),
            ("why", "removed"),
        ),
    )
    outcome = Applied((ended,) * 10_000)

    assert decode_outcome(encode_outcome(outcome)) == outcome
