"""What is noted of a milestone's end is held against what it ends with when applied anew."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from api.contracts import CONTRACTS
from edge.journal.commits import set_counter
from edge.journal.inspection import PRUNED_THROUGH, Inspection, inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.pruning import delete_referenced
from edge.journal.records import encode_events
from edge.journal.storage import JOURNAL_NAME
from energy.market.contract import Buy, market_operation
from energy.market.pricing import LOT_UENT
from tangle.outcomes import Event
from tests.api.small_node import ALICE, GENESIS, NETWORK, START_MS, SmallNode
from tests.edge.summing import sum_anew

FIRST, SECOND = (f"ended/{index:020}" for index in (2, 3))
FOREIGN = encode_events([Event("x.ended", (("amount_ueur", 5),))])


def write_ending_orders(folder: Path) -> None:
    """Write a journal of four milestones; with the second and the third an order runs out."""
    with SmallNode(folder, contracts=CONTRACTS) as node:
        for sequence, after_ms in enumerate((3_000, 5_000)):
            order = market_operation(Buy(LOT_UENT, 1_000, START_MS + after_ms))
            node.take_in(node.signed(order, ALICE, sequence))
        for _ in range(4):
            node.confirm()


def inspected(folder: Path) -> Inspection:
    with open_offline(folder, NETWORK) as reader:
        return inspect(reader, GENESIS, CONTRACTS, signatures=False)


def changed(folder: Path, statement: str, *values: object) -> list[str]:
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1
        sum_anew(connection)
    return inspected(folder).faults


def test_notes_of_what_ended_are_sound(tmp_path: Path) -> None:
    write_ending_orders(tmp_path)

    found = inspected(tmp_path)

    assert (found.faults, found.milestones, found.replayed) == ([], 4, 4)
    with closing(sqlite3.connect(tmp_path / JOURNAL_NAME)) as connection:
        names = connection.execute("SELECT name FROM meta WHERE name LIKE 'ended/%'").fetchall()
    assert names == [(FIRST,), (SECOND,)]


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_another_end_than_computed_is_a_fault(tmp_path: Path, name: str) -> None:
    write_ending_orders(tmp_path)

    (fault,) = changed(tmp_path, "UPDATE meta SET value = ? WHERE name = ?", FOREIGN, name)

    assert fault.startswith(f"milestone {int(name[-1])}: noted as its end")
    assert "x.ended" in fault
    assert "market.expired" in fault


def test_a_note_that_is_missing_after_the_first_is_a_fault(tmp_path: Path) -> None:
    write_ending_orders(tmp_path)

    (fault,) = changed(tmp_path, "DELETE FROM meta WHERE name = ?", SECOND)

    assert fault.startswith("milestone 3: noted as its end (), computed")


def test_before_the_first_note_none_is_missed(tmp_path: Path) -> None:
    write_ending_orders(tmp_path)

    assert changed(tmp_path, "DELETE FROM meta WHERE name = ?", FIRST) == []


def test_a_note_of_a_milestone_that_ended_nothing_or_is_not_there_is_a_fault(
    tmp_path: Path,
) -> None:
    write_ending_orders(tmp_path)
    insert = "INSERT INTO meta VALUES (?, ?, 0)"

    (ended_nothing,) = changed(tmp_path, insert, f"ended/{1:020}", FOREIGN)
    faults = changed(tmp_path, insert, f"ended/{5:020}", FOREIGN)

    assert ended_nothing.startswith("milestone 1: noted as its end")
    assert faults == [ended_nothing, f"note ended/{5:020}: its milestone is not here"]


@pytest.mark.parametrize("most", [1, 100])
def test_what_was_pruned_leaves_no_note_that_is_missed(tmp_path: Path, most: int) -> None:
    write_ending_orders(tmp_path)
    with (
        Journal(tmp_path, NETWORK) as journal,
        journal._storage.transaction() as connection,
    ):
        set_counter(connection, PRUNED_THROUGH, 2)
        delete_referenced(connection, 2, most)

    assert inspected(tmp_path).faults == []
