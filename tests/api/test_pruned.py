"""What a node that prunes answers: clearly, and without losing count of readings."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from api.failures import CommandError
from api.node.applied_readings import AppliedReadings
from api.node.coordinating import announce
from api.settings.config import load_config
from api.settings.records import History, NodeConfig
from edge.joining.snapshots import FOLDER, take_snapshot, write_snapshot
from edge.journal.journal import PRUNED_THROUGH, Journal
from tangle.address import Address
from tangle.codec import encode
from tangle.errors import NoTipsError, StorageError
from tangle.snapshot import SnapshotNotice
from tangle.transaction import Data
from tests.api.asking import ask
from tests.api.small_node import GENESIS, NETWORK, SmallNode
from tests.edge.making import DEVICE, OTHER_DEVICE

DEPTH = GENESIS.parameters.reference_depth


def prune(journal: Journal, through: int) -> None:
    journal.set_counter(PRUNED_THROUGH, through)
    while journal.prune(through, 100):
        pass


def test_what_was_pruned_is_said_to_be(node: SmallNode, app: FastAPI) -> None:
    first = node.signed(sequence=0)
    node.take_in(first)
    old = next(iter(node.core.graph.tips)).hex()
    for sequence in range(1, 8):
        node.confirm()
        node.take_in(node.signed(sequence=sequence))
    before = ask(app, "GET", f"/api/v1/transactions/{old}").status_code
    prune(node.journal, 3)

    transaction = ask(app, "GET", f"/api/v1/transactions/{old}")
    milestone = ask(app, "GET", "/api/v1/milestones/2")
    kept = ask(app, "GET", "/api/v1/milestones/4")
    ahead = ask(app, "GET", "/api/v1/milestones/99")

    assert before == 200
    assert (transaction.status_code, transaction.json()["code"]) == (404, "PRUNED")
    assert "milestones up to 3" in transaction.json()["detail"]
    assert (milestone.status_code, milestone.json()["code"]) == (404, "PRUNED")
    assert kept.status_code == 200
    assert (ahead.status_code, ahead.json()["code"]) == (404, "NOT_FOUND")


def test_a_node_that_keeps_all_never_says_pruned(app: FastAPI) -> None:
    answer = ask(app, "GET", f"/api/v1/transactions/{'00' * 32}")

    assert answer.json()["code"] == "NOT_FOUND"


class Ledger:
    """A journal's answers, as far as the tally of readings asks."""

    def __init__(self, oldest: int, taken: dict[Address, list[tuple[int, int]]]) -> None:
        self._oldest = oldest
        self._taken = taken

    def latest_milestone(self) -> SimpleNamespace:
        return SimpleNamespace(index=9)

    def meters(self) -> dict[Address, tuple[int, int]]:
        return {}

    def confirmed_readings(self) -> dict[Address, list[Any]]:
        return {DEVICE: [SimpleNamespace(first_sequence=7, last_sequence=9)]}

    def oldest_cone(self) -> int:
        return self._oldest

    def committed_ranges(self) -> dict[Address, Any]:
        return {
            device: SimpleNamespace(
                taken=[SimpleNamespace(first=first, last=last) for first, last in spans]
            )
            for device, spans in self._taken.items()
        }


def test_readings_whose_transactions_were_pruned_are_counted_from_the_rows() -> None:
    ledger: Any = Ledger(5, {DEVICE: [(0, 9)], OTHER_DEVICE: [(3, 4)]})

    tallies = AppliedReadings(None).catch_up(ledger)

    assert {device: one.confirmed for device, one in tallies.items()} == {
        DEVICE: 10,
        OTHER_DEVICE: 2,
    }
    assert [one.twice for one in tallies.values()] == [0, 0]
    assert [one.pruned for one in tallies.values()] == [7, 2]


def test_a_node_that_keeps_all_counts_from_the_transactions_alone() -> None:
    ledger: Any = Ledger(1, {DEVICE: [(0, 9)]})

    assert AppliedReadings(None).catch_up(ledger)[DEVICE].confirmed == 3


NODE = """
[node]
name = "n"
data_dir = "data"
genesis_file = "genesis.json"
key_file = "node.key"
passphrase_file = "pass"
[history]
"""


@pytest.mark.parametrize("depth", [0, 20, 5_000])
def test_a_depth_is_nothing_or_what_a_network_looks_back_on(tmp_path: Path, depth: int) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f"{NODE}pruning_depth = {depth}\nsnapshots = true\n")

    assert load_config(NodeConfig, file, {}).history == History(depth, 0, snapshots=True)


@pytest.mark.parametrize("depth", [-1, 1, 19])
def test_a_depth_that_would_break_a_node_is_refused(tmp_path: Path, depth: int) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f"{NODE}pruning_depth = {depth}\n")

    with pytest.raises(CommandError, match="must be 0, or from 20"):
        load_config(NodeConfig, file, {})


class Issuing:
    """Takes notices, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.issued: list[Data] = []
        self._error = error

    async def issue(self, payload: Data) -> None:
        if self._error is not None:
            raise self._error
        self.issued.append(payload)


def announced(node: SmallNode, issuance: Issuing) -> bytes:
    """Let a coordinator announce a snapshot of `node`; return the state root."""
    node.take_in(node.signed())
    node.confirm()
    taken = take_snapshot(node.folder, NETWORK, DEPTH)
    assert taken is not None
    file = write_snapshot(node.folder / FOLDER, taken)
    runtime: Any = SimpleNamespace(issuance=issuance)
    asyncio.run(announce(runtime, file))
    return file.file_hash


def test_a_snapshot_is_announced_on_the_ledger(node: SmallNode) -> None:
    issuance = Issuing()

    file_hash = announced(node, issuance)

    (notice,) = issuance.issued
    assert notice.label == "snapshot"
    assert notice.data == encode(SnapshotNotice(1, node.core.state_root, file_hash))


def test_a_notice_that_is_not_taken_now_is_left_out(node: SmallNode) -> None:
    assert announced(node, Issuing(NoTipsError("a test")))


def test_a_failing_disk_is_not_passed_over(node: SmallNode) -> None:
    with pytest.raises(StorageError):
        announced(node, Issuing(StorageError("a test")))
