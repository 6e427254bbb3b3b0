"""A flood through the front of real cores: who does not flood is confirmed as if there were none.

The node under test has little time: a turn each `TURN_MS` that serves `BUDGET_BYTES`. The flood
brings ten times what the honest issuers send, and more than three times what the node can serve.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest
from msgspec.structs import replace
from typing_extensions import override

from coordinator.issuer import Checkpoints, Issue, Issuer
from coordinator.lock import first_lock
from edge.node.admission import Admission
from edge.node.fair_queue import MAX_PENDING, FairQueue, FlowKey, Queued
from tangle.effects import Confirmed, Effect, PeerId, Requested
from tangle.genesis import Genesis
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tests.community import CONTRACTS, COORDINATOR, Maker, community, edge_key, key, with_parameters
from tests.tangle.cores import at
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

INTERVAL_MS: Final = 2_000
TURN_MS: Final = 100
BUDGET_BYTES: Final = 200
"""Some ten transactions a second."""

HONEST_EVERY_MS: Final = 1_000
HONEST: Final = (edge_key(0), edge_key(1), edge_key(2))
SPAMMER: Final = edge_key(3)
ALICE, BOB, MALLORY = (PeerId(name * 32) for name in (b"a", b"b", b"m"))
RELAYS: Final = dict(zip(HONEST, (ALICE, ALICE, BOB), strict=True))
"""Who sends what of the honest ones; the spam comes through Alice as well, or through Mallory."""

LAST_HONEST_MS: Final = 40_000
END_MS: Final = 48_000

Spam = Callable[[int], tuple[PeerId, SigningKey]]
"""Sender and issuer of spam number n."""


def by_one_issuer(_: int) -> tuple[PeerId, SigningKey]:
    """One registered issuer floods, and an honest peer passes it on with the rest."""
    return ALICE, SPAMMER


def by_one_peer(number: int) -> tuple[PeerId, SigningKey]:
    """One peer floods with as many issuers as it likes: the network is open."""
    return MALLORY, key(2_000 + number % 200)


class OneLine(FairQueue):
    """What there was before: no turns, only a line."""

    @override
    def add(
        self, queued: Queued, *, is_urgent: bool = False, sponsor: FlowKey | None = None
    ) -> list[Queued]:
        return super().add(replace(queued, peer=ALICE, issuer=None))


@dataclass
class Flooded:
    """A coordinator with little time, and issuers that see what it sees."""

    genesis: Genesis
    spam: Spam | None
    core: NodeCore = field(init=False)
    delays: list[int] = field(default_factory=list)
    """Milestones from issuing to being referenced, 1 for the next one, of what is honest."""
    referenced_spam: int = 0

    def __post_init__(self) -> None:
        self.core = NodeCore(self.genesis, CONTRACTS)
        self.admission = Admission(self.core)
        self.rng = Random(7)
        self.make = Maker(self.genesis)
        self.issuer = Issuer(self.core, (COORDINATOR,), first_lock(self.genesis))
        self.sequences: dict[bytes, int] = {}
        self.born: dict[TransactionId, int] = {}

    def run(self) -> "Flooded":
        for now_ms in range(0, END_MS, 10):
            if now_ms % HONEST_EVERY_MS == 0 and now_ms <= LAST_HONEST_MS:
                for one in HONEST:
                    tx_id = self._arrive(RELAYS[one], one)
                    self.born[tx_id] = self.core.confirmed_index
            if self.spam is not None and now_ms % 30 == 0:  # 33 a second beside 3
                self._arrive(*self.spam(now_ms // 30))
            if now_ms % TURN_MS == 0:
                self._turn(now_ms)
        return self

    def _arrive(self, peer: PeerId, issuer: SigningKey) -> TransactionId:
        made = self._made(issuer, select_weighted_walk(self._view(), self.rng, 2).parents)
        self.admission.offer(peer, made)
        return made.tx_id

    def _made(self, issuer: SigningKey, parents: tuple[TransactionId, ...]) -> Verified:
        sequence = self.sequences.get(issuer.public, 0)
        self.sequences[issuer.public] = sequence + 1
        return self.make.transaction(issuer, sequence, parents)

    def _turn(self, now_ms: int) -> None:
        for queued in self.admission.turn(BUDGET_BYTES):
            self._carry_out(self.core.receive(queued.peer, queued.data, at(now_ms)))
        self._coordinate(now_ms)

    def _coordinate(self, now_ms: int) -> None:
        while (step := self.issuer.step(at(now_ms), self._view(), self.rng)) is not None:
            if isinstance(step, Checkpoints):
                for pair in step.pairs:
                    checkpoint = self._made(COORDINATOR, pair)
                    self._carry_out(self.core.submit(checkpoint.data, at(now_ms)))
            elif isinstance(step, Issue):
                self._carry_out(self.core.submit(step.data, at(now_ms)))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Requested):
                assert all(map(self.admission.hasten, effect.tx_ids)), "asked for what is here"
            if isinstance(effect, Confirmed):
                for tx_id, _ in effect.outcomes:
                    born = self.born.pop(tx_id, None)
                    if born is not None:
                        self.delays.append(effect.index - born)
                    else:
                        self.referenced_spam += 1

    def _view(self) -> View:
        core = self.core
        return View(core.graph, core.weights, core.confirmed_index, core.parameters)


OPEN = with_parameters(community(), admission="open")


@pytest.mark.parametrize(
    ("genesis", "spam"),
    [
        pytest.param(community(edges=4), by_one_issuer, id="one issuer"),
        pytest.param(OPEN, by_one_issuer, id="one issuer, open network"),
        pytest.param(OPEN, by_one_peer, id="one peer with many issuers"),
    ],
)
def test_a_flood_delays_nobody_else_by_more_than_one(genesis: Genesis, spam: Spam) -> None:
    calm, flooded = Flooded(genesis, None).run(), Flooded(genesis, spam).run()

    assert len(calm.delays) > 100
    assert len(flooded.delays) == len(calm.delays)
    assert max(flooded.delays) <= max(calm.delays) + 1
    assert flooded.referenced_spam > len(flooded.delays)


def test_a_line_without_turns_would_keep_everybody_waiting() -> None:
    flooded = Flooded(community(edges=4), by_one_issuer)
    flooded.admission._queue = OneLine()

    flooded.run()

    assert max(flooded.delays) > 5


def test_an_issuer_over_its_quota_is_put_off_until_a_milestone_makes_room() -> None:
    flooded = Flooded(community(edges=4), None)
    admission, core = flooded.admission, flooded.core
    for _ in range(MAX_PENDING + 20):
        flooded._arrive(ALICE, SPAMMER)
    flooded._arrive(ALICE, HONEST[0])
    serve(flooded)
    before = core.pending_of(SPAMMER.public), core.pending_of(HONEST[0].public), len(admission)

    flooded._coordinate(INTERVAL_MS)
    serve(flooded)

    assert before == (MAX_PENDING, 1, 20)
    assert len(admission) == 0


def serve(flooded: Flooded) -> None:
    """Serve turns until nothing is left, or what is left is put off."""
    while flooded.admission.is_busy:
        for queued in flooded.admission.turn():
            flooded._carry_out(flooded.core.receive(queued.peer, queued.data, at(0)))
