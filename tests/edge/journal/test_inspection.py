"""Every rule of a journal's inspection, each with the change that breaks it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from api.contracts import CONTRACTS
from devices.reading import SALT_SIZE
from edge.journal.commits import set_counter
from edge.journal.entries import Batch
from edge.journal.inspection import MAX_NAMED_FAULTS, PRUNED_THROUGH, Inspection, inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.pruning import delete_referenced
from edge.journal.records import encode_outcome
from edge.journal.sealing import NONCE_SIZE, SaltedReading, seal, sealing_key
from edge.journal.storage import JOURNAL_NAME
from tangle.errors import ForeignStoreError, StorageError
from tangle.outcomes import Applied, Event
from tests.api.recorded_journal import (
    DEVICE,
    MILESTONES,
    READINGS,
    TRANSACTIONS,
    write_journal,
)
from tests.api.small_node import BOB, EDGE, GENESIS, NETWORK
from tests.edge.summing import sum_anew

PAID = encode_outcome(Applied((Event("x.paid", (("amount_ueur", 5),)),))).hex()
AN_APPLIED = "(SELECT min(number) FROM transactions WHERE hex(outcome) LIKE '%6170706C696564%')"


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        assert connection.execute(statement).rowcount > 0, statement
        sum_anew(connection)


def inspected(folder: Path, *, signatures: bool = True) -> Inspection:
    with open_offline(folder, NETWORK) as reader:
        return inspect(reader, GENESIS, CONTRACTS, signatures=signatures)


def test_what_a_node_wrote_is_sound_and_counted(tmp_path: Path) -> None:
    write_journal(tmp_path)

    found = inspected(tmp_path)

    assert found.faults == []
    assert (found.transactions, found.pending) == (TRANSACTIONS, 3)  # a milestone is pending, too
    assert (found.milestones, found.replayed) == (MILESTONES, MILESTONES)
    assert found.readings == READINGS
    assert found.signatures == TRANSACTIONS
    assert found.rows > 5


def test_a_journal_that_was_only_opened_is_sound(tmp_path: Path) -> None:
    with Journal(tmp_path, NETWORK):
        pass

    assert inspected(tmp_path).faults == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE bodies SET data = x'00' WHERE number = 3", "transaction "),
        (
            "UPDATE bodies SET data = (SELECT data FROM bodies WHERE number = 4) WHERE number = 3",
            "its bytes are",
        ),
        ("DELETE FROM bodies WHERE number = 3", "its bytes are not here"),
        ("INSERT INTO bodies VALUES (999, x'00', 0)", "1 bodies belong to no transaction"),
        ("UPDATE transactions SET position = 9 WHERE position = 3", "order of its cone has gaps"),
        (
            "UPDATE transactions SET milestone_index = NULL, position = NULL, outcome = NULL"
            " WHERE milestone_index = 3 AND position = 3",
            "inclusion root",
        ),
        (
            f"UPDATE transactions SET outcome = (SELECT outcome FROM transactions WHERE"
            f" hex(outcome) LIKE '%6E6F2D76616C7565%') WHERE number = {AN_APPLIED}",
            "applied root",
        ),
        (
            f"UPDATE transactions SET outcome = x'{PAID}' WHERE number = {AN_APPLIED}",
            "stored Applied",
        ),
        ("UPDATE milestones SET timestamp_ms = 5 WHERE milestone_index = 2", "its row is not"),
        ("UPDATE milestones SET state_root = zeroblob(32) WHERE milestone_index = 6", "its row"),
        ("DELETE FROM milestones WHERE milestone_index = 2", "milestone 3 follows 1"),
        ("DELETE FROM milestones WHERE milestone_index = 6", "marked with a milestone"),
        (
            "UPDATE milestones SET tx_id = (SELECT tx_id FROM transactions WHERE number = 1)"
            " WHERE milestone_index = 2",
            "is none",
        ),
        (
            "UPDATE ledger SET value = x'00' WHERE hex(key) LIKE '62616C616E63652F%'",
            "rows have the root",
        ),
        ("DELETE FROM ledger WHERE key = CAST('network' AS BLOB)", "rows have the root"),
        ("DELETE FROM readings WHERE sequence = 4", "0 to 11 were taken"),
        ("UPDATE readings SET device = zeroblob(32) WHERE sequence = 11", "of unknown meters"),
        ("UPDATE counters SET value = 7 WHERE name = 'milestones'", "counter milestones says 7"),
        ("UPDATE meta SET value = zeroblob(32) WHERE name = 'genesis'", "genesis 0000"),
        ("UPDATE transactions SET outcome = 'text' WHERE position = 0", "cones: "),
    ],
)
def test_a_change_of_one_value_is_found(tmp_path: Path, statement: str, fault: str) -> None:
    write_journal(tmp_path)
    change(tmp_path, statement)

    found = inspected(tmp_path)

    assert found.fault_count > 0
    assert any(fault in one for one in found.faults), found.faults


def test_a_row_that_nobody_wrote_so_is_found(tmp_path: Path) -> None:
    write_journal(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection, connection:
        connection.execute("UPDATE readings SET sealed = x'00' WHERE sequence = 3")
        connection.execute("DROP TRIGGER meters_delete")

    faults = inspected(tmp_path).faults

    assert faults[0] == "its tables are not those of a journal"
    assert faults[1].startswith("a row of readings is not what was written")


def test_readings_are_opened_with_the_key(tmp_path: Path) -> None:
    key, other = sealing_key(EDGE), sealing_key(BOB)
    content = SaltedReading(bytes(SALT_SIZE), b"signed")
    sealed = tuple(seal(key, DEVICE, n, content, bytes([n]) * NONCE_SIZE) for n in (0, 1))
    with Journal(tmp_path, NETWORK) as journal:
        journal.restore(GENESIS, 20)
        journal.commit(Batch(readings=sealed))

    with open_offline(tmp_path, NETWORK) as reader:
        sound = inspect(reader, GENESIS, CONTRACTS, signatures=False, sealing_key=key)
        bad = inspect(reader, GENESIS, CONTRACTS, signatures=False, sealing_key=other)

    assert (sound.faults, sound.opened) == ([], 2)
    assert (bad.fault_count, bad.opened) == (2, 0)
    assert "sealed reading 0 of device" in bad.faults[0]


@pytest.mark.parametrize(("number", "fault"), [(1, "signature"), (5, "not signed by")])
def test_a_changed_signature_is_found_unless_signatures_are_left_out(
    tmp_path: Path, number: int, fault: str
) -> None:
    write_journal(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection, connection:
        query = "SELECT data FROM bodies WHERE number = ?"
        data = bytearray(connection.execute(query, (number,)).fetchone()[0])
        data[-20] ^= 1  # within the last signature
        connection.execute("UPDATE bodies SET data = ? WHERE number = ?", (bytes(data), number))
        sum_anew(connection)

    assert [one for one in inspected(tmp_path).faults if fault in one]
    assert inspected(tmp_path, signatures=False).faults == []


@pytest.mark.parametrize("most", [3, 1_000])
def test_history_that_was_pruned_is_not_missed(tmp_path: Path, most: int) -> None:
    write_journal(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection, connection:
        set_counter(connection, PRUNED_THROUGH, 2)
        assert delete_referenced(connection, 2, most) > 0

    found = inspected(tmp_path)

    assert found.faults == []
    assert found.replayed == 0
    change(tmp_path, "UPDATE transactions SET position = 9 WHERE position = 3")
    assert any("inclusion" in one or "gaps" in one for one in inspected(tmp_path).faults)


def test_few_faults_are_named_and_all_are_counted(tmp_path: Path) -> None:
    write_journal(tmp_path)
    change(tmp_path, "UPDATE bodies SET data = x'00'")

    found = inspected(tmp_path)

    assert found.fault_count >= TRANSACTIONS
    assert len(found.faults) == MAX_NAMED_FAULTS


def test_a_journal_is_not_looked_at_while_its_node_runs(tmp_path: Path) -> None:
    with Journal(tmp_path, NETWORK), pytest.raises(StorageError, match="holds it"):
        inspected(tmp_path)


def test_a_folder_without_a_journal_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no journal"):
        inspected(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_another_network_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path)

    with (
        pytest.raises(ForeignStoreError, match="of network"),
        open_offline(tmp_path, bytes(8)),
    ):
        pass
