"""What proves a reading stays as long as the reading, whatever is pruned, and leaves with it."""

from pathlib import Path

import msgspec
import pytest
from fastapi import FastAPI

from api.http.app import create_app
from api.node.span_answers import reports_page
from devices.reading_proof import decode_reading_proof, verify_reading_proof
from devices.span_request import SpanRequest
from edge.journal.journal import PRUNED_THROUGH
from edge.journal.salvage import salvage
from edge.journal.sealing import sealing_key
from edge.meters.proof_keeping import MAX_LAG, ProofKeeper, kept_from_ms, proof_keeper
from energy.bills.reported import ReportsPage
from tangle.errors import DamagedStoreError, NotProvableError
from tangle.transaction import TransactionId
from tests.api.asking import ask
from tests.api.metered_node import (
    FIRST_MS,
    METER_ADDRESS,
    SLOT_MS,
    asked,
    commit,
    settled_node,
    take,
)
from tests.api.small_node import EDGE, GENESIS, SmallNode, api_of


@pytest.fixture
def app(node: SmallNode) -> FastAPI:
    return create_app(api_of(node, sealing_key(EDGE)))


def keeper_of(node: SmallNode) -> ProofKeeper:
    return proof_keeper(node.core, node.journal)


def prune(node: SmallNode) -> None:
    """Let every transaction leave that a milestone references."""
    for _ in range(3):
        node.confirm()
    through = node.core.confirmed_index - 1
    node.journal.set_counter(PRUNED_THROUGH, through)
    while node.journal.prune(through, 2):
        pass


def status_of(app: FastAPI, sequence: int, milestone_index: int) -> int:
    request = asked("prove", FIRST_MS + sequence * SLOT_MS, milestone_index=milestone_index)
    answer = ask(app, "GET", f"/api/v1/readings/{request.hex()}")
    if answer.status_code == 200:
        proof = decode_reading_proof(bytes.fromhex(answer.json()["proof"]))
        assert verify_reading_proof(proof, GENESIS).reading.sequence == sequence
    return answer.status_code


def test_a_reading_is_proven_after_its_transaction_was_pruned(
    node: SmallNode, app: FastAPI
) -> None:
    settled_node(node)
    keeper_of(node).step(node.core.confirmed_index)

    prune(node)

    index = node.core.confirmed_index
    assert [status_of(app, at, index) for at in range(6)] == [200, 200, 200, 200, 200, 503]


def test_without_a_kept_proof_pruning_takes_it_away(node: SmallNode, app: FastAPI) -> None:
    settled_node(node)

    prune(node)

    assert status_of(app, 3, node.core.confirmed_index) == 503


def kept_names(node: SmallNode) -> list[str]:
    return sorted(name.partition("/")[0] for name, _ in node.journal.kept.notes("", "~"))


def test_proofs_under_one_milestone_share_it_and_leave_with_their_readings(
    node: SmallNode, app: FastAPI
) -> None:
    settled_node(node)
    keeper_of(node).step(node.core.confirmed_index)
    prune(node)
    assert kept_names(node) == ["began", "milestone", "milestone", "proof", "proof"]

    for sequences in (3, 5):
        request = asked(
            "erase",
            FIRST_MS + sequences * SLOT_MS,
            milestone_index=node.core.confirmed_index,
        )
        assert ask(app, "DELETE", f"/api/v1/readings/{request.hex()}").status_code == 200

    assert kept_names(node) == ["began"]
    node.journal.verify()


def test_a_milestone_stays_while_anything_hangs_on_it(node: SmallNode) -> None:
    settled_node(node)
    keeper_of(node).step(node.core.confirmed_index)
    kept = node.journal.kept
    one, other = (node.journal.batches_holding(METER_ADDRESS, at)[0].tx_id for at in (0, 3))
    found = kept.proof(one)
    assert found is not None
    shared = msgspec.structs.replace(found[1], index=99)
    kept.put(99, b"milestone", {one: shared, other: shared}, {})

    node.journal.leaving.forget({METER_ADDRESS: 3})

    assert kept.proof(one) is None
    assert kept.proof(other) == (b"milestone", shared)


def test_each_milestone_is_looked_through_once_and_in_steps(node: SmallNode) -> None:
    settled_node(node)
    keeper = keeper_of(node)

    assert keeper.step(4, most=2) is True
    assert keeper.step(4, most=2) is False
    assert node.journal.kept.through() == 4
    take(node, 6, 6)
    commit(node, 5, 6, 3)
    assert keeper_of(node).step(node.core.confirmed_index) is False
    assert node.journal.kept.through() >= 5


def test_milestones_without_anything_to_keep_are_not_looked_at_again(node: SmallNode) -> None:
    for _ in range(MAX_LAG + 1):
        node.confirm()

    keeper_of(node).step(MAX_LAG + 1, most=MAX_LAG + 1)

    assert node.journal.kept.through() == MAX_LAG + 1
    assert kept_from_ms(node.journal) == 0


def asked_reports(node: SmallNode) -> ReportsPage:
    core = node.core
    request = SpanRequest(
        core.rules.network, "reports", METER_ADDRESS, 0, FIRST_MS, core.confirmed_index
    )
    return reports_page(core, node.journal, request)


def test_reports_are_shown_though_nothing_happened_for_a_while(node: SmallNode) -> None:
    for _ in range(MAX_LAG):
        node.confirm()

    assert asked_reports(node).reports == ()


def test_who_asks_again_gets_on_however_much_nothing_happened(node: SmallNode) -> None:
    for _ in range(2 * MAX_LAG + 10):
        node.confirm()

    for _ in range(2):
        with pytest.raises(NotProvableError, match="still looks through"):
            asked_reports(node)

    assert asked_reports(node).reports == ()


def test_what_is_kept_survives_a_salvage(node: SmallNode, tmp_path: Path) -> None:
    settled_node(node)
    keeper_of(node).step(node.core.confirmed_index)
    before = node.journal.kept.notes("", "~")
    node.journal.close()

    salvage(node.folder, (), GENESIS, sealing_key(EDGE))

    with SmallNode(tmp_path) as again:
        assert again.journal.kept.notes("", "~") == before


def test_a_damaged_proof_is_noticed(node: SmallNode) -> None:
    settled_node(node)
    keeper_of(node).step(node.core.confirmed_index)
    (name, _) = node.journal.kept.notes("proof", "q")[0]
    node.journal.put_notes([(f"kept/{name}", b"\xc1")])

    with pytest.raises(DamagedStoreError):
        node.journal.kept.proof(TransactionId(bytes.fromhex(name.partition("/")[2])))
