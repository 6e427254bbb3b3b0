from dataclasses import replace
from typing import Any

import pytest

from api.client.answers import InfoAnswer, MilestoneAnswer
from api.commands import recover_main
from api.commands.recover_main import last_milestone
from coordinator.lock import first_lock
from coordinator.recovery import LastMilestone, recovered_lock
from tangle.errors import RecoveryRefusedError
from tangle.genesis import entry_points
from tangle.keys import PublicKey
from tangle.transaction import TransactionId
from tests.api.small_node import GENESIS, NETWORK, SmallNode

ONE, TWO = PublicKey(b"1" * 32), PublicKey(b"2" * 32)
PEERS = {ONE: "edge-1", TWO: "edge-2"}


@pytest.fixture
def at_one(node: SmallNode) -> LastMilestone:
    milestone_id = node.confirm()
    stored = node.journal.transaction(milestone_id)
    assert stored is not None
    return LastMilestone(ONE, NETWORK, 1, milestone_id, stored.data)


def test_a_milestone_that_all_peers_name_is_the_lock(at_one: LastMilestone) -> None:
    lock = recovered_lock([at_one, replace(at_one, node=TWO)], PEERS, NETWORK)

    assert (lock.index, lock.milestone_id, lock.data) == (1, at_one.milestone_id, at_one.data)


def test_peers_that_have_seen_nothing_give_the_first_lock() -> None:
    answer = LastMilestone(ONE, NETWORK, 0, entry_points(GENESIS)[0], b"")

    lock = recovered_lock([answer, replace(answer, node=TWO)], PEERS, NETWORK)

    assert lock == first_lock(GENESIS)


def test_a_peer_that_is_not_asked_is_missed_unless_an_operator_answers_for_it(
    at_one: LastMilestone,
) -> None:
    with pytest.raises(RecoveryRefusedError, match="not asked: edge-2"):
        recovered_lock([at_one], PEERS, NETWORK)

    assert recovered_lock([at_one], PEERS, NETWORK, accepts_missing=True).index == 1


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param({"node": PublicKey(b"x" * 32)}, "not a configured peer", id="stranger"),
        pytest.param({"network": bytes(8)}, "is of network 0000000000000000", id="network"),
        pytest.param({"index": 2}, "names milestone 2", id="index"),
        pytest.param({"milestone_id": TransactionId(bytes(32))}, "and shows", id="other id"),
        pytest.param({"data": b"x"}, "shows no milestone", id="garbage"),
        pytest.param({"data": b""}, "shows no milestone", id="nothing shown"),
    ],
)
def test_an_answer_that_does_not_hold_is_refused(
    at_one: LastMilestone, change: dict[str, Any], rule: str
) -> None:
    with pytest.raises(RecoveryRefusedError, match=rule):
        recovered_lock([replace(at_one, **change), replace(at_one, node=TWO)], PEERS, NETWORK)


def test_peers_that_name_different_milestones_are_refused(at_one: LastMilestone) -> None:
    behind = LastMilestone(TWO, NETWORK, 0, entry_points(GENESIS)[0], b"")

    with pytest.raises(RecoveryRefusedError, match=r"edge-1 is at milestone 1 .* edge-2 at 0"):
        recovered_lock([at_one, behind], PEERS, NETWORK)


def test_nobody_asked_is_nothing_known() -> None:
    with pytest.raises(RecoveryRefusedError, match="no peer was asked"):
        recovered_lock([], PEERS, NETWORK, accepts_missing=True)


def test_a_program_of_its_own_explains_recovery() -> None:
    assert recover_main.recover.__doc__ is not None
    assert "Examples:" in recover_main.recover.__doc__


class Node:
    """Answers as a node that has applied one milestone, or none."""

    def __init__(self, index: int) -> None:
        self.index = index

    def info(self) -> InfoAnswer:
        return InfoAnswer(
            NETWORK.hex(), "n", ONE.hex(), "edge-1", "edge", self.index, "", "", 0, self.index
        )

    def milestone(self, index: int) -> MilestoneAnswer:
        return MilestoneAnswer("aa" * 32, index, "bb")


@pytest.mark.parametrize(
    ("index", "milestone_id", "data"),
    [(0, entry_points(GENESIS)[0], b""), (4, b"\xaa" * 32, b"\xbb")],
)
def test_a_node_is_asked_for_its_last_milestone(
    index: int, milestone_id: bytes, data: bytes
) -> None:
    answer = last_milestone(Node(index), GENESIS)

    assert answer == LastMilestone(ONE, NETWORK, index, TransactionId(milestone_id), data)
