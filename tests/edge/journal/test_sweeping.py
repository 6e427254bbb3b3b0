"""A node whose journal is damaged while it runs ends, and says so."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import cast

import pytest

from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.journal.sums import summed
from edge.journal.sweeping import Sweeping
from edge.mesh.mesh import Mesh
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from tangle.accounts import genesis_rows
from tangle.errors import DamagedStoreError, StorageError
from tangle.genesis import network_id
from tests.community import CONTRACTS
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import EDGE, GENESIS

NETWORK = network_id(GENESIS)
LIMIT_S = 30.0


class QuietMesh(FakeGossip):
    """Nobody ever says anything."""

    async def receive(self, _until_ms: int) -> list[object]:
        await asyncio.sleep(0.01)
        return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Journal(tmp_path, NETWORK) as journal:
        journal.restore(GENESIS, 20)
    return tmp_path


def change(journal: Journal, statement: str = "UPDATE meta SET value = x'00'") -> None:
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def run(folder: Path, meanwhile: Callable[[EdgeNode], None], every_s: float) -> None:
    """Run a node for a while with something done to it; raise what it ends with."""

    async def running() -> None:
        with Journal(folder, NETWORK) as journal:
            clock = Clock(GENESIS)
            around = Surroundings(journal, cast("Mesh", QuietMesh(journal)), clock, None, Random(1))
            settings = NodeSettings("one", "edge", "1", 1_000)
            node = EdgeNode(GENESIS, CONTRACTS, EDGE, around, settings)
            node.sweeping = Sweeping(journal.path, every_s)

            async def act() -> None:
                meanwhile(node)

            await asyncio.wait_for(node.run(act), LIMIT_S)

    asyncio.run(running())


def ended_with(caught: pytest.ExceptionInfo[BaseExceptionGroup[DamagedStoreError]]) -> str:
    damaged, others = caught.value.split(DamagedStoreError)
    assert damaged is not None
    assert others is None
    return str(damaged.exceptions[0])


def test_a_sweep_of_a_sound_journal_finds_nothing(folder: Path) -> None:
    sweeping = Sweeping(folder / "journal.sqlite3")

    asyncio.run(sweeping.sweep_once())

    assert sweeping.fits_a_start()


def test_damage_that_nobody_asks_for_ends_the_node_at_the_next_sweep(folder: Path) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        run(folder, lambda node: change(node.journal), every_s=0.05)

    assert "a row of meta is not what was written" in ended_with(caught)


def test_damage_that_is_met_ends_the_node_whoever_swallows_the_error(folder: Path) -> None:
    def ask(node: EdgeNode) -> None:
        change(node.journal)
        with pytest.raises(DamagedStoreError):
            node.journal.restore(GENESIS, 20)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(folder, ask, every_s=3_600)

    assert "a row of meta is not what was written" in ended_with(caught)


def test_a_node_does_not_start_upon_a_damaged_row_that_it_does_not_need(folder: Path) -> None:
    with Journal(folder, NETWORK) as journal:
        journal.set_counter("pruned_through", 0)
        change(journal, "UPDATE counters SET value = 7")

    with pytest.raises(DamagedStoreError, match="a row of counters is not what was written"):
        run(folder, lambda _node: None, every_s=3_600)


@pytest.mark.parametrize("statement", ["DELETE FROM ledger", "DROP TRIGGER ledger_insert"])
def test_rows_that_are_gone_and_tables_that_are_others_are_named(
    folder: Path, statement: str
) -> None:
    rows = len(genesis_rows(GENESIS))
    with closing(sqlite3.connect(folder / "journal.sqlite3")) as connection, connection:
        connection.execute("DROP TRIGGER ledger_delete")
        connection.execute(statement)
        connection.execute(
            "CREATE TRIGGER ledger_delete AFTER DELETE ON ledger BEGIN UPDATE totals SET"
            " count = count - 1, sums = ((sums | OLD.sum) - (sums & OLD.sum))"
            " WHERE name = 'ledger'; END"
        )
    wanted = f"ledger: 0 rows are not the {rows} that were written"

    with pytest.raises(DamagedStoreError) as caught:
        asyncio.run(Sweeping(folder / "journal.sqlite3").sweep_once())

    assert (wanted if "DELETE" in statement else "tables are not those") in str(caught.value)


def test_an_older_row_in_the_place_of_a_newer_one_is_named(folder: Path) -> None:
    with Journal(folder, NETWORK) as journal:
        for value in (1, 2):
            journal.set_counter("round", value)
        older = summed("counters", "meta/round", 1)
    with closing(sqlite3.connect(folder / "journal.sqlite3")) as connection, connection:
        (trigger,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'counters_update'"
        ).fetchone()
        connection.execute("DROP TRIGGER counters_update")
        connection.execute(
            "UPDATE counters SET value = ?, sum = ? WHERE name = ?", (*older[1:], older[0])
        )
        connection.execute(trigger)

    with pytest.raises(DamagedStoreError, match="counters: 1 rows are not the 1 that were"):
        asyncio.run(Sweeping(folder / "journal.sqlite3").sweep_once())


def test_a_sweep_that_is_cancelled_lets_go_of_the_file(folder: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(Sweeping(folder / "journal.sqlite3").sweep_once())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())

    with Journal(folder, NETWORK) as journal:
        assert journal.latest_milestone() is None


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="none"):
        asyncio.run(Sweeping(tmp_path / "none").sweep_once())
