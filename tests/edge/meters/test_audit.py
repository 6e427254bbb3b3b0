from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from devices.reading import salted_leaf
from edge.journal.entries import AppliedBatch, Batch
from edge.journal.journal import Journal
from edge.journal.sealing import NONCE_SIZE, SaltedReading, open_sealed, seal, sealing_key
from edge.meters.audit import MAX_MISMATCHES, Audit, DeviceAudit, audit
from tangle.address import Address, encode_address
from tangle.merkle import merkle_root
from tangle.outcomes import Applied
from tangle.transaction import ReadingBatch, TransactionId
from tests.edge.making import (
    DEVICE,
    GENESIS,
    METER,
    NETWORK,
    NODE,
    OTHER_DEVICE,
    OTHER_METER,
    arrival,
    confirmed,
    posted,
)

COUNT = 10
METERS = {DEVICE: ((0, COUNT - 1),)}


def content(sequence: int, device: Address = DEVICE) -> SaltedReading:
    key = METER if device == DEVICE else OTHER_METER
    return SaltedReading(bytes([sequence]) * 32, posted(sequence, key=key))


def held(device: Address, first: int, last: int) -> Iterable[tuple[int, SaltedReading]]:
    return [(n, content(n, device)) for n in range(max(first, 0), min(last, COUNT - 1) + 1)]


def root(first: int, last: int) -> bytes:
    contents = [content(n) for n in range(first, last + 1)]
    return merkle_root([salted_leaf(each.salt, each.signed) for each in contents])


def applied(first: int, last: int, claim: bytes | None = None) -> AppliedBatch:
    tx_id = TransactionId(bytes([first, last]) * 16)
    return AppliedBatch(tx_id, first, last, root(first, last) if claim is None else claim)


def audited(*batches: AppliedBatch) -> Audit:
    return audit(METERS, {DEVICE: batches, OTHER_DEVICE: [applied(0, 3)]}, held)


def test_a_ledger_that_commits_to_every_reading_once_is_sound() -> None:
    found = audited(applied(4, 9), applied(0, 3))

    assert found == Audit({DEVICE: DeviceAudit(COUNT, COUNT, 0, 9, 900, 0)}, 2, 0, ())
    assert (found.journalled, found.committed, found.lost, found.twice) == (COUNT, COUNT, 0, 0)


def test_readings_without_an_applied_batch_are_counted_as_lost() -> None:
    found = audited(applied(0, 3), applied(6, 9))

    assert (found.lost, found.twice, found.mismatch_count) == (2, 0, 0)


def test_readings_in_two_applied_batches_are_counted_twice() -> None:
    found = audited(applied(0, 5), applied(4, 9))

    assert (found.lost, found.twice, found.mismatch_count) == (0, 2, 0)


def test_a_root_over_other_readings_is_named() -> None:
    bad = applied(0, 3, claim=bytes(32))

    found = audited(bad, applied(4, 9))

    assert (found.lost, found.mismatch_count) == (4, 1)
    for part in (bad.tx_id.hex(), "readings 0 to 3", encode_address(DEVICE), root(0, 3).hex()):
        assert part in found.mismatches[0]


def test_a_batch_over_readings_that_are_not_journalled_is_named() -> None:
    found = audited(applied(0, 9), AppliedBatch(TransactionId(bytes(32)), 8, 12, bytes(32)))

    assert (found.lost, found.mismatch_count) == (0, 1)
    assert "reading 10 is not in the journal" in found.mismatches[0]


def test_a_batch_whose_first_readings_are_not_journalled_is_named() -> None:
    def later(device: Address, first: int, last: int) -> Iterable[tuple[int, SaltedReading]]:
        return [each for each in held(device, first, last) if each[0] >= 2]

    found = audit({DEVICE: ((2, 9),)}, {DEVICE: [applied(0, 3)]}, later)

    assert found.lost == 8
    assert "reading 0 is not in the journal" in found.mismatches[0]


def test_of_many_mismatches_the_first_are_named_and_all_are_counted() -> None:
    bad = applied(0, 3, claim=bytes(32))
    many = [
        replace(bad, tx_id=TransactionId(n.to_bytes(32, "big"))) for n in range(MAX_MISMATCHES + 5)
    ]

    found = audited(*many)

    assert found.mismatch_count == MAX_MISMATCHES + 5
    assert len(found.mismatches) == MAX_MISMATCHES


def test_a_journal_is_audited_from_seals_to_roots(tmp_path: Path) -> None:
    key = sealing_key(NODE)
    batch = arrival(0, payload=ReadingBatch(DEVICE, 0, COUNT - 1, root(0, COUNT - 1)))
    milestone = arrival(1)
    with Journal(tmp_path, NETWORK) as journal:
        journal.restore(GENESIS, 20)
        journal.commit(
            Batch(
                readings=tuple(
                    seal(key, DEVICE, n, content(n), bytes([n]) * NONCE_SIZE) for n in range(COUNT)
                ),
                arrivals=(batch, milestone),
            )
        )
        journal.commit(Batch(confirmed=(confirmed(1, milestone, batch, outcome=Applied()),)))

        found = audit(
            journal.meters(),
            journal.confirmed_readings(),
            lambda device, first, last: [
                (taken.sequence, open_sealed(key, taken))
                for taken in journal.readings(device, first, last)
            ],
        )

    assert (found.journalled, found.committed, found.twice) == (COUNT, COUNT, 0)
    assert found.mismatches == ()
    assert found.devices[DEVICE].import_wh == 900
