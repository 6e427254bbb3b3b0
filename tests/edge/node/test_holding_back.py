"""While a snapshot may spare history, a node fetches none and issues nothing."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from edge.ground.clock import Clock
from edge.mesh.frames import ConeRequest, Heartbeat
from edge.mesh.offers import NoSnapshot, SnapshotBody
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.node.standing import FULL_STANDING, WEIGHTS
from tangle.effects import Instant, PeerId
from tangle.errors import InvalidSnapshotError, NoTipsError
from tangle.proposals import CoSignature, Proposal
from tests.community import START_MS
from tests.edge.history import End, Wires, opened
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS

NOW = Instant(START_MS, START_MS)
FAR = Heartbeat(900, bytes([9]) * 32, (), "1", 700)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Executor, End]]:
    """A node that has nothing, linked to Alice."""
    wires = Wires()
    end = wires.join(BOB)
    wires.join(ALICE)
    journal, core = opened(tmp_path)
    with journal:
        yield Executor(core, journal, end, Random(1)), end


def test_a_node_that_holds_back_asks_for_no_history_and_shows_how_far_it_is(
    node: tuple[Executor, End],
) -> None:
    executor, end = node
    executor.holds_back = lambda: True
    near = Heartbeat(900, bytes([9]) * 32, (), "1", 1)

    executor.hear([(ALICE, near)], NOW)

    assert end.asked() == []
    assert executor.core.is_catching_up, "nor does the core ask for what it lacks"
    assert executor.progress().behind == 900
    executor.holds_back = lambda: False
    executor.hear([], NOW)
    assert [body for _, body in end.said if isinstance(body, ConeRequest)]


def test_where_peers_stand_is_kept_for_who_decides(node: tuple[Executor, End]) -> None:
    executor, _ = node

    executor.hear([(ALICE, FAR)], NOW)

    assert (executor.announced, executor.oldest_cones) == ({ALICE: 900}, {ALICE: 700})


def test_a_node_that_holds_back_issues_nothing(node: tuple[Executor, End]) -> None:
    executor, _ = node
    issuance = Issuance(executor, EDGE, Clock(GENESIS), Random(1), LoadMeter())
    executor.holds_back = lambda: True

    with pytest.raises(NoTipsError, match="snapshot"):
        issuance.select_parents()


def test_what_is_said_of_snapshots_reaches_who_listens_for_it_alone(
    node: tuple[Executor, End],
) -> None:
    executor, _ = node
    heard: list[tuple[PeerId, SnapshotBody]] = []

    def fails(peer: PeerId, body: Proposal | CoSignature, _: Instant) -> None:
        raise AssertionError(f"{peer.hex()}: {body}")

    executor.listen(fails)
    executor.listen_snapshots(lambda peer, body, _: heard.append((peer, body)))

    executor.hear([(ALICE, NoSnapshot())], NOW)

    assert heard == [(ALICE, NoSnapshot())]


def test_who_lies_of_snapshots_loses_standing(node: tuple[Executor, End]) -> None:
    executor, _ = node

    executor.blame(ALICE, InvalidSnapshotError("chunk 3 differs"), NOW)

    left = FULL_STANDING - WEIGHTS[InvalidSnapshotError]
    assert executor.standings.points(ALICE, NOW.wall_ms) == left == 50
    assert executor.counts["misbehaved"] == 1
